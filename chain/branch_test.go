package chain

import (
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/jbcnet/jbc/hashing"
)

func branchOn(t *testing.T, c *Chain, on hashing.Hash) *Branch {
	t.Helper()
	b, err := c.Branch(on)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestBranch: headers that pass by are judged like those that are kept.
func TestBranch(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	c, st, err := openMem(t, vfs.NewMem())
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	headers := grind(9000)
	whole := Regtest().NewHeaderChain()
	if err := whole.Add(headers, now); err != nil {
		t.Fatal(err)
	}
	b := branchOn(t, c, c.Tip().Hash)
	for i := 0; i < len(headers); i += 200 {
		if err := b.Add(headers[i:i+200], now); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := b.Tip(), whole.Tip(); got != want {
		t.Errorf("tip %+v, want %+v", got, want)
	}
	if len(b.kept) >= 2*branchKept || b.Fork() != 0 {
		t.Errorf("%d headers are kept, fork at %d", len(b.kept), b.Fork())
	}

	again := b.Again()
	if err := again.Add(headers, now); err != nil || again.Tip() != b.Tip() {
		t.Errorf("again: %v, tip %+v", err, again.Tip())
	}
	other := append([]hashing.Header(nil), headers[:500]...)
	other = append(other, grindOn(headers[499], 600)...)
	again = b.Again()
	if err := again.Add(other, now); !errors.Is(err, ErrOtherBranch) || again.Tip().Height != 1000 {
		t.Errorf("other headers: %v at height %d, want %v at 1000", err, again.Tip().Height, ErrOtherBranch)
	}
	gap := b.Again()
	if err := gap.Add(headers[1:2], now); !errors.Is(err, RuleOrphan) {
		t.Errorf("a gap: %v, want %v", err, RuleOrphan)
	}
	high := headers[0]
	for target, _ := Regtest().PowLimit.Target(); target.MetBy(high.Hash()); {
		high.SetNonce(high.Nonce() + 1)
	}
	if err := b.Again().Add([]hashing.Header{high}, now); !errors.Is(err, RuleHighHash) {
		t.Errorf("no work: %v, want %v", err, RuleHighHash)
	}
	if err := b.Again().Add(headers[:1], time.Unix(int64(headers[0].Time()), 0).Add(-3*time.Hour)); !errors.Is(err, RuleTimeTooNew) {
		t.Errorf("early: %v, want %v", err, RuleTimeTooNew)
	}
	if _, err := c.Branch(hashing.Hash{1}); !errors.Is(err, RuleOrphan) {
		t.Errorf("a branch on an unknown block: %v, want %v", err, RuleOrphan)
	}
}

// TestBranchMemory: any number of headers passes in little memory.
func TestBranchMemory(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	c, st, err := openMem(t, vfs.NewMem())
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	headers := grind(100_000)
	b := branchOn(t, c, c.Tip().Hash)
	before := liveHeap()
	for i := 0; i < len(headers); i += 500 {
		if err := b.Add(headers[i:i+500], now); err != nil {
			t.Fatal(err)
		}
	}
	if grown := int64(liveHeap()) - int64(before); grown > 2<<20 {
		t.Errorf("100,000 headers take %d bytes, at most 2 MiB", grown)
	}
	runtime.KeepAlive(b)
}

func TestLocator(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	a, sa, err := openMem(t, vfs.NewMem())
	if err != nil {
		t.Fatal(err)
	}
	defer sa.Close()
	b, sb, err := openMem(t, vfs.NewMem())
	if err != nil {
		t.Fatal(err)
	}
	defer sb.Close()
	for i := range 300 {
		block := mineOn(t, a, now)
		for _, c := range []*Chain{a, b} {
			if i >= 100 && c == b { // they part at height 100
				block = mineOn(t, c, now.Add(time.Hour))
			}
			if _, err := c.Accept(block, now); err != nil {
				t.Fatal(err)
			}
		}
	}
	locator := a.Locator()
	if len(locator) > MaxLocator || locator[0] != a.Tip().Hash || locator[len(locator)-1] != Regtest().Genesis.Hash() {
		t.Fatalf("locator of %d hashes", len(locator))
	}
	from, headers := b.HeadersAfter(locator, 1000)
	if from > 101 || from < 37 || len(headers) != 301-int(from) {
		t.Fatalf("%d headers from height %d on", len(headers), from)
	}
	on, _ := b.HashAtHeight(from - 1)
	branch := branchOn(t, a, on)
	if err := branch.Add(headers, now); err != nil || branch.Tip().Hash != b.Tip().Hash || branch.Tip().Work != b.Tip().Work {
		t.Errorf("%v, tip %s, want %s", err, branch.Tip().Hash, b.Tip().Hash)
	}
	if from, headers = b.HeadersAfter(nil, 10); from != 1 || len(headers) != 10 {
		t.Errorf("without a locator: %d headers from height %d on", len(headers), from)
	}
	if from, headers = b.HeadersAfter(b.Locator(), 10); from != 301 || len(headers) != 0 {
		t.Errorf("at the tip: %d headers from height %d on", len(headers), from)
	}
}
