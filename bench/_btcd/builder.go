package main

import (
	"bytes"
	"encoding/binary"

	"github.com/btcsuite/btcd/txscript/v2"
	"github.com/btcsuite/btcd/wire/v2"
	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/hashing"
)

// anyone is an output script that everybody can spend.
var anyone = []byte{txscript.OP_TRUE}

// firstTime is that of every block 1: 2013, for by BIP16's rule of 2012 a block's
// time says whether P2SH, and with it SegWit, holds.
const firstTime = 1356998400

// branch makes blocks of the regression test network, each on the one before and a
// second later. The blocks of branches with different tags differ.
type branch struct {
	tag    uint64
	tip    hashing.Header
	height uint32
	// coinbase is the id of the newest block's.
	coinbase hashing.Hash
}

func newBranch(tag uint64) *branch {
	return &branch{tag: tag, tip: chain.Regtest().Genesis.Header}
}

// extend returns n encoded blocks with nothing but a coinbase.
func (b *branch) extend(n int) [][]byte {
	blocks := make([][]byte, n)
	for i := range blocks {
		blocks[i] = b.next()
	}
	return blocks
}

// next returns a block with these transactions, which pay no fees.
func (b *branch) next(txs ...*wire.MsgTx) []byte {
	b.height++
	cb := b.coinbaseTx()
	txs = append([]*wire.MsgTx{cb}, txs...)
	commit(txs)
	b.coinbase = hashing.Hash(cb.TxHash())

	ids := make([]hashing.Hash, len(txs))
	for i, tx := range txs {
		ids[i] = hashing.Hash(tx.TxHash())
	}
	root, _ := hashing.MerkleRoot(ids)
	b.tip = mine(childOf(&b.tip, root))

	var out bytes.Buffer
	out.Write(b.tip[:])
	must(wire.WriteVarInt(&out, 0, uint64(len(txs))))
	for _, tx := range txs {
		must(tx.Serialize(&out))
	}
	return out.Bytes()
}

// coinbaseTx pays the whole subsidy to anyone.
func (b *branch) coinbaseTx() *wire.MsgTx {
	script, err := txscript.NewScriptBuilder().
		AddInt64(int64(b.height)).AddData(binary.BigEndian.AppendUint64(nil, b.tag)).Script()
	must(err)
	return &wire.MsgTx{
		Version: 1,
		TxIn: []*wire.TxIn{{
			PreviousOutPoint: wire.OutPoint{Index: wire.MaxPrevOutIndex},
			SignatureScript:  script,
			Sequence:         wire.MaxTxInSequenceNum,
		}},
		TxOut: []*wire.TxOut{{Value: chain.Regtest().Subsidy(b.height), PkScript: anyone}},
	}
}

// commit puts the witness commitment of BIP141 into the coinbase where a
// transaction has a witness.
func commit(txs []*wire.MsgTx) {
	ids := make([]hashing.Hash, len(txs)) // the coinbase's stays zero
	some := false
	for i, tx := range txs[1:] {
		ids[i+1] = hashing.Hash(tx.WitnessHash())
		some = some || tx.HasWitness()
	}
	if !some {
		return
	}
	root, _ := hashing.MerkleRoot(ids)
	nonce := make([]byte, 32)
	sum := hashing.Sum256d(append(root[:], nonce...))
	txs[0].TxIn[0].Witness = wire.TxWitness{nonce}
	txs[0].AddTxOut(wire.NewTxOut(0, append([]byte{txscript.OP_RETURN, 36, 0xaa, 0x21, 0xa9, 0xed}, sum[:]...)))
}

// headerChain returns n headers from the one after genesis of the regression test
// network. There are no blocks to them.
func headerChain(n int) []hashing.Header {
	headers := make([]hashing.Header, n)
	parent := chain.Regtest().Genesis.Header
	for i := range headers {
		headers[i] = mine(childOf(&parent, hashing.Hash{byte(i), byte(i >> 8), byte(i >> 16), byte(i >> 24)}))
		parent = headers[i]
	}
	return headers
}

// childOf returns the header of the next block, without its nonce.
func childOf(parent *hashing.Header, root hashing.Hash) hashing.Header {
	h := hashing.Header{}
	h.SetVersion(0x20000000)
	h.SetPrev(parent.Hash())
	h.SetMerkleRoot(root)
	h.SetTime(max(parent.Time()+1, firstTime))
	h.SetBits(parent.Bits())
	return h
}

// mine finds the nonce: every second one will do.
func mine(h hashing.Header) hashing.Header {
	target, err := h.Bits().Target()
	must(err)
	for nonce := uint32(0); !target.MetBy(h.Hash()); nonce++ {
		h.SetNonce(nonce)
	}
	return h
}

// must stops on an error that building in memory cannot give.
func must(err error) {
	if err != nil {
		panic("building a block: " + err.Error())
	}
}
