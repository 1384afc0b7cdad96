package hashing

import (
	"math"
	"runtime"
	"runtime/metrics"
	"sync"
	"testing"
)

// BenchmarkStopTheWorld collects garbage while every CPU scans in calls of
// [ScanBudget], and reports how long the world stood still: assembly can't be
// preempted, so a pause is about one call long. The control scans in calls of a few
// microseconds that can be: what it takes is the operating system's, which has
// more threads to run than there are CPUs.
func BenchmarkStopTheWorld(b *testing.B) {
	s := NewSearch(Header{}, make([]uint32, 16), Target{})
	k := FastestKernel(16)
	b.Run(k.Name, func(b *testing.B) { stopTheWorld(b, k, &s, k.Calibrate(&s, ScanBudget)) })
	b.Run("control", func(b *testing.B) { stopTheWorld(b, Kernels()[0], &s, 1) })
}

func stopTheWorld(b *testing.B, k Kernel, s *Search, n int) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(runtime.NumCPU() + 2))
	stop := make(chan struct{})
	var scanning sync.WaitGroup
	for range runtime.NumCPU() {
		scanning.Go(func() {
			runtime.LockOSThread()
			hits := make([]Hit, 16)
			for {
				select {
				case <-stop:
					return
				default:
					k.Scan(s, 0, n, hits)
				}
			}
		})
	}
	pauses := []metrics.Sample{{Name: "/sched/pauses/total/gc:seconds"}}
	metrics.Read(pauses)
	before := pauses[0].Value.Float64Histogram()
	old := append([]uint64(nil), before.Counts...)
	for b.Loop() {
		runtime.GC()
	}
	metrics.Read(pauses)
	close(stop)
	scanning.Wait()
	h := pauses[0].Value.Float64Histogram()
	var all uint64
	for i := range h.Counts {
		h.Counts[i] -= old[i]
		all += h.Counts[i]
	}
	for _, q := range []struct {
		name string
		part float64
	}{{"p50-us", 0.5}, {"p99-us", 0.99}, {"max-us", 1}} {
		var sum uint64
		for i, c := range h.Counts {
			if sum += c; float64(sum) >= q.part*float64(all) && sum > 0 {
				b.ReportMetric(1e6*math.Min(h.Buckets[i+1], 1), q.name)
				break
			}
		}
	}
}
