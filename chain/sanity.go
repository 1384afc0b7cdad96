package chain

import (
	"bytes"
	"cmp"
	"encoding/binary"
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
	// committed: its witnesses are those that its coinbase commits to.
	committed bool
}

// sanity is the first tier: what a block shows by itself, on this network.
// Passing costs real work, so it stands before everything that keeps something.
// Nothing that fails here says anything about the block hash: others may have the
// block that the header means.
func (p *Params) sanity(b *Block) (*sane, error) {
	s := &sane{Block: b, hash: b.Hash()}
	if err := p.checkWork(&b.Header, s.hash, len(b.Transactions), b.Weight()); err != nil {
		return nil, err
	}
	s.ids = b.ids()
	room := slices.Clone(s.ids)
	if err := checkRoot(&b.Header, s.ids, room); err != nil {
		return nil, err
	}
	return s, s.checkTransactions(room)
}

// checkWork wants the work that a header shows, and no more than a block may have.
func (p *Params) checkWork(h *hashing.Header, hash hashing.Hash, transactions, weight int) error {
	if err := CheckProofOfWork(hash, h.Bits(), p.PowLimit); err != nil {
		return err
	}
	if transactions == 0 {
		return broken(RuleNoTransactions, 0, "header %s", hash)
	}
	if most := p.BlockWeight(); weight > most {
		return broken(RuleWeight, 0, "%d units, at most %d", weight, most)
	}
	return nil
}

// checkRoot wants these transactions, and no list that is shorter, to have the root in
// the header. room holds a copy of ids, and is overwritten.
func checkRoot(h *hashing.Header, ids, room []hashing.Hash) error {
	root, mutated := hashing.MerkleRoot(room)
	if want := h.MerkleRoot(); root != want {
		return broken(RuleMerkleRoot, 0, "%s, header says %s", root, want)
	}
	if mutated {
		return broken(RuleMutated, 0, "%d transactions", len(ids))
	}
	return nil
}

// checkTransactions wants a coinbase first and nowhere else, every transaction
// right in itself, and not too many signature operations. room is as long as the ids,
// and is overwritten.
func (s *sane) checkTransactions(room []hashing.Hash) error {
	ops := 0
	var seen map[hashing.Hash]struct{} // costs more memory than most transactions: made where it has something to find
	if anyTwice(s.ids, room) {
		seen = make(map[hashing.Hash]struct{}, len(s.ids))
	}
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
		if seen != nil {
			seen[s.ids[i]] = struct{}{}
		}
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

// anyTwice says whether two of ids are equal. room is as long, and is overwritten.
func anyTwice(ids, room []hashing.Hash) bool {
	copy(room, ids)
	slices.SortFunc(room, func(a, b hashing.Hash) int {
		// They are random, so that the first bytes decide.
		first := cmp.Compare(binary.NativeEndian.Uint64(a[:8]), binary.NativeEndian.Uint64(b[:8]))
		if first != 0 {
			return first
		}
		return bytes.Compare(a[8:], b[8:])
	})
	for i := 1; i < len(room); i++ {
		if room[i-1] == room[i] {
			return true
		}
	}
	return false
}

// trusted returns a block that passed this tier once, with its ids.
func trusted(b *Block) *sane { return &sane{Block: b, hash: b.Hash(), ids: b.ids()} }
