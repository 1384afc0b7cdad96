package chain

import (
	"fmt"
	"math"
	"time"
)

// A Hold says that no block may be made yet: the earliest time that a block on
// the tip could carry lies further ahead than other nodes allow. It happens when
// blocks come faster than the seconds their times must differ by, or when this
// machine's clock is slow. Or the chain is not yet the one with the work that the
// network is known to have: there are blocks to fetch first.
type Hold struct {
	Until       time.Time // when the earliest time is allowed, or when to ask again
	Median      uint32    // the tip's median time past, seconds since 1970
	MissingWork bool      // less work than the network's minimum
}

// Error says until when.
func (h *Hold) Error() string {
	if h.MissingWork {
		return "no block may be made yet: the chain has less work than the network is known to have"
	}
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
