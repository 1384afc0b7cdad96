//go:build amd64 && !purego

package hashing

import (
	"unsafe"

	"github.com/klauspost/cpuid/v2"
)

// sumFeatures are what one-shot hashing in lanes needs.
var sumFeatures = []cpuid.FeatureID{cpuid.AVX, cpuid.AVX512F, cpuid.AVX512BW}

var sumsInLanes = cpuid.CPU.Supports(sumFeatures...)

// sumLeast is the fewest messages that are hashed side by side: fewer are done sooner
// one by one (docs/measurements.md).
const sumLeast = 7

type vector [lanes512]uint32

// fill puts w into every lane.
func (v *vector) fill(w uint32) {
	for i := range v {
		v[i] = w
	}
}

// initialVectors is the state before a message's first block, on both sides.
var initialVectors = func() (states [2][8]vector) {
	for i, w := range initialState {
		states[0][i].fill(w)
		states[1][i].fill(w)
	}
	return states
}()

// sums hashes 32 messages side by side: 16 left and 16 right.
type sums struct {
	states [2][8]vector
	_      [avx512MixSlots - 2*8]vector
	words  [2][3][16]vector // of the message's two blocks, and of the second hash's only one
}

// start lays out the padding of messages of a size.
func (s *sums) start(size int) {
	for side := range 2 {
		tail, inner := &s.words[side][1], &s.words[side][2]
		tail[size/4-16].fill(0x80000000)
		tail[15].fill(uint32(8 * size))
		inner[8].fill(0x80000000)
		inner[15].fill(8 * uint32(len(Hash{})))
	}
}

// hash hashes 16 messages from left on and 16 from right on, to places that may
// overlap the messages.
func (s *sums) hash(size int, leftTo, rightTo *Hash, left, right *byte) {
	avx512Enter(&avx512EnterCommon[0], bytesOf(&s.words[0][0][0]), left, size)
	avx512Enter(&avx512EnterCommon[0], bytesOf(&s.words[1][0][0]), right, size)
	s.states = initialVectors
	s.mix(0)
	s.mix(1)
	for side := range s.states {
		copy(s.words[side][2][:], s.states[side][:])
	}
	s.states = initialVectors
	s.mix(2)
	avx512Leave(&avx512LeaveCommon[0], bytesOf(&s.states[0][0]), &leftTo[0])
	avx512Leave(&avx512LeaveCommon[0], bytesOf(&s.states[1][0]), &rightTo[0])
}

// mix mixes a block into the states.
func (s *sums) mix(block int) {
	avx512Mix(&avx512MixCommon[0], bytesOf(&s.states[0][0]), bytesOf(&s.words[0][block][0]), bytesOf(&s.words[1][block][0]))
}

func bytesOf(v *vector) *byte { return (*byte)(unsafe.Pointer(v)) }

// sumInLanes hashes messages of a size, 64 or 80 bytes, that lie one behind the other,
// and says how many: all, or all but a few. Each 32 are read before their hashes are
// written, which may be over them or in front.
func sumInLanes(dst []Hash, messages *byte, size int) (done int) {
	if !sumsInLanes || len(dst) < sumLeast {
		return 0
	}
	var bytes [int(unsafe.Sizeof(sums{})) + 63]byte
	s := (*sums)(unsafe.Pointer(line(bytes[:])))
	s.start(size)
	at := func(i int) *byte { return (*byte)(unsafe.Add(unsafe.Pointer(messages), i*size)) }
	for n := len(dst); n-done >= lanes512; {
		right := min(done+lanes512, n-lanes512) // perhaps some of the left again
		s.hash(size, &dst[done], &dst[right], at(done), at(right))
		done = right + lanes512
	}
	if left := len(dst) - done; left >= sumLeast {
		var few [lanes512 * HeaderSize]byte
		var hashes [lanes512]Hash
		copy(few[:], unsafe.Slice(at(done), left*size))
		s.hash(size, &hashes[0], &hashes[0], &few[0], &few[0])
		done += copy(dst[done:], hashes[:])
	}
	return done
}

func pairsInLanes(dst, ids []Hash) (done int) {
	return sumInLanes(dst, (*byte)(unsafe.Pointer(unsafe.SliceData(ids))), 64)
}

func headersInLanes(dst []Hash, headers []Header) (done int) {
	return sumInLanes(dst, (*byte)(unsafe.Pointer(unsafe.SliceData(headers))), HeaderSize)
}
