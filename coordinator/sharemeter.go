package coordinator

import (
	"math"
	"time"
)

// meterSeconds is the window over which shares are added up.
const meterSeconds = 60

// shareMeter turns shares into a hash rate: each share stands for as many hashes
// as it takes on average to find one. It is exact in the long run and rough in
// the short: n shares leave a relative standard error of 1/sqrt(n).
type shareMeter struct {
	since   time.Time
	seconds [meterSeconds]shareSecond
	total   uint64
}

type shareSecond struct {
	second int64 // since the meter's start
	hashes float64
	shares uint32
}

func newShareMeter(now time.Time) shareMeter { return shareMeter{since: now} }

// Add counts one share that took hashes on average.
func (m *shareMeter) Add(now time.Time, hashes float64) {
	second := int64(now.Sub(m.since) / time.Second)
	if second < 0 {
		return
	}
	bucket := &m.seconds[second%meterSeconds]
	if bucket.second != second {
		*bucket = shareSecond{second: second}
	}
	bucket.hashes += hashes
	bucket.shares++
	m.total++
}

// Rate returns hashes a second over the last minute, or since the meter's start
// if that is less, and the relative standard error, at most 1.
func (m *shareMeter) Rate(now time.Time) (hs, relErr float64) {
	age := now.Sub(m.since)
	last := int64(age / time.Second)
	var hashes float64
	var shares uint32
	for _, bucket := range m.seconds {
		if bucket.second > last-meterSeconds && bucket.second <= last {
			hashes += bucket.hashes
			shares += bucket.shares
		}
	}
	if shares == 0 || age <= 0 {
		return 0, 1
	}
	window := min(age, (meterSeconds-1)*time.Second+age%time.Second)
	return hashes / window.Seconds(), 1 / math.Sqrt(float64(shares))
}
