package coordinator

import (
	"time"

	"github.com/jbcnet/jbc/coordinator/protocol"
	"github.com/jbcnet/jbc/hashing"
)

const (
	// leaseWork is how long a lease keeps its slot busy.
	leaseWork = 10 * time.Second
	// leaseTime is how long a loan lasts unless progress is reported. Reports come
	// every 2 s; a dead worker's rest is to be with another within 5 s, of which up
	// to 2 s pass until that one reports and asks.
	leaseTime = 2750 * time.Millisecond
	// shareTime is how often a slot is to find a share.
	shareTime = 2 * time.Second
	// enoughShares is how many shares a slot must have found before they, and not
	// what it declared, say how fast it is.
	enoughShares = 30
	// termsSlack is by what factor a rate must differ from what a slot's terms
	// were made for before they are changed: shares measure it only roughly.
	termsSlack = 1.5
	// minRate is what a worker that declares less is taken for.
	minRate = 1e3
)

// rate returns the hashes a second by which a slot's leases and shares are sized.
func (s *slot) rate(now time.Time) float64 {
	hs := s.worker.DeclaredHS
	if s.meter.total >= enoughShares {
		if measured, _ := s.meter.Rate(now); measured > 0 {
			hs = measured
		}
	}
	return max(hs, minRate)
}

// redeclare takes what a report says of the worker's rate and devices. Where the rate is
// another than the one that the terms were made for, the shares that were found until
// now say nothing of it any more.
func (s *slot) redeclare(now time.Time, p *protocol.Progress) {
	if p.Devices != nil {
		s.worker.Devices = p.Devices
	}
	was, is := max(s.worker.DeclaredHS, minRate), max(p.DeclaredHS, minRate)
	if p.DeclaredHS == 0 {
		return
	}
	s.worker.DeclaredHS = p.DeclaredHS
	if is > was*termsSlack || is < was/termsSlack {
		s.meter = newShareMeter(now)
	}
}

// maxLeasePoints bounds a lease that is asked for: a rack of graphics cards takes
// seconds for so many even where headers have one version.
const maxLeasePoints = 64 * protocol.ColumnPoints

// leasePoints returns how many points take a device of that rate about
// [leaseWork].
func leasePoints(hs float64, rolls int) uint64 {
	points := hs * leaseWork.Seconds() / float64(rolls)
	return max(1, uint64(min(points, maxLeasePoints)))
}

// termsFor returns the terms for a slot of that rate.
func termsFor(number uint64, hs float64, rolls int) protocol.Terms {
	return protocol.Terms{
		Number:     number,
		ShareBits:  hashing.TargetForHashes(hs * shareTime.Seconds()).Bits(),
		HomePoints: min(leasePoints(hs, rolls), protocol.ColumnPoints), // a home is a column
	}
}

// reviseTerms gives a slot new terms when its rate has left those it has by more
// than [termsSlack].
func (s *slot) reviseTerms(now time.Time, rolls int) {
	revised := termsFor(s.terms.Number+1, s.rate(now), rolls)
	had, want := shareHashes(s.terms), shareHashes(revised) // leases end at a column, a share's hashes nowhere
	if want > had*termsSlack || want < had/termsSlack {
		s.previous, s.terms = s.terms, revised
	}
}

// shareHashes returns how many hashes a share under these terms takes on average.
func shareHashes(t protocol.Terms) float64 {
	target, _, _ := t.ShareBits.Decode() // our own
	return target.Hashes()
}
