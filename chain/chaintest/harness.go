package chaintest

import (
	"errors"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/chain/store"
)

// Harness is a chain on a file system in memory, with a builder and a clock.
type Harness struct {
	*Builder
	T     testing.TB
	FS    vfs.FS
	Chain *chain.Chain
	Store *store.Store
	Now   time.Time // what Accept is told
}

// New opens an empty chain, closed when the test ends. Its clock stands a year
// after genesis.
func New(t testing.TB, params *chain.Params) *Harness {
	t.Helper()
	return Open(t, params, vfs.NewMem())
}

// Open opens the chain that fs holds.
func Open(t testing.TB, params *chain.Params, fs vfs.FS) *Harness {
	t.Helper()
	h := &Harness{Builder: NewBuilder(t, params), T: t, FS: fs}
	h.Now = time.Unix(int64(params.Genesis.Header.Time()), 0).AddDate(1, 0, 0)
	h.open()
	t.Cleanup(func() { h.Store.Close() })
	return h
}

func (h *Harness) open() {
	h.T.Helper()
	var err error
	if h.Store, err = store.Open(store.Options{Dir: "chain", Network: h.params.ID(), FS: h.FS}); err != nil {
		h.T.Fatal(err)
	}
	if h.Chain, err = chain.Open(h.Store, h.params, chain.Options{}); err != nil {
		h.T.Fatal(err)
	}
}

// Reopen closes store and chain and opens them again.
func (h *Harness) Reopen() {
	h.T.Helper()
	if err := h.Store.Close(); err != nil {
		h.T.Fatal(err)
	}
	h.open()
}

// Accept takes blocks, each of which must break no rule, and returns what the
// last one did.
func (h *Harness) Accept(blocks ...*Block) (last chain.Accepted) {
	h.T.Helper()
	for _, b := range blocks {
		a, err := h.Chain.Accept(b.Block, h.Now)
		if err == nil {
			err = a.Wait()
		}
		if err != nil {
			h.T.Fatalf("block %s: %v", b, err)
		}
		last = a
	}
	return last
}

// Expect takes one block and compares what it did.
func (h *Harness) Expect(b *Block, want chain.Status) chain.Accepted {
	h.T.Helper()
	a := h.Accept(b)
	if a.Status != want {
		h.T.Fatalf("block %s: %v, want %v", b, a.Status, want)
	}
	return a
}

// Reject offers a block that must break this rule.
func (h *Harness) Reject(b *Block, want chain.Rule) {
	h.T.Helper()
	_, err := h.Chain.Accept(b.Block, h.Now)
	if !errors.Is(err, want) {
		h.T.Fatalf("block %s: %v, want rule %q", b, err, want)
	}
}

// ExpectTip compares the tip, its height and its chainwork.
func (h *Harness) ExpectTip(want *Block) {
	h.T.Helper()
	tip := h.Chain.Tip()
	if tip.Hash != want.Hash() || tip.Height != want.Height {
		h.T.Fatalf("tip %s at height %d, want %s at %d", tip.Hash, tip.Height, want.Hash(), want.Height)
	}
	if got := tip.Work.String(); got != hex64(want) {
		h.T.Fatalf("chainwork %s, want %s", got, hex64(want))
	}
	if got, want := tip.MedianTime, h.MedianTime(want); got != want {
		h.T.Fatalf("median time past %d, want %d", got, want)
	}
}

func hex64(b *Block) string {
	digits := b.Work.Text(16)
	for len(digits) < 64 {
		digits = "0" + digits
	}
	return digits
}
