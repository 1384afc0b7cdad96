package worker

import (
	"slices"
	"time"

	"github.com/jbcnet/jbc/coordinator/protocol"
	"github.com/jbcnet/jbc/hashing"
)

const (
	// maxStop bounds how long an unconfirmed solution keeps a worker idle.
	maxStop = 2 * time.Second
	// keptParents and keptHeaders bound what the canceller remembers. Every
	// remembered header has cost its finder a block's worth of work.
	keptParents = 64
	keptHeaders = 64
)

// canceller decides when hashing stops because somebody solved the job, and when
// it goes on. It is the rule that makes a published solution stop the whole farm
// at once without letting anybody stop it at will:
//
//   - A header stops the worker when it has the parent and the bits of the worker's
//     own job, a time within that job's bounds, a hash that meets its target, and
//     was not seen before. Making one costs as much as making a block.
//   - Then a new job or the coordinator's rejection of that header starts it again,
//     a hold keeps it idle, and silence starts it again after min(2 s, spacing/4).
//   - That happens once a parent. Afterwards only the coordinator's word counts.
//
// It is pure: times are arguments, of one monotonic clock.
type canceller struct {
	job     *protocol.Job // nil before the first
	target  hashing.Target
	parents []*parent // newest last, the job's own among them
	held    bool

	stopped bool
	by      hashing.Hash // what stopped it
	until   time.Time    // when silence ends the stop
}

// parent is what happened on one block.
type parent struct {
	hash hashing.Hash
	used bool           // its one stop
	seen []hashing.Hash // solutions of it, newest last
}

// start takes up a job, whatever was before.
func (c *canceller) start(job *protocol.Job) {
	c.job, c.target = job, job.Target()
	c.held, c.stopped = false, false
}

// hold keeps the worker idle until the next start.
func (c *canceller) hold() { c.held, c.stopped = true, false }

// release ends a hold without a new job.
func (c *canceller) release() { c.held = false }

// solved judges a header that somebody, maybe this worker itself, published as a
// solution, and says whether the worker stops for it.
func (c *canceller) solved(now time.Time, h *hashing.Header) bool {
	if c.job == nil || h.Prev() != c.job.Prev || h.Bits() != c.job.Bits ||
		h.Time() < c.job.MinTime || h.Time() > c.job.MaxTime {
		return false
	}
	hash := h.Hash()
	if !c.target.MetBy(hash) {
		return false
	}
	p := c.parent(c.job.Prev)
	if !p.see(hash) || p.used || c.stopped || c.held {
		return false
	}
	p.used = true
	c.stopped, c.by, c.until = true, hash, now.Add(c.patience())
	return true
}

// patience is how long the worker waits for its coordinator's word.
func (c *canceller) patience() time.Duration {
	return min(maxStop, time.Duration(c.job.SpacingMS)*time.Millisecond/4)
}

// rejected takes the coordinator's word that a header is no solution, and says
// whether the worker resumes because of it. The word may come before the header
// that it is about, which then stops nobody.
func (c *canceller) rejected(prev, hash hashing.Hash) bool {
	if c.job == nil || prev != c.job.Prev {
		return false
	}
	c.parent(prev).see(hash)
	if !c.stopped || hash != c.by {
		return false
	}
	c.stopped = false
	return true
}

// silence says whether the worker resumes because its coordinator said nothing.
func (c *canceller) silence(now time.Time) bool {
	if !c.stopped || now.Before(c.until) {
		return false
	}
	c.stopped = false
	return true
}

// parent returns what is remembered of a block, which makes it the newest.
func (c *canceller) parent(hash hashing.Hash) *parent {
	i := slices.IndexFunc(c.parents, func(p *parent) bool { return p.hash == hash })
	p := &parent{hash: hash}
	if i >= 0 {
		p = c.parents[i]
		c.parents = slices.Delete(c.parents, i, i+1)
	} else if len(c.parents) == keptParents {
		c.parents = slices.Delete(c.parents, 0, 1)
	}
	c.parents = append(c.parents, p)
	return p
}

// see remembers a header and says whether it is new.
func (p *parent) see(hash hashing.Hash) bool {
	if slices.Contains(p.seen, hash) {
		return false
	}
	if len(p.seen) == keptHeaders {
		p.seen = slices.Delete(p.seen, 0, 1)
	}
	p.seen = append(p.seen, hash)
	return true
}
