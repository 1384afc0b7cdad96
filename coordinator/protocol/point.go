package protocol

import (
	"fmt"
	"strconv"
)

// Point is a place on a job's line: the high 32 bits are its column, the low 32
// the nonce. It is 16 hex digits in JSON, since a JSON number loses the low bits.
type Point uint64

// ColumnPoints is how many points a column has.
const ColumnPoints = 1 << 32

// Column returns which combination of extranonce and version group p is in.
func (p Point) Column() uint32 { return uint32(p >> 32) }

// Nonce returns the nonce of p.
func (p Point) Nonce() uint32 { return uint32(p) }

// String returns 16 hex digits.
func (p Point) String() string { return fmt.Sprintf("%016x", uint64(p)) }

// MarshalText writes 16 hex digits.
func (p Point) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads 16 hex digits.
func (p *Point) UnmarshalText(text []byte) error {
	n, err := strconv.ParseUint(string(text), 16, 64)
	if err != nil || len(text) != 16 {
		return fmt.Errorf("point %.20q: want 16 hex digits", text)
	}
	*p = Point(n)
	return nil
}
