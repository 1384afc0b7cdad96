package chain

import (
	"errors"
	"testing"

	"github.com/btcsuite/btcd/wire/v2"
)

// transaction returns one that spends two outputs and makes one.
func transaction(change func(*wire.MsgTx)) *wire.MsgTx {
	tx := wire.NewMsgTx(2)
	for i := range 2 {
		tx.AddTxIn(wire.NewTxIn(&wire.OutPoint{Hash: [32]byte{1}, Index: uint32(i)}, nil, nil))
	}
	tx.AddTxOut(wire.NewTxOut(1, []byte{0x51}))
	change(tx)
	return tx
}

func coinbaseOf(script []byte) func(*wire.MsgTx) {
	return func(tx *wire.MsgTx) {
		tx.TxIn = tx.TxIn[:1]
		tx.TxIn[0].PreviousOutPoint = wire.OutPoint{Index: wire.MaxPrevOutIndex}
		tx.TxIn[0].SignatureScript = script
	}
}

func TestCheckTransaction(t *testing.T) {
	tests := []struct {
		name   string
		change func(*wire.MsgTx)
		want   Rule // zero: right
	}{
		{"right", func(*wire.MsgTx) {}, 0},
		{"coinbase", coinbaseOf(make([]byte, 2)), 0},
		{"coinbase of 100 bytes", coinbaseOf(make([]byte, 100)), 0},
		{"coinbase of 1 byte", coinbaseOf(make([]byte, 1)), RuleCoinbaseScript},
		{"coinbase of 101 bytes", coinbaseOf(make([]byte, 101)), RuleCoinbaseScript},
		{"no inputs", func(tx *wire.MsgTx) { tx.TxIn = nil }, RuleNoInputs},
		{"no outputs", func(tx *wire.MsgTx) { tx.TxOut = nil }, RuleNoOutputs},
		{"null input among others", func(tx *wire.MsgTx) {
			tx.TxIn[1].PreviousOutPoint = wire.OutPoint{Index: wire.MaxPrevOutIndex}
		}, RuleNullInput},
		{"index of a null input with a hash", func(tx *wire.MsgTx) { tx.TxIn[1].PreviousOutPoint.Index = wire.MaxPrevOutIndex }, 0},
		{"one output twice", func(tx *wire.MsgTx) { tx.TxIn[1].PreviousOutPoint.Index = 0 }, RuleDuplicateInput},
		{"all money", func(tx *wire.MsgTx) { tx.TxOut[0].Value = maxMoney }, 0},
		{"more than all money", func(tx *wire.MsgTx) { tx.TxOut[0].Value = maxMoney + 1 }, RuleOutputValue},
		{"more in two", func(tx *wire.MsgTx) {
			tx.TxOut[0].Value = maxMoney
			tx.AddTxOut(wire.NewTxOut(1, nil))
		}, RuleOutputValue},
		{"negative", func(tx *wire.MsgTx) { tx.TxOut[0].Value = -1 }, RuleOutputValue},
		{"heavier than a block", func(tx *wire.MsgTx) { tx.TxOut[0].PkScript = make([]byte, 1_000_000) }, RuleWeight},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := CheckTransaction(transaction(tt.change))
			if tt.want == 0 && err != nil || tt.want != 0 && !errors.Is(err, tt.want) {
				t.Errorf("%v, want rule %v", err, tt.want)
			}
		})
	}
}

func TestIsFinal(t *testing.T) {
	const height, now = 100, 1_600_000_000
	tests := []struct {
		name     string
		lockTime uint32
		sequence uint32 // of the second input
		want     bool
	}{
		{"none", 0, 0, true},
		{"height before", height - 1, 0, true},
		{"this height", height, 0, false},
		{"this height, inputs final", height, wire.MaxTxInSequenceNum, true},
		{"last height", lockTimeThreshold - 1, 0, false},
		{"first time", lockTimeThreshold, 0, true},
		{"second before", now - 1, 0, true},
		{"this second", now, 0, false},
	}
	for _, tt := range tests {
		tx := transaction(func(tx *wire.MsgTx) {
			tx.LockTime = tt.lockTime
			tx.TxIn[1].Sequence = tt.sequence
		})
		if got := isFinal(tx, height, now); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

// TestSequenceLocks has the cases of BIP68, on a chain whose blocks are 600 s
// apart, so that the median time past of a block is its time less 3,000 s.
func TestSequenceLocks(t *testing.T) {
	parent := &node{time: 1_600_000_000}
	parent.median = parent.medianTime()
	for height := uint32(1); height <= 99; height++ {
		n := &node{height: height, time: parent.time + 600, parent: parent, skip: parent.ancestor(skipTo(height))}
		n.median = n.medianTime()
		parent = n
	}
	const seconds = sequenceSeconds
	tests := []struct {
		name     string
		version  int32
		sequence uint32
		made     uint32 // height of the output
		want     bool   // in block 100
	}{
		{"no lock", 2, 0, 99, true},
		{"no lock on an output of the same block", 2, 0, 100, true},
		{"one block on an output of the same block", 2, 1, 100, false},
		{"one block", 2, 1, 99, true},
		{"two blocks", 2, 2, 99, false},
		{"ten blocks", 2, 10, 90, true},
		{"eleven blocks", 2, 11, 90, false},
		{"version 1 has none", 1, 11, 90, true},
		{"negative versions have", -1, 11, 90, false},
		{"switched off", 2, sequenceDisabled | 11, 90, true},
		{"bits that mean nothing", 2, 1<<30 | 1<<16 | 10, 90, true},
		// The clock of an output made at height 90 starts with the median time past of
		// block 89, ten blocks or 6,000 s before that of block 99.
		{"5,632 s", 2, seconds | 11, 90, true},
		{"6,144 s", 2, seconds | 12, 90, false},
		{"512 s in the next block", 2, seconds | 1, 99, true},
		{"1,024 s in the next block", 2, seconds | 2, 99, false},
		{"512 s in the same block", 2, seconds | 1, 100, false},
		{"no seconds in the same block", 2, seconds, 100, true},
		{"from genesis", 2, seconds | 1, 0, true},
	}
	for _, tt := range tests {
		l := noLocks()
		l.add(parent, wire.NewMsgTx(tt.version), tt.sequence, tt.made)
		if got := l.ended(parent); got != tt.want {
			t.Errorf("%s: ended %v, want %v (%+v)", tt.name, got, tt.want, l)
		}
	}
	l := noLocks() // the latest of several counts
	l.add(parent, wire.NewMsgTx(2), 11, 90)
	l.add(parent, wire.NewMsgTx(2), 1, 90)
	if l.ended(parent) {
		t.Errorf("several locks: ended, want %+v to last", l)
	}
}
