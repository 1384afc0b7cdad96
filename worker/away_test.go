package worker

import (
	"fmt"
	"testing"
	"time"

	"github.com/jbcnet/jbc/coordinator/protocol"
)

// isHashing says whether miners would find work.
func (s *session) isHashing() bool {
	s.dispenser.mu.Lock()
	defer s.dispenser.mu.Unlock()
	return s.dispenser.running
}

// sleep has the machine sleep for a night: the monotonic clock stands still.
func (s *session) sleep(t *testing.T, now time.Time) {
	t.Helper()
	if err := s.onTick(now); err != nil {
		t.Fatal(err)
	}
	s.clocks.wall = s.clocks.wall.Add(-8 * time.Hour)
	if err := s.onTick(now.Add(tickEvery)); err != nil {
		t.Fatal(err)
	}
}

// TestSleeps wakes a worker whose monotonic clock says that it heard its coordinator
// just now. It stands until it has an answer that was asked for since.
func TestSleeps(t *testing.T) {
	ns := newNATS(t, 0)
	c := newLookalike(t, ns.ClientURL(), "c1")
	now := time.Now()

	s := joined(t, c, now)
	was := s.work.current
	old := s.asks.next // asked just before it fell asleep
	s.askCurrent(now)
	get(t, "question before", c.currents)
	late := get(t, "answer", s.control)
	s.sleep(t, now)
	if s.isHashing() || s.state() != Holding {
		t.Fatalf("it hashes on, %s, right after it woke", s.state())
	}
	if err := s.onControl(now, late); err != nil {
		t.Fatal(err)
	}
	if s.asks.pending[old] != nil || s.isHashing() {
		t.Error("an answer from before set it going")
	}
	get(t, "question", c.currents)
	s.drain(t, now, "answer", s.isHashing)
	if s.work.current != was || s.state() != Mining {
		t.Errorf("on another assignment of job %s, %s, want it to go on where it was", s.work.current.job.JobID, s.state())
	}

	s = joined(t, c, now)
	s.sleep(t, now)
	s.onJob(now, c.newJob(2, 2, hardBits))
	if s.work.current.job.Number != 1 || s.isHashing() {
		t.Errorf("it started on job %s unasked after it woke", s.work.current.job.JobID)
	}
	// The answer to its question may have been made before that job.
	answered := func() bool { return len(s.asks.pending) == 0 }
	s.drain(t, now, "answer", answered)
	if s.isHashing() || !s.seat.unsure {
		t.Error("an answer that was overtaken set it going")
	}
	c.mu.Lock()
	c.job = c.newJob(2, 2, hardBits)
	c.mu.Unlock()
	s.askCurrent(now.Add(joinEvery + tickEvery))
	s.drain(t, now, "job", func() bool { return s.work.current.job.Number == 2 })
	if !s.isHashing() {
		t.Error("it does not go on")
	}

	// A hold goes on whatever the worker slept.
	s = joined(t, c, now)
	hold := &protocol.Hold{Kind: protocol.KindHold, Coordinator: "c1", JobID: c.job.JobID, Prev: c.job.Prev}
	s.onHold(now, hold)
	c.mu.Lock()
	c.hold = hold
	c.mu.Unlock()
	s.sleep(t, now)
	s.drain(t, now, "answer", answered)
	if s.isHashing() || s.seat.unsure {
		t.Error("it hashes during a hold, or asks on")
	}
}

// TestSleepsWithoutASlot asks for one anew.
func TestSleepsWithoutASlot(t *testing.T) {
	ns := newNATS(t, 0)
	c := newLookalike(t, ns.ClientURL(), "c1")
	now := time.Now()
	s := script(t, c)
	s.search.found = []protocol.Found{{Network: testNetwork, Name: c.name, Key: c.pub}}
	if err := s.look(now); err != nil {
		t.Fatal(err)
	}
	get(t, "join", c.joins)
	s.sleep(t, now)
	get(t, "second join", c.joins)
	s.drain(t, now, "slot", func() bool { return s.seat.taken })
	if !s.isHashing() {
		t.Error("it does not mine")
	}
}

// TestOvertaken tells a worker that may not start unasked of newer jobs: on another
// parent than its own they stop it, however long the answer takes.
func TestOvertaken(t *testing.T) {
	ns := newNATS(t, 0)
	c := newLookalike(t, ns.ClientURL(), "c1")
	for _, tt := range []struct {
		name string
		next *protocol.Job
		want bool
	}{
		{"a refresh", c.newJob(2, 1, hardBits), true},
		{"a job", c.newJob(2, 2, hardBits), false},
		{"a job of another epoch", func() *protocol.Job { j := c.newJob(1, 2, hardBits); j.Epoch = 2; return j }(), false},
		{"the same parent in another epoch", func() *protocol.Job { j := c.newJob(1, 1, hardBits); j.Epoch = 2; return j }(), true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			now := time.Now()
			s := joined(t, c, now)
			s.onJob(now.Add(5001*time.Millisecond), tt.next)
			if s.work.current.job.Number != 1 || s.isHashing() != tt.want {
				t.Errorf("on job %s, hashing %v, want still 1.1 and %v", s.work.current.job.JobID, s.isHashing(), tt.want)
			}
		})
	}
}

// TestOldWords has replies and broadcasts overtake each other: none takes a worker
// back to what it knows to be over.
func TestOldWords(t *testing.T) {
	ns := newNATS(t, 0)
	c := newLookalike(t, ns.ClientURL(), "c1")
	first, now := c.job, time.Now()
	hold := &protocol.Hold{Kind: protocol.KindHold, Coordinator: "c1", JobID: first.JobID, Prev: first.Prev}
	earlier := &protocol.Hold{Kind: protocol.KindHold, Coordinator: "c1", JobID: protocol.JobID{Epoch: 1}}
	for _, tt := range []struct {
		name   string
		words  func(*session)
		job    *protocol.Job  // that the answer tells
		hold   *protocol.Hold // or this
		on     uint64         // the job that the worker is on in the end, 0 for none
		hashes bool
		unsure bool
	}{
		{"the job that it is on", func(*session) {}, first, nil, 1, true, false},
		{"a newer job", func(*session) {}, c.newJob(2, 2, hardBits), nil, 2, true, false},
		{"a job older than one that was broadcast", func(s *session) { s.onJob(now, c.newJob(3, 3, hardBits)) }, c.newJob(2, 2, hardBits), nil, 3, true, true},
		{"the first job, which a hold has ended", func(s *session) { s.onHold(now, hold) }, first, nil, 1, false, true},
		{"a hold of the job", func(*session) {}, nil, hold, 1, false, false},
		{"a hold from before the job", func(*session) {}, nil, earlier, 1, true, true},
		{"a hold that the next job ended", func(s *session) { s.onJob(now, c.newJob(2, 2, hardBits)) }, nil, hold, 2, true, true},
		{"a repeated hold after the next job", func(s *session) {
			s.onHold(now, hold)
			s.onJob(now, c.newJob(2, 2, hardBits))
			s.onHold(now, hold)
		}, c.newJob(2, 2, hardBits), nil, 2, true, false},
		{"a job that comes after its hold", func(s *session) {
			h := *hold
			h.Number = 2
			s.onHold(now, &h)
			s.onJob(now, c.newJob(2, 2, hardBits))
		}, c.newJob(2, 2, hardBits), nil, 1, false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c.mu.Lock()
			c.job, c.hold = first, nil
			c.mu.Unlock()
			s := joined(t, c, now)
			s.drain(t, now, "answers", func() bool { return len(s.asks.pending) == 0 })
			c.mu.Lock()
			c.hold = tt.hold
			if tt.job != nil {
				c.job = tt.job
			}
			c.mu.Unlock()
			s.askCurrent(now)
			get(t, "question", c.currents)
			tt.words(s)
			s.drain(t, now, "answer", func() bool { return !s.seat.askingCurrent })
			on := uint64(0)
			if s.work.current != nil {
				on = s.work.current.job.Number
			}
			if on != tt.on || s.isHashing() != tt.hashes || s.seat.unsure != tt.unsure {
				t.Errorf("on job %d, hashing %v, unsure %v, want %d, %v, %v", on, s.isHashing(), s.seat.unsure, tt.on, tt.hashes, tt.unsure)
			}
		})
	}
}

// TestOldJoinReply gives a slot with a job that a broadcast has overtaken meanwhile,
// and one of an epoch that has: the worker does not start on either.
func TestOldJoinReply(t *testing.T) {
	ns := newNATS(t, 0)
	for _, epoch := range []uint64{1, 2} {
		t.Run(fmt.Sprintf("a broadcast of epoch %d", epoch), func(t *testing.T) {
			c := newLookalike(t, ns.ClientURL(), fmt.Sprintf("c%d", epoch))
			now := time.Now()
			s := script(t, c)
			s.search.found = []protocol.Found{{Network: testNetwork, Name: c.name, Key: c.pub}}
			if err := s.look(now); err != nil {
				t.Fatal(err)
			}
			get(t, "join", c.joins)
			next := c.newJob(7, 7, hardBits)
			next.Epoch = epoch
			s.onJob(now, next)
			s.drain(t, now, "answers", func() bool { return !s.seat.asking && !s.seat.askingCurrent })
			if s.work.current != nil || s.isHashing() {
				t.Fatalf("it started on job %s, which is over", s.work.current.job.JobID)
			}
			c.mu.Lock()
			c.job, c.epoch = next, epoch
			c.mu.Unlock()
			now = now.Add(joinEvery + joinEvery/5)
			if err := s.onTick(now); err != nil {
				t.Fatal(err)
			}
			s.drain(t, now, "job", s.isHashing)
			if got := s.work.current.job.JobID; got != next.JobID {
				t.Errorf("on job %s, want %s", got, next.JobID)
			}
		})
	}
}
