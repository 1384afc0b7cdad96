package worker

import "time"

// awayLimit is how far apart two looks may be, or how far the two clocks may
// disagree about that, before the worker takes it that it was away. Looks are
// [tickEvery] apart; a busy machine delays one by tenths of a second.
const awayLimit = 2 * time.Second

// clocks tells when the worker was away: the machine asleep, during which the
// monotonic clock stands still and only the wall clock goes on, or the process
// stopped. A wall clock that was set looks the same, either way; believing that
// costs a question. It is pure.
type clocks struct {
	looked bool
	mono   time.Duration
	wall   time.Time
}

// look takes what both clocks show, the monotonic one since any moment, and
// returns how long the worker may have been away since the last look: 0 where it
// was not.
func (c *clocks) look(mono time.Duration, wall time.Time) (away time.Duration) {
	if c.looked {
		passed := mono - c.mono
		slip := wall.Sub(c.wall) - passed
		if slip.Abs() > awayLimit || passed > awayLimit {
			away = max(slip.Abs(), passed)
		}
	}
	*c = clocks{looked: true, mono: mono, wall: wall}
	return away
}
