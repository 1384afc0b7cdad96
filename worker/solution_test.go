package worker

import (
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/jbcnet/jbc/coordinator/protocol"
	"github.com/jbcnet/jbc/hashing"
)

// blockBits are met within a moment, and rarely in the test's first job.
var blockBits = hashing.TargetForHashes(20_000).Bits()

// solutionOf waits for a claim of a solution.
func solutionOf(t testing.TB, c *lookalike) *protocol.Claim {
	t.Helper()
	for {
		if claim := get(t, "solution", c.claims); claim.Kind == protocol.KindSolution {
			return claim
		}
	}
}

func TestDeliversASolution(t *testing.T) {
	ns := newNATS(t, 0)
	c := newLookalike(t, ns.ClientURL(), "c1")
	c.bigHome()
	w := startWorker(t, ns.ClientURL(), nil)
	w.until("mining", isMining)

	job := c.newJob(2, 2, blockBits)
	c.publishJob(job)
	solved := get(t, "announcement", c.solved)
	claim := solutionOf(t, c)
	if claim.Place != solved.Place {
		t.Errorf("announced %+v, claimed %+v", solved.Place, claim.Place)
	}
	if h := job.Header(claim.Point, claim.Roll); h != solved.Header || !job.Target().MetBy(h.Hash()) {
		t.Errorf("announced header %s, the claim's is %s; want one that meets the target", solved.Header, h)
	}
	s := w.until("accepted and stopped", func(s Stats) bool { return s.BlocksAccepted == 1 && s.State == Stopped })
	if s.SharesAccepted != 1 {
		t.Errorf("%d shares accepted, want the solution counted as one, as the coordinator does", s.SharesAccepted)
	}
	if s.BlocksFound != 1 || s.LastStop.By != solved.Header.Hash() {
		t.Errorf("%d found, stopped by %s; want its own %s", s.BlocksFound, s.LastStop.By, solved.Header.Hash())
	}
}

func TestPublishesAnotherSolutionOnlyAfterARefusal(t *testing.T) {
	ns := newNATS(t, 0)
	c := newLookalike(t, ns.ClientURL(), "c1")
	c.bigHome()
	refused := 0
	c.judge = func(claim *protocol.Claim) protocol.Code {
		if claim.Kind == protocol.KindSolution && refused < 2 {
			refused++
			return protocol.InvalidBlock
		}
		return protocol.OK
	}
	w := startWorker(t, ns.ClientURL(), nil)
	w.until("mining", isMining)
	job := c.newJob(2, 2, blockBits)
	job.SpacingMS = 200 // it goes on soon, and finds more
	c.publishJob(job)
	places := map[protocol.Place]bool{}
	for len(places) < 3 {
		places[solutionOf(t, c).Place] = true
	}
	w.until("accepted", func(s Stats) bool { return s.BlocksAccepted == 1 && s.BlocksRefused == 2 })
	hashes := w.Stats().Hashes
	w.until("hashing on", func(s Stats) bool { return s.Hashes > hashes+20*20_000 })
	if s := w.Stats(); s.BlocksFound != 3 || len(c.solved) != 3 || s.LastStop.Count != 1 {
		t.Errorf("%d found, %d published, %d stops; want 3, 3 and 1", s.BlocksFound, len(c.solved), s.LastStop.Count)
	}
}

// A solution found while nobody can be reached arrives when somebody can, also in
// another epoch of the coordinator.
func TestKeepsASolutionUntilItIsAnswered(t *testing.T) {
	ns := newNATS(t, 0)
	port := ns.Addr().(*net.TCPAddr).Port
	c := newLookalike(t, ns.ClientURL(), "c1")
	c.bigHome()
	gate := make(chan struct{})
	kernel := gatedKernel(gate)
	w := startWorker(t, ns.ClientURL(), func(cfg *Config) { cfg.Kernel = kernel })
	w.until("mining", isMining)
	c.publishJob(c.newJob(2, 2, blockBits))
	w.until("on job 2", onJob(2))

	ns.Shutdown()
	ns.WaitForShutdown()
	w.until("offline", func(s Stats) bool { return s.State == Offline })
	close(gate)
	w.until("finding a block", func(s Stats) bool { return s.BlocksFound == 1 })

	c.mu.Lock()
	c.epoch = 2
	c.job = c.newJob(1, 2, hardBits)
	c.mu.Unlock()
	newNATS(t, port)
	claim := solutionOf(t, c)
	if claim.Epoch != 1 || claim.Number != 2 {
		t.Errorf("solution of job %s, want 1.2", claim.JobID)
	}
	w.until("accepted", func(s Stats) bool { return s.BlocksAccepted == 1 })
	c.publishJob(c.newJob(2, 3, hardBits)) // of epoch 2: it has to join again
	w.until("in epoch 2", func(s Stats) bool { return s.State == Mining && s.Job.Epoch == 2 })
}

// TestBringsASolutionAgain has the coordinator put solutions off, for reasons that are
// none of theirs. Those that are not judged are brought again until they are; one of
// a later job on the same parent is brought too, where that may be taken sooner.
func TestBringsASolutionAgain(t *testing.T) {
	ns := newNATS(t, 0)
	for _, tt := range []struct {
		code    protocol.Code
		another bool
	}{
		{protocol.Unavailable, false}, {protocol.Limited, false}, {protocol.Dropped, false}, {protocol.Busy, true},
	} {
		t.Run(tt.code.String(), func(t *testing.T) {
			c := newLookalike(t, ns.ClientURL(), fmt.Sprintf("c%d", tt.code))
			c.bigHome()
			var first protocol.Place
			brought, others := 0, map[protocol.JobID]bool{}
			c.judge = func(claim *protocol.Claim) protocol.Code {
				if claim.Kind != protocol.KindSolution {
					return protocol.OK
				}
				if brought == 0 {
					first = claim.Place
				}
				if claim.Place != first {
					others[claim.JobID] = true
				} else if brought++; brought == 4 {
					return protocol.OK
				}
				return tt.code
			}
			w := startWorker(t, ns.ClientURL(), func(cfg *Config) { cfg.Coordinator = c.name })
			w.until("mining", isMining)
			job := c.newJob(2, 2, blockBits)
			job.SpacingMS = 200 // it goes on soon, and finds more
			c.publishJob(job)
			solutionOf(t, c)
			refresh := *job
			refresh.Kind, refresh.Number = protocol.KindRefresh, 3
			c.publishJob(&refresh)
			s := w.until("accepted", func(s Stats) bool { return s.BlocksAccepted >= 1 })
			c.mu.Lock()
			defer c.mu.Unlock()
			if s.BlocksRefused > 0 || brought < 4 || others[first.JobID] || others[refresh.JobID] != tt.another {
				t.Errorf("refused %d, brought %d times, and others of jobs %v, want another %v", s.BlocksRefused, brought, others, tt.another)
			}
		})
	}
}

func TestLeavesCleanly(t *testing.T) {
	ns := newNATS(t, 0)
	c := newLookalike(t, ns.ClientURL(), "c1")
	c.bigHome()
	w := startWorker(t, ns.ClientURL(), nil)
	w.until("hashing", func(s Stats) bool { return s.State == Mining && s.Hashes > 100_000 })
	start := time.Now()
	w.stop()
	if err := get(t, "end of Run", w.done); err != nil {
		t.Errorf("Run: %v", err)
	}
	if took := time.Since(start); took > time.Second {
		t.Errorf("Run took %v to end", took)
	}
	for {
		p := get(t, "leave", c.reports)
		if p.Kind != protocol.KindLeave {
			continue
		}
		// What a thread did beyond another's unfinished task is not counted as done.
		most := w.Stats().Hashes / 16
		if len(p.Leases) != 1 || p.Leases[0].Points == 0 || p.Leases[0].Points > most || p.Want != 0 {
			t.Errorf("left with %+v, wish %d; want up to %d points of the home lease done, and no wish", p.Leases, p.Want, most)
		}
		break
	}
	if left := stacksOf(); left != "" {
		t.Errorf("goroutines left:\n%s", left)
	}
	if err := w.Run(t.Context()); err == nil {
		t.Error("ran twice")
	}
}

func TestLeavesWhileNobodyIsThere(t *testing.T) {
	conn, err := nats.Connect("nats://127.0.0.1:1", protocol.ConnectOptions("w1")...)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ns := newNATS(t, 0)
	w := startWorker(t, ns.ClientURL(), func(cfg *Config) { cfg.Conn = conn })
	w.until("offline", func(s Stats) bool { return s.State == Offline })
	start := time.Now()
	w.stop()
	if err := get(t, "end of Run", w.done); err != nil || time.Since(start) > time.Second {
		t.Errorf("Run ended with %v after %v", err, time.Since(start))
	}
}

func TestAClosedConnectionEndsTheRun(t *testing.T) {
	ns := newNATS(t, 0)
	c := newLookalike(t, ns.ClientURL(), "c1")
	var conn *nats.Conn
	w := startWorker(t, ns.ClientURL(), func(cfg *Config) { conn = cfg.Conn })
	get(t, "join", c.joins)
	conn.Close()
	if err := get(t, "end of Run", w.done); err == nil {
		t.Error("no error")
	}
}
