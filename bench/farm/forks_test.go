//go:build linux

package farm

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/jbcnet/jbc/coordinator/protocol"
)

// Two addresses of regtest, so that the branches of two coordinators differ.
const (
	addressA = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
	addressB = "bcrt1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3qzf4jry"
)

// TestForksHeal has two coordinators make chains of their own, cut apart, and puts them
// on one server: both take the chain with more work, however deep the fork, and what
// they have unspent then is what a replay of that chain says.
func TestForksHeal(t *testing.T) {
	for _, tt := range []struct {
		depth  int
		within time.Duration
	}{{100, 2 * time.Second}, {1000, 5 * time.Second}, {count(3000, 10_000), 15 * time.Second}} {
		t.Run(fmt.Sprint(tt.depth), func(t *testing.T) {
			f := newFarm(t)
			f.natsServer(t)
			a, b := filepath.Join(f.home, "a"), filepath.Join(f.home, "b")
			for _, dir := range []string{a, b} {
				f.generate(t, dir, 20, addressA)
			}
			f.generate(t, a, tt.depth, addressA)
			f.generate(t, b, tt.depth+1, addressB)

			first := f.joined(t, "alpha", a)
			start := time.Now()
			second := f.joined(t, "beta", b)
			want := uint32(21 + tt.depth) // the longer chain's
			said := first.says(t, tt.within+10*time.Second, "took the chain of another", fmt.Sprintf("height=%d ", want))
			took := said.at.Sub(start)
			var tips [2]*protocol.Status
			eventually(t, patience, "both have one tip", func() bool {
				for i, name := range []string{"alpha", "beta"} {
					if tips[i] = f.statusOf(t, name); tips[i] == nil {
						return false
					}
				}
				return tips[0].Tip == tips[1].Tip
			})
			t.Logf("depth %d: one tip %v after the second one was started", tt.depth, took.Round(time.Millisecond))
			if tips[0].Height != want {
				t.Errorf("height %d, want the longer chain's %d", tips[0].Height, want)
			}
			if soaking() && took > tt.within {
				t.Errorf("that is more than %v", tt.within)
			}
			for _, p := range []*process{first, second} {
				p.interrupt(t)
			}
			f.sameUnspent(t, "regtest", a, b)
		})
	}
}

// generate makes blocks on the tip of a directory's chain.
func (f *farm) generate(t *testing.T, dir string, n int, address string) {
	t.Helper()
	_, errs, status := f.run(t, "chain", "generate", fmt.Sprint(n), "--network", "regtest", "--data-dir", dir, "--address", address)
	if status != 0 {
		t.Fatalf("generate: status %d: %s", status, errs)
	}
}

// joined starts a coordinator on the farm's server.
func (f *farm) joined(t *testing.T, name, dir string) *process {
	t.Helper()
	return start(t, name, f.command("coordinator", "--name", name, "--nats", f.url, "--network", "regtest", "--data-dir", dir))
}

// statusOf asks one coordinator, nil while it does not answer.
func (f *farm) statusOf(t *testing.T, name string) *protocol.Status {
	t.Helper()
	return f.statusOn(t, "regtest", name)
}

func (f *farm) statusOn(t *testing.T, network, name string) *protocol.Status {
	t.Helper()
	out, _, status := f.run(t, "status", "--nats", f.url, "--network", network, "--coordinator", name, "--json")
	if status != 0 {
		return nil
	}
	var st protocol.Status
	if err := json.Unmarshal([]byte(out), &st); err != nil {
		t.Fatalf("jbc status: %v in %s", err, out)
	}
	return &st
}

// TestCoordinatorsFollowEachOther runs two coordinators, one with a worker: blocks reach
// both, and when the finder is killed and comes back it is told what it missed.
func TestCoordinatorsFollowEachOther(t *testing.T) {
	f := newFarm(t)
	f.natsServer(t)
	a, b := filepath.Join(f.home, "a"), filepath.Join(f.home, "b")
	run := func(name, dir string) *process {
		return start(t, name, f.command("coordinator", "--name", name, "--nats", f.url, "--data-dir", dir))
	}
	dev := func(name string) *protocol.Status { return f.statusOn(t, "dev", name) }
	alpha, _ := run("alpha", a), run("beta", b)
	f.worker(t, "w1", 1, "--coordinator", "beta", "--kernel", "stdlib")
	eventually(t, patience, "a block is on both chains", func() bool {
		x, y := dev("alpha"), dev("beta")
		return x != nil && y != nil && x.Height > 1 && y.Height > 1 && x.Coordinator != y.Coordinator
	})
	alpha.kill()
	before := dev("beta").Height
	eventually(t, patience, "beta goes on alone", func() bool { st := dev("beta"); return st != nil && st.Height > before+1 })
	run("alpha", a)
	eventually(t, patience, "alpha has what it missed", func() bool {
		x, y := dev("alpha"), dev("beta")
		return x != nil && y != nil && x.Height > before+1 && (x.Tip == y.Tip || x.Height >= y.Height)
	})
}
