package chain

import (
	"time"

	"github.com/jbcnet/jbc/hashing"
)

// Bitcoin's schedule: a new target every 2016 blocks, from how long they took.
const (
	retargetBlocks = 2016
	retargetFactor = 4 // the most that one step may change the target by
)

// BitcoinRetarget returns the bits of the block that opens a period of 2016
// blocks, from the bits of the period before and the times of its first and last
// block, in seconds since 1970. Between those two lie only 2015 spacings: the
// rule is off by one, and stays so (Bitcoin Core, CalculateNextWorkRequired).
func BitcoinRetarget(old hashing.Bits, first, last uint32, spacing time.Duration, limit hashing.Bits) hashing.Bits {
	planned := int64(spacing/time.Second) * retargetBlocks
	actual := min(max(int64(last)-int64(first), planned/retargetFactor), planned*retargetFactor)

	target, err := old.Target()
	ceiling, errLimit := limit.Target()
	if err != nil || errLimit != nil { // neither can come from a validated chain
		return limit
	}
	next := uint256(target).mul(uint64(actual)).div(uint64(planned))
	if next[4] != 0 || next.low().cmp(uint256(ceiling)) > 0 {
		return limit
	}
	return hashing.Target(next.low()).Bits()
}
