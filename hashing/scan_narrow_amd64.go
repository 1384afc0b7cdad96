//go:build amd64 && !purego

package hashing

import (
	"encoding/binary"
	"unsafe"
)

// What the kernels without AVX-512 have in common: words that are the same in every
// lane lie in memory in every lane, but for those of a version.

// inEveryLane writes each word of from as a vector.
func inEveryLane(to *byte, lanes int, from []uint32) {
	vectors := words(to, lanes*len(from))
	for i, w := range from {
		for lane := range lanes {
			vectors[lanes*i+lane] = w
		}
	}
}

// setLanes lays out the nonces of the first batch, as numbers and as SHA-256 reads
// them, and how to get from one to the other.
func setLanes(slots *byte, lanes int, natural, swapped, shuffle int, first uint32) {
	at := func(slot int) []byte {
		return unsafe.Slice((*byte)(unsafe.Add(unsafe.Pointer(slots), 4*lanes*slot)), 4*lanes)
	}
	for i := range lanes {
		binary.LittleEndian.PutUint32(at(natural)[4*i:], first+uint32(i))
		binary.BigEndian.PutUint32(at(swapped)[4*i:], first+uint32(i))
		for j := range 4 {
			at(shuffle)[4*i+j] = byte(4*i%16 + 3 - j)
		}
	}
}

// vectorsOfLanes returns how many vectors n nonces fill, the last perhaps in part.
func vectorsOfLanes(n, lanes int) int { return (n + lanes - 1) / lanes }
