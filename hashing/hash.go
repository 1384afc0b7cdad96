package hashing

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
)

// Hash is a SHA-256d digest in the order SHA-256 writes it. As a number it is
// little-endian; people see it most significant byte first, as Bitcoin prints it.
type Hash [32]byte

// String returns 64 hex digits, most significant byte first.
func (h Hash) String() string {
	slices.Reverse(h[:])
	return hex.EncodeToString(h[:])
}

// IsZero says whether every byte is zero, as in the parent of a genesis block.
func (h Hash) IsZero() bool { return h == Hash{} }

// MarshalText writes what [Hash.String] returns.
func (h Hash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText reads what [ParseHash] reads.
func (h *Hash) UnmarshalText(text []byte) error {
	parsed, err := ParseHash(string(text))
	if err != nil {
		return err
	}
	*h = parsed
	return nil
}

// ParseHash reads 64 hex digits, most significant byte first.
func ParseHash(s string) (Hash, error) {
	var h Hash
	if len(s) != 2*len(h) {
		return Hash{}, fmt.Errorf("hash of %d characters, want %d hex digits", len(s), 2*len(h))
	}
	if _, err := hex.Decode(h[:], []byte(s)); err != nil {
		return Hash{}, fmt.Errorf("hash %q: not hexadecimal", s)
	}
	slices.Reverse(h[:])
	return h, nil
}

// limbs reads the hash as a number, least significant limb first.
func (h *Hash) limbs() [4]uint64 {
	return [4]uint64{
		binary.LittleEndian.Uint64(h[0:]),
		binary.LittleEndian.Uint64(h[8:]),
		binary.LittleEndian.Uint64(h[16:]),
		binary.LittleEndian.Uint64(h[24:]),
	}
}
