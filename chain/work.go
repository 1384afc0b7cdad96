package chain

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"

	"github.com/jbcnet/jbc/hashing"
)

// Work is how many hashes a block or a chain took on average: an unsigned
// 256-bit number, least significant limb first. The chain with the most work is
// the one that counts, whatever its length.
type Work [4]uint64

// WorkOf returns the work of one block with these bits, 2^256/(target+1) rounded
// down. Bits that stand for no target are worth nothing.
func WorkOf(b hashing.Bits) Work {
	target, err := b.Target()
	if err != nil {
		return Work{}
	}
	t := uint256(target)
	one := uint256{1}
	divisor := t.add(one)
	if divisor == (uint256{}) { // target 2^256-1: every hash meets it
		return Work{1}
	}
	// 2^256 has no place in 256 bits: 2^256/(t+1) = (2^256-1-t)/(t+1) + 1.
	return Work(t.not().div(divisor).add(one))
}

// Add returns w+x modulo 2^256, which no chain will reach.
func (w Work) Add(x Work) Work { return Work(uint256(w).add(uint256(x))) }

func (w Work) sub(x Work) Work { return Work(uint256(w).sub(uint256(x))) }

// Cmp returns -1, 0 or 1 as w is less than, equal to or more than x.
func (w Work) Cmp(x Work) int { return uint256(w).cmp(uint256(x)) }

// String returns 64 hex digits, most significant first, as Bitcoin's chainwork.
func (w Work) String() string {
	be := w.bigEndian()
	return hex.EncodeToString(be[:])
}

// MarshalText writes what [Work.String] returns.
func (w Work) MarshalText() ([]byte, error) { return []byte(w.String()), nil }

// UnmarshalText reads 64 hex digits, most significant first.
func (w *Work) UnmarshalText(text []byte) error {
	var be [32]byte
	if len(text) != 2*len(be) {
		return fmt.Errorf("work of %d characters, want %d hex digits", len(text), 2*len(be))
	}
	if _, err := hex.Decode(be[:], text); err != nil {
		return fmt.Errorf("work %q: not hexadecimal", text)
	}
	*w = workFromBigEndian(be)
	return nil
}

func (w Work) bigEndian() (be [32]byte) {
	for i, limb := range w {
		binary.BigEndian.PutUint64(be[24-8*i:], limb)
	}
	return be
}

func workFromBigEndian(be [32]byte) (w Work) {
	for i := range w {
		w[i] = binary.BigEndian.Uint64(be[24-8*i:])
	}
	return w
}
