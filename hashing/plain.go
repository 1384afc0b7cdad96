package hashing

import (
	"encoding/binary"
	"math/bits"
)

// scanPlain is the specification: SHA-256 as the standard writes it, one nonce
// and one version at a time.
func scanPlain(s *Search, first uint32, n int, hits []Hit) (done, found int) {
	return scanEach(s, first, n, hits, s.Hash)
}

// Hash returns the hash of the header with one of the versions, an index into
// s.Midstates, and a nonce. It is for checking what others found: one at a time, slow.
func (s *Search) Hash(version int, nonce uint32) Hash {
	second := [16]uint32{
		s.Tail[0], s.Tail[1], s.Tail[2], bits.ReverseBytes32(nonce),
		0x80000000, 15: 8 * HeaderSize,
	}
	inner := s.Midstates[version]
	inner.compress(&second)

	outer := initialState
	block := [16]uint32{8: 0x80000000, 15: 8 * 32}
	copy(block[:], inner[:])
	outer.compress(&block)

	var h Hash
	for i, word := range outer {
		binary.BigEndian.PutUint32(h[4*i:], word)
	}
	return h
}

// scanEach is the loop of a kernel that hashes one header at a time. A nonce
// counts as done with all its versions or not at all.
func scanEach(s *Search, first uint32, n int, hits []Hit, hash func(version int, nonce uint32) Hash) (done, found int) {
	for done = range n {
		nonce, kept := first+uint32(done), found
		for version := range s.Midstates {
			if !s.Target.MetBy(hash(version, nonce)) {
				continue
			}
			if found == len(hits) {
				return done, kept
			}
			hits[found] = Hit{Nonce: nonce, Version: version}
			found++
		}
	}
	return n, found
}
