package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"math"
	"time"

	"github.com/btcsuite/btcd/address/v2"
	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcec/v2/ecdsa"
	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/txscript/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

// The big block spends 5,000 outputs of as many keys.
const (
	spendingTxs   = 100
	inputsPerTx   = 50
	spentOutputs  = spendingTxs * inputsPerTx
	valueOfOutput = 50_0000_0000 / spentOutputs
)

// measureInputs connects one block whose cost is its signatures, and compares it
// with those alone, checked on every core.
func measureInputs(ctx context.Context, o *options) ([]Row, error) {
	var rows []Row
	for _, f := range forms() {
		more, err := o.inputsOf(ctx, f)
		rows = append(rows, more...)
		if err != nil {
			return rows, err
		}
	}
	return rows, nil
}

func (o *options) inputsOf(ctx context.Context, f form) ([]Row, error) {
	b := bigBlock(f)
	metrics := []metric{
		{name: fmt.Sprintf("%d %s, connected", spentOutputs, f.name), unit: "ms", less: true},
		{name: f.name + ", connected and safe on disk", unit: "ms", less: true},
		{name: f.name + ", signatures alone on all cores", unit: "ms", noRatio: true},
		{name: f.name + ", these over connected", unit: "%", noRatio: true},
		{name: f.name + ", with keys parsed beforehand", unit: "%", noRatio: true},
	}
	rows, err := o.compare(ctx, "inputs", metrics, func(c contender, dir string) ([]float64, error) {
		n, err := c.open(dir, regtest, o.settings)
		if err != nil {
			return nil, err
		}
		figures, err := b.connect(n)
		return figures, closeAfter(n, err)
	})
	if err != nil {
		return nil, err
	}
	return append(rows, leastShare(f.name+", least of these over least connected", rows[0], rows[2])), nil
}

// leastShare compares the fastest turns. Other programs only ever add to a time, so
// on a busy machine this says more than the median.
func leastShare(name string, connected, signatures Row) Row {
	least := math.Inf(1)
	for _, f := range []*Figure{signatures.JBC, signatures.Btcd} {
		if f != nil {
			least = min(least, f.Min)
		}
	}
	share := func(f *Figure) *Figure {
		if f == nil {
			return nil
		}
		return newFigure([]float64{100 * least / f.Min})
	}
	return Row{Part: "inputs", Name: name, Unit: "%", JBC: share(connected.JBC), Btcd: share(connected.Btcd)}
}

// connect offers the block to a chain and returns the figures of inputsOf. The
// signatures alone are checked before and after, for a busy machine slows all of it.
func (s *signedBlock) connect(n node) ([]float64, error) {
	if err := n.Import(s.before); err != nil {
		return nil, err
	}
	first, err := s.verify()
	if err != nil {
		return nil, err
	}
	start := time.Now()
	wait, err := n.Accept(s.block)
	if err != nil {
		return nil, err
	}
	connected, onDisk := milliseconds(time.Since(start)), math.NaN()
	if wait != nil {
		if err := wait(); err != nil {
			return nil, err
		}
		onDisk = milliseconds(time.Since(start))
	}
	if err := expectTip(n, headerOf(s.block).Hash(), len(s.before)+1); err != nil {
		return nil, err
	}
	second, err := s.verify()
	if err != nil {
		return nil, err
	}
	whole := milliseconds(first.whole+second.whole) / 2
	bare := milliseconds(first.bare+second.bare) / 2
	return []float64{connected, onDisk, whole, 100 * whole / connected, 100 * bare / connected}, nil
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// form is how an output is locked to a key, and unlocked.
type form struct {
	name   string
	script func(key *btcec.PublicKey) []byte
	// digest is what input i of tx signs.
	digest func(tx *wire.MsgTx, i int, script []byte, midstate *txscript.TxSigHashes) ([]byte, error)
	unlock func(in *wire.TxIn, signature, key []byte)
}

func forms() []form {
	return []form{{
		name: "P2WPKH",
		script: func(key *btcec.PublicKey) []byte {
			return append([]byte{txscript.OP_0, 20}, address.Hash160(key.SerializeCompressed())...)
		},
		digest: func(tx *wire.MsgTx, i int, script []byte, midstate *txscript.TxSigHashes) ([]byte, error) {
			return txscript.CalcWitnessSigHash(script, midstate, txscript.SigHashAll, tx, i, valueOfOutput)
		},
		unlock: func(in *wire.TxIn, signature, key []byte) { in.Witness = wire.TxWitness{signature, key} },
	}, {
		name: "P2PKH",
		script: func(key *btcec.PublicKey) []byte {
			return append(append([]byte{txscript.OP_DUP, txscript.OP_HASH160, 20}, address.Hash160(key.SerializeCompressed())...),
				txscript.OP_EQUALVERIFY, txscript.OP_CHECKSIG)
		},
		digest: func(tx *wire.MsgTx, i int, script []byte, _ *txscript.TxSigHashes) ([]byte, error) {
			return txscript.CalcSignatureHash(script, txscript.SigHashAll, tx, i)
		},
		unlock: func(in *wire.TxIn, signature, key []byte) {
			script, err := txscript.NewScriptBuilder().AddData(signature).AddData(key).Script()
			must(err)
			in.SignatureScript = script
		},
	}}
}

// signedBlock is a block that is all signatures, and the way to it.
type signedBlock struct {
	before     [][]byte
	block      []byte
	signatures []signature
}

// bigBlock spends the outputs of one transaction, which spends the first coinbase
// as soon as it may.
func bigBlock(f form) *signedBlock {
	b := newBranch(3)
	s := &signedBlock{before: b.extend(1)}
	first := chainhash.Hash(b.coinbase)
	s.before = append(s.before, b.extend(99)...)

	keys := make([]*btcec.PrivateKey, spentOutputs)
	fan := wire.NewMsgTx(2)
	fan.AddTxIn(wire.NewTxIn(&wire.OutPoint{Hash: first}, nil, nil))
	for i := range keys {
		secret := sha256.Sum256(fmt.Appendf(nil, "key %d", i))
		keys[i], _ = btcec.PrivKeyFromBytes(secret[:])
		fan.AddTxOut(wire.NewTxOut(valueOfOutput, f.script(keys[i].PubKey())))
	}
	s.before = append(s.before, b.next(fan))

	txs := make([]*wire.MsgTx, spendingTxs)
	for t := range txs {
		txs[t] = s.spend(f, fan, keys, t*inputsPerTx)
	}
	s.block = b.next(txs...)
	return s
}

// spend returns a transaction of 50 outputs of fan from first on to one.
func (s *signedBlock) spend(f form, fan *wire.MsgTx, keys []*btcec.PrivateKey, first int) *wire.MsgTx {
	id := fan.TxHash()
	tx := wire.NewMsgTx(2)
	tx.AddTxOut(wire.NewTxOut(valueOfOutput*inputsPerTx, fan.TxOut[first].PkScript))
	spent := map[wire.OutPoint]*wire.TxOut{}
	for i := range inputsPerTx {
		from := wire.OutPoint{Hash: id, Index: uint32(first + i)}
		tx.AddTxIn(wire.NewTxIn(&from, nil, nil))
		spent[from] = fan.TxOut[first+i]
	}
	midstate := txscript.NewTxSigHashes(tx, txscript.NewMultiPrevOutFetcher(spent))
	for i := range inputsPerTx {
		key := keys[first+i]
		digest, err := f.digest(tx, i, fan.TxOut[first+i].PkScript, midstate)
		must(err)
		der := ecdsa.Sign(key, digest).Serialize()
		public := key.PubKey().SerializeCompressed()
		s.signatures = append(s.signatures, signature{digest: digest, der: der, key: public})
		f.unlock(tx.TxIn[i], append(der[:len(der):len(der)], byte(txscript.SigHashAll)), public)
	}
	return tx
}
