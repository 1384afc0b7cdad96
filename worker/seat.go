package worker

import (
	"math/rand/v2"
	"time"

	"github.com/jbcnet/jbc/coordinator/protocol"
)

const (
	askPatience = 2 * time.Second
	joinEvery   = 500 * time.Millisecond
	fullEvery   = 2 * time.Second
	// unasked is how long ago the coordinator may have answered for a worker to
	// start on a broadcast without asking. After 15 s without a word the slot's
	// number is somebody else's.
	unasked = 5 * time.Second
)

// seat is the worker's place with its coordinator: a slot of an epoch.
type seat struct {
	with     protocol.Found // the coordinator, its key pinned
	subjects protocol.Subjects

	wanted  bool // to join, for the first time or again
	asking  bool // the join is on its way
	joinDue time.Time
	said    protocol.Code // the last refusal that was logged

	taken  bool // a slot was given; it may be gone
	epoch  uint64
	slot   uint32
	secret []byte
	terms  protocol.Terms
	// heard is when the newest request was sent that the coordinator answered: it
	// heard of the worker then or later. Broadcasts don't count, since they come
	// to a worker whose slot is gone just the same.
	heard  time.Time
	silent bool // it answers nothing any more

	unsure        bool // which job is on: the connection was away
	askingCurrent bool
	currentDue    time.Time
}

// lostSeat makes the worker join again; it mines on meanwhile.
func (s *session) lostSeat(now time.Time) {
	if !s.seat.wanted {
		s.seat.wanted, s.seat.joinDue = true, now
		s.join(now)
	}
}

// join asks for a slot, unless that is under way.
func (s *session) join(now time.Time) {
	if s.seat.asking || now.Before(s.seat.joinDue) {
		return
	}
	s.seat.joinDue = now.Add(joinEvery + rand.N(joinEvery/5)) // a farm should not come all at once
	s.seat.asking = s.ask(now, protocol.KindJoin, askPatience, func(a protocol.Ask) protocol.Message {
		return &protocol.Join{
			Ask: a, Name: s.cfg.Name, Version: s.cfg.Version, Kernel: s.cfg.Kernel.Name,
			Threads: s.cfg.Threads, DeclaredHS: s.stats.DeclaredHS, Host: s.cfg.Host,
		}
	}, s.onJoined)
}

// onJoined takes the slot and the work of the moment.
func (s *session) onJoined(a answer) {
	s.seat.asking = false
	var r protocol.JoinReply
	if !s.into(a, &r) {
		return
	}
	if r.Code != protocol.OK {
		if r.Code != s.seat.said {
			s.log.Warn("the coordinator gives no slot, asking again", "reason", r.Code, "detail", r.Detail)
		}
		s.seat.said, s.seat.joinDue = r.Code, a.now.Add(fullEvery)
		return
	}
	s.seat.said, s.seat.wanted, s.seat.taken, s.seat.unsure = protocol.OK, false, true, false
	s.seat.epoch, s.seat.slot, s.seat.secret, s.seat.terms = r.Epoch, r.Slot, r.Secret, r.Terms
	s.work.reportDue = a.now.Add(rand.N(reportEvery)) // a farm should not report all at once
	s.log.Info("joined", "coordinator", s.seat.with.Name, "epoch", r.Epoch, "slot", r.Slot)

	missed := s.work.latest
	switch {
	case r.Job != nil && r.Job.Epoch == r.Epoch:
		s.begin(a.now, r.Job, r.Leases)
	case r.Hold != nil && r.Hold.Epoch == r.Epoch:
		s.idle()
		s.hold(r.Hold)
	default:
		s.idle()
		s.work.latest = protocol.JobID{Epoch: r.Epoch}
	}
	if missed.Epoch == r.Epoch && s.work.latest.Before(missed) {
		s.askCurrent(a.now) // a job was broadcast while the reply was being made
	}
}

// heard notes that the coordinator answered a request sent at sent.
func (s *session) heard(sent time.Time) {
	s.seat.heard = sent
	if s.seat.silent {
		s.seat.silent = false
		s.log.Info("the coordinator answers again", "coordinator", s.seat.with.Name)
	}
}

// listen says once that the coordinator answers nothing, though connected.
func (s *session) listen(now time.Time) {
	if !s.seat.silent && now.Sub(s.seat.heard) > unasked {
		s.seat.silent = true
		s.log.Warn("the coordinator does not answer, mining what is leased", "coordinator", s.seat.with.Name)
	}
}

// askCurrent asks for the job of the moment, unless that is under way.
func (s *session) askCurrent(now time.Time) {
	if s.seat.askingCurrent || s.seat.wanted || now.Before(s.seat.currentDue) {
		return
	}
	s.seat.currentDue = now.Add(joinEvery)
	s.seat.askingCurrent = s.ask(now, protocol.KindCurrent, askPatience, func(a protocol.Ask) protocol.Message {
		return &protocol.Current{Ask: a, Sitting: s.sitting()}
	}, s.onCurrent)
}

// onCurrent takes up the job that was missed, or what leases of the known one were.
func (s *session) onCurrent(a answer) {
	s.seat.askingCurrent = false
	var r protocol.CurrentReply
	if !s.into(a, &r) || s.refused(a.now, r.Code) {
		return
	}
	s.seat.unsure = false
	switch job := r.Job; {
	case r.Hold != nil:
		if r.Hold.Epoch == s.seat.epoch && !r.Hold.JobID.Before(s.work.latest) {
			s.hold(r.Hold)
		}
	case job == nil || job.Epoch != s.seat.epoch:
	case s.work.latest.Before(job.JobID):
		s.begin(a.now, job, r.Leases)
	case s.work.current != nil && s.work.current.job.JobID == job.JobID:
		s.dispenser.lend(s.work.current, newLoans(job, &s.seat.terms, r.Leases))
	}
}

// refused says whether a request was, and mends what can be: a lost slot by joining
// again, an old job by asking for the one of the moment.
func (s *session) refused(now time.Time, code protocol.Code) bool {
	switch code {
	case protocol.OK:
		return false
	case protocol.UnknownSlot:
		s.lostSeat(now)
	case protocol.UnknownJob, protocol.Stale:
		s.askCurrent(now)
	}
	return true
}
