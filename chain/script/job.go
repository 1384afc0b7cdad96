package script

import (
	"sync"

	"github.com/btcsuite/btcd/txscript/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

// A job is a transaction in a batch.
type job struct {
	Spend
	tag, order int
	flags      Flags
	taken      int // inputs that left the queue; belongs to it

	copied sync.Once
	own    *wire.MsgTx   // with scripts of its own, see remembered
	outs   []*wire.TxOut // the same

	emptied sync.Once
	bare    []byte // see withoutScripts
}

// A workspace is what a worker takes from one input to the next.
type workspace struct {
	cache  *txscript.SigCache // nil where nothing is remembered
	signed []byte             // memory for what is hashed
}

// check runs the scripts of one input, if it can't be told without that they succeed.
func (j *job) check(input int, w *workspace) error {
	if j.proved(input, w) {
		return nil
	}
	cache := w.cache
	if cache == nil {
		return j.run(j.tx, input, j.spent[input], j.flags, nil)
	}
	j.copied.Do(func() { j.own, j.outs = remembered(j.tx, j.spent) })
	if j.own.TxIn[input] == j.tx.TxIn[input] {
		cache = nil
	}
	return j.run(j.own, input, j.outs[input], j.flags, cache)
}

// maxRemembered bounds the scripts of an input whose signatures are remembered, in
// bytes. The largest that wallets make, fifteen keys, has about 1,600: it is checked
// twice instead.
const maxRemembered = 1024

// remembered returns copies of a transaction and of the outputs it spends in which
// every input has its scripts in memory of its own. The cache keeps slices of them:
// of the original, each would hold a whole transaction or block in memory. An input
// with longer scripts than maxRemembered is not copied but shared.
func remembered(tx *wire.MsgTx, spent []*wire.TxOut) (*wire.MsgTx, []*wire.TxOut) {
	own := *tx
	own.TxIn = make([]*wire.TxIn, len(tx.TxIn))
	outs := make([]*wire.TxOut, len(spent))
	for i, in := range tx.TxIn {
		own.TxIn[i], outs[i] = in, spent[i]
		size := len(in.SignatureScript) + len(spent[i].PkScript)
		for _, item := range in.Witness {
			size += len(item)
		}
		if size > maxRemembered {
			continue
		}
		memory := make([]byte, 0, size)
		move := func(part []byte) []byte {
			start := len(memory)
			memory = append(memory, part...)
			return memory[start:len(memory):len(memory)]
		}
		copied := *in
		copied.SignatureScript = move(in.SignatureScript)
		copied.Witness = make(wire.TxWitness, len(in.Witness))
		for k, item := range in.Witness {
			copied.Witness[k] = move(item)
		}
		own.TxIn[i] = &copied
		outs[i] = &wire.TxOut{Value: spent[i].Value, PkScript: move(spent[i].PkScript)}
	}
	return &own, outs
}
