package coordinator

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// naiveMeter remembers every share.
type naiveMeter struct {
	since  time.Time
	shares []naiveShare
}

type naiveShare struct {
	at     time.Time
	hashes float64
}

// rate adds up the shares of the 60 whole seconds since the meter's start of which
// the one that now lies in is the last.
func (m *naiveMeter) rate(now time.Time) (hs, relErr float64) {
	second := now.Sub(m.since).Truncate(time.Second)
	from := m.since.Add(max(0, second-59*time.Second))
	var sum float64
	var n int
	for _, s := range m.shares {
		if !s.at.Before(from) {
			sum += s.hashes
			n++
		}
	}
	if n == 0 || !now.After(m.since) {
		return 0, 1
	}
	return sum / now.Sub(from).Seconds(), 1 / math.Sqrt(float64(n))
}

// TestShareMeter plays random shares, with silences longer than the window.
func TestShareMeter(t *testing.T) {
	for seed := range uint64(100) {
		rng := rand.New(rand.NewPCG(seed, 2))
		start := time.Unix(1_000_000, rng.Int64N(1e9))
		meter, naive := newShareMeter(start), naiveMeter{since: start}
		now := start
		for range 400 {
			switch rng.IntN(20) {
			case 0:
				now = now.Add(time.Duration(rng.Int64N(int64(3 * time.Minute))))
			default:
				now = now.Add(time.Duration(rng.Int64N(int64(2 * time.Second))))
			}
			if rng.IntN(3) > 0 {
				hashes := math.Exp(rng.Float64() * 60)
				meter.Add(now, hashes)
				naive.shares = append(naive.shares, naiveShare{now, hashes})
			}
			hs, relErr := meter.Rate(now)
			wantHS, wantErr := naive.rate(now)
			if math.Abs(hs-wantHS) > 1e-9*wantHS || math.Abs(relErr-wantErr) > 1e-9 {
				t.Fatalf("seed %d, %v after the start: Rate = %g, %g, want %g, %g", seed, now.Sub(start), hs, relErr, wantHS, wantErr)
			}
		}
		if meter.total != uint64(len(naive.shares)) {
			t.Fatalf("seed %d: total %d, want %d", seed, meter.total, len(naive.shares))
		}
	}
}

// TestShareMeterIsRight has a worker that finds shares as chance will: what the
// meter says is as far off as it says.
func TestShareMeterIsRight(t *testing.T) {
	const rate, hashes = 1e6, 2e6 // a share in 2 s
	rng := rand.New(rand.NewPCG(3, 4))
	within, tries := 0, 0
	for range 300 {
		start := time.Unix(0, 0)
		meter, now := newShareMeter(start), start
		for now.Sub(start) < 2*time.Minute {
			now = now.Add(time.Duration(rng.ExpFloat64() * hashes / rate * 1e9))
			meter.Add(now, hashes)
		}
		end := start.Add(2 * time.Minute)
		if hs, relErr := meter.Rate(end); math.Abs(hs-rate) < rate*relErr {
			within++
		}
		tries++
	}
	if share := float64(within) / float64(tries); share < 0.58 || share > 0.78 {
		t.Errorf("the rate lies within its standard error %.0f %% of the time, want about 68 %%", 100*share)
	}
}

func TestShareMeterEdges(t *testing.T) {
	start := time.Unix(1_000_000, 0)
	m := newShareMeter(start)
	if hs, relErr := m.Rate(start); hs != 0 || relErr != 1 {
		t.Errorf("at the start: Rate = %g, %g, want 0, 1", hs, relErr)
	}
	m.Add(start, 1000)
	if hs, _ := m.Rate(start); hs != 0 {
		t.Errorf("in no time at all: Rate = %g, want 0", hs)
	}
	m.Add(start.Add(-time.Hour), 1e9) // the clock stepped back
	if hs, _ := m.Rate(start.Add(-time.Hour)); hs != 0 {
		t.Errorf("before the start: Rate = %g, want 0", hs)
	}
	if hs, relErr := m.Rate(start.Add(10 * time.Second)); hs != 100 || relErr != 1 {
		t.Errorf("one share of 1000 hashes in 10 s: Rate = %g, %g, want 100, 1", hs, relErr)
	}
	if hs, _ := m.Rate(start.Add(time.Hour)); hs != 0 {
		t.Errorf("an hour later: Rate = %g, want 0", hs)
	}
}
