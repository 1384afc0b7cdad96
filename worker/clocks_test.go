package worker

import (
	"testing"
	"time"
)

func TestClocks(t *testing.T) {
	const tick = 50 * time.Millisecond
	for _, tt := range []struct {
		name       string
		mono, wall time.Duration // how far each goes on until the second look
		want       time.Duration
	}{
		{"a tick", tick, tick, 0},
		{"no time at all", 0, 0, 0},
		{"a late tick", time.Second, time.Second, 0},
		{"at the limit", 2 * time.Second, 2 * time.Second, 0},
		{"stopped", 6 * time.Second, 6 * time.Second, 6 * time.Second},
		{"just stopped", 2*time.Second + 1, 2*time.Second + 1, 2*time.Second + 1},
		{"asleep: the monotonic clock stood still", tick, 8 * time.Hour, 8*time.Hour - tick},
		{"asleep for less than counts", tick, tick + 2*time.Second, 0},
		{"asleep for just what counts", tick, tick + 2*time.Second + 1, 2*time.Second + 1},
		{"the clock set on by an hour", tick, tick + time.Hour, time.Hour},
		{"the clock set back by an hour", tick, tick - time.Hour, time.Hour},
		{"the clock set back by less than counts", tick, tick - 2*time.Second, 0},
		{"the clock slewed", 1000 * time.Millisecond, 1001 * time.Millisecond, 0},
		{"asleep, and the clock set back to before", 5 * time.Second, 0, 5 * time.Second},
	} {
		var c clocks
		start := time.Unix(1_700_000_000, 0)
		if got := c.look(time.Minute, start); got != 0 {
			t.Errorf("%s: away for %v before the first look", tt.name, got)
		}
		if got := c.look(time.Minute+tt.mono, start.Add(tt.wall)); got != tt.want {
			t.Errorf("%s: away for %v, want %v", tt.name, got, tt.want)
		}
		if got := c.look(time.Minute+tt.mono+tick, start.Add(tt.wall+tick)); got != 0 {
			t.Errorf("%s: away for %v a tick later, want it said once", tt.name, got)
		}
	}
}
