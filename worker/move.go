package worker

import (
	"time"

	"github.com/jbcnet/jbc/coordinator/protocol"
)

// departure is the place that a worker gives up when it has another: until then it
// mines on what it was lent there.
type departure struct {
	from    protocol.Found
	taken   bool // it had a slot there
	sitting protocol.Sitting
	secret  []byte
	why     string
	heard   time.Time // the last of it
}

// hashed tells how long no hash was made.
type hashed struct {
	count uint64
	at    time.Time
}

// look takes the count of the moment.
func (h *hashed) look(now time.Time, count uint64) {
	if h.at.IsZero() || count != h.count {
		h.count, h.at = count, now
	}
}

// choose does what the chooser wants done.
func (s *session) choose(now time.Time) error {
	if s.choice.vigil.late(now) {
		for range len(s.control) { // what has arrived counts, however late it is read
			if err := s.onControl(now, <-s.control); err != nil {
				return err
			}
		}
	}
	heard := s.choice.vigil.heard
	step := s.choice.look(now, s.awaitsVerdict())
	if step.probe {
		s.probe(now)
	}
	if step.ping {
		s.ping()
	}
	if step.move == (protocol.Found{}) {
		return nil
	}
	return s.move(now, step.move, step.why, heard)
}

// awaitsVerdict says whether a solution waits for the word of the coordinator that
// the worker works for.
func (s *session) awaitsVerdict() bool {
	for _, sol := range s.claims.kept {
		if sol.assignment.by == s.seat.with {
			return true
		}
	}
	return false
}

// probe asks the coordinator something that it would be asked soon anyway.
func (s *session) probe(now time.Time) {
	switch {
	case s.seat.wanted:
		s.seat.joinDue = now
		s.join(now)
	case s.seat.taken:
		s.work.reportDue = now
		s.reportInTurn(now)
	}
}

// move has the worker work for another coordinator. The miners go on with what they
// have until it has given them something else. Solutions stay with the one that they
// are for, shares are worth nothing to another.
func (s *session) move(now time.Time, to protocol.Found, why string, heard time.Time) error {
	s.stats.SharesLost += uint64(len(s.claims.shares))
	s.claims.shares = nil
	if s.left == nil {
		s.left = &departure{
			from: s.seat.with, taken: s.seat.taken, sitting: s.sitting(), secret: s.seat.secret, why: why, heard: heard,
		}
	}
	s.log.Debug("asking another coordinator for a slot", "from", s.seat.with.Name, "to", to.Name, "why", why)
	s.asks.forget(now)
	return s.sit(now, to)
}

// arrived says goodbye to the coordinator that the worker has left, now that another
// has given it a slot.
func (s *session) arrived(now time.Time) {
	d := s.left
	if d == nil {
		return
	}
	s.goodbye(now)
	if d.from == s.seat.with {
		return // the others that it asked had no slot
	}
	stood := now.Sub(s.hashed.at)
	if d.heard.After(s.hashed.at) {
		stood = now.Sub(d.heard) // it held before
	}
	if stood < 2*tickEvery {
		stood = 0
	}
	s.stats.Moves++
	s.log.Info("works for another coordinator", "from", d.from.Name, "to", s.seat.with.Name, "why", d.why,
		"stood", stood.Round(time.Millisecond))
}

// goodbye gives back the leases of the place that the worker has left. Nobody may
// hear it, which is why it is there no more.
func (s *session) goodbye(now time.Time) {
	d := s.left
	s.left = nil
	if !d.taken {
		return
	}
	p := protocol.Progress{Sitting: d.sitting, RateHS: s.meter.rate(time.Minute)}
	if s.work.isOf(d.from, d.sitting.Slot) {
		done := s.dispenser.account().done
		p.Leases = done[:min(len(done), maxReported)]
	}
	s.askOf(d.from, now, protocol.KindLeave, d.secret, askPatience, func(a protocol.Ask) protocol.Message {
		p.Ask = a
		return &p
	}, func(answer) {})
}
