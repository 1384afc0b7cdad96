package chain

import (
	"github.com/btcsuite/btcd/wire/v2"
	"github.com/jbcnet/jbc/hashing"
)

// Sizes of a coinbase script.
const (
	minCoinbaseScript = 2
	maxCoinbaseScript = 100
)

// checkSanity is the first tier: what a block shows by itself, on a network with
// this easiest target. Passing costs real work, so it stands before everything
// that keeps something. Nothing that fails here says anything about the block
// hash: others may have the block that the header means.
func checkSanity(b *Block, limit hashing.Bits) error {
	if err := CheckProofOfWork(b.Hash(), b.Header.Bits(), limit); err != nil {
		return err
	}
	if len(b.Transactions) == 0 {
		return broken(RuleNoTransactions, 0, "header %s", b.Hash())
	}
	if weight := b.Weight(); weight > MaxBlockWeight {
		return broken(RuleWeight, 0, "%d units, at most %d", weight, MaxBlockWeight)
	}
	root, mutated := b.merkleRoot()
	if want := b.Header.MerkleRoot(); root != want {
		return broken(RuleMerkleRoot, 0, "%s, header says %s", root, want)
	}
	if mutated {
		return broken(RuleMutated, 0, "%d transactions", len(b.Transactions))
	}
	if err := checkCoinbases(b); err != nil {
		return err
	}
	for i, tx := range b.Transactions {
		if err := checkOutputs(i, tx); err != nil {
			return err
		}
	}
	return nil
}

// checkCoinbases wants a coinbase first, nowhere else, and of the right size.
func checkCoinbases(b *Block) error {
	for i, tx := range b.Transactions {
		switch first := i == 0; {
		case first && !isCoinbase(tx):
			return broken(RuleFirstCoinbase, 0, "it is %s", tx.TxHash())
		case !first && isCoinbase(tx):
			return broken(RuleManyCoinbases, 0, "number %d is %s", i, tx.TxHash())
		}
	}
	n := len(b.Transactions[0].TxIn[0].SignatureScript)
	if n < minCoinbaseScript || n > maxCoinbaseScript {
		return broken(RuleCoinbaseScript, 0, "%d bytes, want %d to %d", n, minCoinbaseScript, maxCoinbaseScript)
	}
	return nil
}

// checkOutputs wants at least one, and values that add up to possible money.
func checkOutputs(i int, tx *wire.MsgTx) error {
	if len(tx.TxOut) == 0 {
		return broken(RuleNoOutputs, 0, "number %d", i)
	}
	var sum int64
	for _, out := range tx.TxOut {
		if out.Value < 0 || out.Value > maxMoney || sum+out.Value > maxMoney {
			return broken(RuleOutputValue, 0, "transaction %d, %d units", i, out.Value)
		}
		sum += out.Value
	}
	return nil
}

// checkSupported refuses what this version can't judge.
func checkSupported(b *Block) error {
	if n := len(b.Transactions); n > 1 {
		return broken(RuleTransactions, 0, "%d besides the coinbase", n-1)
	}
	return nil
}
