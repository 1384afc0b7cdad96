package coordinator

import (
	"time"

	"github.com/jbcnet/jbc/hashing"
)

// hear notes that a block was heard of which is not there yet.
func (c *Coordinator) hear(at time.Time, hash hashing.Hash) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.races.Heard(at, hash, false)
}

// hearOther notes a solution on the tip that a worker of another coordinator has. What
// is none is not noted: that is free to make.
func (c *Coordinator) hearOther(at time.Time, header hashing.Header) {
	if !c.isNext(header) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.races.Heard(at, header.Hash(), true)
}

// isNext says whether a header is on the tip and has the work that it takes there.
func (c *Coordinator) isNext(header hashing.Header) bool {
	prev := header.Prev()
	if prev != c.cfg.Chain.Tip().Hash {
		return false
	}
	bits, known := c.cfg.Chain.NextBits(prev)
	target, err := bits.Target()
	return known && err == nil && header.Bits() == bits && target.MetBy(header.Hash())
}

// noteMove notes that workers were told to leave what they did for work on prev, or to
// wait for that. The caller holds c.mu.
func (c *Coordinator) noteMove(now time.Time, prev hashing.Hash) {
	if prev == c.races.tip.Hash {
		return
	}
	if tip, known := c.cfg.Chain.Lookup(prev); known {
		c.races.Moved(now, tip, c.farm.roster.DeclaredHS(), c.cfg.Chain.Lookup)
	}
}
