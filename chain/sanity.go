package chain

import (
	"slices"

	"github.com/jbcnet/jbc/chain/script"
	"github.com/jbcnet/jbc/hashing"
)

// Limits of what a coinbase script holds and of what a block's scripts may cost.
const (
	minCoinbaseScript = 2
	maxCoinbaseScript = 100
	// MaxSigOpCost bounds the signature operations of a block, each of which
	// costs four, and one where it is in a witness (BIP141).
	MaxSigOpCost = 80_000
)

// sane is a block that passed the first tier, with what the others need of it.
type sane struct {
	*Block
	hash hashing.Hash
	ids  []hashing.Hash // of the transactions
}

// sanity is the first tier: what a block shows by itself, on this network.
// Passing costs real work, so it stands before everything that keeps something.
// Nothing that fails here says anything about the block hash: others may have the
// block that the header means.
func (p *Params) sanity(b *Block) (*sane, error) {
	s := &sane{Block: b, hash: b.Hash()}
	if err := CheckProofOfWork(s.hash, b.Header.Bits(), p.PowLimit); err != nil {
		return nil, err
	}
	if len(b.Transactions) == 0 {
		return nil, broken(RuleNoTransactions, 0, "header %s", s.hash)
	}
	if weight, most := b.Weight(), p.BlockWeight(); weight > most {
		return nil, broken(RuleWeight, 0, "%d units, at most %d", weight, most)
	}
	s.ids = b.ids()
	root, mutated := hashing.MerkleRoot(slices.Clone(s.ids)) // which works in place
	if want := b.Header.MerkleRoot(); root != want {
		return nil, broken(RuleMerkleRoot, 0, "%s, header says %s", root, want)
	}
	if mutated {
		return nil, broken(RuleMutated, 0, "%d transactions", len(b.Transactions))
	}
	return s, s.checkTransactions()
}

// checkTransactions wants a coinbase first and nowhere else, every transaction
// right in itself, and not too many signature operations.
func (s *sane) checkTransactions() error {
	ops := 0
	seen := make(map[hashing.Hash]struct{}, len(s.ids))
	for i, tx := range s.Transactions {
		switch first := i == 0; {
		case first && !isCoinbase(tx):
			return broken(RuleFirstCoinbase, 0, "it is %s", s.ids[i])
		case !first && isCoinbase(tx):
			return broken(RuleManyCoinbases, 0, "number %d is %s", i, s.ids[i])
		}
		if _, twice := seen[s.ids[i]]; twice {
			return broken(RuleMutated, 0, "number %d is %s again", i, s.ids[i])
		}
		seen[s.ids[i]] = struct{}{}
		if err := CheckTransaction(tx); err != nil {
			return err
		}
		ops += script.LegacySigOps(tx)
	}
	if cost := ops * witnessScale; cost > MaxSigOpCost {
		return broken(RuleSigOps, 0, "a cost of %d, at most %d", cost, MaxSigOpCost)
	}
	return nil
}

// trusted returns a block that passed this tier once, with its ids.
func trusted(b *Block) *sane { return &sane{Block: b, hash: b.Hash(), ids: b.ids()} }
