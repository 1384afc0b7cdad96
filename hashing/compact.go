package hashing

import (
	"fmt"
	"math/big"
	"strconv"
)

// Bits is a target in Bitcoin's compact form: one byte of size, a sign and 23
// bits of mantissa, meaning mantissa x 256^(size-3).
type Bits uint32

const (
	compactSign     = 0x00800000
	compactMantissa = 0x007fffff
)

// Decode returns the number that b stands for, by the rules of Bitcoin Core's
// arith_uint256::SetCompact. A negative number is returned by its magnitude with
// negative set; with overflow set the number does not fit and target is zero.
// A negative zero is not negative.
func (b Bits) Decode() (target Target, negative, overflow bool) {
	size := uint(b >> 24)
	word := uint64(b & compactMantissa)
	if size <= 3 {
		word >>= 8 * (3 - size)
	}
	negative = word != 0 && b&compactSign != 0
	overflow = word != 0 && (size > 34 || word > 0xff && size > 33 || word > 0xffff && size > 32)
	if overflow || size <= 3 {
		if !overflow {
			target[0] = word
		}
		return target, negative, overflow
	}
	n := new(big.Int).SetUint64(word)
	return TargetFromBig(n.Lsh(n, 8*(size-3))), negative, false
}

// Target returns the target that b stands for. The error says that b is
// negative, zero or over 256 bits: no header may carry such bits.
func (b Bits) Target() (Target, error) {
	t, negative, overflow := b.Decode()
	switch {
	case negative:
		return Target{}, fmt.Errorf("bits %s are negative", b)
	case overflow:
		return Target{}, fmt.Errorf("bits %s overflow 256 bits", b)
	case t.IsZero():
		return Target{}, fmt.Errorf("bits %s are zero", b)
	}
	return t, nil
}

// Bits returns the compact form of t, which keeps the 15 to 23 most significant
// bits and drops the rest (arith_uint256::GetCompact).
func (t Target) Bits() Bits {
	n := t.Big()
	size := uint((n.BitLen() + 7) / 8)
	var word uint64
	if size <= 3 {
		word = n.Uint64() << (8 * (3 - size))
	} else {
		word = n.Rsh(n, 8*(size-3)).Uint64()
	}
	if word&compactSign != 0 { // the mantissa's top bit is the sign: shift it out of the way
		word >>= 8
		size++
	}
	return Bits(uint32(size)<<24 | uint32(word))
}

// String returns the eight hex digits of b.
func (b Bits) String() string { return fmt.Sprintf("%08x", uint32(b)) }

// MarshalText writes what [Bits.String] returns.
func (b Bits) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// UnmarshalText reads eight hex digits.
func (b *Bits) UnmarshalText(text []byte) error {
	n, err := strconv.ParseUint(string(text), 16, 32)
	if err != nil || len(text) != 8 {
		return fmt.Errorf("bits %q: want 8 hex digits", text)
	}
	*b = Bits(n)
	return nil
}
