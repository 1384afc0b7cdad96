//go:build linux

package farm

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/coordinator/protocol"
	"github.com/jbcnet/jbc/hashing"
)

// TestShorterChainWithMoreWork has two coordinators with chains of their own, one of
// many easy blocks, one of few that are harder, and puts them on one server: both take
// the shorter one, and what is unspent is what it is after a fresh import.
func TestShorterChainWithMoreWork(t *testing.T) {
	for _, first := range []string{"short", "long"} { // who is there before the other
		t.Run(first+" first", func(t *testing.T) {
			f := newFarm(t)
			f.natsServer(t)
			network, params := f.network(t, "tilt", "--spacing", "60s", "--half-life", "600s", "--hashes", "2^8", "--time", "2025-01-01T00:00:00Z")
			made := newSmithy(t, params)
			common := made.grow(params.Genesis.Hash(), 20, 61*time.Second)
			long := made.grow(common, count(500, 10_000), 61*time.Second) // at the floor
			short := made.grow(common, count(70, 110), 0)                 // twice as hard every ten blocks
			if l, s := entry(t, made, long), entry(t, made, short); s.Height >= l.Height || s.Work.Cmp(l.Work) <= 0 {
				t.Fatalf("%d blocks with work %s beside %d with %s", s.Height, s.Work, l.Height, l.Work)
			}
			dirs := map[string]string{"long": filepath.Join(f.home, "long"), "short": filepath.Join(f.home, "short")}
			f.imported(t, network, dirs["long"], made.write(long))
			f.imported(t, network, dirs["short"], made.write(short))

			run := func(name string) *process {
				return start(t, name, f.command("coordinator", "--name", name, "--nats", f.url, "--network", network, "--data-dir", dirs[name]))
			}
			second := map[string]string{"long": "short", "short": "long"}[first]
			a := run(first)
			var alone *protocol.Status
			eventually(t, patience, first+" answers", func() bool { alone = f.statusOn(t, params.ID(), first); return alone != nil })
			began := time.Now()
			b := run(second)
			eventually(t, patience, "both have the chain with more work", func() bool {
				x, y := f.statusOn(t, params.ID(), first), f.statusOn(t, params.ID(), second)
				return x != nil && y != nil && x.Tip == short && y.Tip == short
			})
			l, s := entry(t, made, long), entry(t, made, short)
			t.Logf("%d blocks with 0x%s hashes of work won over %d with 0x%s, %v after the second coordinator was started",
				s.Height, strings.TrimLeft(s.Work.String(), "0"), l.Height, strings.TrimLeft(l.Work.String(), "0"), time.Since(began).Round(time.Millisecond))
			if want := entry(t, made, map[string]hashing.Hash{"long": long, "short": short}[first]); alone.Tip != want.Hash {
				t.Errorf("alone %s was at %s, want %s", first, alone.Tip, want.Hash)
			}
			a.interrupt(t)
			b.interrupt(t)
			if got := f.sameUnspent(t, network, dirs["long"], dirs["short"]); got.Tip != short {
				t.Errorf("at the end the tip is %s, want %s", got.Tip, short)
			}
		})
	}
}

// entry returns what was made of a block.
func entry(t *testing.T, made *smithy, hash hashing.Hash) chain.Entry {
	t.Helper()
	e, ok := made.Lookup(hash)
	if !ok {
		t.Fatalf("no block %s", hash)
	}
	return e
}
