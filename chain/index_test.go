package chain

import (
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/jbcnet/jbc/hashing"
)

// grind returns headers of regtest, each on the one before, the first on genesis.
func grind(n int) []hashing.Header { return grindOn(Regtest().Genesis.Header, n) }

// grindOn returns headers of regtest, the first on parent.
func grindOn(parent hashing.Header, n int) []hashing.Header {
	p := Regtest()
	target, _ := p.PowLimit.Target()
	headers := make([]hashing.Header, n)
	prev, at := parent.Hash(), parent.Time()+1 // an own second, so that branches differ
	for i := range headers {
		h := &headers[i]
		at++
		h.SetVersion(templateVersion)
		h.SetPrev(prev)
		h.SetTime(at)
		h.SetBits(p.PowLimit)
		for !target.MetBy(h.Hash()) {
			h.SetNonce(h.Nonce() + 1)
		}
		prev = h.Hash()
	}
	return headers
}

// TestHeaderMemory: the index takes fewer than 200 bytes a header, its table and
// the list of the main chain with it, also just after they have grown.
func TestHeaderMemory(t *testing.T) {
	const most = 200
	now := time.Unix(1_700_000_000, 0)
	for _, n := range []int{50_000, 100_000} { // 98,304 is where the table grows
		headers := grind(n)
		before := liveHeap()
		h := Regtest().NewHeaderChain()
		if err := h.Add(headers, now); err != nil {
			t.Fatal(err)
		}
		main := make([]*node, 0, n)
		for at := h.tip; at != nil; at = at.parent {
			main = append(main, at)
		}
		each := float64(liveHeap()-before) / float64(n)
		if each > most {
			t.Errorf("%d headers take %.0f bytes each, at most %d", n, each, most)
		}
		t.Logf("%d headers: %.0f bytes each", n, each)
		if h.Tip().Height != uint32(n) || len(main) != n+1 {
			t.Fatalf("tip at height %d", h.Tip().Height)
		}
		runtime.KeepAlive(headers)
	}
}

func liveHeap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestAncestor compares the way by skips with the way by parents.
func TestAncestor(t *testing.T) {
	h := Regtest().NewHeaderChain()
	if err := h.Add(grind(5000), time.Unix(1_700_000_000, 0)); err != nil {
		t.Fatal(err)
	}
	byHeight := make([]*node, 5001)
	for n := h.tip; n != nil; n = n.parent {
		byHeight[n.height] = n
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		from := rng.IntN(len(byHeight))
		to := rng.IntN(from + 1)
		if got := byHeight[from].ancestor(uint32(to)); got != byHeight[to] {
			t.Fatalf("ancestor of %d at %d: height %d", from, to, got.height)
		}
	}
}

// TestNodeHeader: a node gives back the header that it was made of.
func TestNodeHeader(t *testing.T) {
	headers := grind(3)
	headers[2].SetMerkleRoot(hashing.Hash{1, 2, 3})
	p := Regtest()
	n := p.newNode(p.Genesis.Hash(), &p.Genesis.Header, nil, 0)
	for i := range headers {
		n = p.newNode(headers[i].Hash(), &headers[i], n, 0)
		if got := n.header(); got != headers[i] {
			t.Errorf("header %d: %x, want %x", i, got, headers[i])
		}
	}
}
