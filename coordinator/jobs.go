package coordinator

import (
	"encoding/binary"
	"slices"
	"time"

	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/coordinator/protocol"
	"github.com/jbcnet/jbc/hashing"
)

// keptJobs is how many of the last jobs can still be solved.
const keptJobs = 16

// defaultRolls is how many versions are tried at each point: eight or more let a
// kernel share nearly all of the message schedule's cost among them.
const defaultRolls = 16

// job is an announced job and what is needed to judge what is found on it.
type job struct {
	protocol.Job
	template chain.Template
	made     time.Time
	// ledger is nil for a job of an earlier epoch: it can be solved, not leased.
	ledger *ledger
	// credited are the headers that counted as shares, by 8 bytes of their hash.
	credited map[uint64]struct{}
	// solved are the accepted solutions, each to be credited to one slot.
	solved map[hashing.Hash]*credit
}

// credit is what an accepted solution is worth to the slot that claims it.
type credit struct {
	given bool
	// ledger is the job's, as far as it was not over when the solution came: it
	// says who may claim.
	ledger *ledger
	// share says that the solution is a share too. It is none when it counted as
	// one before, or its job was over.
	share bool
}

// newJob makes a template ready for hashing.
func newJob(kind, coordinator string, id protocol.JobID, t chain.Template, spacing time.Duration, rolls int, now time.Time) *job {
	first, second := t.CoinbaseHalves()
	return &job{
		Job: protocol.Job{
			Kind: kind, Coordinator: coordinator, JobID: id,
			Height: t.Height, Prev: t.Prev, Version: t.Version, Bits: t.Bits,
			Time: t.Time, MinTime: t.MinTime, MaxTime: t.MaxTime,
			Coinbase1: first, Coinbase2: second, Branch: t.Branch(),
			Rolls: rolls, SpacingMS: spacing.Milliseconds(),
		},
		template: t,
		made:     now,
		ledger:   newLedger(homePoints, wholeLine),
		credited: map[uint64]struct{}{},
		solved:   map[hashing.Hash]*credit{},
	}
}

// restoredJob brings back a job of an earlier epoch, which can only be solved.
func restoredJob(wire protocol.Job, t chain.Template) *job {
	return &job{Job: wire, template: t, solved: map[hashing.Hash]*credit{}}
}

// Block returns the solved block at a place of the job.
func (j *job) Block(p protocol.Place) *chain.Block {
	return j.template.Block(j.Header(p.Point, p.Roll), j.Extranonce(p.Point.Column()))
}

// credit notes that a header counted as a share and returns false when it already
// had.
func (j *job) credit(hash hashing.Hash) bool {
	key := binary.LittleEndian.Uint64(hash[:])
	if _, known := j.credited[key]; known {
		return false
	}
	j.credited[key] = struct{}{}
	return true
}

// jobBook numbers the jobs of an epoch and keeps the last [keptJobs] of them,
// those of earlier epochs included. It is not safe for concurrent use.
type jobBook struct {
	epoch  uint64
	number uint64
	kept   []*job // oldest first
}

// NextID returns the id of the next job.
func (b *jobBook) NextID() protocol.JobID {
	return protocol.JobID{Epoch: b.epoch, Number: b.number + 1}
}

// Add makes j the job of the moment and returns those that can't be solved any
// more.
func (b *jobBook) Add(j *job) (dropped []*job) {
	b.number = j.Number
	if last := b.Current(); last != nil && last.Prev != j.Prev {
		for _, old := range b.kept {
			old.credited, old.ledger = nil, nil // no share of these will count again
		}
	}
	b.kept = append(b.kept, j)
	if n := len(b.kept) - keptJobs; n > 0 {
		dropped = append(dropped, b.kept[:n]...)
		b.kept = append([]*job(nil), b.kept[n:]...)
	}
	return dropped
}

// Current returns the last job of this epoch, or nil.
func (b *jobBook) Current() *job {
	if len(b.kept) == 0 || b.kept[len(b.kept)-1].Epoch != b.epoch {
		return nil
	}
	return b.kept[len(b.kept)-1]
}

// Find returns the job with that id if it can still be solved.
func (b *jobBook) Find(id protocol.JobID) *job {
	for _, j := range b.kept {
		if j.JobID == id {
			return j
		}
	}
	return nil
}

// On says whether any job that can still be solved is on that parent.
func (b *jobBook) On(prev hashing.Hash) bool {
	return slices.ContainsFunc(b.kept, func(j *job) bool { return j.Prev == prev })
}
