package chain_test

import (
	"errors"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/chain/chaintest"
	"github.com/jbcnet/jbc/hashing"
)

// checkpointed is regtest with checkpoints at these blocks.
func checkpointed(blocks ...*chaintest.Block) *chain.Params {
	p := chain.Regtest()
	p.Checkpoints = map[uint32]hashing.Hash{}
	for _, b := range blocks {
		p.Checkpoints[b.Height] = b.Hash()
	}
	return p
}

// openAgain opens what h has under other parameters. Blocks are still h's to build.
func openAgain(t *testing.T, h *chaintest.Harness, p *chain.Params) *chaintest.Harness {
	t.Helper()
	if err := h.Store.Close(); err != nil {
		t.Fatal(err)
	}
	return chaintest.Open(t, p, h.FS)
}

// expectState compares tip and unspent outputs with a replay of the blocks up to want.
func expectState(t *testing.T, h *chaintest.Harness, want *chaintest.Block) {
	t.Helper()
	h.ExpectTip(want)
	got, err := h.Chain.UTXOStats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	coins := want.Coins()
	if got.Tip.Hash != want.Hash() || got.Outputs != uint64(len(coins)) || got.Hash != coins.Hash() {
		t.Fatalf("outputs at %s: %d with hash %s, a replay to %s has %d with hash %s",
			got.Tip.Hash, got.Outputs, got.Hash, want, len(coins), coins.Hash())
	}
}

// TestCheckpointAddedLater: a node on the wrong branch leaves it when it is opened
// with a checkpoint, as far as it must, and follows the right one. When the
// checkpoint is taken out again nothing is held against the wrong branch.
func TestCheckpointAddedLater(t *testing.T) {
	tests := []struct {
		name        string
		wrong, have int // blocks of the wrong branch, and of the right one before the checkpoint
		goesOn      chain.Rule
	}{
		{"the right branch not known", 5, 0, chain.RuleInvalidAncestor},
		{"the right branch known, with less work", 5, 4, chain.RuleCheckpoint},
		{"a wrong branch with more work than the right one ever has", 12, 4, chain.RuleCheckpoint},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := chaintest.Open(t, chain.Regtest(), vfs.NewMem())
			wrong, right := h.Branch(h.Genesis, tt.wrong), h.Branch(h.Genesis, 8)
			h.Accept(wrong...)
			h.Accept(right[:tt.have]...)
			h.ExpectTip(wrong[tt.wrong-1])

			p := checkpointed(right[2])
			g := openAgain(t, h, p)
			tip := wrong[1] // what is below the checkpoint is as good as any
			if tt.have > 2 {
				tip = right[tt.have-1]
			}
			expectState(t, g, tip)
			for _, b := range wrong {
				e, known := g.Chain.Lookup(b.Hash())
				if excluded := b.Height >= 3; !known || e.Invalid != excluded || excluded && e.Main {
					t.Errorf("wrong block %s: %+v, known %v, want invalid: %v", b, e, known, excluded)
				}
			}
			g.Reject(wrong[2], chain.RuleKnownInvalid)
			g.Reject(h.Next(wrong[tt.wrong-1]), tt.goesOn)
			g.Reject(h.Next(wrong[1]), chain.RuleCheckpoint)
			g.Accept(right...)
			expectState(t, g, right[7])
			if g.Chain.IsMain(wrong[1].Hash()) {
				t.Errorf("wrong block %s is on the main chain", wrong[1])
			}
			g.Reopen()
			expectState(t, g, right[7])

			g = openAgain(t, g, chain.Regtest())
			best := right[7]
			if tt.wrong > 8 {
				best = wrong[tt.wrong-1]
			}
			expectState(t, g, best)
			if e, _ := g.Chain.Lookup(wrong[2].Hash()); e.Invalid {
				t.Errorf("wrong block %s is invalid without the checkpoint too", wrong[2])
			}
			next := h.Next(best)
			g.Expect(next, chain.Extended)
			g.Reopen()
			expectState(t, g, next)
		})
	}
}

// TestForkBelowCheckpoint: once the main chain has a checkpoint, what leaves it
// below is refused, whatever its work; before, only another block at that height.
func TestForkBelowCheckpoint(t *testing.T) {
	h := chaintest.New(t, chain.Regtest())
	main := h.Branch(h.Genesis, 5)
	h.Accept(main...)
	g := chaintest.New(t, checkpointed(main[1], main[2]))
	early := h.Next(h.Genesis)
	g.Accept(main[0])
	g.Expect(early, chain.Side)
	g.Reject(h.Next(early), chain.RuleCheckpoint)
	g.Accept(main[1:]...)

	tests := []struct {
		name   string
		parent *chaintest.Block
		want   error
	}{
		{"on genesis", h.Genesis, chain.RuleCheckpoint},
		{"on a block beside the main chain", early, chain.RuleCheckpoint},
		{"below both checkpoints", main[0], chain.RuleCheckpoint},
		{"on the lower checkpoint", main[1], chain.RuleCheckpoint},
		{"on the upper checkpoint", main[2], nil},
		{"above them", main[3], nil},
	}
	for _, tt := range tests {
		b := h.Next(tt.parent)
		if _, err := g.Chain.Accept(b.Block, g.Now); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
		if _, known := g.Chain.Lookup(b.Hash()); known != (tt.want == nil) {
			t.Errorf("%s: known %v", tt.name, known)
		}
	}
	g.Expect(early, chain.Known)
	g.ExpectTip(main[4])
}

// TestFinalityDepth: a fork that takes off as many blocks as the network allows
// wins with more work, one that would take off one more is refused and forgotten.
func TestFinalityDepth(t *testing.T) {
	const depth = 3
	p := chain.Regtest()
	p.FinalityDepth = depth
	for height := uint32(2); height <= 6; height++ {
		for fork := range height {
			h := chaintest.New(t, p)
			main := append([]*chaintest.Block{h.Genesis}, h.Branch(h.Genesis, int(height))...)
			h.Accept(main[1:]...)
			branch := h.Branch(main[fork], int(height-fork)+1)
			if _, err := h.Chain.Branch(main[fork].Hash()); errors.Is(err, chain.RuleFinality) != (height-fork > depth) {
				t.Errorf("tip %d: headers on %d: %v", height, fork, err)
			}
			if height-fork > depth {
				h.Reject(branch[0], chain.RuleFinality)
				if _, known := h.Chain.Lookup(branch[0].Hash()); known {
					t.Errorf("tip %d: a block on %d is known", height, fork)
				}
				h.ExpectTip(main[height])
				continue
			}
			h.Accept(branch...)
			h.ExpectTip(branch[height-fork])
		}
	}
}

// TestFinalityLeavesBehind: a branch that was begun in time is final too when the
// main chain has gone on, for blocks one by one, imported, and held.
func TestFinalityLeavesBehind(t *testing.T) {
	p := chain.Regtest()
	p.FinalityDepth = 3
	h := chaintest.New(t, p)
	main := h.Branch(h.Genesis, 5)
	h.Accept(main[:4]...)
	side := h.Branch(main[0], 4)
	h.Expect(side[0], chain.Side)
	held := h.Branch(side[1], 1)[0]
	h.Expect(held, chain.Orphan)
	h.Expect(side[1], chain.Side) // and its child after it
	h.Expect(held, chain.Known)
	h.Accept(main[4])
	h.Reject(h.Next(held), chain.RuleFinality)
	did, err := h.Chain.Import(t.Context(), encoded([]*chaintest.Block{side[1], side[2]}), h.Now, nil)
	if !errors.Is(err, chain.RuleFinality) || did.Known != 1 || did.Blocks != 0 {
		t.Errorf("imported %+v, %v, want one known and rule %q", did, err, chain.RuleFinality)
	}
	h.ExpectTip(main[4])
}

// TestInvalidBelowExcluded: a bad block that is found below blocks which checkpoints
// exclude leaves a store that opens, with the checkpoints and without.
func TestInvalidBelowExcluded(t *testing.T) {
	h := chaintest.Open(t, chain.Regtest(), vfs.NewMem())
	main := h.Branch(h.Genesis, 6)
	side := h.Branch(h.Genesis, 3)
	bad := h.Next(side[2], chaintest.Pays(h.Subsidy(4)+1))
	h.Accept(main...)
	h.Accept(side...) // beside the main chain, so that nobody looks at the bad one
	h.Accept(bad)
	h.Accept(h.Branch(bad, 2)...)
	p := checkpointed(side[2], h.Branch(side[2], 2)[1])
	g := openAgain(t, h, p)
	g.ExpectTip(side[2])
	for _, q := range []*chain.Params{p, chain.Regtest()} {
		g = openAgain(t, g, q)
		if e, ok := g.Chain.Lookup(bad.Hash()); !ok || !e.Invalid {
			t.Errorf("%d checkpoints: the bad block is %+v, %v", len(q.Checkpoints), e, ok)
		}
	}
}
