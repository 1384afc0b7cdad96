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
// The bytes may be anyone's. They are copied once, and scripts point into that
// copy; no count is believed before the bytes left could hold what it announces
// at its smallest. So memory is bounded by the data: about twice its length for
// a real block, up to five times for one of empty outputs, and 25 times for one
// of empty witness items, the price of a slice each. Check a stranger's proof
// of work, in the first 80 bytes, before decoding the rest.
func DecodeBlock(data []byte) (*Block, error) {
	if len(data) > MaxBlockSize {
		return nil, broken(RuleOversize, 0, "%d bytes, at most %d", len(data), MaxBlockSize)
	}
	r := reader{data: slices.Clone(data)}
	b := new(Block)
	copy(b.Header[:], r.take(hashing.HeaderSize))
	b.Transactions = make([]*wire.MsgTx, r.count(smallestTx))
	for i := range b.Transactions {
		if b.Transactions[i] = r.transaction(); r.err != nil {
			break
		}
	}
	if r.err != nil {
		return nil, r.err
	}
	if len(r.data) != 0 {
		return nil, broken(RuleTrailing, 0, "%d bytes after the last transaction", len(r.data))
	}
	return b, nil
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
type reader struct {
	data []byte // what is left
	err  error
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
	taken := r.data[:n:n]
	r.data = r.data[n:]
	return taken
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
	first := r.take(1)
	if first == nil {
		return 0
	}
	if first[0] < 0xfd {
		return uint64(first[0])
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

// transaction reads one in Bitcoin's format, with its witness where the marker
// says so (BIP144).
func (r *reader) transaction() *wire.MsgTx {
	tx := &wire.MsgTx{Version: int32(r.uint32())}
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
	if witness {
		r.witnesses(tx)
	}
	tx.LockTime = r.uint32()
	return tx
}

func (r *reader) inputs(tx *wire.MsgTx, n int) {
	in := make([]wire.TxIn, n)
	tx.TxIn = make([]*wire.TxIn, n)
	for i := range in {
		tx.TxIn[i] = &in[i]
		copy(in[i].PreviousOutPoint.Hash[:], r.take(32))
		in[i].PreviousOutPoint.Index = r.uint32()
		in[i].SignatureScript = r.bytes()
		in[i].Sequence = r.uint32()
		if r.err != nil {
			return
		}
	}
}

func (r *reader) outputs(tx *wire.MsgTx) {
	n := r.count(smallestOutput)
	out := make([]wire.TxOut, n)
	tx.TxOut = make([]*wire.TxOut, n)
	for i := range out {
		tx.TxOut[i] = &out[i]
		out[i].Value = int64(r.uint64())
		out[i].PkScript = r.bytes()
		if r.err != nil {
			return
		}
	}
}

func (r *reader) witnesses(tx *wire.MsgTx) {
	for _, in := range tx.TxIn {
		in.Witness = make(wire.TxWitness, r.count(smallestItem))
		for i := range in.Witness {
			if in.Witness[i] = r.bytes(); r.err != nil {
				return
			}
		}
	}
	if r.err == nil && !tx.HasWitness() {
		r.fail(RuleEncoding, "marker of a witness, and none follows")
	}
}
