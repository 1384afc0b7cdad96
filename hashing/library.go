package hashing

import (
	"crypto/sha256"
	"encoding"
	"encoding/binary"
)

// scanLibrary hashes with the standard library, which is assembly on most
// architectures, from the midstate on. The library has no way to set a state but
// its serialised form: a magic, the state, the unread input, the length so far
// (crypto/sha256, MarshalBinary).
func scanLibrary(s *Search, first uint32, n int, hits []Hit) (done, found int) {
	inner := sha256.New()
	restore := inner.(encoding.BinaryUnmarshaler).UnmarshalBinary
	var nonceBytes [4]byte
	sum := make([]byte, 0, sha256.Size)
	return scanEach(s, first, n, hits, func(version int, nonce uint32) Hash {
		if err := restore(s.states[version]); err != nil {
			panic("hashing: crypto/sha256 refuses its own state: " + err.Error())
		}
		binary.LittleEndian.PutUint32(nonceBytes[:], nonce)
		inner.Write(nonceBytes[:])
		return sha256.Sum256(inner.Sum(sum))
	})
}

// marshalState returns the state of a SHA-256 that has read a header up to its
// nonce: magic, eight words, a block of input of which the tail was read, the
// length so far.
func marshalState(m Midstate, tail [3]uint32) []byte {
	state := append(make([]byte, 0, 108), "sha\x03"...)
	for _, word := range m {
		state = binary.BigEndian.AppendUint32(state, word)
	}
	for _, word := range tail {
		state = binary.BigEndian.AppendUint32(state, word)
	}
	state = append(state, make([]byte, 64-4*len(tail))...)
	return binary.BigEndian.AppendUint64(state, HeaderSize-4)
}
