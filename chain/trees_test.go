package chain_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/chain/chaintest"
	"github.com/jbcnet/jbc/hashing"
)

// TestRandomTrees grows random trees and compares with the naive choice: of all
// blocks whose ancestors are all there the most work, of equals the first.
func TestRandomTrees(t *testing.T) {
	for seed := range uint64(20) {
		p := chain.Regtest()
		if seed%2 == 1 {
			p = easyASERT()
		}
		h := chaintest.New(t, p)
		rng := rand.New(rand.NewPCG(seed, 7))
		tree := []*chaintest.Block{h.Genesis}
		for range 120 {
			parent := tree[max(0, len(tree)-1-rng.IntN(6))]
			earliest := h.MedianTime(parent) + 1
			at := time.Unix(int64(earliest)+rng.Int64N(40), 0)
			tree = append(tree, h.Next(parent, chaintest.At(at)))
		}
		growRandomly(t, h, rng, tree)
	}
}

// growRandomly offers the blocks of a tree, one in five out of order.
func growRandomly(t *testing.T, h *chaintest.Harness, rng *rand.Rand, tree []*chaintest.Block) {
	t.Helper()
	order := slices.Clone(tree[1:])
	for i := range order {
		if j := i + rng.IntN(8); rng.IntN(5) == 0 && j < len(order) {
			order[i], order[j] = order[j], order[i]
		}
	}
	best, connected := h.Genesis, map[hashing.Hash]bool{h.Genesis.Hash(): true}
	var waiting []*chaintest.Block
	for i, b := range order {
		h.Accept(b)
		// The oracle connects b, then what waited for it as it came, then what
		// waited for those.
		waiting = append(waiting, b)
		var queue []*chaintest.Block
		if connected[b.Parent.Hash()] {
			queue = []*chaintest.Block{b}
		}
		for len(queue) > 0 {
			next := queue[0]
			queue = queue[1:]
			connected[next.Hash()] = true
			if next.Work.Cmp(best.Work) > 0 {
				best = next
			}
			waiting = slices.DeleteFunc(waiting, func(w *chaintest.Block) bool {
				if w.Parent == next {
					queue = append(queue, w)
				}
				return w == next || w.Parent == next
			})
		}
		h.ExpectTip(best)
		if i%40 == 39 {
			h.Reopen()
			h.ExpectTip(best)
			for _, w := range waiting { // orphans are not kept
				h.Accept(w)
			}
		}
	}
}
