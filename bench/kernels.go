package bench

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/jbcnet/jbc/hashing"
	"github.com/jbcnet/jbc/hashing/ports"
)

const (
	// rounds is how often each row is measured; odd, so that there is a median.
	rounds = 5
	// defaultRow and defaultTotal bound what a row and all of them take where the
	// caller does not say, so that all that Run measures takes less than a minute.
	defaultRow   = time.Second
	defaultTotal = 30 * time.Second
	// manyVersions is what kernels are measured with besides a single version:
	// what jobs ask for unless figures ask for more.
	manyVersions = 16
)

// Options say what to measure and for how long.
type Options struct {
	// Threads is the most threads to measure with; zero means one for every CPU.
	Threads int
	// Time is how long each row is measured, all rounds together; zero means
	// a second, less where the whole would take longer than a minute.
	Time time.Duration
	// Progress, where set, is told how much is done, from 0 to 1.
	Progress func(done float64)
}

// slice hashes headers for about [hashing.ScanBudget] and returns how many.
type slice func() (hashes uint64)

// contender is code that hashes headers. start prepares it for one thread.
type contender struct {
	kind, name string
	versions   int
	start      func() slice
	limit      float64 // cycles a hash at least, zero where that is not known
}

// timedRun is a contender on so many threads, and what was measured of it.
type timedRun struct {
	contender
	threads int
	mhs     []float64
	cycles  []float64 // a hash on one thread
}

// Hashing measures every kernel that this machine can run, with one and with many
// versions, beside the baselines, each on 1 to o.Threads threads. It returns what
// it has when ctx ends, with the context's error.
func Hashing(ctx context.Context, o Options) ([]Row, error) {
	if o.Threads == 0 {
		o.Threads = runtime.NumCPU()
	}
	limits := ports.Measure(hashing.Kernels()...)
	var runs []timedRun
	for _, threads := range threadCounts(o.Threads) {
		for _, c := range slices.Concat(kernelContenders(hashing.Kernels()), baselines()) {
			if k, err := hashing.KernelByName(c.name); err == nil && c.kind == KindKernel {
				c.limit = limits.Limit(k, c.versions)
			}
			runs = append(runs, timedRun{contender: c, threads: threads})
		}
	}
	if o.Time == 0 {
		o.Time = min(defaultRow, defaultTotal/time.Duration(len(runs)))
	}

	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(o.Threads + 1))
	var err error
measure:
	for round := range rounds {
		for i := range runs {
			hz, rate := rated(ctx, runs[i], o.Time/rounds)
			if err = ctx.Err(); err != nil {
				break measure
			}
			runs[i].mhs = append(runs[i].mhs, rate/1e6)
			if runs[i].threads == 1 && hz > 0 {
				runs[i].cycles = append(runs[i].cycles, hz/rate)
			}
			if o.Progress != nil {
				o.Progress(float64(round*len(runs)+i+1) / float64(rounds*len(runs)))
			}
		}
	}

	return rowsOf(runs), err
}

// rated measures a run, and the clock right before and after it: what a core makes
// a second depends on the one as on the other.
func rated(ctx context.Context, r timedRun, d time.Duration) (hz, rate float64) {
	before := ports.Clock()
	rate = measure(ctx, r.start, r.threads, d)
	return (before + ports.Clock()) / 2, rate
}

// rowsOf returns the medians of runs, kernels before baselines.
func rowsOf(runs []timedRun) []Row {
	single := map[string]float64{} // MH/s of one thread
	var rows []Row
	for _, r := range runs {
		if len(r.mhs) == 0 {
			continue
		}
		row := rateRow(r.kind, r.name, r.threads, r.versions, r.mhs)
		if len(r.cycles) > 0 {
			row.Cycles = median(r.cycles)
			row.OfLimit = r.limit / row.Cycles
		}
		key := fmt.Sprint(r.kind, r.name, r.versions)
		if r.threads == 1 {
			single[key] = row.MHS
		} else if one := single[key]; one > 0 {
			row.Scaling = row.MHS / one
		}
		rows = append(rows, row)
	}
	slices.SortStableFunc(rows, func(a, b Row) int { return cmp.Compare(b.Kind, a.Kind) })
	return rows
}

// KernelRate returns how many hashes a second one thread makes with k and the
// versions that suit it, measured for about d.
func KernelRate(ctx context.Context, k hashing.Kernel, d time.Duration) float64 {
	return measure(ctx, kernelContender(k, k.Versions).start, 1, d)
}

// kernelContenders returns the kernels that this machine can run, each with the
// numbers of versions worth knowing.
func kernelContenders(kernels []hashing.Kernel) []contender {
	var all []contender
	for _, k := range kernels {
		if !k.Supported() {
			continue
		}
		counts := []int{1, manyVersions, k.Versions}
		slices.Sort(counts)
		for _, versions := range slices.Compact(counts) {
			all = append(all, kernelContender(k, versions))
		}
	}
	return all
}

func kernelContender(k hashing.Kernel, versions int) contender {
	h := sample()
	rolled := make([]uint32, versions)
	for i := range rolled {
		rolled[i] = hashing.RollVersion(h.Version(), uint32(i))
	}
	s := hashing.NewSearch(h, rolled, unmeetable)
	n := sync.OnceValue(func() int { return k.Calibrate(&s, hashing.ScanBudget) })
	return contender{kind: KindKernel, name: k.Name, versions: versions, start: func() slice {
		hits := make([]hashing.Hit, versions)
		n, nonce := n(), uint32(0)
		return func() (hashes uint64) {
			done, _ := k.Scan(&s, nonce, n, hits)
			nonce += uint32(done)
			return uint64(done) * uint64(versions)
		}
	}}
}

// measure runs start's code on threads for about d and returns the sum of their
// hashes a second.
func measure(ctx context.Context, start func() slice, threads int, d time.Duration) float64 {
	slices := make([]slice, threads)
	for i := range slices {
		slices[i] = start()
	}
	rates := make([]float64, threads)
	begin := make(chan struct{})
	var hashers sync.WaitGroup
	for i, step := range slices {
		hashers.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			<-begin
			t0, hashes := time.Now(), uint64(0)
			for time.Since(t0) < d && ctx.Err() == nil {
				hashes += step()
			}
			rates[i] = float64(hashes) / math.Max(time.Since(t0).Seconds(), 1e-9)
		})
	}
	close(begin)
	hashers.Wait()
	sum := 0.0
	for _, r := range rates {
		sum += r
	}
	return sum
}

// threadCounts returns 1 to most, only the powers of two and most itself where
// that is over 8.
func threadCounts(most int) []int {
	var counts []int
	for n := 1; n < most; {
		counts = append(counts, n)
		if most <= 8 {
			n++
		} else {
			n *= 2
		}
	}
	return append(counts, most)
}
