//go:build linux

package farm

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/chain/store"
	"github.com/jbcnet/jbc/coordinator/protocol"
	"github.com/jbcnet/jbc/hashing"
)

// contest is coordinators in a mesh that race for the blocks of one network, each with
// workers of its own.
type contest struct {
	network string // its file
	params  *chain.Params
	mesh    string // where the first coordinator on loopback meets others
	rivals  []*rival
	miners  []*contestant
}

// rival is a coordinator.
type rival struct {
	name, dir string
	url       string                         // of its server, on loopback
	jbc       func(args ...string) *exec.Cmd // as it runs on its machine
	status    []string                       // arguments of jbc status
	*process
}

// contestant is a worker.
type contestant struct {
	name    string // by which coordinators know it
	threads int
	command func() *exec.Cmd
	began   time.Time // of its first hashes
	*process
}

// newContest makes the network, on which a block takes that many hashes, for ever: what
// a race comes to is told by hashes, not by a schedule.
func newContest(t *testing.T, f *farm, hashes float64, flags ...string) *contest {
	t.Helper()
	c := &contest{}
	c.network, c.params = f.network(t, "contest", append(flags, "--half-life", "0", "--hashes", fmt.Sprintf("%.0f", hashes))...)
	return c
}

// coreRate is about how many hashes a second the best kernel does on a core that has
// nothing else to do: the most of many tries, since other programs may be at work.
func coreRate() float64 {
	s, most := emptySearch(), 0
	for range 20 {
		most = max(most, hashing.BestKernel().Calibrate(s, hashing.ScanBudget))
	}
	return float64(most*len(s.Midstates)) / hashing.ScanBudget.Seconds()
}

// emptySearch is as wide as that of a job, and nothing meets its target.
func emptySearch() *hashing.Search {
	versions := make([]uint32, 16)
	for i := range versions {
		versions[i] = hashing.RollVersion(0x20000000, uint32(i))
	}
	s := hashing.NewSearch(hashing.Header{}, versions, hashing.Target{})
	return &s
}

// meet waits until all coordinators know each other.
func (c *contest) meet(t *testing.T) {
	t.Helper()
	for _, r := range c.rivals {
		eventually(t, patience, r.name+" knows the others", func() bool {
			st := r.ask(t)
			return st != nil && st.Known == len(c.rivals)-1
		})
	}
}

// start starts the workers, all at once.
func (c *contest) start(t *testing.T) {
	t.Helper()
	for _, m := range c.miners {
		m.process = start(t, m.name, m.command())
	}
	for _, m := range c.miners {
		m.began = m.says(t, patience, "msg=measured").at
		m.says(t, patience, "msg=joined")
	}
}

// ask returns the coordinator's status, nil while it does not answer.
func (r *rival) ask(t *testing.T) *protocol.Status {
	t.Helper()
	out, _, status := finish(t, r.jbc(r.status...))
	if status != 0 {
		return nil
	}
	var st protocol.Status
	if err := json.Unmarshal([]byte(out), &st); err != nil {
		t.Fatalf("jbc status: %v in %s", err, out)
	}
	return &st
}

// tell logs what racing came to.
func (r *rival) tell(t *testing.T, st *protocol.Status) {
	t.Helper()
	t.Logf("%s: %d blocks, %d stale (%.1f %%), %.0f ms and %.3g hashes lost; %d solutions of others followed, half within %.1f ms, 99 %% within %.1f ms; %d reorganisations, the deepest %d",
		r.name, st.Blocks, st.Stale, 100*st.StaleRate(), st.Race.LostMS, st.Race.LostHashes,
		st.Race.Followed.Count, st.Race.Followed.Median, st.Race.Followed.P99, st.Race.Reorgs, st.Race.DeepestReorg)
}

// height is that of the last block that the coordinator took up.
func (r *rival) height() int {
	all := r.out.all()
	for i := len(all) - 1; i >= 0; i-- {
		if m := heightLine.FindStringSubmatch(all[i].text); m != nil {
			n, _ := strconv.Atoi(m[1]) // digits
			return n
		}
	}
	return 0
}

var (
	heightLine = regexp.MustCompile(` msg=(?:block|"took the chain of another") .*height=(\d+)`)
	finderLine = regexp.MustCompile(` msg=(?:block|"late solution kept as a side block") .*hash=([0-9a-f]{64}) (?:by|worker)=(\S+)`)
	rateLine   = regexp.MustCompile(` msg=mining .*rate_60s="([0-9.]+) ([kMGT]?)H/s"`)
)

// hashes is what the worker says that it has done. It tells the rate of its last minute
// once a minute, the first time after ten seconds, in three digits: half a percent at
// worst, where one in a hundred would not be seen among 500 blocks.
func (m *contestant) hashes(t *testing.T) (n float64) {
	t.Helper()
	from := m.began
	for _, l := range m.out.with("msg=mining ") {
		said := rateLine.FindStringSubmatch(l.text)
		if said == nil {
			t.Fatalf("%s: no rate in %q", m.name, l.text)
		}
		rate, err := strconv.ParseFloat(said[1], 64)
		if err != nil {
			t.Fatal(err)
		}
		unit := map[string]float64{"": 1, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}[said[2]]
		n += rate * unit * l.at.Sub(from).Seconds()
		from = l.at
	}
	return n
}

// endAll ends workers as Ctrl-C does, all at once.
func endAll(t *testing.T, miners ...*contestant) {
	t.Helper()
	for _, m := range miners {
		m.signal(syscall.SIGINT)
	}
	for _, m := range miners {
		m.wait(t, 0)
	}
}

// settle waits for all coordinators to have one tip, now that nobody mines, and returns
// their statuses and how long that took. Two blocks of the same height found last are a
// tie, which no rule but the next block ends: a worker goes on until there is one.
func (c *contest) settle(t *testing.T) (all []*protocol.Status, took time.Duration, ties int) {
	t.Helper()
	began := time.Now()
	for {
		tie := false
		eventually(t, patience, "all coordinators have one tip, or tips of one work", func() bool {
			all, tie = nil, false
			for _, r := range c.rivals {
				st := r.ask(t)
				if st == nil || len(all) > 0 && st.Chainwork != all[0].Chainwork {
					return false
				}
				tie = tie || len(all) > 0 && st.Tip != all[0].Tip
				all = append(all, st)
			}
			return true
		})
		if !tie {
			return all, time.Since(began), ties
		}
		ties++
		m, before := c.miners[0], c.rivals[0].height()
		m.process = start(t, m.name+" again", m.command())
		eventually(t, luck, "the tie is broken", func() bool { return c.rivals[0].height() > before })
		endAll(t, m)
		began = time.Now()
	}
}

// madeBy is who made a block.
type madeBy struct{ coordinator, worker string }

// finders is who made each block, by what the coordinators said of them.
func (c *contest) finders() map[string]madeBy {
	all := map[string]madeBy{}
	for _, r := range c.rivals {
		for _, l := range r.out.all() {
			if m := finderLine.FindStringSubmatch(l.text); m != nil {
				all[m[1]] = madeBy{r.name, m[2]}
			}
		}
	}
	return all
}

// wins counts the blocks of a coordinator's main chain by worker, in the order of the
// contest's. The coordinators have ended. Each block has to be somebody's, by the word
// of the coordinator that its coinbase names.
func (c *contest) wins(t *testing.T, dir string) (wins []int) {
	t.Helper()
	st, err := store.Open(store.Options{Dir: filepath.Join(dir, "chain"), Network: c.params.ID()})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	ch, err := chain.Open(st, c.params, chain.Options{})
	if err != nil {
		t.Fatal(err)
	}
	wins = make([]int, len(c.miners))
	finders := c.finders()
	for height := uint32(1); height <= ch.Tip().Height; height++ {
		hash, _ := ch.HashAtHeight(height)
		b, err := ch.BlockByHash(hash)
		if err != nil {
			t.Fatal(err)
		}
		named, _ := chain.CoinbaseText(b)
		by := finders[hash.String()]
		i := c.number(by.worker)
		if i < 0 || by.coordinator != named {
			t.Fatalf("block %d %s: its coinbase names %q, the coordinators say %+v", height, hash, named, by)
		}
		wins[i]++
	}
	return wins
}

// number is a worker's place in the contest, -1 for a stranger.
func (c *contest) number(worker string) int {
	for i, m := range c.miners {
		if m.name == worker {
			return i
		}
	}
	return -1
}
