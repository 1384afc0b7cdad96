//go:build linux

package farm

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/coordinator/protocol"
)

// returnTime is how soon after the start of a coordinator its workers mine for it
// again.
const returnTime = 3 * time.Second

// A crash says when a coordinator is killed and how long it is away.
type crash struct {
	name string
	// It is killed that long after a solution or a job was published, or after its
	// start, or else after its workers are back.
	onSolved, onJob, inRecovery bool
	after                       time.Duration
	away                        time.Duration
}

// crashPlan is the kinds of kills in turn: between solution and reply, between a
// job and its record, at any moment, in the middle of recovery. Away for long, the
// workers find more blocks meanwhile.
func crashPlan(n int) []crash {
	rng := rand.New(rand.NewPCG(1, 2)) // fixed seed: the plan repeats, the moments it meets do not
	kinds := []func() crash{
		func() crash { return crash{name: "on a solution", onSolved: true} },
		func() crash {
			return crash{name: "just after a solution", onSolved: true, after: rand.N(3 * time.Millisecond)}
		},
		func() crash {
			return crash{name: "on a solution, long away", onSolved: true, after: rand.N(time.Millisecond), away: 1200 * time.Millisecond}
		},
		func() crash {
			return crash{name: "on a job, long away", onJob: true, after: rand.N(3 * time.Millisecond), away: 1500 * time.Millisecond}
		},
		func() crash { return crash{name: "any time", after: rand.N(2 * time.Second)} },
		func() crash {
			return crash{name: "in recovery", inRecovery: true, after: rand.N(600 * time.Millisecond)}
		},
	}
	var plan []crash
	for i := range n {
		plan = append(plan, kinds[i%len(kinds)]())
	}
	rng.Shuffle(len(plan), func(i, j int) { plan[i], plan[j] = plan[j], plan[i] })
	return plan
}

// TestKilledCoordinator kills the coordinator of two mining workers again and again.
// After every start what was announced is in the chain, what was published as a
// solution is in it too, and the workers are back.
func TestKilledCoordinator(t *testing.T) {
	f := newFarm(t)
	k := &killer{t: t, farm: f}
	k.observer = f.observe(t, chain.Dev(), hooks{solved: k.spring(&k.onSolved), job: k.spring(&k.onJob)})
	k.start()
	for _, name := range []string{"w1", "w2"} {
		k.workers = append(k.workers, f.worker(t, name, 1, "--log-level", "debug"))
	}
	k.awaitReturn()

	plan := crashPlan(count(8, 100))
	for i, c := range plan {
		t.Logf("%s kill %d: %s after %v, away %v", time.Now().Format("05.000"), i+1, c.name, c.after, c.away)
		k.crash(c)
		if t.Failed() {
			break
		}
	}
	if !k.fresh {
		k.awaitReturn()
	}
	k.check()
	checkAnnounced(t, k.observer, k.observer.blocks())
	k.checkLogs()
	t.Logf("%d kills, %d of them with a solution pending; %d blocks announced and %d solutions published, all in the store, %d side blocks; worst return of a worker %v",
		len(plan), k.pending, len(k.observer.blocks()), len(k.observer.found()), len(k.sides), k.worst)
}

// killer is the script.
type killer struct {
	t        *testing.T
	farm     *farm
	observer *observer
	workers  []*process

	coordinator *process
	epoch       uint64 // the last one heard of before that coordinator's start
	fresh       bool   // its workers are back and nothing happened since
	checked     int    // solutions that were looked up
	blocks      int    // announcements that were looked up
	pending     int    // kills that met a solution nobody had answered
	worst       time.Duration
	sides       []string

	onSolved, onJob atomic.Pointer[trap]
}

// trap kills a coordinator on the next message of a kind.
type trap struct {
	victim *process
	after  time.Duration
	sprung chan struct{}
}

// spring returns what springs the trap that is set there.
func (k *killer) spring(at *atomic.Pointer[trap]) func() {
	return func() {
		trap := at.Swap(nil)
		if trap == nil {
			return
		}
		if trap.after > 0 {
			time.Sleep(trap.after)
		}
		trap.victim.kill()
		close(trap.sprung)
	}
}

// set sets a trap and waits until it is sprung.
func (k *killer) set(at *atomic.Pointer[trap], after time.Duration) {
	trap := &trap{victim: k.coordinator, after: after, sprung: make(chan struct{})}
	at.Store(trap)
	select {
	case <-trap.sprung:
		return
	case <-trap.victim.ended:
	case <-time.After(time.Minute):
		k.t.Fatal("no solution within a minute")
	}
	if at.CompareAndSwap(trap, nil) {
		k.t.Fatal("the coordinator ended by itself")
	}
	<-trap.sprung
}

func (k *killer) start() {
	for _, w := range k.workers {
		for _, l := range w.out.with("msg=job ") {
			k.epoch = max(k.epoch, epochOf(l))
		}
	}
	k.coordinator = k.farm.coordinator(k.t)
	k.fresh = false
}

// epochOf reads the epoch from a worker's log line about a job, 0 from any other.
func epochOf(l line) (epoch uint64) {
	if _, id, ok := strings.Cut(l.text, " id="); ok && l.has("msg=job ") {
		_, _ = fmt.Sscanf(id, "%d.", &epoch) // stays 0
	}
	return epoch
}

// crash kills the coordinator as c says, starts the next and checks it.
func (k *killer) crash(c crash) {
	switch {
	case c.onSolved:
		k.set(&k.onSolved, c.after)
	case c.onJob:
		k.set(&k.onJob, c.after)
	case c.inRecovery:
		if k.fresh {
			k.coordinator.kill()
			k.start()
		}
		time.Sleep(c.after)
		k.coordinator.kill()
	default:
		time.Sleep(c.after)
		k.coordinator.kill()
	}
	k.notePending()
	time.Sleep(c.away)
	k.start()
	if !c.inRecovery {
		k.awaitReturn()
		k.check()
	}
}

// notePending counts kills that came between a solution and its block's
// announcement.
func (k *killer) notePending() {
	found, blocks := k.observer.found(), k.observer.blocks()
	if len(found) == 0 {
		return
	}
	last := found[len(found)-1].hash
	if !slices.ContainsFunc(blocks, func(b announcement) bool { return b.hash == last }) {
		k.pending++
	}
}

// awaitReturn waits until every worker is at work for the coordinator of the moment.
func (k *killer) awaitReturn() {
	k.t.Helper()
	for _, w := range k.workers {
		var at time.Time
		eventually(k.t, patience, w.name+" is on a job of a new epoch", func() bool {
			for _, l := range w.out.all() {
				if epochOf(l) > k.epoch {
					at = l.at
					return true
				}
			}
			return false
		})
		since := k.coordinator.started
		if w.started.After(since) {
			since = w.started
		}
		took := at.Sub(since)
		k.worst = max(k.worst, took)
		if took > returnTime/2 {
			k.t.Logf("%s mined again %v after the coordinator's start", w.name, took)
		}
		if took > returnTime {
			k.t.Errorf("%s mined again %v after the coordinator's start, want at most %v", w.name, took, returnTime)
		}
	}
	k.observer.connected(k.t)
	k.fresh = true
}

// check wants everything in the store that was heard of since the last check.
func (k *killer) check() {
	k.t.Helper()
	blocks := k.observer.blocks()
	checkAnnounced(k.t, k.observer, blocks[k.blocks:])
	k.blocks = len(blocks)

	found := k.observer.found()
	for _, s := range found[k.checked:] {
		k.checkSolution(s)
	}
	k.checked = len(found)
}

// checkSolution wants a solution in the store, on the best chain unless another one
// of the same parent came first.
func (k *killer) checkSolution(s solution) {
	k.t.Helper()
	if !s.valid {
		k.t.Errorf("%s published %s, which is no solution", s.publisher, s.hash)
	}
	var b *protocol.BlockInfo
	eventually(k.t, 5*time.Second, fmt.Sprintf("the store has solution %s of %s, job %s", s.hash, s.publisher, s.job), func() (ok bool) {
		var err error
		b, err = k.observer.block(s.hash.String())
		return err == nil && b != nil
	})
	if b.Main {
		return
	}
	rival, err := k.observer.block(fmt.Sprint(b.Height))
	if err != nil || rival == nil {
		k.t.Fatalf("no block at height %d: %v", b.Height, err)
	}
	side := fmt.Sprintf("solution %s of %s, job %s, height %d is a side block", s.hash, s.publisher, s.job, b.Height)
	switch who, job := k.finder(rival.Hash.String()); {
	case rival.Prev != s.prev:
		side += ": the best chain has another parent"
		k.t.Error(side)
	case job > s.job.Epoch:
		side += fmt.Sprintf(": a coordinator started since had a new job solved by %s before it took this one", who)
		k.t.Error(side)
	default:
		side += fmt.Sprintf(": %s, on the same coordinator's job, was heard first", who)
	}
	k.t.Log(side)
	k.sides = append(k.sides, side)
}

// finder returns who found a block, and on which epoch's job, by the workers' logs.
func (k *killer) finder(hash string) (worker string, epoch uint64) {
	for _, w := range k.workers {
		for _, l := range w.out.all() {
			if l.has(`msg="block found"`, hash) {
				return w.name, epoch
			}
			if e := epochOf(l); e > 0 {
				epoch = e
			}
		}
	}
	k.t.Errorf("nobody found block %s", hash)
	return "", 0
}

// checkLogs wants no solution refused.
func (k *killer) checkLogs() {
	k.t.Helper()
	for _, w := range k.workers {
		for _, l := range w.out.with(`msg="block refused"`) {
			k.t.Errorf("%s: %s", w.name, l.text)
		}
		if len(w.out.with(`msg="block accepted"`)) == 0 {
			k.t.Errorf("%s had no block accepted", w.name)
		}
	}
}
