package hashing

import "encoding/binary"

// MaxVersions is the most versions that one [Search] may hold.
const MaxVersions = 64

// Search is a header made ready for trying nonces under several versions: what
// can be computed once has been. It is read by kernels and changed by none, so
// any number of goroutines may scan the same Search.
type Search struct {
	// Midstates holds one state a version, in the order of the versions.
	Midstates []Midstate
	// Tail is what the second block starts with, as SHA-256 reads it (big-endian
	// words): the last four bytes of the merkle root, the time, the bits. The
	// nonce follows.
	Tail [3]uint32
	// Target is met by the hashes that count.
	Target Target

	// states are the midstates, each with the tail behind it, as crypto/sha256
	// takes a state. Made here since a scan is too short to make them every time.
	states [][]byte
}

// Hit is a nonce and a version whose hash meets the target.
type Hit struct {
	// Nonce is the number that the header's last four bytes hold, little-endian.
	Nonce uint32
	// Version is the index into [Search.Midstates].
	Version int
}

// NewSearch prepares h, whose own version and nonce do not matter, for every one
// of versions. It panics unless there are 1 to [MaxVersions] of them.
func NewSearch(h Header, versions []uint32, target Target) Search {
	if len(versions) == 0 || len(versions) > MaxVersions {
		panic("hashing: a search takes 1 to 64 versions")
	}
	s := Search{Midstates: make([]Midstate, len(versions)), Target: target}
	for i, v := range versions {
		h.SetVersion(v)
		s.Midstates[i] = NewMidstate(&h)
	}
	for i := range s.Tail {
		s.Tail[i] = binary.BigEndian.Uint32(h[64+4*i:])
	}
	for _, m := range s.Midstates {
		s.states = append(s.states, marshalState(m, s.Tail))
	}
	return s
}
