package worker

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jbcnet/jbc/hashing"
)

const (
	// rateBudget is how long the declared rate is measured at start.
	rateBudget = 100 * time.Millisecond
	// usualRolls is how many versions a job is expected to have at each point.
	usualRolls = 16
)

// cpu is one thread that runs a kernel.
type cpu struct {
	kernel hashing.Kernel
	hashes int // a slice
}

// slice is a whole number of the kernel's lanes, so that none runs empty.
func (c *cpu) slice(rolls int) int {
	n := c.hashes / rolls
	return max(1, c.kernel.Lanes, n-n%max(1, c.kernel.Lanes))
}

// mineOn has a thread of its own run m, which ends with it. Its
// priority stays as it is: with nice 5, 10 or 19 the time from a message to its
// verdict stayed the same (0.12 to 0.25 ms at the median, two threads on two busy
// cores, 900 stops each), since GOMAXPROCS leaves room, and beside other programs
// a thread of low priority only hashes less.
func mineOn(m *miner) {
	runtime.LockOSThread() // for good
	_ = m.run()            // a kernel returns none
}

func (c *cpu) scan(_ context.Context, s *hashing.Search, first uint32, n int, hits []hashing.Hit) (done, found int, err error) {
	done, found = c.kernel.Scan(s, first, n, hits)
	return done, found, nil
}

// calibration is what a machine can do.
type calibration struct {
	slice int     // hashes that take hashing.ScanBudget on one thread of a busy machine
	rate  float64 // hashes a second, all threads
}

// calibrate measures kernel on threads threads at once, for about rateBudget. A
// cancelled ctx cuts it short.
func calibrate(ctx context.Context, kernel hashing.Kernel, threads int) calibration {
	if threads == 0 {
		return calibration{}
	}
	search := unmeetable()
	n := kernel.Calibrate(search, hashing.ScanBudget)

	var hashes, slowest atomic.Int64
	var wg sync.WaitGroup
	begin := time.Now()
	for range threads {
		wg.Go(func() {
			runtime.LockOSThread() // as when mining; the thread ends with the goroutine
			hits := make([]hashing.Hit, 1)
			fastest := time.Hour
			for first := uint32(0); time.Since(begin) < rateBudget && ctx.Err() == nil; first += uint32(n) {
				start := time.Now()
				kernel.Scan(search, first, n, hits)
				fastest = min(fastest, time.Since(start))
				hashes.Add(int64(n * usualRolls))
			}
			for old := slowest.Load(); int64(fastest) > old && !slowest.CompareAndSwap(old, int64(fastest)); {
				old = slowest.Load()
			}
		})
	}
	wg.Wait()

	c := calibration{slice: n * usualRolls, rate: float64(hashes.Load()) / time.Since(begin).Seconds()}
	// With every thread at work a slice can take longer than alone (shared cores,
	// lower clocks). A thread's fastest one is what the code takes; the others
	// include whatever else the machine was doing.
	if took := time.Duration(slowest.Load()); took > hashing.ScanBudget && took < time.Hour {
		c.slice = max(1, int(float64(c.slice)*float64(hashing.ScanBudget)/float64(took)))
	}
	return c
}

// unmeetable is a search that finds nothing.
func unmeetable() *hashing.Search {
	versions := make([]uint32, usualRolls)
	for i := range versions {
		versions[i] = hashing.RollVersion(0x20000000, uint32(i))
	}
	s := hashing.NewSearch(hashing.Header{}, versions, hashing.Target{})
	return &s
}
