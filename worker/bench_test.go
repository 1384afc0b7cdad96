//go:build unix

package worker

import (
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jbcnet/jbc/coordinator/protocol"
	"github.com/jbcnet/jbc/hashing"
)

// BenchmarkCancel is the time from the publishing of a solution to the moment when
// the last of two busy threads stands still, over NATS on loopback.
func BenchmarkCancel(b *testing.B) {
	ns := newNATS(b, 0)
	c := newLookalike(b, ns.ClientURL(), "c1")
	c.bigHome()
	w := startWorker(b, ns.ClientURL(), func(cfg *Config) {
		cfg.Kernel, cfg.Log = quietKernel(), slog.New(slog.DiscardHandler)
	})
	w.until("mining", isMining)
	bits := hashing.TargetForHashes(1000).Bits()

	var heard, whole []time.Duration
	number := uint64(1)
	for b.Loop() {
		number++
		job := c.newJob(number, byte(number), bits)
		job.Prev[1], job.Prev[2] = byte(number>>8), byte(number>>16)
		solved := solve(b, job)
		c.publishJob(job)
		w.until("on the job", onJob(number))
		before := w.Stats()
		w.until("hashing", func(s Stats) bool { return s.Hashes > before.Hashes })

		sent := time.Now()
		c.announce(solved)
		stop := w.until("stopped", func(s Stats) bool {
			return s.LastStop.By == solved.Header.Hash() && !s.LastStop.Parked.IsZero()
		}).LastStop
		heard = append(heard, stop.Decided.Sub(sent))
		whole = append(whole, stop.Parked.Sub(sent))
	}
	report := func(name string, d []time.Duration) {
		slices.Sort(d)
		b.ReportMetric(float64(d[len(d)/2].Microseconds()), name+"-p50-us")
		b.ReportMetric(float64(d[len(d)*99/100].Microseconds()), name+"-p99-us")
	}
	report("decided", heard)
	report("stopped", whole)
}

// BenchmarkMining is a worker's rate beside that of its kernel alone on the same
// threads, in turns: what slices, leases, account and messages cost. It is taken by
// the clock, and by the CPU time of the whole process, which other programs on the
// machine disturb less.
func BenchmarkMining(b *testing.B) {
	ns := newNATS(b, 0)
	c := newLookalike(b, ns.ClientURL(), "c1")
	c.bigHome()
	for _, threads := range []int{1, 2} {
		b.Run(fmt.Sprintf("threads=%d", threads), func(b *testing.B) {
			w := startWorker(b, ns.ClientURL(), func(cfg *Config) {
				cfg.Threads, cfg.Log = threads, slog.New(slog.DiscardHandler)
			})
			w.until("mining", isMining)
			n := hashing.BestKernel().Calibrate(unmeetable(), 10*time.Millisecond)
			const turn = 500 * time.Millisecond
			var mined, bare effort
			for b.Loop() {
				mined.add(func() float64 {
					from := w.Stats().Hashes
					time.Sleep(turn) // nothing is waited for: the worker is watched
					return float64(w.Stats().Hashes - from)
				})
				w.dispenser.pause()
				bare.add(func() float64 { return bareHashes(n, threads, turn) })
				w.dispenser.resume()
			}
			b.ReportMetric(mined.hashes/mined.clock.Seconds()/1e6, "MH/s")
			b.ReportMetric(mined.hashes/mined.clock.Seconds()/(bare.hashes/bare.clock.Seconds())*100, "%of-bare")
			b.ReportMetric(mined.hashes/mined.cpu.Seconds()/(bare.hashes/bare.cpu.Seconds())*100, "%of-bare-by-cpu")
			w.stop()
		})
	}
}

// BenchmarkTask is the same without the machine's other work: one miner's fastest
// task of many beside the kernel's fastest scan of as many points in one go.
func BenchmarkTask(b *testing.B) {
	kernel := hashing.BestKernel()
	job := cancelJob(1)
	job.Rolls, job.Version = usualRolls, 0x20000000
	d := newDispenser()
	a := &assignment{job: job, target: job.Target()}
	d.assign(a, newLoans(job, &protocol.Terms{ShareBits: hardBits}, []protocol.Lease{{Points: protocol.ColumnPoints}}))
	d.loans[0].target = hashing.Target{} // finds nothing
	hashes := kernel.Calibrate(unmeetable(), hashing.ScanBudget) * usualRolls
	m := miner{device: &cpu{kernel: kernel, hashes: hashes}, dispenser: d, finds: newFinds(), hits: make([]hashing.Hit, 256)}

	task, whole := time.Hour, time.Hour
	for b.Loop() {
		start := time.Now()
		t, _ := d.take(m.device.slice)
		m.search(&t)
		d.put(&t)
		task = min(task, time.Since(start))

		start = time.Now()
		kernel.Scan(t.search, 0, int(t.to-t.from), m.hits)
		whole = min(whole, time.Since(start))
	}
	b.ReportMetric(float64(whole)/float64(task)*100, "%of-bare")
}

// effort is hashes and what they took.
type effort struct {
	hashes     float64
	clock, cpu time.Duration
}

func (e *effort) add(work func() float64) {
	start, cpu := time.Now(), cpuTime()
	e.hashes += work()
	e.clock += time.Since(start)
	e.cpu += cpuTime() - cpu
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// bareHashes runs the best kernel alone, n nonces at a time.
func bareHashes(n, threads int, d time.Duration) float64 {
	kernel, search := hashing.BestKernel(), unmeetable()
	var nonces atomic.Int64
	var wg sync.WaitGroup
	for range threads {
		wg.Go(func() {
			hits := make([]hashing.Hit, 100)
			for start := time.Now(); time.Since(start) < d; nonces.Add(int64(n)) {
				kernel.Scan(search, 0, n, hits)
			}
		})
	}
	wg.Wait()
	return float64(nonces.Load() * usualRolls)
}
