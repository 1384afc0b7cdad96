//go:build linux

package farm

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestBlocksFollowHashes has three coordinators with six workers race: all end with one
// tip, and the blocks of the chain are won as the workers hash.
//
// What is expected of each worker is its share of the hashes that it counts itself, and
// not of its threads: how much of two cores ten threads of six processes get is up to
// the system. That count knows nothing of luck or of what was won: a coordinator that
// favoured its own workers, or a worker that searched what another had searched, would
// show. A block takes long enough that few are found while the solution of another is
// on its way: how many went stale is told.
func TestBlocksFollowHashes(t *testing.T) {
	t.Run("processes", func(t *testing.T) {
		followHashes(t, func(c *contest, f *farm) { c.onOneMachine(t, f) })
	})
	t.Run("machines", func(t *testing.T) {
		followHashes(t, func(c *contest, _ *farm) { c.onMachines(t) })
	})
}

func followHashes(t *testing.T, place func(*contest, *farm)) {
	t.Helper()
	block, blocks := 250*time.Millisecond, 10
	if soaking() {
		block, blocks = 400*time.Millisecond, 500
	}
	f := newFarm(t)
	// A job is refreshed once a spacing, and a quarter of it is how long workers wait
	// for a word about a solution.
	c := newContest(t, f, coreRate()*float64(cores())*block.Seconds(), "--spacing", "4s")
	place(c, f)
	c.meet(t)
	c.start(t)
	c.mine(t, blocks)
	endAll(t, c.miners...)
	hashes := make([]float64, len(c.miners))
	for i, m := range c.miners {
		hashes[i] = m.hashes(t)
	}
	c.judge(t, f, blocks, hashes)
}

// mine waits for the blocks, and for the workers to have told their hashes.
func (c *contest) mine(t *testing.T, blocks int) {
	t.Helper()
	within := luck
	if soaking() {
		within = time.Hour
	}
	eventually(t, within, fmt.Sprintf("%d blocks", blocks), func() bool { return c.rivals[0].height() >= blocks })
	said := make([]int, len(c.miners))
	for i, m := range c.miners {
		if soaking() { // the first time comes early, and the rest would count for nothing
			said[i] = len(m.out.with("msg=mining "))
		}
	}
	for i, m := range c.miners {
		eventually(t, 2*luck, m.name+" tells its rate", func() bool { return len(m.out.with("msg=mining ")) > said[i] })
	}
}

// judge ends the coordinators and looks at the chain. No worker runs any more.
func (c *contest) judge(t *testing.T, f *farm, blocks int, hashes []float64) {
	t.Helper()
	all, took, ties := c.settle(t)
	stale, made := uint64(0), uint64(0)
	for i, st := range all {
		stale, made = stale+st.Stale, made+st.Stale+st.Blocks
		c.rivals[i].tell(t, st)
	}
	t.Logf("one tip %v after the workers had ended, %d ties broken; stale %d of %d blocks (%.1f %%)",
		took.Round(time.Millisecond), ties, stale, made, 100*float64(stale)/float64(max(1, made)))
	for i, r := range c.rivals {
		r.signal(syscall.SIGINT)
		r.wait(t, 0)
		if got := f.verify(t, c.network, r.dir); got.Tip != all[0].Tip || got.Height != all[0].Height {
			t.Errorf("the chain of %s ends in %d %s, want %d %s", c.rivals[i].name, got.Height, got.Tip, all[0].Height, all[0].Tip)
		}
	}
	wins := c.wins(t, c.rivals[0].dir)
	if int(all[0].Height) < blocks {
		t.Errorf("%d blocks, want at least %d", all[0].Height, blocks)
	}
	c.compare(t, wins, hashes)
}

// compare holds the wins against the hashes, and wrong expectations against the wins:
// a statistic that lets those pass says nothing.
func (c *contest) compare(t *testing.T, wins []int, hashes []float64) {
	t.Helper()
	sum, biggest := 0.0, 0
	for i, h := range hashes {
		sum += h
		if h > hashes[biggest] {
			biggest = i
		}
	}
	var table strings.Builder
	for i, m := range c.miners {
		fmt.Fprintf(&table, "\n%-6s %d threads, %4.1f %% of the hashes, %d blocks", m.name, m.threads, 100*hashes[i]/sum, wins[i])
	}
	doubled, equal := slices.Clone(hashes), make([]float64, len(hashes))
	doubled[biggest] *= 2
	for i := range equal {
		equal[i] = 1
	}
	p := likely(wins, hashes)
	t.Logf("chance of these counts %.4f; %.2g were %s twice as fast, %.2g were all equal:%s",
		p, likely(wins, doubled), c.miners[biggest].name, likely(wins, equal), table.String())
	if !soaking() {
		return // so few blocks show nothing
	}
	if p < unlikely {
		t.Errorf("the blocks do not follow the hashes: a chance of %v, want at least %v", p, unlikely)
	}
	for what, wrong := range map[string][]float64{"the fastest were twice as fast": doubled, "all were equal": equal} {
		if p := likely(wins, wrong); p >= unlikely {
			t.Errorf("a chance of %v if %s, want less than %v", p, what, unlikely)
		}
	}
}
