package peers

import (
	"math"
	"time"

	"github.com/jbcnet/jbc/hashing"
)

// standing is what is remembered of a peer.
type standing struct {
	Peer
	first, heard time.Time
	worked       bool // ever

	mild, grave float64 // the score, as of scored
	scored      time.Time
	silent      time.Time // the last silence that counted
	until       time.Time // ignored
	times       int       // ignored
	faults      [faults]uint64

	wrong      hashing.Hash // the tip of a claim that was found wrong
	wrongUntil time.Time
	later      time.Time // until then its chain lies ahead of the clock
}

func (s *standing) ignored(now time.Time) bool { return now.Before(s.until) }

// score returns the score, which decays.
func (s *standing) score(now time.Time) float64 { return (s.mild + s.grave) * s.decay(now) }

func (s *standing) decay(now time.Time) float64 {
	return math.Exp2(-max(0, now.Sub(s.scored).Seconds()) / halfLife.Seconds())
}

// age brings the score to a time.
func (s *standing) age(now time.Time) {
	if now.After(s.scored) {
		decay := s.decay(now)
		s.mild, s.grave, s.scored = s.mild*decay, s.grave*decay, now
	}
}

// failed counts a fault. What still comes of a peer that is ignored was on its way.
func (s *standing) failed(now time.Time, why Fault) {
	s.faults[why]++
	if why.refutes() {
		s.wrong, s.wrongUntil = s.Tip.Hash, now.Add(refuted)
	}
	if s.ignored(now) {
		return
	}
	if why == Silent {
		if !s.silent.IsZero() && now.Sub(s.silent) < spell {
			return
		}
		s.silent = now
	}
	s.age(now)
	if why.mild() {
		s.mild += weights[why]
	} else {
		s.grave += weights[why]
	}
	if s.mild+s.grave < maxScore {
		return
	}
	if s.times > 0 && now.Sub(s.until) >= longestIgnored {
		s.times = 0
	}
	s.until = now.Add(min(longestIgnored, firstIgnored<<min(s.times, 10)))
	s.times++
	s.mild, s.grave = 0, 0
}

// forgive takes something off for what a peer did well.
func (s *standing) forgive(now time.Time) {
	s.age(now)
	s.worked = true
	s.mild = max(0, s.mild-forgiven)
}

// claims says whether what the peer claims may be believed.
func (s *standing) claims(now time.Time) bool {
	return !s.ignored(now) && !now.Before(s.later) && (s.Tip.Hash != s.wrong || !now.Before(s.wrongUntil))
}
