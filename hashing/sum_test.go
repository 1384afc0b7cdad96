package hashing

import (
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
	"testing"

	simd "github.com/minio/sha256-simd"
)

// compressSum is SHA-256 of any message by the compression function of this
// package, padded as FIPS 180-4, 5.1.1 says.
func compressSum(message []byte) (sum [32]byte) {
	padded := append([]byte(nil), message...)
	padded = append(padded, 0x80)
	for len(padded)%64 != 56 {
		padded = append(padded, 0)
	}
	padded = binary.BigEndian.AppendUint64(padded, 8*uint64(len(message)))
	state := initialState
	for ; len(padded) > 0; padded = padded[64:] {
		var block [16]uint32
		for i := range block {
			block[i] = binary.BigEndian.Uint32(padded[4*i:])
		}
		state.compress(&block)
	}
	for i, word := range state {
		binary.BigEndian.PutUint32(sum[4*i:], word)
	}
	return sum
}

func TestSumsAgainstTheStandardLibrary(t *testing.T) {
	rng := rand.New(rand.NewPCG(6, 1))
	for n := range 300 {
		message := make([]byte, n)
		for i := range message {
			message[i] = byte(rng.Uint32())
		}
		once := sha256.Sum256(message)
		if got := compressSum(message); got != once {
			t.Fatalf("SHA-256 of %x by compress: %x, want %x", message, got, once)
		}
		if got, want := Sum256d(message), Hash(sha256.Sum256(once[:])); got != want {
			t.Fatalf("Sum256d(%x) = %x, want %x", message, got[:], want[:])
		}
	}
}

func TestMidstateIsTheFirstBlock(t *testing.T) {
	rng := rand.New(rand.NewPCG(6, 2))
	for range 100 {
		var h Header
		for i := range h {
			h[i] = byte(rng.Uint32())
		}
		s := NewSearch(h, []uint32{h.Version()}, MaxTarget)
		state := s.Midstates[0]
		state.compress(&[16]uint32{
			s.Tail[0], s.Tail[1], s.Tail[2], binary.BigEndian.Uint32(h[76:]),
			0x80000000, 15: 640,
		})
		want := sha256.Sum256(h[:])
		for i, word := range state {
			if word != binary.BigEndian.Uint32(want[4*i:]) {
				t.Fatalf("header %s: word %d of SHA-256 from the midstate is %08x, want %08x", h, i, word, want[4*i:4*i+4])
			}
		}
	}
}

// BenchmarkSum256d compares the libraries on what this package hashes in one
// shot: headers of 80 bytes and pairs of ids.
func BenchmarkSum256d(b *testing.B) {
	for _, size := range []int{HeaderSize, 64} {
		data := make([]byte, size)
		report := func(b *testing.B) { b.ReportMetric(float64(b.N)/1e6/b.Elapsed().Seconds(), "MH/s") }
		name := map[int]string{HeaderSize: "header", 64: "pair"}[size]
		b.Run(name+"/lib=ours", func(b *testing.B) {
			for b.Loop() {
				Sum256d(data)
			}
			report(b)
		})
		b.Run(name+"/lib=stdlib", func(b *testing.B) {
			for b.Loop() {
				inner := sha256.Sum256(data)
				sha256.Sum256(inner[:])
			}
			report(b)
		})
		b.Run(name+"/lib=sha256-simd", func(b *testing.B) {
			for b.Loop() {
				inner := simd.Sum256(data)
				simd.Sum256(inner[:])
			}
			report(b)
		})
	}
}
