package main

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/jbcnet/jbc/hashing"
)

// sweep is an interval of nonces to be tried under a list of versions.
type sweep struct {
	header   hashing.Header
	target   hashing.Target
	versions []uint32
	start    uint64
	count    uint64 // start + count <= 2^32
	hasher   hasher

	// hit is told every header that meets the target, one call at a time and in
	// no order; what it returns ends the sweep.
	hit func(hashing.Header) error

	done atomic.Uint64 // hashes so far
}

// hasher is what a sweep tries nonces with.
type hasher interface {
	// threads is how many goroutines call scan.
	threads() int
	// slice is how many nonces of s a call should try.
	slice(s *hashing.Search) int
	// scan is [hashing.Kernel.Scan]. It may end early with ctx; its error ends the
	// sweep.
	scan(ctx context.Context, s *hashing.Search, first uint32, n int, hits []hashing.Hit) (done, found int, err error)
	// String says what it is, after "with".
	String() string
}

// total returns how many hashes the sweep makes.
func (w *sweep) total() uint64 { return w.count * uint64(len(w.versions)) }

// run tries everything on all threads. It returns the error of hit, or that of
// ctx when that ends first.
func (w *sweep) run(ctx context.Context) error {
	// The scheduler needs a thread of its own to see a signal while every hashing
	// thread is busy.
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(w.hasher.threads() + 1))
	slice := 0 // measured once, on the first and largest search
	for versions := range slices.Chunk(w.versions, hashing.MaxVersions) {
		s := hashing.NewSearch(w.header, versions, w.target)
		if slice == 0 {
			slice = w.hasher.slice(&s)
		}
		if err := w.search(ctx, &s, versions, uint64(slice)); err != nil {
			return err
		}
	}
	return nil
}

// search tries all nonces of s, whose versions are given, in slices.
func (w *sweep) search(ctx context.Context, s *hashing.Search, versions []uint32, slice uint64) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)

	var (
		next    atomic.Uint64 // the first nonce that no thread has taken, from start on
		reports sync.Mutex
		hashers sync.WaitGroup
	)
	for range w.hasher.threads() {
		hashers.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			hits := make([]hashing.Hit, max(1024, len(versions)))
			for ctx.Err() == nil {
				first := next.Add(slice) - slice
				if first >= w.count {
					return
				}
				for left := min(slice, w.count-first); left > 0; {
					done, found, err := w.hasher.scan(ctx, s, uint32(w.start+first), int(left), hits)
					first, left = first+uint64(done), left-uint64(done)
					w.done.Add(uint64(done) * uint64(len(versions)))
					for _, hit := range hits[:found] {
						if err := w.report(&reports, versions, hit); err != nil {
							stop(err)
							return
						}
					}
					if err != nil {
						stop(err)
						return
					}
					if ctx.Err() != nil {
						return
					}
				}
			}
		})
	}
	hashers.Wait()
	return context.Cause(ctx)
}

func (w *sweep) report(reports *sync.Mutex, versions []uint32, hit hashing.Hit) error {
	h := w.header
	h.SetVersion(versions[hit.Version])
	h.SetNonce(hit.Nonce)
	reports.Lock()
	defer reports.Unlock()
	return w.hit(h)
}
