package worker

import (
	"bytes"
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
	own, err := protocol.NewExchange()
	if err != nil {
		s.log.Error("join", "err", err)
		return
	}
	s.seat.asking = s.ask(now, protocol.KindJoin, nil, askPatience, func(a protocol.Ask) protocol.Message {
		return &protocol.Join{
			Ask: a, Name: s.cfg.Name, Version: s.cfg.Version, Kernel: s.cfg.Kernel.Name,
			Threads: s.cfg.Threads, DeclaredHS: s.stats.DeclaredHS, Host: s.cfg.Host,
			Exchange: own.Public(), Devices: s.devicesOnWire(),
		}
	}, func(a answer) { s.onJoined(a, own) })
}

// onJoined takes the slot and the work of the moment.
func (s *session) onJoined(a answer, own protocol.Exchange) {
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
		s.choice.deny()
		return
	}
	if r.Epoch < s.work.latest.Epoch {
		s.seat.joinDue = a.now // the coordinator has started anew since
		return
	}
	if !bytes.Equal(r.Yours, own.Public()) {
		s.ignore("the reply to a join with another exchange")
		return
	}
	secret, err := own.WorkerSecret(r.Exchange)
	if err != nil {
		s.ignore(err.Error())
		return
	}
	s.seat.said, s.seat.wanted, s.seat.taken, s.seat.unsure = protocol.OK, false, true, false
	s.seat.epoch, s.seat.slot, s.seat.secret, s.seat.terms = r.Epoch, r.Slot, secret, r.Terms
	s.work.reportDue = a.now.Add(rand.N(reportEvery)) // a farm should not report all at once
	s.log.Info("joined", "coordinator", s.seat.with.Name, "epoch", r.Epoch, "slot", r.Slot)
	s.choice.seat()
	s.nodes.due = a.now.Add(rand.N(nodesSoon))
	s.arrived(a.now)

	if s.takeUp(a.now, r.Epoch, r.Job, r.Hold, r.Leases) {
		return
	}
	s.idle()
	if none := (protocol.JobID{Epoch: r.Epoch}); !none.Before(s.work.latest) {
		s.work.latest = none
		return
	}
	s.seat.unsure, s.seat.currentDue = true, a.now // a job was broadcast while the reply was being made
	s.askCurrent(a.now)
}

// takeUp takes the work of the moment as a reply has it, unless the worker has
// heard of newer.
func (s *session) takeUp(now time.Time, epoch uint64, job *protocol.Job, hold *protocol.Hold, leases []protocol.Lease) bool {
	switch c := s.work.current; {
	case hold != nil && hold.Epoch == epoch && !hold.JobID.Before(s.work.latest):
		if c != nil && !s.work.isOf(s.seat.with, s.seat.slot) {
			s.idle()
		}
		s.hold(hold)
	case job == nil || job.Epoch != epoch || s.work.over(job.JobID):
		return false
	case s.work.isOf(s.seat.with, s.seat.slot) && c.job.JobID == job.JobID:
		s.dispenser.lend(c, newLoans(job, &s.seat.terms, leases))
		s.goOn()
	default:
		s.begin(now, job, leases)
	}
	return true
}

// heard notes that the coordinator answered a request sent at sent.
func (s *session) heard(sent time.Time) {
	s.seat.heard = sent
	if s.seat.silent {
		s.seat.silent, s.doubts.other = false, ""
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
	s.seat.askingCurrent = s.ask(now, protocol.KindCurrent, s.seat.secret, askPatience, func(a protocol.Ask) protocol.Message {
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
	// A reply that was made before what was broadcast since leaves the question open.
	s.seat.unsure = !s.takeUp(a.now, s.seat.epoch, r.Job, r.Hold, r.Leases) && (r.Job != nil || r.Hold != nil)
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
