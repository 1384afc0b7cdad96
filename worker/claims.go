package worker

import (
	"slices"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/jbcnet/jbc/coordinator/protocol"
	"github.com/jbcnet/jbc/hashing"
)

const (
	maxShares     = 256 // that wait to be sent
	maxInFlight   = 32  // shares that wait for their answer
	sharePatience = 2 * time.Second

	resendEvery      = 500 * time.Millisecond
	solutionPatience = 5 * time.Second // many times resendEvery: a late answer counts
	maxSolutions     = 16              // a coordinator knows no more jobs
	maxSpares        = 16
	maxSolvedParents = 64
	// solutionLife is how long a solution is kept for a coordinator that the worker
	// left, should it come back.
	solutionLife = 10 * time.Minute
)

// claims is what was found and is not settled yet.
type claims struct {
	shares   []find
	inFlight int
	kept     []*solution // sent until answered
	solved   []solvedParent
	spares   []find // further solutions of a parent, should the first be refused
}

// solvedParent is one that a solution of this worker's was stored for, by one
// coordinator. Its jobs up to latest need no other; a later one on the same parent,
// which a chain repaired by hand may bring, does.
type solvedParent struct {
	by     protocol.Found
	prev   hashing.Hash
	latest protocol.JobID
}

// solution is one that the coordinator has not answered for yet.
type solution struct {
	find
	announced bool // to everybody
	// putOff says that the coordinator can't take it yet. It may take one of a later
	// job on the same parent sooner: its clock was set back.
	putOff bool
	due    time.Time
	// until is when it is given up, zero while the worker works for its coordinator.
	until time.Time
}

// rivals says whether f is of the same coordinator and parent, which needs one.
func (f *find) rivals(g *find) bool {
	return f.assignment.by == g.assignment.by && f.assignment.job.Prev == g.assignment.job.Prev
}

// onFinds takes up what the miners found.
func (s *session) onFinds(now time.Time) {
	for _, f := range s.finds.take() {
		switch {
		case f.solves:
			s.onSolution(now, f)
		case len(s.claims.shares) < maxShares:
			s.claims.shares = append(s.claims.shares, f)
		default:
			s.stats.SharesLost++
		}
	}
	s.pump(now)
}

// pump sends shares while few are unanswered and it is known that they are wanted.
// One is sent once: the next proves as much.
func (s *session) pump(now time.Time) {
	if s.offline || !s.seat.taken || s.seat.wanted || s.seat.unsure {
		return
	}
	for len(s.claims.shares) > 0 && s.claims.inFlight < maxInFlight {
		f := s.claims.shares[0]
		s.claims.shares = slices.Delete(s.claims.shares, 0, 1)
		if !s.counts(f.assignment) || !s.claim(now, protocol.KindShare, sharePatience, f, func(a answer) { s.onShare(a, f.by) }) {
			s.stats.SharesLost++
			continue
		}
		s.claims.inFlight++
	}
}

// counts says whether shares of a still do: its job is the current one, or one
// of the same parent that was refreshed since.
func (s *session) counts(a *assignment) bool {
	c := s.work.current
	return c != nil && a.by == c.by && a.slot == c.slot && a.job.Epoch == c.job.Epoch && a.job.Prev == c.job.Prev
}

// claim sends a find to the coordinator whose job it was found in, under the MAC of
// the slot there.
func (s *session) claim(now time.Time, kind string, patience time.Duration, f find, done func(answer)) bool {
	return s.askOf(f.assignment.by, now, kind, f.assignment.secret, patience, func(a protocol.Ask) protocol.Message {
		return &protocol.Claim{Ask: a, Place: f.place, Slot: f.assignment.slot, Terms: f.terms}
	}, done)
}

// onShare counts the coordinator's verdict on a share.
func (s *session) onShare(a answer, by int) {
	s.claims.inFlight--
	switch code := a.reply.Code; {
	case a.none:
		s.stats.SharesLost++
	case code == protocol.OK:
		s.stats.SharesAccepted++
		s.countShare(by)
	case code == protocol.Known: // found by two, held against nobody
	default:
		s.stats.SharesRefused++
		s.log.Debug("share refused", "reason", code, "detail", a.reply.Detail)
		s.refused(a.now, code)
	}
	s.pump(a.now)
}

// onSolution publishes the first solution of a parent and keeps the others.
func (s *session) onSolution(now time.Time, f find) {
	if slices.ContainsFunc(s.claims.solved, func(p solvedParent) bool {
		return p.by == f.assignment.by && p.prev == f.assignment.job.Prev && !p.latest.Before(f.assignment.job.JobID)
	}) {
		return
	}
	if slices.ContainsFunc(s.claims.kept, func(k *solution) bool {
		return k.rivals(&f) && !(k.putOff && k.assignment.job.Before(f.assignment.job.JobID))
	}) {
		if len(s.claims.spares) < maxSpares {
			s.claims.spares = append(s.claims.spares, f)
		}
		return
	}
	s.stats.BlocksFound++
	if len(s.claims.kept) == maxSolutions {
		s.log.Error("block given up, too many wait for the coordinator", "hash", s.claims.kept[0].hash)
		s.claims.kept = slices.Delete(s.claims.kept, 0, 1)
	}
	sol := &solution{find: f, due: now}
	s.claims.kept = append(s.claims.kept, sol)
	s.announce(sol)
	if s.cancel.solved(now, &f.header) {
		s.dispenser.halt(time.Now(), f.hash)
	}
	s.resend(now)
	s.log.Debug("block found", "height", f.assignment.job.Height, "hash", f.hash,
		"dated", time.Unix(int64(f.header.Time()), 0).UTC(), "after", now.Sub(f.assignment.started).Round(time.Millisecond))
}

// announce tells everybody, once, so that they stop.
func (s *session) announce(sol *solution) {
	if sol.announced {
		return
	}
	solved := protocol.Solved{Kind: protocol.KindSolved, Coordinator: sol.assignment.job.Coordinator, Header: sol.header, Place: sol.place}
	err := s.conn.Publish(s.seat.subjects.Solved(s.cfg.Name), protocol.Encode(&solved))
	sol.announced = err == nil
}

// resend sends the solutions that are due: they are repeated until answered, to a
// coordinator that came back in another epoch too, which knows its jobs by number,
// and to one that the worker has left.
func (s *session) resend(now time.Time) {
	s.giveUp(now)
	for _, sol := range s.claims.kept {
		if s.offline || now.Before(sol.due) {
			continue
		}
		s.announce(sol)
		sol.due = now.Add(resendEvery)
		s.claim(now, protocol.KindSolution, solutionPatience, sol.find, func(a answer) { s.onVerdict(a, sol) })
	}
}

// giveUp forgets the solutions whose coordinator, which the worker left, does not come
// back.
func (s *session) giveUp(now time.Time) {
	s.claims.kept = slices.DeleteFunc(s.claims.kept, func(sol *solution) bool {
		switch {
		case sol.assignment.by == s.seat.with:
			sol.until = time.Time{}
			return false
		case sol.until.IsZero():
			sol.until = now.Add(solutionLife)
			return false
		case now.Before(sol.until):
			return false
		}
		s.log.Error("block given up, its coordinator does not come back", "coordinator", sol.assignment.by.Name,
			"height", sol.assignment.job.Height, "hash", sol.hash, "after", solutionLife)
		return true
	})
}

// onVerdict settles a solution. Only what the coordinator judged is settled.
func (s *session) onVerdict(a answer, sol *solution) {
	i := slices.Index(s.claims.kept, sol)
	if a.none || i < 0 {
		return
	}
	var r protocol.ClaimReply
	if !s.into(a, &r) {
		return
	}
	switch r.Code {
	case protocol.Unavailable, protocol.Limited, protocol.Dropped: // not judged yet
	case protocol.Busy:
		sol.putOff = true
		s.nextSpare(a.now, &sol.find, sol.assignment.job.JobID)
	case protocol.OK, protocol.Known:
		s.stats.BlocksAccepted++
		s.stats.SharesAccepted++ // the coordinator credits a solution as a share too
		s.countShare(sol.by)
		s.log.Info("block accepted", "height", r.Height, "hash", sol.hash)
		latest := sol.assignment.job.JobID
		if sol.assignment.by == s.seat.with {
			latest = s.work.latest
		}
		s.claims.settle(i, latest)
	default:
		s.stats.BlocksRefused++
		s.log.Warn("block refused", "height", sol.assignment.job.Height, "hash", sol.hash, "reason", r.Code, "detail", r.Detail)
		s.claims.kept = slices.Delete(s.claims.kept, i, i+1)
		s.nextSpare(a.now, &sol.find, protocol.JobID{})
	}
}

// nextSpare brings the next solution of the same parent, if there is one of a later
// job than after.
func (s *session) nextSpare(now time.Time, of *find, after protocol.JobID) {
	if j := slices.IndexFunc(s.claims.spares, func(f find) bool {
		return f.rivals(of) && after.Before(f.assignment.job.JobID)
	}); j >= 0 {
		next := s.claims.spares[j]
		s.claims.spares = slices.Delete(s.claims.spares, j, j+1)
		s.onSolution(now, next)
	}
}

// settle forgets kept solution i, which was stored, and its spares.
func (c *claims) settle(i int, latest protocol.JobID) {
	of := &c.kept[i].find
	c.kept = slices.Delete(c.kept, i, i+1)
	c.spares = slices.DeleteFunc(c.spares, func(f find) bool { return f.rivals(of) })
	if len(c.solved) == maxSolvedParents {
		c.solved = slices.Delete(c.solved, 0, 1)
	}
	c.solved = append(c.solved, solvedParent{of.assignment.by, of.assignment.job.Prev, latest})
}

// onSolved stops the miners for a solution that somebody published, if it is one.
func (s *session) onSolved(now time.Time, m *nats.Msg) {
	var solved protocol.Solved
	if err := protocol.Decode(m.Data, &solved); err != nil {
		s.ignore(err.Error())
		return
	}
	if s.cancel.solved(now, &solved.Header) {
		hash := solved.Header.Hash()
		s.dispenser.halt(time.Now(), hash)
		s.log.Debug("stopped, the job is solved", "by", protocol.LastToken(m.Subject), "hash", hash)
	}
}
