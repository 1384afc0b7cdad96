package chain_test

import (
	"errors"
	"runtime"
	"testing"

	"github.com/btcsuite/btcd/wire/v2"
	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/chain/chaintest"
	"github.com/jbcnet/jbc/hashing"
)

// witnessed is a block on a parent that nobody has, whose witness has these many
// items of a size.
func witnessed(h *chaintest.Harness, items, size int) *chaintest.Block {
	nowhere := chaintest.Coin{At: wire.OutPoint{Hash: [32]byte{9}}, Out: &wire.TxOut{}}
	tx := h.Spend([]chaintest.Coin{nowhere}, wire.NewTxOut(1, chaintest.AnyoneScript()))
	tx.TxIn[0].Witness = make(wire.TxWitness, items)
	for i := range tx.TxIn[0].Witness {
		tx.TxIn[0].Witness[i] = make([]byte, size)
	}
	return h.Next(h.Genesis, chaintest.Includes(tx), func(b *chain.Block) { b.Header.SetPrev(hashing.Hash{1}) })
}

// heap is what is in use after all garbage is gone.
func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what pools gave up
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestOrphanMemory: orphans take no more memory than their bytes, up to 32 MiB,
// whatever they would take decoded; the oldest makes room.
func TestOrphanMemory(t *testing.T) {
	tests := []struct {
		name        string
		items, size int
		blocks      int
		held        int   // the last of them
		most        int64 // MiB that they take
	}{
		{"millions of empty items", 500_000, 0, 4, 4, 8},
		{"all that there is room for", 1, 3_900_000, 10, 8, 34},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := chaintest.New(t, chain.Regtest())
			before := heap()
			var hashes []hashing.Hash
			for range tt.blocks {
				b, err := chain.DecodeBlock(witnessed(h, tt.items, tt.size).Encode())
				if err != nil {
					t.Fatal(err)
				}
				if a, err := h.Chain.Accept(b, h.Now); err != nil || a.Status != chain.Orphan {
					t.Fatalf("%v, %v, want %v", a.Status, err, chain.Orphan)
				}
				hashes = append(hashes, b.Hash())
			}
			grown := heap() - before
			for i, hash := range hashes {
				if want := i >= tt.blocks-tt.held; h.Chain.Held(hash) != want {
					t.Errorf("orphan %d of %d: held %v, want %v", i+1, tt.blocks, !want, want)
				}
			}
			if grown > tt.most<<20 {
				t.Errorf("%d orphans take %d KiB, want at most %d", tt.held, grown>>10, tt.most<<10)
			}
		})
	}
}

// TestOrphanShowsParentInvalid: a block that is good as long as it lies beside the
// main chain is refused at once where an orphan that waits for it makes it the better
// one, and shows what is wrong.
func TestOrphanShowsParentInvalid(t *testing.T) {
	tests := []struct {
		name string
		bad  int // which of three blocks on the one below the tip
		want []chain.Rule
	}{
		{"the block itself", 1, []chain.Rule{chain.RuleMissingInput}},
		{"the one before it", 0, []chain.Rule{chain.RuleInvalidAncestor, chain.RuleMissingInput}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := newContextCase(t)
			main := c.Branch(c.tip, 2)
			c.Accept(main...)
			lost := c.free
			lost.At.Index = 7
			side, parent := []*chaintest.Block(nil), c.tip
			for i := range 3 {
				var opts []chaintest.Option
				if i == tt.bad {
					opts = append(opts, chaintest.Includes(c.pay(1, lost)))
				}
				parent = c.Next(parent, opts...)
				side = append(side, parent)
			}
			c.Expect(side[0], chain.Side)
			c.Expect(side[2], chain.Orphan)
			_, err := c.Chain.Accept(side[1].Block, c.Now)
			for _, want := range tt.want {
				if !errors.Is(err, want) {
					t.Errorf("%v, want rule %q", err, want)
				}
			}
			if itself := len(tt.want) == 1; errors.Is(err, chain.RuleInvalidAncestor) == itself {
				t.Errorf("%v, of an ancestor: %v", err, itself)
			}
			c.ExpectTip(main[1])
			c.Reject(side[1], chain.RuleKnownInvalid)
			if c.Chain.Held(side[2].Hash()) {
				t.Errorf("block %s is still held", side[2])
			}
			c.Reopen()
			c.ExpectTip(main[1])
			c.Reject(side[1], chain.RuleKnownInvalid)
		})
	}
}

// TestOrphanRefused: a block whose orphan breaks a rule is as good as without it.
func TestOrphanRefused(t *testing.T) {
	c := newContextCase(t)
	lost := c.free
	lost.At.Index = 7
	for _, tt := range []struct {
		parent *chaintest.Block
		want   chain.Status
	}{{c.tip, chain.Extended}, {c.tip.Parent, chain.Side}} {
		good := c.Next(tt.parent)
		bad := c.Next(good, chaintest.Includes(c.pay(1, lost)))
		worse := c.Next(bad)
		c.Expect(worse, chain.Orphan)
		c.Expect(bad, chain.Orphan)
		a := c.Expect(good, tt.want)
		if len(a.Refused) == 0 || !errors.Is(a.Refused[0].Err, chain.RuleMissingInput) {
			t.Errorf("%v: refused %v, want rule %q", tt.want, a.Refused, chain.RuleMissingInput)
		}
		if e, known := c.Chain.Lookup(good.Hash()); !known || e.Invalid {
			t.Errorf("%v: %+v, known %v, want a good block", tt.want, e, known)
		}
	}
}
