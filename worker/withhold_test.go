package worker

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/jbcnet/jbc/coordinator/protocol"
	"github.com/jbcnet/jbc/hashing"
)

// TestWithholderCostsLittle plays a farm whose honest workers are stopped by
// somebody with a hundredth of its hash rate, who publishes every solution that he
// finds and lets no coordinator have it. The rule's own bound is a quarter of a
// spacing for one block in a hundred.
func TestWithholderCostsLittle(t *testing.T) {
	for _, spacing := range []time.Duration{2 * time.Second, 30 * time.Second, 10 * time.Minute} {
		idle, total := withheld(spacing, 0.01, 20_000, (*canceller).solved)
		if cost := idle.Seconds() / total.Seconds(); cost > 0.02 || cost == 0 {
			t.Errorf("spacing %v: a withholder with 1 %% of the rate costs %.2f %%, want at most 2 %%", spacing, 100*cost)
		} else {
			t.Logf("spacing %v: costs %.3f %%", spacing, 100*cost)
		}
	}
	// The control: without the bound on a stop, it costs as long as a block takes.
	idle, total := withheld(2*time.Second, 0.01, 2_000, func(c *canceller, now time.Time, h *hashing.Header) bool {
		stopped := c.solved(now, h)
		c.until = now.Add(10 * time.Second)
		return stopped
	})
	if cost := idle.Seconds() / total.Seconds(); cost <= 0.02 {
		t.Errorf("a stop of five spacings costs %.2f %%: this test would not notice a missing bound", 100*cost)
	}
}

// withheld returns how long a worker stood still, and how long it all took, until
// the farm found that many blocks.
func withheld(spacing time.Duration, share float64, blocks int, solved func(*canceller, time.Time, *hashing.Header) bool) (idle, total time.Duration) {
	rng := rand.New(rand.NewPCG(1, 1))
	wait := func(mean time.Duration) time.Duration { return time.Duration(rng.ExpFloat64() * float64(mean)) }
	var c canceller
	start := time.Unix(0, 0)
	now := start
	for n := range blocks {
		job := &protocol.Job{Prev: hashing.Hash{byte(n), byte(n >> 8)}, Bits: cancelBits, Time: 1000, MinTime: 900, MaxTime: 1100, SpacingMS: spacing.Milliseconds()}
		c.start(job)
		honest := wait(spacing) // of hashing, however often it is interrupted
		for found := 0; ; found++ {
			next := wait(time.Duration(float64(spacing) / share))
			if next >= honest {
				break
			}
			honest -= next
			now = now.Add(next)
			if solved(&c, now, header(job, found, true, nil)) {
				idle += c.until.Sub(now)
				now = c.until
				c.silence(now)
			}
		}
		now = now.Add(honest)
	}
	return idle, now.Sub(start)
}
