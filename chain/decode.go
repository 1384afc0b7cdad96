package chain

import (
	"encoding/binary"
	"slices"

	"github.com/btcsuite/btcd/wire/v2"
	"github.com/jbcnet/jbc/hashing"
)

// DecodeBlock reads a block, which must be all of data: what [Block.Encode] gives
// for the result is data again, byte for byte. The error is a [RuleError] with
// [RuleOversize], [RuleTruncated], [RuleTrailing] or [RuleEncoding].
//
// The bytes may be anyone's. They are gone through once before anything is made of
// them, so a refusal takes no memory but the error's, whatever is announced. What
// is a block takes a copy of its bytes, into which scripts point, and what package
// wire needs to hold it: 72 bytes a transaction, 104 an input, 40 an output, 24 an
// item of a witness. That is two and a half times its bytes in all for a block of
// ordinary payments; up to six times for one of empty outputs and 25 times for one
// of empty witness items, which are blocks like any other. [Chain.Import] takes that
// much for nobody's bytes that have not cost the work in their header. Whoever keeps
// a part of a block keeps all of it in memory.
func DecodeBlock(data []byte) (*Block, error) {
	seen, err := look(data)
	if err != nil {
		return nil, err
	}
	return seen.make(slices.Clone(data)), nil
}

// look goes through the bytes of a block and takes no memory.
func look(data []byte) (tally, error) {
	if len(data) > MaxBlockSize {
		return tally{}, broken(RuleOversize, 0, "%d bytes, at most %d", len(data), MaxBlockSize)
	}
	r := reader{data: data}
	r.block()
	return r.seen, r.err
}

// make decodes bytes that were looked at. The block points into them.
func (t tally) make(data []byte) *Block {
	r := reader{data: data, room: t.room()}
	return r.block()
}

// The fewest bytes that each thing takes on the wire.
const (
	smallestTx     = 10 // version, two counts, lock time
	smallestInput  = 41 // outpoint, script length, sequence
	smallestOutput = 9  // value, script length
	smallestItem   = 1  // length
)

// reader takes a block apart. Its first error stays, and everything read after
// it is zero.
//
// It goes one way twice: without room it only looks, and counts what it sees; with
// room for that it makes the block, of bytes in which it found no error.
type reader struct {
	data []byte // what is left
	err  error
	seen tally
	room *room // nil while it looks

	behindOutputs int // how much was left behind those of the last transaction
}

// tally counts the things of a block.
type tally struct {
	transactions, inputs, outputs, items int
	witness                              int // bytes of them, and of the marks that they follow
}

// weight returns the weight of a block of that many bytes (BIP141).
func (t tally) weight(size int) int { return witnessScale*size - (witnessScale-1)*t.witness }

// room is memory for the things of a block, taken in one piece a kind.
type room struct {
	transactions []wire.MsgTx
	inputs       []wire.TxIn
	inputAt      []*wire.TxIn
	outputs      []wire.TxOut
	outputAt     []*wire.TxOut
	items        [][]byte
}

func (t tally) room() *room {
	return &room{
		transactions: make([]wire.MsgTx, t.transactions),
		inputs:       make([]wire.TxIn, t.inputs),
		inputAt:      make([]*wire.TxIn, t.inputs),
		outputs:      make([]wire.TxOut, t.outputs),
		outputAt:     make([]*wire.TxOut, t.outputs),
		items:        make([][]byte, t.items),
	}
}

// cut takes the first n of what is left. They can't grow into the rest.
func cut[T any](left *[]T, n int) []T {
	taken := (*left)[:n:n]
	*left = (*left)[n:]
	return taken
}

func (r *reader) fail(rule Rule, format string, args ...any) {
	if r.err == nil {
		r.err = broken(rule, 0, format, args...)
	}
	r.data = nil
}

// take returns the next n bytes, which the caller may keep.
func (r *reader) take(n int) []byte {
	if r.err != nil {
		return nil
	}
	if n > len(r.data) {
		r.fail(RuleTruncated, "%d bytes wanted, %d left", n, len(r.data))
		return nil
	}
	return cut(&r.data, n)
}

func (r *reader) uint32() uint32 {
	if b := r.take(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (r *reader) uint64() uint64 {
	if b := r.take(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

// varint reads a number of 1, 3, 5 or 9 bytes, the shortest that holds it.
func (r *reader) varint() uint64 {
	if len(r.data) > 0 && r.data[0] < 0xfd { // most are; nothing is left after an error
		return uint64(cut(&r.data, 1)[0])
	}
	first := r.take(1)
	if first == nil {
		return 0
	}
	var wide [8]byte
	size := 2 << (first[0] - 0xfd)
	if copy(wide[:], r.take(size)) == 0 {
		return 0
	}
	n := binary.LittleEndian.Uint64(wide[:])
	if wire.VarIntSerializeSize(n) != 1+size {
		r.fail(RuleEncoding, "number %d written in %d bytes", n, 1+size)
		return 0
	}
	return n
}

// count reads the number of things of at least smallest bytes that follow.
func (r *reader) count(smallest int) int {
	n := r.varint()
	if r.err == nil && n > uint64(len(r.data)/smallest) {
		r.fail(RuleTruncated, "%d things of at least %d bytes announced, %d bytes left", n, smallest, len(r.data))
	}
	if r.err != nil {
		return 0
	}
	return int(n)
}

// bytes reads a length and as many bytes.
func (r *reader) bytes() []byte { return r.take(r.count(1)) }

// block reads all that is left.
func (r *reader) block() *Block {
	header := r.take(hashing.HeaderSize)
	n := r.count(smallestTx)
	r.seen.transactions += n
	var b *Block
	if r.room != nil {
		b = &Block{Header: hashing.Header(header), Transactions: make([]*wire.MsgTx, n)}
	}
	for i := 0; i < n && r.err == nil; i++ {
		var tx *wire.MsgTx
		if b != nil {
			tx = &cut(&r.room.transactions, 1)[0]
			b.Transactions[i] = tx
		}
		r.transaction(tx)
	}
	if len(r.data) != 0 {
		r.fail(RuleTrailing, "%d bytes after the last transaction", len(r.data))
	}
	return b
}

// transaction reads one in Bitcoin's format, with its witness where the marker
// says so (BIP144). tx is nil while the reader looks.
func (r *reader) transaction(tx *wire.MsgTx) {
	version := r.uint32()
	inputs := r.count(smallestInput)
	witness := inputs == 0
	if witness { // the zero was the marker, unless a transaction has no inputs: nobody's has
		if flag := r.take(1); flag != nil && flag[0] != wire.WitnessFlag {
			r.fail(RuleEncoding, "transaction flag %d", flag[0])
		}
		inputs = r.count(smallestInput)
	}
	r.inputs(tx, inputs)
	r.outputs(tx)
	r.behindOutputs = len(r.data)
	if witness {
		r.witnesses(tx, inputs)
		r.seen.witness += 2 + r.behindOutputs - len(r.data) // the marker and the flag
	}
	lockTime := r.uint32()
	if tx != nil {
		tx.Version, tx.LockTime = int32(version), lockTime
	}
}

func (r *reader) inputs(tx *wire.MsgTx, n int) {
	r.seen.inputs += n
	if tx == nil {
		for i := 0; i < n && r.err == nil; i++ {
			r.take(32 + 4)
			r.bytes()
			r.take(4)
		}
		return
	}
	tx.TxIn = cut(&r.room.inputAt, n)
	for i := range tx.TxIn {
		in := &cut(&r.room.inputs, 1)[0]
		tx.TxIn[i] = in
		copy(in.PreviousOutPoint.Hash[:], r.take(32))
		in.PreviousOutPoint.Index = r.uint32()
		in.SignatureScript = r.bytes()
		in.Sequence = r.uint32()
	}
}

func (r *reader) outputs(tx *wire.MsgTx) {
	n := r.count(smallestOutput)
	r.seen.outputs += n
	if tx == nil {
		for i := 0; i < n && r.err == nil; i++ {
			r.take(8)
			r.bytes()
		}
		return
	}
	tx.TxOut = cut(&r.room.outputAt, n)
	for i := range tx.TxOut {
		out := &cut(&r.room.outputs, 1)[0]
		tx.TxOut[i] = out
		out.Value = int64(r.uint64())
		out.PkScript = r.bytes()
	}
}

func (r *reader) witnesses(tx *wire.MsgTx, inputs int) {
	before := r.seen.items
	for i := 0; i < inputs && r.err == nil; i++ {
		n := r.count(smallestItem)
		r.seen.items += n
		if tx == nil {
			for j := 0; j < n && r.err == nil; j++ {
				r.bytes()
			}
			continue
		}
		stack := cut(&r.room.items, n)
		for j := range stack {
			stack[j] = r.bytes()
		}
		tx.TxIn[i].Witness = stack
	}
	if r.err == nil && r.seen.items == before {
		r.fail(RuleEncoding, "marker of a witness, and none follows")
	}
}
