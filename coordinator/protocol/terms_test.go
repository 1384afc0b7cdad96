package protocol

import (
	"testing"

	"github.com/jbcnet/jbc/hashing"
)

// TestTermsTarget has the share target hold as long as it is not harder than the
// block's.
func TestTermsTarget(t *testing.T) {
	hard, easy := hashing.TargetForHashes(1<<40).Bits(), hashing.TargetForHashes(1<<10).Bits()
	for _, tt := range []struct {
		name               string
		share, block, want hashing.Bits
	}{
		{"easier than the block's", easy, hard, easy},
		{"harder than the block's", hard, easy, easy},
		{"the same", easy, easy, easy},
	} {
		j := testJob()
		j.Bits = tt.block
		terms := Terms{ShareBits: tt.share}
		if got := terms.Target(j).Bits(); got != tt.want {
			t.Errorf("%s: target %s, want %s", tt.name, got, tt.want)
		}
		if terms.Target(j).Cmp(j.Target()) < 0 {
			t.Errorf("%s: the share target is harder than the block's", tt.name)
		}
	}
}

func TestHomeLease(t *testing.T) {
	terms := Terms{HomePoints: 1000}
	for _, slot := range []uint32{0, 1, 1<<24 - 1} {
		got := terms.Home(slot)
		if want := (Lease{First: Point(uint64(slot) * 1 << 32), Points: 1000}); got != want {
			t.Errorf("Home(%d) = %+v, want %+v", slot, got, want)
		}
	}
}

func TestJobOrder(t *testing.T) {
	for _, tt := range []struct {
		a, b JobID
		want bool
	}{
		{JobID{1, 1}, JobID{1, 2}, true},
		{JobID{1, 9}, JobID{2, 1}, true},
		{JobID{2, 1}, JobID{1, 9}, false},
		{JobID{1, 1}, JobID{1, 1}, false},
		{JobID{1, 2}, JobID{1, 1}, false},
	} {
		if got := tt.a.Before(tt.b); got != tt.want {
			t.Errorf("%s before %s: %v, want %v", tt.a, tt.b, got, tt.want)
		}
	}
}
