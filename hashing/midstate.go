package hashing

import (
	"encoding/binary"
	"math/bits"
)

// Midstate is SHA-256's state after the first 64 bytes of a header.
type Midstate [8]uint32

// NewMidstate returns the state after the first 64 bytes of h.
func NewMidstate(h *Header) Midstate {
	var block [16]uint32
	for i := range block {
		block[i] = binary.BigEndian.Uint32(h[4*i:])
	}
	m := initialState
	m.compress(&block)
	return m
}

// compress is SHA-256's compression function as FIPS 180-4, 6.2.2 writes it down:
// the specification that every kernel is held to, not one of the fast ones.
func (m *Midstate) compress(block *[16]uint32) {
	var w [64]uint32
	copy(w[:], block[:])
	for t := 16; t < 64; t++ {
		s0 := bits.RotateLeft32(w[t-15], -7) ^ bits.RotateLeft32(w[t-15], -18) ^ w[t-15]>>3
		s1 := bits.RotateLeft32(w[t-2], -17) ^ bits.RotateLeft32(w[t-2], -19) ^ w[t-2]>>10
		w[t] = s1 + w[t-7] + s0 + w[t-16]
	}
	a, b, c, d, e, f, g, h := m[0], m[1], m[2], m[3], m[4], m[5], m[6], m[7]
	for t := range 64 {
		s1 := bits.RotateLeft32(e, -6) ^ bits.RotateLeft32(e, -11) ^ bits.RotateLeft32(e, -25)
		ch := e&f ^ ^e&g
		t1 := h + s1 + ch + roundConstants[t] + w[t]
		s0 := bits.RotateLeft32(a, -2) ^ bits.RotateLeft32(a, -13) ^ bits.RotateLeft32(a, -22)
		maj := a&b ^ a&c ^ b&c
		h, g, f, e, d, c, b, a = g, f, e, d+t1, c, b, a, t1+s0+maj
	}
	for i, v := range [8]uint32{a, b, c, d, e, f, g, h} {
		m[i] += v
	}
}
