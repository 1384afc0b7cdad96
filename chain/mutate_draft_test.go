package chain_test

import (
	"encoding/binary"

	"github.com/btcsuite/btcd/wire/v2"
	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/hashing"
)

// draft is a block that need not be one: whatever it says of itself can be untrue.
// Bytes are shared with the block it was made of, and replaced, never changed.
type draft struct {
	header hashing.Header
	count  count // of transactions
	txs    []*draftTx
}

type draftTx struct {
	version  uint32
	mark     mark
	flag     byte // of a witness
	ins      []draftIn
	outs     []draftOut
	inCount  count
	outCount count
	lockTime uint32
}

// mark says whether a transaction has the marker of a witness.
type mark uint8

const (
	markWhereDue mark = iota
	markAlways
	markNever
)

type draftIn struct {
	at       wire.OutPoint
	script   draftBytes
	sequence uint32
	items    []draftBytes // of the witness
	count    count
}

type draftOut struct {
	value  int64
	script draftBytes
}

// draftBytes are bytes with their length before them.
type draftBytes struct {
	data   []byte
	length count
}

// count is what is written as the number of things: the truth, unless it is a lie.
type count struct {
	lie   bool
	n     uint64
	width int // 1, 3, 5 or 9 bytes; 0 for the shortest
}

func newDraft(b *chain.Block) *draft {
	d := &draft{header: b.Header}
	for _, tx := range b.Transactions {
		d.txs = append(d.txs, newDraftTx(tx))
	}
	return d
}

func newDraftTx(tx *wire.MsgTx) *draftTx {
	t := &draftTx{version: uint32(tx.Version), lockTime: tx.LockTime, flag: wire.WitnessFlag}
	for _, in := range tx.TxIn {
		i := draftIn{at: in.PreviousOutPoint, script: draftBytes{data: in.SignatureScript}, sequence: in.Sequence}
		for _, item := range in.Witness {
			i.items = append(i.items, draftBytes{data: item})
		}
		t.ins = append(t.ins, i)
	}
	for _, out := range tx.TxOut {
		t.outs = append(t.outs, draftOut{out.Value, draftBytes{data: out.PkScript}})
	}
	return t
}

func (t *draftTx) clone() *draftTx {
	c := *t
	c.ins = append([]draftIn(nil), t.ins...)
	for i := range c.ins {
		c.ins[i].items = append([]draftBytes(nil), c.ins[i].items...)
	}
	c.outs = append([]draftOut(nil), t.outs...)
	return &c
}

func (d *draft) encode() []byte {
	out := append([]byte(nil), d.header[:]...)
	out = d.count.put(out, len(d.txs))
	for _, tx := range d.txs {
		out = tx.put(out)
	}
	return out
}

func (t *draftTx) put(out []byte) []byte {
	out = binary.LittleEndian.AppendUint32(out, t.version)
	witness := t.mark == markAlways
	for i := range t.ins {
		witness = witness || t.mark == markWhereDue && (len(t.ins[i].items) > 0 || t.ins[i].count.lie)
	}
	if witness {
		out = append(out, 0, t.flag)
	}
	out = t.inCount.put(out, len(t.ins))
	for i := range t.ins {
		in := &t.ins[i]
		out = append(out, in.at.Hash[:]...)
		out = binary.LittleEndian.AppendUint32(out, in.at.Index)
		out = in.script.put(out)
		out = binary.LittleEndian.AppendUint32(out, in.sequence)
	}
	out = t.outCount.put(out, len(t.outs))
	for i := range t.outs {
		out = binary.LittleEndian.AppendUint64(out, uint64(t.outs[i].value))
		out = t.outs[i].script.put(out)
	}
	for i := range t.ins {
		if !witness {
			break
		}
		out = t.ins[i].count.put(out, len(t.ins[i].items))
		for _, item := range t.ins[i].items {
			out = item.put(out)
		}
	}
	return binary.LittleEndian.AppendUint32(out, t.lockTime)
}

func (b draftBytes) put(out []byte) []byte {
	return append(b.length.put(out, len(b.data)), b.data...)
}

func (c count) put(out []byte, truth int) []byte {
	n := uint64(truth)
	if c.lie {
		n = c.n
	}
	width := max(c.width, wire.VarIntSerializeSize(n))
	switch width {
	case 1:
		return append(out, byte(n))
	case 3:
		return binary.LittleEndian.AppendUint16(append(out, 0xfd), uint16(n))
	case 5:
		return binary.LittleEndian.AppendUint32(append(out, 0xfe), uint32(n))
	default:
		return binary.LittleEndian.AppendUint64(append(out, 0xff), n)
	}
}
