package bench

import (
	"crypto/sha256"
	"encoding"
	"encoding/binary"

	simd "github.com/minio/sha256-simd"

	"github.com/jbcnet/jbc/hashing"
)

// baselineSlice is how many headers a baseline hashes between two looks at the
// clock, about 0.2 ms.
const baselineSlice = 1024

// baselines are what somebody would write with a library at hand.
func baselines() []contender {
	return []contender{
		{KindBaseline, "crypto/sha256", 1, naive(sha256.Sum256)},
		{KindBaseline, "crypto/sha256+midstate", 1, libraryMidstate},
		{KindBaseline, "sha256-simd", 1, naive(simd.Sum256)},
	}
}

// naive hashes whole headers with a one-shot function.
func naive(sum func([]byte) [32]byte) func() slice {
	return func() slice {
		h := sample()
		nonce := uint32(0)
		return func() (hashes uint64) {
			for range baselineSlice {
				h.SetNonce(nonce)
				nonce++
				inner := sum(h[:])
				if unmeetable.MetBy(sum(inner[:])) {
					panic("bench: met a target of zero")
				}
			}
			return baselineSlice
		}
	}
}

// libraryMidstate hashes the first 64 bytes once and restores the library's state
// for every nonce.
func libraryMidstate() slice {
	h := sample()
	first := sha256.New()
	first.Write(h[:64])
	state, err := first.(encoding.BinaryMarshaler).MarshalBinary()
	if err != nil {
		panic("bench: crypto/sha256 cannot save its state: " + err.Error())
	}
	digest := sha256.New()
	restore := digest.(encoding.BinaryUnmarshaler).UnmarshalBinary
	var tail [16]byte
	copy(tail[:], h[64:])
	sum := make([]byte, 0, sha256.Size)
	nonce := uint32(0)
	return func() (hashes uint64) {
		for range baselineSlice {
			if err := restore(state); err != nil {
				panic("bench: crypto/sha256 cannot restore its state: " + err.Error())
			}
			binary.LittleEndian.PutUint32(tail[12:], nonce)
			nonce++
			digest.Write(tail[:])
			if unmeetable.MetBy(sha256.Sum256(digest.Sum(sum))) {
				panic("bench: met a target of zero")
			}
		}
		return baselineSlice
	}
}

// sample returns a header to grind.
func sample() (h hashing.Header) {
	for i := range h {
		h[i] = byte(i)
	}
	return h
}

// unmeetable is met by no hash: reporting hits is not what is measured.
var unmeetable hashing.Target
