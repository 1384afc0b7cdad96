package chain

import (
	"github.com/btcsuite/btcd/wire/v2"
	"github.com/jbcnet/jbc/hashing"
)

// CheckTransaction says what a transaction shows by itself: inputs and outputs
// are there, none is spent twice, values are possible money, and of a coinbase
// its script has 2 to 100 bytes. The error is a [RuleError] without a height.
func CheckTransaction(tx *wire.MsgTx) error {
	switch {
	case len(tx.TxIn) == 0:
		return broken(RuleNoInputs, 0, "transaction %s", tx.TxHash())
	case len(tx.TxOut) == 0:
		return broken(RuleNoOutputs, 0, "transaction %s", tx.TxHash())
	case tx.SerializeSizeStripped()*witnessScale > MaxBlockWeight:
		return broken(RuleWeight, 0, "transaction %s weighs more than a block may", tx.TxHash())
	}
	if err := checkOutputs(tx); err != nil {
		return err
	}
	if isCoinbase(tx) {
		n := len(tx.TxIn[0].SignatureScript)
		if n < minCoinbaseScript || n > maxCoinbaseScript {
			return broken(RuleCoinbaseScript, 0, "%d bytes, want %d to %d", n, minCoinbaseScript, maxCoinbaseScript)
		}
		return nil
	}
	return checkInputs(tx)
}

// checkOutputs wants values that add up to possible money.
func checkOutputs(tx *wire.MsgTx) error {
	var sum int64
	for i, out := range tx.TxOut {
		if out.Value < 0 || out.Value > maxMoney || sum+out.Value > maxMoney {
			return broken(RuleOutputValue, 0, "transaction %s, output %d, %d units", tx.TxHash(), i, out.Value)
		}
		sum += out.Value
	}
	return nil
}

// checkInputs wants each input to spend something, and nothing twice.
func checkInputs(tx *wire.MsgTx) error {
	for i, in := range tx.TxIn {
		if isNull(&in.PreviousOutPoint) {
			return broken(RuleNullInput, 0, "transaction %s, input %d", tx.TxHash(), i)
		}
	}
	if len(tx.TxIn) == 1 {
		return nil
	}
	seen := make(map[wire.OutPoint]struct{}, len(tx.TxIn))
	for i, in := range tx.TxIn {
		if _, twice := seen[in.PreviousOutPoint]; twice {
			return broken(RuleDuplicateInput, 0, "transaction %s, input %d spends %s again", tx.TxHash(), i, in.PreviousOutPoint)
		}
		seen[in.PreviousOutPoint] = struct{}{}
	}
	return nil
}

// isCoinbase says whether tx creates coins: its one input spends nothing.
func isCoinbase(tx *wire.MsgTx) bool {
	return len(tx.TxIn) == 1 && isNull(&tx.TxIn[0].PreviousOutPoint)
}

func isNull(at *wire.OutPoint) bool {
	return at.Index == wire.MaxPrevOutIndex && hashing.Hash(at.Hash).IsZero()
}

// lockTimeThreshold is where lock times stop being heights and become seconds
// since 1970.
const lockTimeThreshold = 500_000_000

// isFinal says whether a transaction may be in a block at height, whose time for
// the purpose of locks is at (BIP113 says which).
func isFinal(tx *wire.MsgTx, height, at uint32) bool {
	now := height
	if tx.LockTime >= lockTimeThreshold {
		now = at
	}
	if tx.LockTime < now || tx.LockTime == 0 {
		return true
	}
	for _, in := range tx.TxIn {
		if in.Sequence != wire.MaxTxInSequenceNum {
			return false
		}
	}
	return true
}
