package chain

import (
	"math"
	"math/bits"
	"time"

	"github.com/jbcnet/jbc/hashing"
)

// ASERT is the difficulty schedule aserti3-2d: the target is the anchor's,
// doubled for each half-life that the chain lags behind the anchor's schedule
// and halved for each that it runs ahead.
//
//	target = anchor target x 2^((elapsed - spacing x (blocks+1)) / half-life)
//
// elapsed is the parent's time less the time of the anchor's parent, blocks the
// parent's height less the anchor's. The power is computed in fixed point with
// the cubic of the specification, bit for bit.
//
// Source: https://github.com/bitcoincashorg/bitcoincash.org/blob/master/spec/2020-11-15-asert.md
type ASERT struct {
	Spacing  time.Duration // whole seconds
	HalfLife time.Duration // whole seconds
	Limit    hashing.Bits  // the easiest target
}

// Next returns the bits that the schedule requires after a parent that lies
// blocks above an anchor with these bits. elapsed is in seconds and may be
// negative. over says that the target came out above the limit, whose bits are
// then returned: on our networks such a block becomes the new anchor.
func (a ASERT) Next(anchor hashing.Bits, elapsed, blocks int64) (next hashing.Bits, over bool) {
	reference, err := anchor.Target()
	limit, errLimit := a.Limit.Target()
	if err != nil || errLimit != nil { // neither can come from a validated chain
		return a.Limit, true
	}
	exponent := a.exponent(elapsed, blocks)
	product := uint256(reference).mul(fractionFactor(uint16(exponent)))

	// Go shifts negative numbers right towards minus infinity, as the
	// specification wants; the 16 takes the factor's fixed point out again.
	shift := exponent>>16 - 16
	var target uint320
	switch {
	case shift <= -320:
	case shift <= 0:
		target = product.shr(uint(-shift))
	default:
		if shift < 320 {
			target, over = product.shl(uint(shift))
		} else {
			over = true
		}
	}
	if over || target[4] != 0 || target.low().cmp(uint256(limit)) > 0 {
		return a.Limit, true
	}
	if target.low() == (uint256{}) {
		target[0] = 1
	}
	return hashing.Target(target.low()).Bits(), false
}

// exponent returns 2^16 times the power of two, rounded towards zero. It
// saturates: what does not fit lies far beyond any target.
func (a ASERT) exponent(elapsed, blocks int64) int64 {
	spacing, halfLife := int64(a.Spacing/time.Second), int64(a.HalfLife/time.Second)
	hi, planned := bits.Mul64(uint64(spacing), uint64(blocks)+1)
	if hi != 0 || planned > math.MaxInt64/4 {
		return math.MinInt64 / 2
	}
	const farthest, most = math.MaxInt64 / 4, math.MaxInt64 >> 17
	lag := min(max(elapsed, -farthest), farthest) - int64(planned)
	return min(max(lag, -most), most) * 65536 / halfLife
}

// fractionFactor returns 2^16 x 2^(f/2^16) by the cubic of the specification.
func fractionFactor(f uint16) uint64 {
	x := uint64(f)
	return 65536 + (195766423245049*x+971821376*x*x+5127*x*x*x+1<<47)>>48
}
