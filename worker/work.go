package worker

import (
	"time"

	"github.com/nats-io/nats.go"

	"github.com/jbcnet/jbc/coordinator/protocol"
)

const (
	reportEvery = 2 * time.Second
	// leaseFor is how long the points that are asked for should last, stockLow how
	// little makes a report ask for more, and stockDry how little asks out of turn.
	leaseFor = 10 * time.Second
	stockLow = 6 * time.Second
	stockDry = 2 * time.Second
	// feedEvery is how soon points are asked for again that were not granted.
	feedEvery = 250 * time.Millisecond
	// maxReported is how many leases a report may name.
	maxReported = 64
)

// work is what the miners are on.
type work struct {
	current *assignment // nil while there is none
	// latest is the newest job or hold heard of, which only grows, and ended the last
	// job that a hold ended: a message that is repeated, or comes late, starts
	// nothing that is over.
	latest, ended protocol.JobID
	// waiting says that the miners stand until the coordinator has said which job is
	// on: see [session.wait].
	waiting   bool
	reportDue time.Time
	feeding   bool // points are asked for
	feedDue   time.Time
}

// isOf says whether the miners are on a job of slot with f.
func (w *work) isOf(f protocol.Found, slot uint32) bool {
	return w.current != nil && w.current.by == f && w.current.slot == slot
}

// over says whether a job is known not to be the newest.
func (w *work) over(id protocol.JobID) bool { return id.Before(w.latest) || id == w.ended }

func (s *session) sitting() protocol.Sitting {
	if c := s.work.current; c != nil && c.by == s.seat.with {
		return c.sitting()
	}
	return protocol.Sitting{JobID: s.work.latest, Slot: s.seat.slot}
}

// onWord acts on what the coordinator says to all its workers.
func (s *session) onWord(now time.Time, m *nats.Msg) {
	if m.Sub != nil && m.Sub != s.jobs {
		return // of one that was left since
	}
	if !genuine(s.seat.with.Key, protocol.ToWorkers, m) {
		s.unsigned(now)
		return
	}
	s.choice.hear(now)
	kind, err := protocol.KindOf(m.Data)
	switch kind {
	case protocol.KindJob, protocol.KindRefresh:
		var job protocol.Job
		if err = protocol.Decode(m.Data, &job); err == nil {
			s.onJob(now, &job)
		}
	case protocol.KindHold:
		var hold protocol.Hold
		if err = protocol.Decode(m.Data, &hold); err == nil {
			s.onHold(now, &hold)
		}
	case protocol.KindRejected:
		var r protocol.Rejected
		if err = protocol.Decode(m.Data, &r); err == nil && r.Epoch == s.seat.epoch && s.cancel.rejected(r.Prev, r.Hash) {
			s.log.Warn("a published solution was none, going on", "hash", r.Hash, "reason", r.Code)
			s.dispenser.resume()
		}
	}
	if err != nil {
		s.ignore(err.Error())
	}
}

// onJob starts on a broadcast job, on the slot's home lease and without a question,
// if the slot is surely still the worker's. Where it may not start, it stops at
// least on a parent that the job has overtaken.
func (s *session) onJob(now time.Time, job *protocol.Job) {
	if !s.work.latest.Before(job.JobID) {
		return
	}
	s.work.latest = job.JobID // what is asked now should bring nothing older
	if s.isSeated(now, job.Epoch) {
		if now.Sub(s.seat.heard) <= unasked && !s.work.waiting {
			s.begin(now, job, []protocol.Lease{s.seat.terms.Home(s.seat.slot)})
			return
		}
		s.seat.unsure = true
		s.askCurrent(now)
	}
	if c := s.work.current; c != nil && c.job.Prev != job.Prev {
		s.wait()
	}
}

// onHold makes the miners wait if the hold is of the newest job that is known.
func (s *session) onHold(now time.Time, h *protocol.Hold) {
	if h.JobID.Before(s.work.latest) {
		return
	}
	s.work.latest, s.work.ended = h.JobID, h.JobID
	if s.isSeated(now, h.Epoch) {
		s.hold(h)
	}
}

// isSeated says whether the worker has a slot of that epoch, which is no earlier
// than what it knows. Another one means that the coordinator started anew: the
// worker joins again.
func (s *session) isSeated(now time.Time, epoch uint64) bool {
	if !s.seat.taken || s.seat.wanted {
		return false
	}
	if epoch != s.seat.epoch {
		s.lostSeat(now)
		return false
	}
	return true
}

// begin sets the miners to work on a job. Those at work switch without a pause.
func (s *session) begin(now time.Time, job *protocol.Job, leases []protocol.Lease) {
	a := &assignment{job: job, by: s.seat.with, slot: s.seat.slot, secret: s.seat.secret, target: job.Target(), started: now}
	s.work.current, s.work.latest, s.work.waiting = a, job.JobID, false
	s.work.feeding, s.work.feedDue = false, now
	s.cancel.start(job)
	s.dispenser.assign(a, newLoans(job, &s.seat.terms, leases))
	s.log.Debug("job", "kind", job.Kind, "id", job.JobID, "height", job.Height, "bits", job.Bits)
	s.feed(now)
}

// hold makes the miners wait for the next job.
func (s *session) hold(h *protocol.Hold) {
	s.work.latest, s.work.ended, s.work.waiting = h.JobID, h.JobID, false
	s.cancel.hold()
	s.dispenser.pause()
	s.log.Debug("holding", "until", time.UnixMilli(h.UntilMS), "reason", h.Reason)
}

// wait makes the miners stand until the coordinator has said which job is on:
// theirs may be over.
func (s *session) wait() {
	if s.work.current != nil && !s.cancel.held {
		s.work.waiting = true
		s.cancel.hold()
		s.dispenser.pause()
	}
}

// goOn ends a wait: the job is still on.
func (s *session) goOn() {
	if s.work.waiting {
		s.work.waiting = false
		s.cancel.release()
		s.dispenser.resume()
	}
}

// idle drops all work: the slot has none.
func (s *session) idle() {
	s.work.current, s.work.waiting = nil, false
	s.cancel.hold()
	s.dispenser.drop()
}

// reportInTurn reports progress when it is due, which keeps the slot too.
func (s *session) reportInTurn(now time.Time) {
	if !now.Before(s.work.reportDue) && !s.seat.wanted {
		s.work.reportDue = now.Add(reportEvery)
		s.progress(now, protocol.KindProgress, nil)
	}
}

// feed asks for points out of turn when the miners are about to run dry.
func (s *session) feed(now time.Time) {
	if s.work.current == nil || s.work.feeding || s.seat.wanted || s.cancel.held || s.cancel.stopped || now.Before(s.work.feedDue) {
		return
	}
	if s.dispenser.account().left < s.pointsIn(stockDry) {
		s.work.feedDue = now.Add(feedEvery)
		s.progress(now, protocol.KindLease, nil)
	}
}

// pointsIn is how many points the miners search in d.
func (s *session) pointsIn(d time.Duration) uint64 {
	rate := max(s.stats.DeclaredHS, s.meter.rate(10*time.Second))
	return uint64(rate*d.Seconds()/float64(s.work.current.job.Rolls)) + 1
}

// progress reports how far the leases are and asks for more where few are left. It
// returns whether it was sent; answered, if not nil, is called when it is answered.
func (s *session) progress(now time.Time, kind string, answered func()) bool {
	a, acc := s.work.current, s.dispenser.account()
	p := protocol.Progress{Sitting: s.sitting(), Leases: acc.done, RateHS: s.meter.rate(time.Minute)}
	if len(s.fleet.feeders) > 0 {
		p.DeclaredHS, p.Devices = s.stats.DeclaredHS, s.devicesOnWire()
	}
	p.Leases = p.Leases[:min(len(p.Leases), maxReported)]
	if a != nil && kind != protocol.KindLeave && len(acc.done) < maxReported*3/4 && acc.left < s.pointsIn(stockLow) {
		p.Want = s.pointsIn(leaseFor)
	}
	sent := s.ask(now, kind, s.seat.secret, askPatience, func(ask protocol.Ask) protocol.Message {
		p.Ask = ask
		return &p
	}, func(ans answer) {
		s.onProgress(ans, a, p.Want > 0, acc.whole)
		if answered != nil {
			answered()
		}
	})
	s.work.feeding = s.work.feeding || sent && p.Want > 0
	return sent
}

// onProgress takes what a report brought: new terms, leases, and which are gone.
func (s *session) onProgress(ans answer, a *assignment, fed bool, whole []uint64) {
	same := a != nil && a == s.work.current
	if same && fed {
		s.work.feeding = false
	}
	var r protocol.ProgressReply
	if !s.into(ans, &r) || s.refused(ans.now, r.Code) {
		return
	}
	s.seat.terms = r.Terms
	if same {
		s.dispenser.revoke(a, whole) // they are reported to their end
		s.dispenser.revoke(a, r.Gone)
		s.dispenser.lend(a, newLoans(a.job, &r.Terms, r.Leases))
	}
	missedJob := r.Current.Epoch == s.seat.epoch && s.work.latest.Before(r.Current)
	if missedJob || r.Holding && !s.cancel.held {
		s.askCurrent(ans.now)
	}
}
