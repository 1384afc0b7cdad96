package chain_test

import (
	"context"
	"errors"
	"iter"
	"testing"
	"time"

	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/chain/chaintest"
	"github.com/jbcnet/jbc/chain/store"
	"github.com/jbcnet/jbc/hashing"
)

func generateOptions() chain.GenerateOptions {
	return chain.GenerateOptions{Template: options(), Spacing: time.Second}
}

// generate returns n blocks.
func generate(t *testing.T, h *chaintest.Harness, parent hashing.Hash, n int, opts chain.GenerateOptions) (blocks []*chain.Block) {
	t.Helper()
	for b, err := range h.Chain.Generate(t.Context(), parent, n, h.Now, opts) {
		if err != nil {
			t.Fatal(err)
		}
		blocks = append(blocks, b)
	}
	return blocks
}

func rawBlocks(blocks []*chain.Block) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for _, b := range blocks {
			if !yield(b.Encode(), nil) {
				return
			}
		}
	}
}

// TestGenerate makes a chain, a shorter branch of it and a longer one, each taken in
// at once: the tips are what they should be, and every rule is kept.
func TestGenerate(t *testing.T) {
	h := chaintest.New(t, chain.Regtest())
	genesis := h.Genesis.Hash()
	main := generate(t, h, genesis, 1_000, generateOptions())
	if h.Chain.Tip().Hash != genesis {
		t.Fatal("generating alone moved the tip")
	}
	take := func(blocks []*chain.Block, wantTip *chain.Block) {
		t.Helper()
		if did, err := h.Chain.Import(t.Context(), rawBlocks(blocks), h.Now, nil); err != nil || did.Blocks != len(blocks) {
			t.Fatalf("%+v, %v; want %d blocks", did, err, len(blocks))
		}
		if got := h.Chain.Tip().Hash; got != wantTip.Hash() {
			t.Fatalf("tip %s, want %s", got, wantTip.Hash())
		}
	}
	take(main, main[999])
	opts := generateOptions()
	opts.Template.Tag = [8]byte{9}
	side := generate(t, h, main[899].Hash(), 100, opts) // as much work, but later
	take(side, main[999])
	if e, _ := h.Chain.Lookup(side[99].Hash()); e.Main || e.Height != 1_000 {
		t.Fatalf("the branch ends in %+v", e)
	}
	opts.Template.Tag[0]++
	more := generate(t, h, side[99].Hash(), 1, opts)
	take(more, more[0])

	for i, b := range main {
		if want := h.Genesis.Header.Time() + uint32(i) + 1; b.Header.Time() != want {
			t.Fatalf("block %d has time %d, want %d", i+1, b.Header.Time(), want)
		}
	}
	again := generate(t, h, genesis, 1_000, generateOptions())
	if again[999].Hash() != main[999].Hash() {
		t.Error("the same arguments make other blocks")
	}
	tags := map[string]bool{}
	for _, b := range append(append(main, side...), more...) {
		script := b.Transactions[0].TxIn[0].SignatureScript
		tags[string(script[len(script)-12:len(script)-4])] = true
	}
	if len(tags) != 1_000+101 {
		t.Errorf("%d tags in %d blocks", len(tags), 1_000+101)
	}
}

func TestGenerateTimes(t *testing.T) {
	h := chaintest.New(t, chain.Regtest())
	seconds := func(blocks []*chain.Block) (times []int64) {
		for _, b := range blocks {
			times = append(times, int64(b.Header.Time())-int64(h.Genesis.Header.Time()))
		}
		return times
	}
	now := h.Now.Unix() - int64(h.Genesis.Header.Time())
	tests := []struct {
		name    string
		start   time.Time
		spacing time.Duration
		want    []int64 // after genesis
	}{
		{"a minute apart", time.Time{}, time.Minute, []int64{60, 120, 180, 240}},
		{"as close as can be", time.Time{}, 0, []int64{1, 2, 2, 3}}, // medians 0, 1, 1, 2: of an even number the later
		{"at the clock", h.Now, 0, []int64{now, now + 1, now + 1, now + 2}},
		{"before genesis", time.Unix(1, 0), time.Second, []int64{1, 2, 2, 3}},
	}
	for _, tt := range tests {
		opts := generateOptions()
		opts.Start, opts.Spacing = tt.start, tt.spacing
		got := seconds(generate(t, h, h.Genesis.Hash(), 4, opts))
		for i := range tt.want {
			if got[i] != tt.want[i] {
				t.Errorf("%s: times %v, want %v", tt.name, got, tt.want)
				break
			}
		}
	}

	// What others would not take yet is not made.
	opts := generateOptions()
	opts.Start, opts.Spacing = h.Now.Add(2*time.Hour-2*time.Second), time.Second
	made := 0
	for _, err := range h.Chain.Generate(t.Context(), h.Genesis.Hash(), 10, h.Now, opts) {
		if err == nil {
			made++
		} else if !errors.Is(err, chain.RuleTimeTooNew) {
			t.Error(err)
		}
	}
	if made != 3 {
		t.Errorf("%d blocks up to 2 hours ahead, want 3", made)
	}
}

func TestGenerateRefuses(t *testing.T) {
	first := func(h *chaintest.Harness, parent hashing.Hash, change func(*chain.GenerateOptions)) error {
		opts := generateOptions()
		change(&opts)
		for _, err := range h.Chain.Generate(t.Context(), parent, 2, h.Now, opts) {
			return err
		}
		return nil
	}
	nothing := func(*chain.GenerateOptions) {}
	h := chaintest.New(t, chain.Regtest())
	invalid := h.Next(h.Genesis, func(b *chain.Block) { b.Transactions[0].TxOut[0].Value++ })
	h.Reject(invalid, chain.RuleCoinbaseValue)
	if err := first(h, hashing.Hash{1}, nothing); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("unknown parent: %v", err)
	}
	if err := first(h, invalid.Hash(), nothing); !errors.Is(err, chain.RuleInvalidAncestor) {
		t.Errorf("invalid parent: %v", err)
	}
	if err := first(h, h.Genesis.Hash(), func(o *chain.GenerateOptions) { o.Template.PayScript = nil }); err == nil {
		t.Error("nobody to pay: no error")
	}
	for _, p := range []*chain.Params{easyASERT(), chain.Bitcoin(), chain.Dev()} {
		if err := first(chaintest.New(t, p), p.Genesis.Hash(), nothing); !errors.Is(err, chain.ErrGenerate) {
			t.Errorf("network %s: %v, want %q", p.Name, err, chain.ErrGenerate)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	made := 0
	for _, err := range h.Chain.Generate(ctx, h.Genesis.Hash(), 10, h.Now, generateOptions()) {
		if err != nil {
			if !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			continue
		}
		if made++; made == 3 {
			cancel()
		}
	}
	if made != 3 {
		t.Errorf("%d blocks, cancelled after 3", made)
	}
}

// TestTemplateOn solves templates on the tip, beside it and below it, on networks
// with every kind of schedule.
func TestTemplateOn(t *testing.T) {
	for _, p := range []*chain.Params{chain.Regtest(), easyASERT()} {
		t.Run(p.Name, func(t *testing.T) {
			h := chaintest.New(t, p)
			main := []*chaintest.Block{h.Genesis}
			for len(main) <= 20 { // so fast that the difficulty rises, where it can
				last := main[len(main)-1]
				main = append(main, h.Next(last, chaintest.At(time.Unix(int64(h.MedianTime(last))+1, 0))))
			}
			main = main[1:]
			side := h.Branch(main[4], 3)
			h.Accept(append(main, side...)...)
			tip, err := h.Chain.Template(h.Now, options())
			if err != nil {
				t.Fatal(err)
			}
			if rises := p.Schedule == chain.ScheduleASERT; (tip.Bits != p.PowLimit) != rises {
				t.Fatalf("bits %s, limit %s: this test needs others", tip.Bits, p.PowLimit)
			}
			on, err := h.Chain.TemplateOn(main[19].Hash(), h.Now, options())
			if err != nil || string(on.Encode()) != string(tip.Encode()) {
				t.Errorf("on the tip: %+v, %v; want %+v", on, err, tip)
			}
			for _, parent := range []*chaintest.Block{h.Genesis, main[7], side[2]} {
				tmpl, err := h.Chain.TemplateOn(parent.Hash(), h.Now, options())
				if err != nil {
					t.Fatal(err)
				}
				if want, _ := h.Required(parent); tmpl.Height != parent.Height+1 || tmpl.Prev != parent.Hash() || tmpl.MinTime != h.MedianTime(parent)+1 || tmpl.Bits != want {
					t.Errorf("on block %s: %+v, want bits %s", parent, tmpl, want)
				}
				if a, err := h.Chain.Accept(solve(t, tmpl, 1), h.Now); err != nil || a.Status != chain.Side {
					t.Errorf("on block %s: %v, %v", parent, a.Status, err)
				}
			}
			if _, err := h.Chain.TemplateOn(hashing.Hash{1}, h.Now, options()); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("on an unknown block: %v", err)
			}
			bad := h.Next(main[19], func(b *chain.Block) { b.Transactions[0].TxOut[0].Value++ })
			h.Reject(bad, chain.RuleCoinbaseValue)
			if _, err := h.Chain.TemplateOn(bad.Hash(), h.Now, options()); !errors.Is(err, chain.RuleInvalidAncestor) {
				t.Errorf("on an invalid block: %v", err)
			}
		})
	}
}
