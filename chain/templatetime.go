package chain

import (
	"fmt"
	"math"
	"time"
)

// A Hold says that no block may be made yet: the earliest time that a block on
// the tip could carry lies further ahead than other nodes allow. It happens when
// blocks come faster than the seconds their times must differ by, or when this
// machine's clock is slow.
type Hold struct {
	Until  time.Time // when the earliest time is allowed
	Median uint32    // the tip's median time past, seconds since 1970
}

// Error says until when.
func (h *Hold) Error() string {
	return fmt.Sprintf("no block may be made before %s: median time past is %s",
		h.Until.UTC().Format(time.RFC3339), time.Unix(int64(h.Median), 0).UTC().Format(time.RFC3339))
}

// TemplateTime returns the time for a new block, in seconds since 1970: now, or
// the second after the median time past where the clock is behind it. A [Hold]
// is returned when that second passes now+maxFuture.
func TemplateTime(now time.Time, median uint32, maxFuture time.Duration) (uint32, error) {
	earliest := int64(median) + 1
	if until := time.Unix(earliest, 0).Add(-maxFuture); earliest > math.MaxUint32 || now.Before(until) {
		return 0, &Hold{Until: until, Median: median}
	}
	return uint32(min(max(now.Unix(), earliest), math.MaxUint32)), nil
}
