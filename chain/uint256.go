package chain

import "math/bits"

// uint256 is an unsigned 256-bit number, least significant limb first: the form
// of hashing.Target, with the little arithmetic that consensus needs.
type uint256 [4]uint64

func (a uint256) cmp(b uint256) int {
	for i := len(a) - 1; i >= 0; i-- {
		if a[i] < b[i] {
			return -1
		}
		if a[i] > b[i] {
			return 1
		}
	}
	return 0
}

// add returns a+b modulo 2^256.
func (a uint256) add(b uint256) uint256 {
	var carry uint64
	for i := range a {
		a[i], carry = bits.Add64(a[i], b[i], carry)
	}
	return a
}

// sub returns a-b modulo 2^256.
func (a uint256) sub(b uint256) uint256 {
	var borrow uint64
	for i := range a {
		a[i], borrow = bits.Sub64(a[i], b[i], borrow)
	}
	return a
}

// not returns 2^256-1-a.
func (a uint256) not() uint256 {
	for i := range a {
		a[i] = ^a[i]
	}
	return a
}

// mul returns a*m as 320 bits.
func (a uint256) mul(m uint64) (product uint320) {
	var carry uint64
	for i, limb := range a {
		hi, lo := bits.Mul64(limb, m)
		var c uint64
		product[i], c = bits.Add64(lo, carry, 0)
		carry = hi + c
	}
	product[4] = carry
	return product
}

func (a uint256) bitLen() int {
	for i := len(a) - 1; i >= 0; i-- {
		if a[i] != 0 {
			return 64*i + bits.Len64(a[i])
		}
	}
	return 0
}

// div returns a/b, rounded down, by long division bit by bit: b is not zero.
func (a uint256) div(b uint256) (quotient uint256) {
	shift := a.bitLen() - b.bitLen()
	if shift < 0 {
		return uint256{}
	}
	wide := uint320{b[0], b[1], b[2], b[3]}
	shifted, _ := wide.shl(uint(shift))
	b = shifted.low()
	for ; shift >= 0; shift-- {
		if a.cmp(b) >= 0 {
			a = a.sub(b)
			quotient[shift/64] |= 1 << (shift % 64)
		}
		for i := range 3 {
			b[i] = b[i]>>1 | b[i+1]<<63
		}
		b[3] >>= 1
	}
	return quotient
}

// uint320 is a product of a uint256 and one limb.
type uint320 [5]uint64

// low returns the number modulo 2^256.
func (w uint320) low() uint256 { return uint256(w[:4]) }

// shr returns w shifted right by n bits.
func (w uint320) shr(n uint) (out uint320) {
	limbs, rest := n/64, n%64
	for i := range out {
		if j := uint(i) + limbs; j < 5 {
			out[i] = w[j] >> rest
			if j+1 < 5 && rest > 0 {
				out[i] |= w[j+1] << (64 - rest)
			}
		}
	}
	return out
}

// shl returns w shifted left by n bits, and whether a one was shifted out.
func (w uint320) shl(n uint) (out uint320, overflow bool) {
	limbs, rest := n/64, n%64
	for i := range w {
		if w[i] == 0 {
			continue
		}
		j := uint(i) + limbs
		if j >= 5 {
			return uint320{}, true
		}
		out[j] |= w[i] << rest
		if spill := w[i] >> (64 - rest); rest > 0 && spill != 0 {
			if j+1 >= 5 {
				return uint320{}, true
			}
			out[j+1] |= spill
		}
	}
	return out, false
}

// div returns w/d, rounded down: d is not zero.
func (w uint320) div(d uint64) (quotient uint320) {
	var rem uint64
	for i := len(w) - 1; i >= 0; i-- {
		quotient[i], rem = bits.Div64(rem, w[i], d)
	}
	return quotient
}
