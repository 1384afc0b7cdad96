package chain_test

import (
	"errors"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/chain/chaintest"
	"github.com/jbcnet/jbc/chain/store"
	"github.com/jbcnet/jbc/hashing"
)

// openUpdating opens a chain whose updates hold this many bytes.
func openUpdating(t *testing.T, p *chain.Params, fs vfs.FS, bytes int64) (*chain.Chain, *store.Store) {
	t.Helper()
	st, err := store.Open(store.Options{Dir: "d", Network: p.ID(), FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	c, err := chain.Open(st, p, chain.Options{SignatureCache: -1}.WithUpdateBytes(bytes))
	if err != nil {
		t.Fatal(err)
	}
	return c, st
}

// move is a change of the main chain, from one tip to another, and who looks on.
type move struct {
	chain    *chain.Chain
	from, to hashing.Hash
	arrived  bool // to has been seen
	halfWay  int  // how often the store was seen on the way
	t        *testing.T
}

// watch has one goroutine read while do moves the chain.
func (m *move) watch(do func()) {
	m.t.Helper()
	stop := make(chan struct{})
	var reader sync.WaitGroup
	reader.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				m.look()
			}
		}
	})
	do()
	close(stop)
	reader.Wait()
	m.look()
}

// look reads the tip in every way there is.
func (m *move) look() {
	stats, err := m.chain.UTXOStats(m.t.Context())
	if err != nil {
		m.t.Errorf("outputs: %v", err)
	}
	if at := stats.Tip.Hash; at != m.from && at != m.to {
		m.halfWay++
	}
	m.see("tip", m.chain.Tip().Hash)
	if !m.chain.IsMain(m.from) && !m.chain.IsMain(m.to) {
		m.t.Errorf("neither %s nor %s is on the main chain", m.from, m.to)
	}
	tmpl, err := m.chain.Template(farFuture(), options())
	if err != nil {
		m.t.Errorf("template: %v", err)
	}
	m.see("template's parent", tmpl.Prev)
}

func (m *move) see(what string, hash hashing.Hash) {
	switch {
	case hash == m.to:
		m.arrived = true
	case hash != m.from:
		m.t.Errorf("%s %s is on the way from %s to %s", what, hash, m.from, m.to)
	case m.arrived:
		m.t.Errorf("%s is %s again, after %s", what, hash, m.to)
	}
}

// TestHalfMove: while a long way between two tips is gone in many writes everybody
// sees the one or, from some moment on, the other.
func TestHalfMove(t *testing.T) {
	hist := newHistory(t, ripeRegtest(), rand.New(rand.NewPCG(1, 2)))
	c, st := openUpdating(t, ripeRegtest(), vfs.NewMem(), 1)
	defer st.Close()
	here, there := hist.grow(hist.Genesis, 60), hist.grow(hist.Genesis, 60)
	acceptAll(t, c, here...)
	acceptAll(t, c, there...)

	from, to, seen := here[59], there[59], 0
	for round := 0; seen == 0 && round < 50; round++ { // the reader is slow at times
		grown := hist.grow(to, 1+round)
		acceptAll(t, c, grown[:round]...)
		m := &move{t: t, chain: c, from: from.Hash(), to: grown[round].Hash()}
		m.watch(func() { acceptAll(t, c, grown[round]) })
		seen += m.halfWay
		if !m.arrived {
			t.Fatalf("round %d: the move did not take place", round)
		}
		from, to = grown[round], from
	}
	if seen == 0 {
		t.Error("nobody looked while the chain was on its way")
	}
	expectHistory(t, c, hist, from)
}

// TestHalfMoveToBadBlock: where the last block of the way breaks a rule nobody ever
// saw a part of it.
func TestHalfMoveToBadBlock(t *testing.T) {
	hist := newHistory(t, ripeRegtest(), rand.New(rand.NewPCG(3, 4)))
	fs := vfs.NewMem()
	c, st := openUpdating(t, ripeRegtest(), fs, 1)
	here, there := hist.grow(hist.Genesis, 60), hist.grow(hist.Genesis, 60)
	acceptAll(t, c, here...)
	acceptAll(t, c, there...)
	tip := here[59]

	seen := 0
	for round := 0; seen == 0 && round < 50; round++ {
		bad := hist.Next(there[59], chaintest.Pays(hist.Subsidy(61)+1))
		m := &move{t: t, chain: c, from: tip.Hash(), to: tip.Hash()}
		m.watch(func() { refuse(t, c, bad, chain.RuleCoinbaseValue) })
		seen += m.halfWay
	}
	if seen == 0 {
		t.Error("nobody looked while the chain was on its way")
	}
	expectHistory(t, c, hist, tip)
	for _, b := range there {
		if e, _ := c.Lookup(b.Hash()); e.Main || e.Invalid {
			t.Errorf("block %s: %+v, want a good one beside the main chain", b, e)
		}
	}
	mustClose(t, st)
	c, st = openUpdating(t, ripeRegtest(), fs, 1)
	defer st.Close()
	expectHistory(t, c, hist, tip)
}

// refuse offers a block that must break this rule.
func refuse(t *testing.T, c *chain.Chain, b *chaintest.Block, want chain.Rule) {
	t.Helper()
	if _, err := c.Accept(b.Block, farFuture()); !errors.Is(err, want) {
		t.Errorf("block %s: %v, want rule %q", b, err, want)
	}
}

// expectHistory compares tip and unspent outputs with the history's.
func expectHistory(t *testing.T, c *chain.Chain, hist *history, want *chaintest.Block) {
	t.Helper()
	got, err := c.UTXOStats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	state := hist.at(want.Hash())
	if c.Tip().Hash != want.Hash() || got.Tip.Hash != want.Hash() || got.Outputs != state.outputs || got.Hash != state.hash {
		t.Errorf("tip %s, %d outputs at %s with hash %s, want %s, %d, %s",
			c.Tip().Hash, got.Outputs, got.Tip.Hash, got.Hash, want.Hash(), state.outputs, state.hash)
	}
}
