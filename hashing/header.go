package hashing

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
)

// HeaderSize is the length of a block header in bytes.
const HeaderSize = 80

// Header is a block header as it is hashed and sent: version, parent, merkle
// root, time, bits and nonce, every number little-endian.
type Header [HeaderSize]byte

// Offsets of the header's fields.
const (
	offsetVersion = 0
	offsetPrev    = 4
	offsetMerkle  = 36
	offsetTime    = 68
	offsetBits    = 72
	offsetNonce   = 76
)

// BIP320 leaves bits 13 to 28 of the version to miners.
const (
	// VersionRollMask covers the bits of the version that BIP320 lets a miner choose.
	VersionRollMask uint32 = 0x1fffe000
	// VersionRollShift is the position of the lowest of them.
	VersionRollShift = 13
	// VersionRollBits is their number.
	VersionRollBits = 16
)

// Version returns the version with whatever a miner rolled into it.
func (h *Header) Version() uint32 { return binary.LittleEndian.Uint32(h[offsetVersion:]) }

// Prev returns the parent's hash.
func (h *Header) Prev() Hash { return Hash(h[offsetPrev:offsetMerkle]) }

// MerkleRoot returns the root of the block's transaction ids.
func (h *Header) MerkleRoot() Hash { return Hash(h[offsetMerkle:offsetTime]) }

// Time returns the block's time in seconds since 1970.
func (h *Header) Time() uint32 { return binary.LittleEndian.Uint32(h[offsetTime:]) }

// Bits returns the compact target.
func (h *Header) Bits() Bits { return Bits(binary.LittleEndian.Uint32(h[offsetBits:])) }

// Nonce returns the nonce.
func (h *Header) Nonce() uint32 { return binary.LittleEndian.Uint32(h[offsetNonce:]) }

// SetVersion replaces the version.
func (h *Header) SetVersion(v uint32) { binary.LittleEndian.PutUint32(h[offsetVersion:], v) }

// SetPrev replaces the parent's hash.
func (h *Header) SetPrev(prev Hash) { copy(h[offsetPrev:offsetMerkle], prev[:]) }

// SetMerkleRoot replaces the merkle root.
func (h *Header) SetMerkleRoot(root Hash) { copy(h[offsetMerkle:offsetTime], root[:]) }

// SetTime replaces the time, in seconds since 1970.
func (h *Header) SetTime(t uint32) { binary.LittleEndian.PutUint32(h[offsetTime:], t) }

// SetBits replaces the compact target.
func (h *Header) SetBits(b Bits) { binary.LittleEndian.PutUint32(h[offsetBits:], uint32(b)) }

// SetNonce replaces the nonce.
func (h *Header) SetNonce(n uint32) { binary.LittleEndian.PutUint32(h[offsetNonce:], n) }

// Hash returns the header's id, which is also its proof of work.
func (h *Header) Hash() Hash { return Sum256d(h[:]) }

// String returns the 160 hex digits of the header.
func (h Header) String() string { return hex.EncodeToString(h[:]) }

// MarshalText writes what [Header.String] returns.
func (h Header) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText reads what [ParseHeader] reads.
func (h *Header) UnmarshalText(text []byte) error {
	parsed, err := ParseHeader(string(text))
	if err != nil {
		return err
	}
	*h = parsed
	return nil
}

// ParseHeader reads the 160 hex digits of a raw header.
func ParseHeader(s string) (Header, error) {
	var h Header
	if len(s) != 2*HeaderSize {
		return Header{}, fmt.Errorf("header of %d characters, want %d hex digits (%d bytes)", len(s), 2*HeaderSize, HeaderSize)
	}
	if _, err := hex.Decode(h[:], []byte(s)); err != nil {
		return Header{}, fmt.Errorf("header is not hexadecimal: %w", err)
	}
	return h, nil
}

// RollVersion returns version with its BIP320 field replaced by roll, of which
// the low 16 bits count.
func RollVersion(version, roll uint32) uint32 {
	return version&^VersionRollMask | roll<<VersionRollShift&VersionRollMask
}
