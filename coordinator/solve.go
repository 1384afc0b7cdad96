package coordinator

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/coordinator/protocol"
	"github.com/jbcnet/jbc/hashing"
)

// solved is a solution whose block the chain took.
type solved struct {
	hash   hashing.Hash
	height uint32
	known  bool         // the chain had it already
	stored func() error // waits until the block is on the disk, then announces it, once
}

// solve judges a solution and, when its block becomes the tip, broadcasts the next
// job before the disk is waited for. The caller holds c.mu. An error that is no
// fault is the code of the refusal.
func (c *Coordinator) solve(now time.Time, p protocol.Place, worker string) (*solved, error) {
	j, header, err := c.farm.Solution(p)
	if err != nil {
		return nil, err
	}
	if _, known := c.cfg.Chain.Lookup(header.Prev()); !known {
		return nil, fmt.Errorf("%w: its parent, found before a restart, has not come yet", protocol.Busy)
	}
	arrived := time.Now().Add(-c.cfg.Clock().Sub(now))
	block := j.Block(p)
	accepted, err := c.cfg.Chain.Accept(block, now)
	var broken *chain.RuleError
	switch {
	case errors.As(err, &broken) && broken.Rule == chain.RuleTimeTooNew:
		return nil, fmt.Errorf("%w: %w", protocol.Busy, broken) // this clock stepped back: it will do later
	case errors.As(err, &broken):
		c.log.Error("own job's solution refused", "job", j.JobID, "err", broken)
		c.reject(header, protocol.InvalidBlock)
		return nil, fmt.Errorf("%w: %w", protocol.InvalidBlock, broken)
	case err != nil:
		return nil, errFault{err}
	}
	validated := time.Since(arrived)
	hash := header.Hash()
	c.farm.Accepted(j, hash)
	s := &solved{hash: hash, height: j.Height, stored: accepted.Wait}
	switch accepted.Status {
	case chain.Known:
		s.known = true
	case chain.Side:
		c.races.Found(hash, j.Height, false)
		c.log.Info("late solution kept as a side block", "height", j.Height, "hash", hash, "worker", worker)
	default:
		c.races.Heard(arrived, hash, false)
		c.races.Found(hash, j.Height, true)
		if err := c.advance(now); err != nil {
			return nil, errFault{err}
		}
		cost := c.pace.Add(validated, time.Since(arrived)-validated)
		s.stored = c.announceOnce(arrived, accepted, j.Height, header, worker, cost)
	}
	return s, nil
}

// announceOnce returns a function that waits for a block's write and announces
// the block.
func (c *Coordinator) announceOnce(arrived time.Time, a chain.Accepted, height uint32, header hashing.Header, worker string, cost *blockPace) func() error {
	return sync.OnceValue(func() error {
		if err := a.Wait(); err != nil {
			return err
		}
		written := time.Since(arrived)
		hash := header.Hash()
		entry, _ := c.cfg.Chain.Lookup(hash)
		c.publish(c.subjects.Block(c.cfg.Name), protocol.ToAll, &protocol.BlockAnnounced{
			Kind: protocol.KindAnnounced, Coordinator: c.cfg.Name, Height: height, Hash: hash, Header: header,
			Chainwork: entry.Work.String(),
		})
		c.log.Info("block", "height", height, "hash", hash, "by", worker)
		c.mu.Lock()
		cost.write = written
		c.mu.Unlock()
		return nil
	})
}

// reject tells workers that a header which may have stopped them is no solution.
// The caller holds c.mu.
func (c *Coordinator) reject(h hashing.Header, err error) {
	c.publish(c.subjects.Job(c.cfg.Name), protocol.ToWorkers, &protocol.Rejected{
		Kind: protocol.KindRejected, Coordinator: c.cfg.Name, Epoch: c.farm.jobs.epoch,
		Hash: h.Hash(), Prev: h.Prev(), Code: protocol.CodeOf(err),
	})
}
