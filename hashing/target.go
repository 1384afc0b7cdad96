package hashing

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"math/big"
	"slices"
)

// Target is the largest 256-bit number that a hash may be, least significant
// limb first. The zero Target is met by no hash that anyone will find.
type Target [4]uint64

// MaxTarget is met by every hash.
var MaxTarget = Target{math.MaxUint64, math.MaxUint64, math.MaxUint64, math.MaxUint64}

// MetBy says whether h, as a little-endian number, is at most t.
func (t Target) MetBy(h Hash) bool { return Target(h.limbs()).Cmp(t) <= 0 }

// Cmp returns -1, 0 or 1 as t is below, equal to or above u. The smaller target
// is the harder one.
func (t Target) Cmp(u Target) int {
	for i := len(t) - 1; i >= 0; i-- {
		if t[i] != u[i] {
			if t[i] < u[i] {
				return -1
			}
			return 1
		}
	}
	return 0
}

// IsZero says whether t is the number zero.
func (t Target) IsZero() bool { return t == Target{} }

// Big returns t as a big number.
func (t Target) Big() *big.Int {
	be := t.bigEndian()
	return new(big.Int).SetBytes(be[:])
}

// TargetFromBig returns n as a Target; what is negative becomes zero and what
// has more than 256 bits becomes [MaxTarget].
func TargetFromBig(n *big.Int) Target {
	if n.Sign() < 0 {
		return Target{}
	}
	if n.BitLen() > 256 {
		return MaxTarget
	}
	var be [32]byte
	n.FillBytes(be[:])
	return targetFromBigEndian(be)
}

// TargetForHashes returns the target that one hash in n meets on average. What
// is below 1 counts as 1.
func TargetForHashes(n float64) Target {
	if !(n > 1) {
		return MaxTarget
	}
	f := new(big.Float).Quo(new(big.Float).SetMantExp(big.NewFloat(1), 256), big.NewFloat(n))
	i, _ := f.Int(nil)
	return TargetFromBig(i.Sub(i, big.NewInt(1)))
}

// Hashes returns how many hashes it takes on average to meet t: 2^256 / (t+1).
func (t Target) Hashes() float64 {
	n := new(big.Float).SetInt(t.Big())
	n.Add(n, big.NewFloat(1))
	q, _ := new(big.Float).Quo(new(big.Float).SetMantExp(big.NewFloat(1), 256), n).Float64()
	return q
}

// String returns 64 hex digits, most significant first.
func (t Target) String() string {
	be := t.bigEndian()
	return hex.EncodeToString(be[:])
}

// MarshalText writes what [Target.String] returns.
func (t Target) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText reads 64 hex digits, most significant first.
func (t *Target) UnmarshalText(text []byte) error {
	var be [32]byte
	if len(text) != 2*len(be) {
		return fmt.Errorf("target of %d characters, want %d hex digits", len(text), 2*len(be))
	}
	if _, err := hex.Decode(be[:], text); err != nil {
		return fmt.Errorf("target %q: not hexadecimal", text)
	}
	*t = targetFromBigEndian(be)
	return nil
}

func (t Target) bigEndian() (be [32]byte) {
	for i, limb := range t {
		binary.BigEndian.PutUint64(be[24-8*i:], limb)
	}
	return be
}

func targetFromBigEndian(be [32]byte) Target {
	slices.Reverse(be[:])
	h := Hash(be)
	return Target(h.limbs())
}
