package bench

import (
	"context"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/jbcnet/jbc/hashing"
	"github.com/jbcnet/jbc/worker"
)

const (
	// cancelEvents is how many solutions a round of the cancel bench publishes.
	cancelEvents = 200
	// solveBits makes a solution cost the bench about 16,000 hashes.
	solveBits = 14
)

// Cancel measures how long a published solution takes to stop the last hashing
// thread of a worker that uses threads of them: from just before the message is
// published by another connection over loopback, through its check against the
// worker's job, to the end of the last scan. The control, in turn with it in the
// same run and under the same load, the coordinator's work on the solution
// included, hears the same raw message in a handler that sets a bare flag: the
// least that any miner on NATS could take. The figures are medians over the
// rounds.
func Cancel(ctx context.Context, o Options) ([]Row, error) {
	threads := o.Threads
	if threads == 0 {
		threads = runtime.NumCPU()
	}
	defer leaveRoom(threads)()
	params, err := easyNetwork(solveBits)
	if err != nil {
		return nil, err
	}
	r, err := newRig(ctx, params)
	if err != nil {
		return nil, err
	}
	defer r.close()
	f, err := newFinder(ctx, r)
	if err != nil {
		return nil, err
	}
	defer f.close()

	var stops, controls percentiles
	for round := range rounds {
		took, err := r.timeStops(ctx, f, threads)
		if err != nil {
			return nil, err
		}
		stops.add(took)
		if took, err = r.timeControl(ctx, f, threads); err != nil {
			return nil, err
		}
		controls.add(took)
		if o.Progress != nil {
			o.Progress(float64(round+1) / rounds)
		}
	}
	return []Row{{
		Kind: KindCancel, Name: "solution", Threads: threads,
		P50us: stops.median(0), P99us: stops.median(1), ControlP50us: controls.median(0), ControlP99us: controls.median(1),
	}}, nil
}

// timeStops returns how long each of the finder's solutions took to stop a worker.
func (r *rig) timeStops(ctx context.Context, f *finder, threads int) ([]time.Duration, error) {
	w, stop, err := r.mine(ctx, silent(hashing.FastestKernel(manyVersions)), threads)
	if err != nil {
		return nil, err
	}
	defer stop() //nolint:errcheck // what it measured counts
	var took []time.Duration
	for range cancelEvents {
		before := w.Stats().LastStop.Count
		published, next, err := f.event(ctx)
		if err != nil {
			return nil, err
		}
		parked, err := lastStop(ctx, w, before, next)
		if err != nil {
			return nil, err
		}
		took = append(took, parked.Sub(published))
	}
	return took, nil
}

// stopPatience is how long the end of a stop is waited for.
const stopPatience = 100 * time.Millisecond

// lastStop returns when the last miner had let go of a solved job. Where none
// stopped for the solution, because the next job was there before it was judged,
// that job stopped them, and its time is returned: no sample is left out, since the
// slowest decide the 99th percentile.
func lastStop(ctx context.Context, w *worker.Worker, before uint64, next time.Time) (time.Time, error) {
	for waited := time.Duration(0); waited < stopPatience; waited += pollTime {
		if s := w.Stats().LastStop; s.Count > before && !s.Parked.IsZero() {
			return s.Parked, nil
		}
		if err := pause(ctx, pollTime); err != nil {
			return time.Time{}, err
		}
	}
	return next, nil
}

// event publishes a solution while everybody hashes, waits for the next job, and
// returns when the one left and the other came.
func (f *finder) event(ctx context.Context) (published, next time.Time, err error) {
	place, err := f.solve(ctx)
	if err != nil {
		return published, next, err
	}
	if err := pause(ctx, 2*time.Millisecond+rand.N(3*time.Millisecond)); err != nil {
		return published, next, err
	}
	published = time.Now()
	if err := f.publish(place); err != nil {
		return published, next, err
	}
	err = f.next(ctx)
	return published, time.Now(), err
}

// timeControl returns how long each of the finder's solutions took to stop threads
// that look at a flag between scans, which is set for any message.
func (r *rig) timeControl(ctx context.Context, f *finder, threads int) ([]time.Duration, error) {
	conn, err := r.dial("control")
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	load := newLoad(threads)
	if _, err := conn.Subscribe(f.subj.SolvedAny(), func(*nats.Msg) { load.halt.Store(true) }); err != nil {
		return nil, err
	}
	if err := conn.Flush(); err != nil {
		return nil, err
	}
	var took []time.Duration
	for range cancelEvents {
		load.start()
		published, _, err := f.event(ctx)
		if err != nil {
			load.halt.Store(true)
		}
		last := load.wait()
		if err != nil {
			return nil, err
		}
		took = append(took, last.Sub(published))
	}
	return took, nil
}

// load is threads that scan until a flag is set.
type load struct {
	halt    atomic.Bool
	kernel  hashing.Kernel
	search  hashing.Search
	nonces  int // a scan
	running sync.WaitGroup
	ends    []time.Time
}

func newLoad(threads int) *load {
	l := &load{kernel: hashing.FastestKernel(manyVersions), ends: make([]time.Time, threads)}
	versions := make([]uint32, manyVersions)
	for i := range versions {
		versions[i] = hashing.RollVersion(0x20000000, uint32(i))
	}
	l.search = hashing.NewSearch(sample(), versions, unmeetable)
	l.nonces = l.kernel.Calibrate(&l.search, hashing.ScanBudget)
	return l
}

func (l *load) start() {
	l.halt.Store(false)
	for i := range l.ends {
		l.running.Go(func() {
			runtime.LockOSThread() // the thread ends with the goroutine
			hits := make([]hashing.Hit, manyVersions)
			for !l.halt.Load() {
				l.kernel.Scan(&l.search, 0, l.nonces, hits)
			}
			l.ends[i] = time.Now()
		})
	}
}

// wait returns when the last thread stopped.
func (l *load) wait() time.Time {
	l.running.Wait()
	return slices.MaxFunc(l.ends, time.Time.Compare)
}

// silent is k at full work that reports no hits, so that a worker runs it without
// ever ending its own job.
func silent(k hashing.Kernel) hashing.Kernel {
	scan := k.Scan
	k.Scan = func(s *hashing.Search, first uint32, n int, hits []hashing.Hit) (done, found int) {
		unmeetable := *s
		unmeetable.Target = hashing.Target{}
		return scan(&unmeetable, first, n, hits)
	}
	return k
}

// percentiles collects the median and the 99th percentile of each round.
type percentiles [2][]float64

func (p *percentiles) add(took []time.Duration) {
	slices.Sort(took)
	for i, at := range []int{len(took) / 2, (len(took)*99+99)/100 - 1} {
		p[i] = append(p[i], float64(took[at].Microseconds()))
	}
}

func (p *percentiles) median(i int) float64 {
	slices.Sort(p[i])
	return p[i][len(p[i])/2]
}

// pause waits, or returns the context's error.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
