package coordinator

import (
	"time"

	"github.com/jbcnet/jbc/coordinator/protocol"
	"github.com/jbcnet/jbc/hashing"
)

// Share judges a share and credits it to its slot. The order is cheap before
// dear: job, slot, MAC, proof of work, and only then, for a hash that cost work,
// memory: duplicate, lease. A share that somebody else found first (its lease had
// run out) is Known and held against nobody; nor is one whose parent was
// overtaken.
func (f *farm) Share(now time.Time, from sender, c *protocol.Claim) (hashing.Hash, error) {
	j, s, err := f.claimant(now, from, c)
	if err != nil {
		return hashing.Hash{}, err
	}
	terms, ok := s.termsNumbered(c.Terms)
	if !ok {
		s.refused++
		return hashing.Hash{}, protocol.UnknownTerms
	}
	target := terms.Target(&j.Job)
	header := j.Header(c.Point, c.Roll)
	hash := header.Hash()
	switch {
	case !target.MetBy(hash):
		s.refused++
		return hash, protocol.HighHash
	case j.credited == nil:
		return hash, protocol.Stale
	case !j.ledger.MayFind(s.number, c.Point):
		s.refused++
		return hash, protocol.NotLeased
	case !j.credit(hash):
		return hash, protocol.Known
	}
	s.shares++
	s.meter.Add(now, target.Hashes())
	return hash, nil
}

// claimant returns the job of a claim and the slot that made it.
func (f *farm) claimant(now time.Time, from sender, c *protocol.Claim) (*job, *slot, error) {
	j := f.jobs.Find(c.JobID)
	switch {
	case j == nil:
		return nil, nil, protocol.UnknownJob
	case c.Roll >= j.Rolls:
		return nil, nil, protocol.Malformed
	case c.Epoch != f.jobs.epoch:
		return nil, nil, protocol.UnknownSlot
	}
	s, err := f.roster.Heard(now, c.Slot, from)
	return j, s, err
}

// Solution finds the job of a place and says whether its header meets the block
// target: all that is asked of a solution before the chain judges its block.
// Slot, lease and lateness do not matter.
func (f *farm) Solution(p protocol.Place) (*job, hashing.Header, error) {
	j := f.jobs.Find(p.JobID)
	switch {
	case j == nil:
		return nil, hashing.Header{}, protocol.UnknownJob
	case p.Roll >= j.Rolls:
		return nil, hashing.Header{}, protocol.Malformed
	}
	header := j.Header(p.Point, p.Roll)
	if !j.Target().MetBy(header.Hash()) {
		return nil, header, protocol.HighHash
	}
	return j, header, nil
}

// Accepted notes that a solution's block is in the chain's store. It has to be
// called before the next job starts, which ends the account of this one.
func (f *farm) Accepted(j *job, hash hashing.Hash) {
	if j.solved[hash] == nil {
		j.solved[hash] = &credit{ledger: j.ledger, share: j.credited != nil && j.credit(hash)}
	}
}

// CreditSolution counts an accepted solution, once, as a block of the slot that
// claims it under its MAC, and as a share if it did not count as one yet. The
// broadcast of a solution may be seen, and its job be over, before the claim.
// Everybody sees that broadcast, so a slot that can't have found it is not
// believed.
func (f *farm) CreditSolution(now time.Time, from sender, c *protocol.Claim) {
	j, s, err := f.claimant(now, from, c)
	if err != nil {
		return
	}
	header := j.Header(c.Point, c.Roll)
	due := j.solved[header.Hash()]
	if due == nil || due.given || due.ledger != nil && !due.ledger.MayFind(s.number, c.Point) {
		return
	}
	due.given, due.ledger = true, nil
	s.blocks++
	if !due.share {
		return
	}
	terms, ok := s.termsNumbered(c.Terms)
	if !ok {
		terms = s.terms
	}
	target := terms.Target(&j.Job)
	s.shares++
	s.meter.Add(now, target.Hashes())
}

// Cancels says whether a header that somebody published as a solution stopped
// workers that are on the job of the moment: the rule that they stop by.
func (f *farm) Cancels(h hashing.Header) bool {
	j := f.jobs.Current()
	return j != nil && f.hold == nil &&
		h.Prev() == j.Prev && h.Bits() == j.Bits &&
		h.Time() >= j.MinTime && h.Time() <= j.MaxTime &&
		j.Target().MetBy(h.Hash())
}
