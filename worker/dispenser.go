package worker

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jbcnet/jbc/coordinator/protocol"
	"github.com/jbcnet/jbc/hashing"
)

// taskSlices is how many slices a miner takes at once. The lock is passed once a
// task (2 ms), not once a slice, so that hundreds of threads don't queue for it; a
// cancel is still seen at the next slice.
const taskSlices = 16

// maxSearches bounds the prepared columns of an assignment; those in use are few.
const maxSearches = 16

// assignment is a job with this worker's place in it.
type assignment struct {
	job     *protocol.Job
	by      protocol.Found // whose job it is
	slot    uint32
	secret  []byte         // of the slot
	target  hashing.Target // the block's
	started time.Time

	// Guarded by the dispenser's lock.
	searches map[searchKey]*hashing.Search
	lent     map[uint64]bool // every lease it ever had: none is searched twice
}

type searchKey struct {
	column uint32
	target hashing.Target
}

func (a *assignment) sitting() protocol.Sitting {
	return protocol.Sitting{JobID: a.job.JobID, Slot: a.slot}
}

// search returns a column made ready for target, preparing it once.
func (a *assignment) search(column uint32, target hashing.Target) *hashing.Search {
	key := searchKey{column, target}
	if s := a.searches[key]; s != nil {
		return s
	}
	if len(a.searches) >= maxSearches {
		clear(a.searches)
	}
	s := a.job.Search(column, target)
	a.searches[key] = &s
	return &s
}

// task is a stretch of a lease within one column, given to one miner.
type task struct {
	assignment *assignment
	loan       *loan
	search     *hashing.Search
	at, to     uint64 // offsets from the lease's first point; at grows as it is searched
	from       uint64 // where at began
	gen        uint64
	ctx        context.Context // ends when gen is over
}

// dispenser hands the points of the current leases to the miners and keeps the
// account of which are searched. Safe for concurrent use.
type dispenser struct {
	// gen changes whenever miners must look up: they compare it with their task's
	// between slices, and that is all a cancel costs them. Whoever has no slices that
	// short watches turn, the context of that generation.
	gen  atomic.Uint64
	turn context.Context
	over context.CancelFunc // ends turn

	// dry gets a token when a miner finds no point left.
	dry chan struct{}

	mu         sync.Mutex
	wake       sync.Cond
	assignment *assignment
	loans      []*loan
	running    bool
	closed     bool
	hashes     uint64 // done so far, all assignments
	busy       int    // miners with a task
	stop       Stop   // the last one
	stopGen    uint64 // what gen became by it
	parking    int    // miners that it has not reached yet
}

func newDispenser() *dispenser {
	d := &dispenser{dry: make(chan struct{}, 1)}
	d.wake.L = &d.mu
	d.turn, d.over = context.WithCancel(context.Background())
	return d
}

// interrupt makes miners look up, and returns the generation that begins.
func (d *dispenser) interrupt() uint64 {
	gen := d.gen.Add(1)
	d.over()
	d.turn, d.over = context.WithCancel(context.Background())
	return gen
}

// assign replaces all work by the leases of a. Miners switch at their next slice.
func (d *dispenser) assign(a *assignment, loans []*loan) {
	d.mu.Lock()
	defer d.mu.Unlock()
	a.searches, a.lent = map[searchKey]*hashing.Search{}, map[uint64]bool{}
	d.assignment, d.loans, d.running = a, nil, true
	d.add(loans)
	d.interrupt()
	d.wake.Broadcast()
}

// add appends the loans that the assignment never had.
func (d *dispenser) add(loans []*loan) {
	for _, l := range loans {
		if !d.assignment.lent[l.ID] {
			d.assignment.lent[l.ID] = true
			d.loans = append(d.loans, l)
		}
	}
}

// lend adds leases of a, unless miners are on another assignment by now or had the
// lease before.
func (d *dispenser) lend(a *assignment, loans []*loan) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.assignment != a {
		return
	}
	d.add(loans)
	d.wake.Broadcast()
}

// revoke drops leases of a: those that ran out, and those reported as complete.
func (d *dispenser) revoke(a *assignment, ids []uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.assignment == a {
		d.loans = slices.DeleteFunc(d.loans, func(l *loan) bool { return slices.Contains(ids, l.ID) })
	}
}

// halt stops the miners; leases and how far they are stay. The moment when the
// last of them let go of its task ends up in [Stop], even where the next job is
// there by then.
func (d *dispenser) halt(now time.Time, by hashing.Hash) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.running = false
	d.stopGen, d.parking = d.interrupt(), d.busy
	d.stop = Stop{Count: d.stop.Count + 1, By: by, Decided: now}
	if d.parking == 0 {
		d.stop.Parked = now
	}
}

// pause stops the miners for a hold, which nobody measures.
func (d *dispenser) pause() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.running = false
	d.interrupt()
}

// drop stops the miners and forgets the work.
func (d *dispenser) drop() {
	d.pause()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.assignment, d.loans = nil, nil
}

// resume sets the miners going again where they stopped.
func (d *dispenser) resume() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.running = true
	d.wake.Broadcast()
}

// close ends every miner.
func (d *dispenser) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	d.interrupt()
	d.wake.Broadcast()
}

// take waits for a task of at most taskSlices slices, whose size in points depends
// on a job's rolls. It returns false when the dispenser was closed.
func (d *dispenser) take(size func(rolls int) int) (task, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for !d.closed {
		if d.running {
			if t, ok := d.next(size); ok {
				d.busy++
				return t, true
			}
			select {
			case d.dry <- struct{}{}:
			default:
			}
		}
		d.wake.Wait()
	}
	return task{}, false
}

// next cuts a task from the first lease that has one.
func (d *dispenser) next(size func(rolls int) int) (task, bool) {
	a := d.assignment
	for _, l := range d.loans {
		from, to, ok := l.cut(uint64(size(a.job.Rolls)) * taskSlices)
		if !ok {
			continue
		}
		column := (l.First + protocol.Point(from)).Column()
		return task{
			assignment: a, loan: l, search: a.search(column, l.target),
			from: from, at: from, to: to, gen: d.gen.Load(), ctx: d.turn,
		}, true
	}
	return task{}, false
}

// put takes a task back: the points before at are searched, the others are not.
func (d *dispenser) put(t *task) {
	d.mu.Lock()
	defer d.mu.Unlock()
	t.loan.back(t.from, t.at, t.to)
	if t.at < t.to && d.running && d.assignment == t.assignment {
		d.wake.Broadcast() // others may be out of points
	}
	d.hashes += (t.at - t.from) * uint64(t.assignment.job.Rolls)
	d.busy--
	if d.parking > 0 && t.gen < d.stopGen {
		if d.parking--; d.parking == 0 {
			d.stop.Parked = time.Now()
		}
	}
}

// account is the state of the leases at one moment.
type account struct {
	done   []protocol.Done // how far each is searched
	whole  []uint64        // those searched to their end
	left   uint64          // points that no miner has taken
	hashes uint64
	stop   Stop
}

// account returns it.
func (d *dispenser) account() account {
	d.mu.Lock()
	defer d.mu.Unlock()
	acc := account{hashes: d.hashes, stop: d.stop}
	for _, l := range d.loans {
		done := l.done()
		acc.done = append(acc.done, protocol.Done{ID: l.ID, Points: done})
		if done == l.Points {
			acc.whole = append(acc.whole, l.ID)
		}
		acc.left += l.left()
	}
	return acc
}
