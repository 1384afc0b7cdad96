package hashing

import "math/bits"

// The functions of SHA-256 (FIPS 180-4, 4.1.2), for what is computed once per
// search. Midstate.compress writes them out: it is the specification and shares
// nothing with the kernels.

func bigSigma0(x uint32) uint32 {
	return bits.RotateLeft32(x, -2) ^ bits.RotateLeft32(x, -13) ^ bits.RotateLeft32(x, -22)
}

func bigSigma1(x uint32) uint32 {
	return bits.RotateLeft32(x, -6) ^ bits.RotateLeft32(x, -11) ^ bits.RotateLeft32(x, -25)
}

func smallSigma0(x uint32) uint32 {
	return bits.RotateLeft32(x, -7) ^ bits.RotateLeft32(x, -18) ^ x>>3
}

func smallSigma1(x uint32) uint32 {
	return bits.RotateLeft32(x, -17) ^ bits.RotateLeft32(x, -19) ^ x>>10
}

func choose(e, f, g uint32) uint32 { return e&f ^ ^e&g }

func majority(a, b, c uint32) uint32 { return a&b ^ a&c ^ b&c }

// beforeNonce returns the state after the rounds of a header's second block that
// read its tail: all before the nonce.
func (m Midstate) beforeNonce(tail [3]uint32) Midstate {
	a, b, c, d, e, f, g, h := m[0], m[1], m[2], m[3], m[4], m[5], m[6], m[7]
	for t, w := range tail {
		t1 := h + bigSigma1(e) + choose(e, f, g) + roundConstants[t] + w
		t2 := bigSigma0(a) + majority(a, b, c)
		h, g, f, e, d, c, b, a = g, f, e, d+t1, c, b, a, t1+t2
	}
	return Midstate{a, b, c, d, e, f, g, h}
}
