package worker

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/jbcnet/jbc/coordinator/protocol"
	"github.com/jbcnet/jbc/hashing"
)

// cancelBits are so easy that a test finds solutions by counting.
var cancelBits = hashing.TargetForHashes(16).Bits()

// cancelJob is a job on the parent of that number.
func cancelJob(prev byte) *protocol.Job {
	return &protocol.Job{
		Prev: hashing.Hash{prev}, Bits: cancelBits, Time: 1000, MinTime: 900, MaxTime: 1100, SpacingMS: 4000,
	}
}

// header returns the nth header on the job that meets bits, or misses them,
// after change.
func header(job *protocol.Job, n int, meets bool, change func(*hashing.Header)) *hashing.Header {
	var h hashing.Header
	h.SetPrev(job.Prev)
	h.SetBits(job.Bits)
	h.SetTime(job.Time)
	if change != nil {
		change(&h)
	}
	target, _ := cancelBits.Target()
	for nonce := uint32(0); ; nonce++ {
		h.SetNonce(nonce)
		if target.MetBy(h.Hash()) == meets {
			if n == 0 {
				return &h
			}
			n--
		}
	}
}

func TestWhatStopsAWorker(t *testing.T) {
	job := cancelJob(1)
	for _, tt := range []struct {
		name   string
		header *hashing.Header
		want   bool
	}{
		{"a solution", header(job, 0, true, nil), true},
		{"at the earliest time", header(job, 0, true, func(h *hashing.Header) { h.SetTime(900) }), true},
		{"at the latest time", header(job, 0, true, func(h *hashing.Header) { h.SetTime(1100) }), true},
		{"too early", header(job, 0, true, func(h *hashing.Header) { h.SetTime(899) }), false},
		{"too late", header(job, 0, true, func(h *hashing.Header) { h.SetTime(1101) }), false},
		{"another parent", header(job, 0, true, func(h *hashing.Header) { h.SetPrev(hashing.Hash{2}) }), false},
		{"easier bits", header(job, 0, true, func(h *hashing.Header) { h.SetBits(0x207fffff) }), false},
		{"harder bits", header(job, 0, true, func(h *hashing.Header) { h.SetBits(cancelBits - 1) }), false},
		{"a hash above the target", header(job, 0, false, nil), false},
		{"another version", header(job, 0, true, func(h *hashing.Header) { h.SetVersion(77) }), true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var c canceller
			now := time.Now()
			if c.solved(now, tt.header) {
				t.Error("stopped without a job")
			}
			c.start(job)
			if got := c.solved(now, tt.header); got != tt.want || c.stopped != tt.want {
				t.Errorf("solved %v, stopped %v; want %v", got, c.stopped, tt.want)
			}
		})
	}
}

func TestWhatEndsAStop(t *testing.T) {
	now := time.Now()
	job := cancelJob(1)
	h := header(job, 0, true, nil)
	stopped := func() *canceller {
		c := &canceller{}
		c.start(job)
		if !c.solved(now, h) {
			t.Fatal("not stopped")
		}
		return c
	}
	t.Run("a new job", func(t *testing.T) {
		c := stopped()
		c.start(cancelJob(2))
		if c.stopped {
			t.Error("still stopped")
		}
	})
	t.Run("its rejection, and a repeat stops nobody", func(t *testing.T) {
		c := stopped()
		if c.rejected(job.Prev, header(job, 1, true, nil).Hash()) || c.rejected(hashing.Hash{9}, h.Hash()) || !c.stopped {
			t.Error("resumed for the rejection of another header")
		}
		if !c.rejected(job.Prev, h.Hash()) || c.stopped {
			t.Error("did not resume for its own rejection")
		}
		if c.solved(now, h) || c.solved(now, header(job, 1, true, nil)) {
			t.Error("stopped twice on a parent")
		}
	})
	t.Run("silence", func(t *testing.T) {
		c := stopped()
		if c.silence(now.Add(999*time.Millisecond)) || !c.silence(now.Add(time.Second)) || c.stopped {
			t.Error("want to resume after a quarter of the spacing of 4 s, no earlier")
		}
		if c.silence(now.Add(2 * time.Second)) {
			t.Error("resumed twice")
		}
	})
	t.Run("silence where blocks are rare", func(t *testing.T) {
		slow := *job
		slow.SpacingMS = 600_000
		c := &canceller{}
		c.start(&slow)
		c.solved(now, h)
		if c.silence(now.Add(1999*time.Millisecond)) || !c.silence(now.Add(2*time.Second)) {
			t.Error("want to resume after 2 s")
		}
	})
	t.Run("not a hold", func(t *testing.T) {
		c := stopped()
		c.hold()
		if c.silence(now.Add(time.Hour)) || c.rejected(job.Prev, h.Hash()) || !c.held {
			t.Error("resumed during a hold")
		}
		c.start(cancelJob(2))
		if c.held {
			t.Error("still held after a new job")
		}
	})
	t.Run("a refresh, after which the parent has had its stop", func(t *testing.T) {
		c := stopped()
		refresh := *job
		refresh.Time++
		c.start(&refresh)
		if c.stopped || c.solved(now, header(&refresh, 0, true, nil)) {
			t.Error("want going on, and no second stop")
		}
	})
}

func TestRejectionBeforeItsSolution(t *testing.T) {
	c, job := canceller{}, cancelJob(1)
	h := header(job, 0, true, nil)
	c.start(job)
	c.rejected(job.Prev, h.Hash())
	if c.solved(time.Now(), h) {
		t.Error("stopped for a header already rejected")
	}
	if !c.solved(time.Now(), header(job, 1, true, nil)) {
		t.Error("the rejection used up the parent's stop")
	}
}

// Whatever happens in whatever order: a parent stops the worker once, only a valid
// header does, and no stop outlasts its bound.
func TestCancelProperties(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2)) // fixed seed: failures repeat
	headers := map[byte][]*hashing.Header{}
	for prev := range byte(5) {
		for n := range 6 {
			headers[prev] = append(headers[prev], header(cancelJob(prev), n, n < 4, nil))
		}
	}
	target, _ := cancelBits.Target()
	for range 300 {
		var c canceller
		now, stoppedAt := time.Unix(0, 0), time.Time{}
		stops := map[hashing.Hash]int{}
		current := byte(0)
		for range 200 {
			now = now.Add(time.Duration(rng.IntN(400)) * time.Millisecond)
			if c.silence(now); c.stopped && now.Sub(stoppedAt) >= time.Second {
				t.Fatalf("stopped at %v, still at %v", stoppedAt, now)
			}
			h := headers[byte(rng.IntN(5))][rng.IntN(6)]
			switch rng.IntN(8) {
			case 0:
				current = byte(rng.IntN(5))
				c.start(cancelJob(current))
			case 1:
				c.rejected(h.Prev(), h.Hash())
			case 2:
				if rng.IntN(4) == 0 {
					c.hold()
				}
			default:
				idle := c.held || c.stopped
				if !c.solved(now, h) {
					break
				}
				stoppedAt = now
				stops[h.Prev()]++
				if idle || h.Prev() != (hashing.Hash{current}) || !target.MetBy(h.Hash()) || stops[h.Prev()] > 1 {
					t.Fatalf("stop %d for header %s on job of parent %d, idle before: %v", stops[h.Prev()], h, current, idle)
				}
			}
		}
	}
}

func TestCancellerForgets(t *testing.T) {
	var c canceller
	for i := range byte(200) {
		job := cancelJob(i)
		c.start(job)
		for n := range keptHeaders + 10 {
			c.rejected(job.Prev, hashing.Hash{byte(n), 1})
		}
	}
	if len(c.parents) != keptParents || len(c.parents[0].seen) != keptHeaders {
		t.Errorf("remembers %d parents and %d headers, want %d and %d", len(c.parents), len(c.parents[0].seen), keptParents, keptHeaders)
	}
}
