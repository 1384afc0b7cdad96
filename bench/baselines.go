package bench

import (
	"crypto/sha256"
	"encoding"
	"encoding/binary"
	"encoding/hex"
	"strconv"
	"strings"

	simd "github.com/minio/sha256-simd"

	"github.com/jbcnet/jbc/hashing"
)

// baselineSlice is how many headers a baseline hashes between two looks at the
// clock, about 0.2 ms.
const baselineSlice = 1024

// baselines are what somebody would write with a library at hand, and the loop that
// tutorials write.
func baselines() []contender {
	return []contender{
		{kind: KindBaseline, name: "crypto/sha256", versions: 1, start: naive(sha256.Sum256)},
		{kind: KindBaseline, name: "crypto/sha256+midstate", versions: 1, start: libraryMidstate},
		{kind: KindBaseline, name: "sha256-simd", versions: 1, start: naive(simd.Sum256)},
		{kind: KindBaseline, name: "tutorial loop", versions: 1, start: tutorial},
	}
}

// tutorial is the loop of the JackBlockChain tutorial, in Go: the block's fields
// and the nonce put together as a text, hashed once, its hex digits looked at. A
// hash here is half of what a header takes.
func tutorial() slice {
	const index, prev, data, timestamp = 10, "000001a3dd32c4e1d9fb4b5c0d6f2c9f6ad7e0d43a4f1e7ac3d3a1f3a5fbd6c2", "I block #10", "2026"
	nonce := 0
	return func() (hashes uint64) {
		for range baselineSlice {
			sum := sha256.Sum256([]byte(strconv.Itoa(index) + prev + data + timestamp + strconv.Itoa(nonce)))
			nonce++
			if strings.HasPrefix(hex.EncodeToString(sum[:]), "0000000000000000") {
				panic("bench: 64 zero bits in a tutorial's block")
			}
		}
		return baselineSlice
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
