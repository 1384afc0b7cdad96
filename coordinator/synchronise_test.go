package coordinator

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/chain/chaintest"
	"github.com/jbcnet/jbc/chain/store"
	"github.com/jbcnet/jbc/coordinator/peers"
	"github.com/jbcnet/jbc/coordinator/protocol"
	"github.com/jbcnet/jbc/hashing"
)

// filled is a directory whose chain has these blocks.
func filled(t *testing.T, blocks []*chaintest.Block) string {
	t.Helper()
	return filledOf(t, chain.Regtest(), blocks)
}

// filledOf is filled on a network with those parameters.
func filledOf(t *testing.T, p *chain.Params, blocks []*chaintest.Block) string {
	t.Helper()
	dir := t.TempDir()
	st, err := store.Open(store.Options{Dir: dir, Network: p.ID()})
	if err != nil {
		t.Fatal(err)
	}
	c, err := chain.Open(st, p, chain.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var raw [][]byte
	for _, b := range blocks {
		raw = append(raw, b.Encode())
	}
	if _, err := c.Import(t.Context(), each(raw), time.Now(), nil); err != nil {
		t.Fatal(err)
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// agreeOn waits until every node has that tip and works on it.
func agreeOn(t *testing.T, tip hashing.Hash, nodes ...*node) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for _, n := range nodes {
		for {
			n.mu.Lock()
			job := n.farm.jobs.Current()
			there := n.chain.Tip().Hash == tip && job != nil && job.Prev == tip
			n.mu.Unlock()
			if there {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s has tip %s at height %d, want %s", n.cfg.name, n.chain.Tip().Hash, n.chain.Tip().Height, tip)
			}
			time.Sleep(time.Millisecond) // polls what another goroutine does
		}
	}
}

// TestSynchronise starts coordinators with different histories on one server: all take
// the chain with the most work, whoever has it.
func TestSynchronise(t *testing.T) {
	for _, tt := range []struct{ common, alpha, beta int }{
		{0, 0, 1},
		{0, 10, 500},
		{3, 700, 650},
		{100, 2, 2500}, // more than are judged before blocks are fetched
		{10, 2300, 2301},
	} {
		t.Run(fmt.Sprintf("%d and %d blocks after %d", tt.alpha, tt.beta, tt.common), func(t *testing.T) {
			b := chaintest.NewBuilder(t, chain.Regtest())
			common := b.Branch(b.Genesis, tt.common)
			fork := b.Genesis
			if tt.common > 0 {
				fork = common[tt.common-1]
			}
			left := append(common[:tt.common:tt.common], b.Branch(fork, tt.alpha)...)
			right := append(common[:tt.common:tt.common], b.Branch(fork, tt.beta)...)
			best := right
			if len(left) > len(right) {
				best = left
			}
			url := startBroker(t).URL()
			start := time.Now()
			alpha := startNode(t, nodeConfig{url: url, name: "alpha", dir: filled(t, left)})
			beta := startNode(t, nodeConfig{url: url, name: "beta", dir: filled(t, right)})
			gamma := startNode(t, nodeConfig{url: url, name: "gamma"})
			agreeOn(t, best[len(best)-1].Hash(), alpha, beta, gamma)
			t.Logf("agreed after %v", time.Since(start).Round(time.Millisecond))
		})
	}
}

// met waits until the nodes know each other.
func met(t *testing.T, nodes ...*node) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for _, n := range nodes {
		for known := 0; known < len(nodes)-1; time.Sleep(time.Millisecond) { // polls what another goroutine does
			n.others.with(func(table *peers.Table) { known = len(table.All(time.Now())) })
			if time.Now().After(deadline) {
				t.Fatalf("%s knows %d others, want %d", n.cfg.name, known, len(nodes)-1)
			}
		}
	}
}

// TestFollowsEachBlock has one coordinator take solutions: the other's next job is on
// each of their blocks.
func TestFollowsEachBlock(t *testing.T) {
	url := startBroker(t).URL()
	alpha := startNode(t, nodeConfig{url: url, name: "alpha"})
	beta := startNode(t, nodeConfig{url: url, name: "beta"})
	met(t, alpha, beta)
	h := newHand(alpha, url, "w1")
	h.join()
	var took []time.Duration
	for range 20 {
		place := h.solve(alpha.current(t))
		start := time.Now()
		reply := h.bring(place)
		if reply.Code != protocol.OK {
			t.Fatalf("%+v", reply)
		}
		agreeOn(t, reply.Hash, alpha, beta)
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	t.Logf("solution to the other's job: median %v, worst %v", took[len(took)/2], took[len(took)-1])
}

// TestFinalKeepsApart: of two chains that parted below what is final each coordinator
// keeps its own, says so and blames the other for little.
func TestFinalKeepsApart(t *testing.T) {
	p := chain.Regtest()
	p.FinalityDepth = 5
	b := chaintest.NewBuilder(t, p)
	left, right := b.Branch(b.Genesis, 10), b.Branch(b.Genesis, 12)
	url := startBroker(t).URL()
	alpha := startNode(t, nodeConfig{url: url, name: "alpha", params: p, dir: filledOf(t, p, left)})
	beta := startNode(t, nodeConfig{url: url, name: "beta", params: p, dir: filledOf(t, p, right)})
	until(t, "alpha has seen beta's chain", func() (seen bool) {
		alpha.others.with(func(table *peers.Table) {
			for _, other := range table.All(time.Now()) {
				seen = seen || other.Name == "beta" && other.Faults[peers.Apart] > 0 && other.Faults[peers.BadHeaders]+other.Faults[peers.BadBlock] == 0
			}
		})
		return seen
	})
	if alpha.chain.Tip().Hash != left[9].Hash() || beta.chain.Tip().Hash != right[11].Hash() {
		t.Errorf("tips at %d and %d, want 10 and 12", alpha.chain.Tip().Height, beta.chain.Tip().Height)
	}
}

// TestClaimThatCameTrue: who claimed more work than our chain had is not blamed where
// that came from elsewhere while its headers were asked for.
func TestClaimThatCameTrue(t *testing.T) {
	b := chaintest.NewBuilder(t, chain.Regtest())
	blocks := b.Branch(b.Genesis, 3)
	n := startNode(t, nodeConfig{url: startBroker(t).URL(), name: "alpha", dir: filled(t, blocks[:2])})
	less := n.chain.Tip()
	if _, err := n.chain.Accept(blocks[2].Block, time.Now()); err != nil {
		t.Fatal(err)
	}
	same := n.chain.Tip().Work
	more := same
	more[0]++
	for _, tt := range []struct {
		name  string
		work  chain.Work
		blame bool
	}{{"less than ours", less.Work, false}, {"as much", same, false}, {"more", more, true}} {
		f := &follower{c: n.Coordinator, peer: peers.Peer{Name: "beta", Tip: peers.Tip{Work: tt.work}}}
		var wrong *faultError
		if err := f.end(t.Context()); errors.As(err, &wrong) != tt.blame || tt.blame && wrong.fault != peers.Withheld {
			t.Errorf("a claim of %s: %v, blamed %v", tt.name, err, tt.blame)
		}
	}
}
