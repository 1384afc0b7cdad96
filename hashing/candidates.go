package hashing

import (
	"math/bits"
	"unsafe"
)

// rejectMask returns the bits of a hash's last word, as SHA-256 leaves it, that
// have to be zero if the hash is to meet t. Vector kernels test nothing else:
// among hashes that pass, at most one in two fails, and plain Go looks at each.
func rejectMask(t Target) uint32 {
	top := uint32(t[3] >> 32)
	return bits.ReverseBytes32(^uint32(1<<bits.Len32(top) - 1))
}

// candidates are what a vector kernel leaves: a mask of lanes for every vector of
// nonces and version.
type candidates struct {
	masks []uint16
	lanes int
	// How far apart in masks the vectors are, and the versions.
	vectorStep, versionStep int
}

// none says whether no lane passed at all, as nearly always.
func (c *candidates) none() bool {
	words := unsafe.Slice((*uint64)(unsafe.Pointer(unsafe.SliceData(c.masks))), len(c.masks)/4)
	var some uint64
	for _, w := range words {
		some |= w
	}
	for _, m := range c.masks[4*len(words):] {
		some |= uint64(m)
	}
	return some == 0
}

// collect checks the lanes that passed, of n nonces from first, and adds to hits,
// which holds found already, those that meet the target. A nonce is done with all
// its versions or not at all: where hits is full, done says how many are.
func (c *candidates) collect(s *Search, first uint32, n int, hits []Hit, found int) (done, total int) {
	if c.none() {
		return n, found
	}
	for v := 0; v*c.lanes < n; v++ {
		row := c.masks[v*c.vectorStep:]
		var some uint16
		for version := range s.Midstates {
			some |= row[version*c.versionStep]
		}
		for ; some != 0; some &= some - 1 {
			lane := bits.TrailingZeros16(some)
			at := v*c.lanes + lane
			if at >= n {
				break
			}
			kept, nonce := found, first+uint32(at)
			for version := range s.Midstates {
				if row[version*c.versionStep]>>lane&1 == 0 || !s.Target.MetBy(s.Hash(version, nonce)) {
					continue
				}
				if found == len(hits) {
					return at, kept
				}
				hits[found] = Hit{Nonce: nonce, Version: version}
				found++
			}
		}
	}
	return n, found
}
