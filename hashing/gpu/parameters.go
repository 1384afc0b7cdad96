package gpu

import (
	"math/bits"

	"github.com/jbcnet/jbc/hashing"
)

// parameters are what a launch passes to the program by value, in the order of its
// arguments, apart from the interval.
type parameters struct {
	midstate [8][]uint32 // word by word, one of each version
	round3   [8][]uint32 // the state after round 3 without the nonce, as kernel.cl names it
	schedule [6]uint32   // w16, w17, part18, part19, part31, part32
	top      uint32      // the target's most significant word
}

// newParameters hoists what does not depend on the nonce, for versions [from, from+n)
// of s in a program that takes width of them. Where n is less the last version fills
// the rest.
func newParameters(s *hashing.Search, from, n, width int) *parameters {
	p := &parameters{top: uint32(s.Target[3] >> 32)}
	for i := range p.midstate {
		p.midstate[i], p.round3[i] = make([]uint32, width), make([]uint32, width)
	}
	for v := range width {
		mid := s.Midstates[from+min(v, n-1)]
		after := beforeNonce(mid, s.Tail)
		for i := range mid {
			p.midstate[i][v] = mid[i]
			p.round3[i][v] = after[(i+4)%8] // round 4 calls a what round 0 called e
		}
	}
	w0, w1, w2 := s.Tail[0], s.Tail[1], s.Tail[2]
	w16 := w0 + sigma0(w1)
	w17 := w1 + sigma0(w2) + sigma1(headerBits)
	p.schedule = [6]uint32{
		w16,
		w17,
		w2 + sigma1(w16),
		sigma0(endBit) + sigma1(w17),
		headerBits + sigma0(w16),
		w16 + sigma0(w17),
	}
	return p
}

// The padding of a header: a single bit, and its length.
const (
	endBit     = 0x80000000
	headerBits = 8 * hashing.HeaderSize
)

// beforeNonce is rounds 0 to 3 of a header's second block, the nonce, which is the
// message word of round 3, taken for zero. It still has to be added to a and to e.
func beforeNonce(mid hashing.Midstate, tail [3]uint32) hashing.Midstate {
	k := [4]uint32{0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5} // FIPS 180-4, 4.2.2
	words := [4]uint32{tail[0], tail[1], tail[2], 0}
	a, b, c, d, e, f, g, h := mid[0], mid[1], mid[2], mid[3], mid[4], mid[5], mid[6], mid[7]
	for t, w := range words {
		t1 := h + (rotr(e, 6) ^ rotr(e, 11) ^ rotr(e, 25)) + (e&f ^ ^e&g) + k[t] + w
		t2 := (rotr(a, 2) ^ rotr(a, 13) ^ rotr(a, 22)) + (a&b ^ a&c ^ b&c)
		h, g, f, e, d, c, b, a = g, f, e, d+t1, c, b, a, t1+t2
	}
	return hashing.Midstate{a, b, c, d, e, f, g, h}
}

func rotr(x uint32, n int) uint32 { return bits.RotateLeft32(x, -n) }

func sigma0(x uint32) uint32 { return rotr(x, 7) ^ rotr(x, 18) ^ x>>3 }

func sigma1(x uint32) uint32 { return rotr(x, 17) ^ rotr(x, 19) ^ x>>10 }
