package chaintest

import (
	"math/big"

	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/hashing"
)

// Required returns the bits of a block on parent, and whether it is an anchor of
// the ASERT schedule. Targets are numbers without a limit here: what comes out
// above the network's limit is seen by comparing.
func (b *Builder) Required(parent *Block) (bits hashing.Bits, anchored bool) {
	switch b.params.Schedule {
	case chain.ScheduleASERT:
		return b.requiredASERT(parent)
	case chain.ScheduleBitcoin:
		return b.requiredBitcoin(parent), false
	default:
		return b.params.PowLimit, false
	}
}

func (b *Builder) requiredASERT(parent *Block) (hashing.Bits, bool) {
	if parent.Parent == nil { // block 1
		return b.params.PowLimit, true
	}
	spacing, halfLife := int64(b.params.Spacing.Seconds()), int64(b.params.HalfLife.Seconds())
	blocks := int64(parent.Height) - int64(parent.anchor.Height)
	elapsed := int64(parent.Header.Time()) - int64(parent.anchor.Header.Time()) + spacing

	exponent := big.NewInt((elapsed - spacing*(blocks+1)) * 65536)
	exponent.Quo(exponent, big.NewInt(halfLife)) // rounds towards zero
	// x, the fraction, is never negative; the cubic is the specification's.
	whole, x := new(big.Int).DivMod(exponent, big.NewInt(65536), new(big.Int))
	factor := new(big.Int).Mul(big.NewInt(195766423245049), x)
	factor.Add(factor, new(big.Int).Mul(big.NewInt(971821376), power(x, 2)))
	factor.Add(factor, new(big.Int).Mul(big.NewInt(5127), power(x, 3)))
	factor.Add(factor, power(big.NewInt(2), 47)).Rsh(factor, 48).Add(factor, big.NewInt(65536))
	next := factor.Mul(factor, target(parent.anchor.Header.Bits()))
	if shift := whole.Int64() - 16; shift >= 0 {
		next.Lsh(next, uint(shift))
	} else {
		next.Rsh(next, uint(-shift))
	}
	if next.Cmp(target(b.params.PowLimit)) > 0 {
		return b.params.PowLimit, true
	}
	if next.Sign() == 0 {
		next.SetInt64(1)
	}
	return compact(next), false
}

func power(x *big.Int, n int64) *big.Int { return new(big.Int).Exp(x, big.NewInt(n), nil) }

func (b *Builder) requiredBitcoin(parent *Block) hashing.Bits {
	if (parent.Height+1)%2016 != 0 {
		return parent.Header.Bits()
	}
	first := parent
	for range 2015 {
		first = first.Parent
	}
	fortnight := int64(2016 * b.params.Spacing.Seconds())
	took := int64(parent.Header.Time()) - int64(first.Header.Time())
	took = min(max(took, fortnight/4), fortnight*4)
	next := new(big.Int).Mul(target(parent.Header.Bits()), big.NewInt(took))
	next.Div(next, big.NewInt(fortnight))
	if next.Cmp(target(b.params.PowLimit)) > 0 {
		return b.params.PowLimit
	}
	return compact(next)
}
