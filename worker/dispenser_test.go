package worker

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jbcnet/jbc/coordinator/protocol"
	"github.com/jbcnet/jbc/hashing"
)

// recorder is a device that only remembers which points it was given, by the
// search of their column.
type recorder struct {
	mu   *sync.Mutex
	seen map[*hashing.Search]map[uint32]int
}

func (r recorder) slice(int) int { return 7 }

func (r recorder) scan(_ context.Context, s *hashing.Search, first uint32, n int, _ []hashing.Hit) (int, int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seen[s] == nil {
		r.seen[s] = map[uint32]int{}
	}
	for i := range n {
		r.seen[s][first+uint32(i)]++
	}
	return n, 0, nil
}

// Miners that are stopped and set going at any moment search every point of every
// lease exactly once, and never is a point called done that was not searched.
func TestEveryPointOnceWhateverHappens(t *testing.T) {
	job := cancelJob(1)
	job.Rolls, job.Coordinator = 1, "c1"
	terms := protocol.Terms{ShareBits: hardBits}
	leases := []protocol.Lease{
		{ID: 0, First: 3 << 32, Points: 5000},
		{ID: 1, First: 8<<32 - 1000, Points: 3000}, // crosses a column
		{ID: 2, First: 0xffffffff_ffffff00, Points: 255},
		{ID: 3, First: 12345, Points: 0},
	}
	d := newDispenser()
	a := &assignment{job: job, target: job.Target()}
	r := recorder{new(sync.Mutex), map[*hashing.Search]map[uint32]int{}}

	var miners sync.WaitGroup
	for range 4 {
		m := miner{device: r, dispenser: d, finds: newFinds()}
		miners.Go(func() { _ = m.run() })
	}
	loans := newLoans(job, &terms, leases)
	d.assign(a, loans)

	rng := rand.New(rand.NewPCG(3, 4))
	for whole := 0; whole < 3; {
		if rng.IntN(2) == 0 {
			d.halt(time.Now(), hashing.Hash{})
		} else {
			d.pause()
		}
		acc := d.account()
		whole = len(acc.whole)
		for _, done := range acc.done {
			l := leases[done.ID]
			for i := range done.Points {
				p := l.First + protocol.Point(i)
				search := a.search(p.Column(), loans[0].target) // known: prepared once
				r.mu.Lock()
				times := r.seen[search][p.Nonce()]
				r.mu.Unlock()
				if times != 1 {
					t.Fatalf("lease %d: %d points called done, point %d searched %d times", done.ID, done.Points, i, times)
				}
			}
		}
		d.lend(a, newLoans(job, &terms, leases)) // all known: nothing is searched again
		d.resume()
	}
	d.close()
	miners.Wait()
	if got, want := d.account().hashes, uint64(8255); got != want {
		t.Errorf("%d hashes counted, want %d", got, want)
	}
}

func TestStopTellsWhenTheLastMinerStood(t *testing.T) {
	d := newDispenser()
	job := cancelJob(1)
	job.Rolls = 16
	a := &assignment{job: job, target: job.Target()}
	d.assign(a, newLoans(job, &protocol.Terms{ShareBits: hardBits}, []protocol.Lease{{Points: 1 << 20}}))
	size := func(int) int { return 10 }
	first, _ := d.take(size)
	second, _ := d.take(size)

	decided := time.Now()
	d.halt(decided, hashing.Hash{7})
	if d.gen.Load() == first.gen {
		t.Error("the miners were not told")
	}
	d.put(&first)
	if stop := d.account().stop; stop.Count != 1 || stop.By != (hashing.Hash{7}) || !stop.Decided.Equal(decided) || !stop.Parked.IsZero() {
		t.Errorf("stop %+v with one miner at work, want it not parked yet", stop)
	}
	// The next job comes before the second miner looks up, and the first is on it.
	next := &assignment{job: job, target: job.Target()}
	d.assign(next, newLoans(job, &protocol.Terms{ShareBits: hardBits}, []protocol.Lease{{Points: 1 << 20}}))
	third, _ := d.take(size)
	d.put(&third)
	if stop := d.account().stop; !stop.Parked.IsZero() {
		t.Errorf("stop %+v with one miner on the solved job, want it not parked yet", stop)
	}
	d.put(&second)
	if stop := d.account().stop; stop.Parked.Before(decided) {
		t.Errorf("stop %+v with no miner at work, want the time when the last parked", stop)
	}
}

func TestLendsOnlyToTheCurrentAssignment(t *testing.T) {
	d := newDispenser()
	job := cancelJob(1)
	job.Rolls = 1
	terms := &protocol.Terms{ShareBits: hardBits}
	old, a := &assignment{job: job}, &assignment{job: job}
	d.assign(old, nil)
	d.assign(a, newLoans(job, terms, []protocol.Lease{{ID: 1, Points: 10}}))
	d.lend(old, newLoans(job, terms, []protocol.Lease{{ID: 2, Points: 10}}))
	d.revoke(old, []uint64{1})
	if acc := d.account(); len(acc.done) != 1 || acc.left != 10 {
		t.Errorf("%+v, want the one lease of the current assignment", acc)
	}
	d.revoke(a, []uint64{1})
	if acc := d.account(); len(acc.done) != 0 {
		t.Errorf("%+v, want none", acc)
	}
}

// A share target harder than the block's must not hide a block.
func TestLooksForTheEasierTarget(t *testing.T) {
	job := cancelJob(1)
	loans := newLoans(job, &protocol.Terms{ShareBits: hardBits}, []protocol.Lease{{Points: 1}})
	if loans[0].target != job.Target() {
		t.Errorf("looks for %s, want the block target %s", loans[0].target, job.Target())
	}
}

// A slice with more hits than a scan can report is scanned in pieces.
func TestEveryHashAHit(t *testing.T) {
	job := cancelJob(1)
	job.Rolls, job.Coordinator, job.Version = 16, "c1", 0x20000000
	easy := hashing.MaxTarget.Bits()
	lease := protocol.Lease{ID: 1, First: 77, Points: 60}
	d, f := newDispenser(), newFinds()
	a := &assignment{job: job, target: job.Target()}
	d.assign(a, newLoans(job, &protocol.Terms{ShareBits: easy}, []protocol.Lease{lease}))
	m := miner{device: &cpu{kernel: hashing.BestKernel(), hashes: 1 << 20}, dispenser: d, finds: f}
	var miners sync.WaitGroup
	miners.Go(func() { _ = m.run() })
	<-d.dry
	d.close()
	miners.Wait()

	var got []protocol.Place
	for _, found := range f.take() {
		if found.hash != found.header.Hash() || found.solves != job.Target().MetBy(found.hash) {
			t.Errorf("find %+v: wrong hash or verdict", found)
		}
		got = append(got, found.place)
	}
	slices.SortFunc(got, comparePlaces)
	if want := sharesIn(job, lease, easy); !slices.Equal(got, want) {
		t.Errorf("%d finds, plain Go has %d, or they differ", len(got), len(want))
	}
}

// A solution is never pushed out by shares.
func TestSharesLeaveRoomForSolutions(t *testing.T) {
	f := newFinds()
	for range maxFinds + 5 {
		f.add(find{})
	}
	f.add(find{solves: true})
	got := f.take()
	if dropped, _ := f.counts(); dropped != 5 || len(got) != maxFinds+1 || !got[maxFinds].solves {
		t.Errorf("%d dropped, %d kept; want 5 and %d with the solution", dropped, len(got), maxFinds+1)
	}
}

func TestACPUSliceFillsItsLanes(t *testing.T) {
	for _, tt := range []struct{ hashes, rolls, lanes, want int }{
		{1600, 16, 1, 100}, {1600, 16, 8, 96}, {10, 16, 8, 8}, {10, 16, 0, 1}, {1600, 1, 16, 1600},
	} {
		c := cpu{kernel: hashing.Kernel{Lanes: tt.lanes}, hashes: tt.hashes}
		if got := c.slice(tt.rolls); got != tt.want {
			t.Errorf("slice of %+v: %d points, want %d", tt, got, tt.want)
		}
	}
}
