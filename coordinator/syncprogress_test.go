package coordinator

import (
	"testing"
	"time"
)

// TestSyncProgress is told every two seconds, of the blocks since the last time.
func TestSyncProgress(t *testing.T) {
	started := time.Unix(1_700_000_000, 0)
	var p progress
	for _, tt := range []struct {
		after   time.Duration
		fetched int
		rate    float64
		due     bool
	}{
		{0, 0, 0, false},
		{1999 * time.Millisecond, 900, 0, false},
		{2 * time.Second, 1000, 500, true},
		{3 * time.Second, 4000, 0, false},
		{6 * time.Second, 9000, 2000, true},
		{6 * time.Second, 9000, 0, false},
		{10 * time.Second, 9000, 0, true},
	} {
		rate, due := p.due(started.Add(tt.after), started, tt.fetched)
		if rate != tt.rate || due != tt.due {
			t.Errorf("after %v with %d: %v, %v, want %v, %v", tt.after, tt.fetched, rate, due, tt.rate, tt.due)
		}
	}
}
