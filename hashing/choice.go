package hashing

import (
	"math"
	"time"
)

// choiceTime is how long each kernel is measured for a choice.
const choiceTime = 4 * time.Millisecond

// FastestKernel returns the kernel that this machine is fastest with under so many
// versions, 1 to [MaxVersions], measured a few milliseconds each. What a busy
// machine makes of it differs from one call to the next; kernels that it could mix
// up are equally good.
func FastestKernel(versions int) Kernel {
	best, most := Kernels()[0], -1.0
	for _, k := range Kernels() {
		if !k.Supported() {
			continue
		}
		if rate := k.Rate(versions, choiceTime); rate >= most {
			best, most = k, rate
		}
	}
	return best
}

// Rate returns how many hashes a second k makes on one thread under so many
// versions, 1 to [MaxVersions], measured for about d: that of its fastest call,
// which other programs disturb least.
func (k Kernel) Rate(versions int, d time.Duration) float64 {
	rolled := make([]uint32, versions)
	for i := range rolled {
		rolled[i] = RollVersion(0x20000000, uint32(i))
	}
	s := NewSearch(Header{}, rolled, Target{})
	hits := make([]Hit, versions)
	n := k.Calibrate(&s, min(ScanBudget, d/16))
	fastest := time.Duration(math.MaxInt64)
	for begin := time.Now(); ; {
		start := time.Now()
		k.Scan(&s, 0, n, hits)
		now := time.Now()
		fastest = min(fastest, now.Sub(start))
		if now.Sub(begin) >= d {
			return float64(n) * float64(versions) / max(fastest, 1).Seconds()
		}
	}
}
