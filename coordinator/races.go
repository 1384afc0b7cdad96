package coordinator

import (
	"slices"
	"time"

	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/coordinator/protocol"
	"github.com/jbcnet/jbc/hashing"
)

const (
	// maxHeard bounds the blocks that were heard of and are not there yet.
	maxHeard = 64
	// maxOwn is how many of the last own blocks are looked at again when the main
	// chain changes: deeper than forks are expected to be. The verdict on older ones
	// stands.
	maxOwn = 10_000
	// maxFollows is how many of the last moves to blocks of others are told about.
	maxFollows = 1000
)

// races counts what racing with other coordinators comes to: own blocks that made the
// main chain and those that did not, blocks of others, and the hash time that is lost
// between a solution and the next job. It is told the time, does no I/O and is not
// safe for concurrent use.
type races struct {
	tip   chain.Entry // what the farm works on, without a hash before its first job
	moved time.Time   // since when
	heard []heard     // oldest first

	own     []ownBlock // a ring of the last, see maxOwn
	owned   uint64     // all of them
	main    uint64     // that are in the main chain
	taken   uint64
	reorgs  uint64
	deepest uint32
	lost    time.Duration
	hashes  float64 // that the farm could have done meanwhile
	follows follows
}

// heard is a block that was heard of.
type heard struct {
	hash   hashing.Hash
	at     time.Time
	solved bool // first as a solution of another coordinator's worker
}

type ownBlock struct {
	hash   hashing.Hash
	height uint32
	main   bool
}

// Heard notes that a block was heard of, as another coordinator's solution or
// otherwise. The first time counts.
func (r *races) Heard(at time.Time, hash hashing.Hash, solved bool) {
	for i := range r.heard {
		if h := &r.heard[i]; h.hash == hash {
			if at.Before(h.at) {
				h.at = at
			}
			return
		}
	}
	if len(r.heard) >= maxHeard {
		r.heard = slices.Delete(r.heard, 0, 1)
	}
	r.heard = append(r.heard, heard{hash, at, solved})
}

// Found notes a block that an own solution made.
func (r *races) Found(hash hashing.Hash, height uint32, main bool) {
	b := ownBlock{hash, height, main}
	if len(r.own) < maxOwn {
		r.own = append(r.own, b)
	} else {
		r.own[r.owned%maxOwn] = b
	}
	r.owned++
	if main {
		r.main++
	}
}

// Moved notes that the workers were told to leave their parent for a tip, at a
// declared rate of them all. lookup reads the chain's index.
//
// What they did since the tip, or a block below it, was first heard of that has more
// work than their parent was in vain: they hashed on, or stood still.
func (r *races) Moved(now time.Time, tip chain.Entry, rate float64, lookup func(hashing.Hash) (chain.Entry, bool)) {
	old, moved := r.tip, r.moved
	if tip.Hash == old.Hash || !tip.Main {
		return // the chain went on already: the next job tells of that
	}
	r.tip, r.moved = tip, now
	if old.Hash == (hashing.Hash{}) {
		return
	}
	r.countBlocks(old, tip, lookup)
	first := r.firstHeard(old, lookup)
	if first == nil {
		return
	}
	if first.at.Before(moved) {
		first.at = moved // until then it was counted
	}
	gap := max(0, now.Sub(first.at))
	if rate > 0 {
		r.lost += gap
		r.hashes += rate * gap.Seconds()
	}
	if first.solved {
		r.follows.Add(gap)
	}
}

// firstHeard returns the block of the main chain with more work than the old tip that
// was heard of first, and forgets what is no news any more.
func (r *races) firstHeard(old chain.Entry, lookup func(hashing.Hash) (chain.Entry, bool)) (first *heard) {
	r.heard = slices.DeleteFunc(r.heard, func(h heard) bool {
		e, known := lookup(h.hash)
		if known && e.Main && e.Work.Cmp(old.Work) > 0 && (first == nil || h.at.Before(first.at)) {
			first = &h
		}
		return known
	})
	return first
}

// countBlocks counts what came to the main chain and what left it.
func (r *races) countBlocks(old, tip chain.Entry, lookup func(hashing.Hash) (chain.Entry, bool)) {
	fork, known := lookup(old.Hash)
	for known && !fork.Main {
		fork, known = lookup(fork.Header.Prev())
	}
	if depth := old.Height - fork.Height; depth > 0 {
		r.reorgs++
		r.deepest = max(r.deepest, depth)
	}
	came := uint64(tip.Height - fork.Height)
	for i := range r.own {
		b := &r.own[i]
		if b.height <= fork.Height {
			continue
		}
		e, _ := lookup(b.hash)
		switch {
		case e.Main && !b.main:
			r.main++
		case !e.Main && b.main:
			r.main--
		}
		if b.main = e.Main; b.main && came > 0 {
			came--
		}
	}
	r.taken += came
}

// Status returns what came of it so far.
func (r *races) Status() protocol.Race {
	return protocol.Race{
		Taken: r.taken, Reorgs: r.reorgs, DeepestReorg: r.deepest,
		LostMS: inMS(r.lost), LostHashes: r.hashes, Followed: r.follows.Status(),
	}
}

// follows keeps how long the last moves to a block of another coordinator took, from
// its solution to the own next job.
type follows struct {
	took [maxFollows]time.Duration
	n    uint64 // so far
}

// Add notes one.
func (f *follows) Add(took time.Duration) {
	f.took[f.n%maxFollows] = took
	f.n++
}

// Status returns the median and the 99th percentile.
func (f *follows) Status() protocol.FollowedMS {
	last := slices.Clone(f.took[:min(f.n, maxFollows)])
	if len(last) == 0 {
		return protocol.FollowedMS{}
	}
	slices.Sort(last)
	at := func(share float64) float64 { return inMS(last[int(share*float64(len(last)-1)+0.5)]) }
	return protocol.FollowedMS{Count: f.n, Median: at(0.5), P99: at(0.99)}
}

func inMS(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
