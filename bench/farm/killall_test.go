//go:build linux

package farm

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/chain/store"
	"github.com/jbcnet/jbc/hashing"
)

// agreeTime is how soon tips agree when all are left alone.
const agreeTime = 10 * time.Second

// TestKillAll kills coordinators, workers and links in turn, at random, while three
// machines mine with two workers each. Left alone they agree in time; each coordinator
// has every block that it announced, side blocks included; and their chains are sound.
// JBC_FARM_SEED repeats a plan; the moments that it meets do not repeat.
func TestKillAll(t *testing.T) {
	hosts, apart := newHosts(t, 3)
	m := &killAll{nodes: newMesh(t, hosts, true), links: apart}
	for i := range 6 {
		home := m.nodes[i%len(hosts)]
		d := home.digger(t, home.host, fmt.Sprintf("w%d", i+1))
		d.start(t)
		m.diggers = append(m.diggers, d)
	}
	credit(t, m.nodes, m.diggers...)

	seed := uint64(time.Now().UnixNano())
	if given := os.Getenv("JBC_FARM_SEED"); given != "" {
		var err error
		if seed, err = strconv.ParseUint(given, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("seed %d, links are cut: %v", seed, apart)
	plan := m.plan(rand.New(rand.NewPCG(seed, 0)), time.Duration(count(10, 300))*time.Second)
	m.run(t, plan)
	m.settle(t)
	m.check(t)
}

// killAll is the script.
type killAll struct {
	nodes   []*node
	diggers []*digger
	links   bool
	dead    []*process // coordinators that were killed
}

// What is killed, and comes back.
const (
	aCoordinator = "coordinator"
	aWorker      = "worker"
	aLink        = "link"
)

// target is a kind of things that are killed.
type target struct {
	what  string
	away  time.Duration   // for how long at most
	until []time.Duration // each one, since it was killed last
}

// blow is something that goes, or comes back.
type blow struct {
	at    time.Duration
	what  string
	which int
	back  bool
}

// plan decides what is killed when, for how long. Any number of things may be away at
// once.
func (m *killAll) plan(rng *rand.Rand, length time.Duration) (plan []blow) {
	targets := []target{
		{aCoordinator, 5 * time.Second, make([]time.Duration, len(m.nodes))},
		{aWorker, 3 * time.Second, make([]time.Duration, len(m.diggers))},
	}
	if m.links {
		targets = append(targets, target{aLink, 7 * time.Second, make([]time.Duration, len(m.nodes))})
	}
	between := func(least, most time.Duration) time.Duration {
		return least + time.Duration(rng.Int64N(int64(most-least)))
	}
	at := between(0, time.Second)
	for turn := 0; at <= length; turn++ {
		k := targets[turn%len(targets)]
		which := rng.IntN(len(k.until))
		if k.until[which] < at { // it is there
			k.until[which] = at + between(50*time.Millisecond, k.away)
			plan = append(plan, blow{at, k.what, which, false}, blow{k.until[which], k.what, which, true})
		}
		at += between(200*time.Millisecond, 2*time.Second)
	}
	slices.SortStableFunc(plan, func(a, b blow) int { return cmp.Compare(a.at, b.at) })
	return plan
}

// run does what is planned.
func (m *killAll) run(t *testing.T, plan []blow) {
	t.Helper()
	kills := map[string]int{}
	began := time.Now()
	for _, b := range plan {
		time.Sleep(time.Until(began.Add(b.at)))
		if !b.back {
			kills[b.what]++
		}
		switch n, d := m.nodes[b.which%len(m.nodes)], m.diggers[b.which]; {
		case b.what == aLink:
			n.link(t, b.back)
		case b.what == aCoordinator && b.back:
			n.start(t)
		case b.what == aCoordinator:
			n.process.kill()
			m.dead = append(m.dead, n.process)
		case b.back:
			d.start(t)
		default:
			d.process.kill()
		}
	}
	t.Logf("killed in %v: %d coordinators, %d workers, %d links",
		time.Since(began).Round(time.Second), kills[aCoordinator], kills[aWorker], kills[aLink])
}

// settle leaves all alone, wants one tip in time and everybody at work, and ends the
// workers.
func (m *killAll) settle(t *testing.T) {
	t.Helper()
	for _, n := range m.nodes {
		eventually(t, patience, n.name+" answers", func() bool { return n.watch.status() != nil })
	}
	took, tip := agree(t, agreeTime, m.nodes, 0)
	t.Logf("one tip %v after the last was there, at height %d", took.Round(time.Millisecond), tip.Height)
	credit(t, m.nodes, m.diggers...)
	for _, d := range m.diggers {
		d.stop(t)
	}
	agree(t, agreeTime, m.nodes, tip.Height-1)
}

// check ends the coordinators and looks into what they have kept.
func (m *killAll) check(t *testing.T) {
	t.Helper()
	lives := m.dead
	for _, n := range m.nodes {
		n.process.signal(syscall.SIGINT)
		n.process.wait(t, 0)
		lives = append(lives, n.process)
	}
	var first verified
	for i, n := range m.nodes {
		announced := n.announced(lives)
		sides := n.wantKept(t, announced)
		t.Logf("%s announced %d blocks, %d of which lie beside the chain", n.name, len(announced), sides)
		if len(announced) == 0 {
			t.Errorf("%s announced nothing", n.name)
		}
		switch got := n.verify(t, "dev", n.dataDir("dev")); {
		case i == 0:
			first = got
		case got != first:
			t.Errorf("%s has %+v, %s has %+v", n.name, got, m.nodes[0].name, first)
		}
	}
	for _, p := range lives {
		wantNoErrors(t, p)
	}
}

func wantNoErrors(t *testing.T, p *process) {
	t.Helper()
	for _, said := range append(p.out.with("level=ERROR"), p.out.with("panic:")...) {
		t.Errorf("%s: %s", p.name, said.text)
	}
}

// announced returns the blocks that the node was heard to announce, or said in its log
// that it did, in any of its lives.
func (n *node) announced(lives []*process) []hashing.Hash {
	all := map[hashing.Hash]bool{}
	for _, hash := range n.heard.of(n.name) {
		all[hash] = true
	}
	for _, p := range lives {
		for _, l := range p.out.with("msg=block ") {
			if hash, err := hashing.ParseHash(field(l, "hash")); err == nil && p.name == n.name {
				all[hash] = true
			}
		}
	}
	return slices.SortedFunc(maps.Keys(all), func(a, b hashing.Hash) int { return strings.Compare(a.String(), b.String()) })
}

// wantKept wants the blocks in the node's store, and returns how many lie beside its
// chain.
func (n *node) wantKept(t *testing.T, blocks []hashing.Hash) (sides int) {
	t.Helper()
	st, err := store.Open(store.Options{Dir: filepath.Join(n.dataDir("dev"), "chain"), Network: chain.Dev().ID()})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	c, err := chain.Open(st, chain.Dev(), chain.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, hash := range blocks {
		if _, err := c.BlockByHash(hash); err != nil {
			t.Errorf("%s announced block %s and does not have it: %v", n.name, hash, err)
		} else if !c.IsMain(hash) {
			sides++
		}
	}
	return sides
}
