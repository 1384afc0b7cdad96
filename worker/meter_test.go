package worker

import (
	"math"
	"testing"
	"time"
)

func TestMeter(t *testing.T) {
	var m meter
	now := time.Unix(0, 0)
	hashes := uint64(0)
	m.count(now, 0)
	run := func(d time.Duration, rate uint64) {
		for range d / (50 * time.Millisecond) {
			now = now.Add(50 * time.Millisecond)
			hashes += rate / 20
			m.count(now, hashes)
		}
	}
	check := func(what string, want10, want60, want15m float64) {
		t.Helper()
		for _, w := range []struct {
			window time.Duration
			want   float64
		}{{10 * time.Second, want10}, {time.Minute, want60}, {15 * time.Minute, want15m}} {
			// Windows start at a mark, up to a step early.
			if got := m.rate(w.window); math.Abs(got-w.want) > 0.02*w.want+1e-9 {
				t.Errorf("%s: %v over %v, want %v", what, got, w.window, w.want)
			}
		}
	}
	check("before anything", 0, 0, 0)
	run(time.Second, 1000)
	check("younger than every window", 1000, 1000, 1000)
	run(59*time.Second, 1000)
	check("after a minute", 1000, 1000, 1000)
	run(20*time.Second, 0)
	check("20 s idle", 0, 667, 750)
	run(2*time.Hour, 4000)
	check("two hours on", 4000, 4000, 4000)
	if len(m.marks) > 902 {
		t.Errorf("%d marks kept, want one a second of a quarter of an hour", len(m.marks))
	}
}

func TestRate(t *testing.T) {
	for _, tt := range []struct {
		rate float64
		want string
	}{
		{0, "0 H/s"}, {12.34, "12.3 H/s"}, {999.4, "999 H/s"}, {999.6, "1 kH/s"}, {5.4e6, "5.4 MH/s"},
		{999.6e6, "1 GH/s"}, {2e12, "2 TH/s"},
	} {
		if got := Rate(tt.rate).String(); got != tt.want {
			t.Errorf("%v hashes a second are %q, want %q", tt.rate, got, tt.want)
		}
	}
}

func TestMeterCountsAPauseOfItsCaller(t *testing.T) {
	var m meter
	start := time.Unix(0, 0)
	m.count(start, 0)
	m.count(start.Add(time.Second), 100)
	m.count(start.Add(time.Hour), 100) // a laptop slept
	if got := m.rate(10 * time.Second); got > 0.1 {
		t.Errorf("%v after an hour of nothing, want about 0", got)
	}
}
