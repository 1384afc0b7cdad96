package hashing

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// laneCounts are numbers of messages that fill lanes in every way, and one that
// takes more than one call of assembly.
func laneCounts() (counts []int) {
	for n := range 71 {
		counts = append(counts, n)
	}
	return append(counts, 255, 256, 257, 1000, 16383, 16384, 16385, 16387, 16401, 2*16384+5)
}

func randomHeaders(rng *rand.Rand, n int) []Header {
	headers := make([]Header, n)
	for i := range headers {
		for j := range headers[i] {
			headers[i][j] = byte(rng.Uint32())
		}
	}
	return headers
}

// sumTwice is SHA-256d by the standard library.
func sumTwice(message []byte) Hash {
	inner := sha256.Sum256(message)
	return sha256.Sum256(inner[:])
}

func TestHashHeaders(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 1))
	for _, n := range laneCounts() {
		headers := randomHeaders(rng, n+1)[1:] // begins at no cache line
		untouched := slices.Clone(headers)
		dst := randomIDs(rng, n+2)
		behind := slices.Clone(dst[n:])
		HashHeaders(dst, headers)
		for i := range headers {
			if want := sumTwice(headers[i][:]); dst[i] != want {
				t.Fatalf("header %d of %d: %x, want %x", i, n, dst[i][:], want[:])
			}
		}
		if !slices.Equal(dst[n:], behind) || !slices.Equal(headers, untouched) {
			t.Fatalf("%d headers: more is overwritten than their hashes", n)
		}
	}
}

func TestHashHeadersOfTheChain(t *testing.T) {
	for _, n := range []int{1, 16, 40} {
		headers, want := make([]Header, n), make([]string, n)
		for i := range headers {
			mined := realHeaders[i%len(realHeaders)]
			if err := headers[i].UnmarshalText([]byte(mined.header)); err != nil {
				t.Fatal(err)
			}
			want[i] = mined.hash
		}
		dst := make([]Hash, n)
		HashHeaders(dst, headers)
		for i := range dst {
			if dst[i].String() != want[i] {
				t.Errorf("header %d of %d: %s, want %s", i, n, dst[i], want[i])
			}
		}
	}
}

// TestHashPairs hashes pairs to another place, over themselves, and as MerkleBranch
// does, a hash in front of them.
func TestHashPairs(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 2))
	for _, n := range laneCounts() {
		for _, odd := range []int{0, 1} {
			ids := randomIDs(rng, 2*n+2)[1:][: 2*n+odd : 2*n+odd]
			var want []Hash
			for i := range n {
				want = append(want, sumTwice(slices.Concat(ids[2*i][:], ids[2*i+1][:])))
			}
			apart := randomIDs(rng, n+2)
			behind := slices.Clone(apart[n:])
			hashPairs(apart, ids)
			over := slices.Clone(ids)
			hashPairs(over, over)
			before := slices.Concat(make([]Hash, 1), ids)
			hashPairs(before, before[1:])
			for name, got := range map[string][]Hash{"apart": apart, "over themselves": over, "in front": before} {
				if !slices.Equal(got[:n], want) {
					t.Fatalf("%d pairs and %d more, hashed %s, differ from the standard library", n, odd, name)
				}
			}
			if !slices.Equal(apart[n:], behind) || !slices.Equal(over[n:], ids[n:]) {
				t.Fatalf("%d pairs and %d more: written behind their hashes", n, odd)
			}
		}
	}
}

func TestHashingInLanesAllocatesNothing(t *testing.T) {
	headers, ids, dst := make([]Header, 100), make([]Hash, 200), make([]Hash, 100)
	if n := testing.AllocsPerRun(10, func() { HashHeaders(dst, headers); hashPairs(dst, ids) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// reportRate says how many millions of hashes a second were made.
func reportRate(b *testing.B, each int) {
	b.ReportMetric(float64(b.N*each)/1e6/b.Elapsed().Seconds(), "MH/s")
}

// oneByOne are the libraries that hash a message at a time.
var oneByOne = []struct {
	name string
	sum  func([]byte) Hash
}{{"sha256-simd", Sum256d}, {"stdlib", sumTwice}}

func BenchmarkMerkleRoot(b *testing.B) {
	for _, n := range []int{16, 256, 4096} {
		ids := randomIDs(rand.New(rand.NewPCG(7, 3)), n)
		room := make([]Hash, n)
		b.Run(fmt.Sprintf("ids=%d/lib=ours", n), func(b *testing.B) {
			for b.Loop() {
				copy(room, ids)
				MerkleRoot(room)
			}
			reportRate(b, n-1)
		})
		for _, lib := range oneByOne {
			b.Run(fmt.Sprintf("ids=%d/lib=%s", n, lib.name), func(b *testing.B) {
				for b.Loop() {
					copy(room, ids)
					for level := room; len(level) > 1; level = level[:len(level)/2] {
						for i := range len(level) / 2 {
							var pair [64]byte
							copy(pair[:32], level[2*i][:])
							copy(pair[32:], level[2*i+1][:])
							level[i] = lib.sum(pair[:])
						}
					}
				}
				reportRate(b, n-1)
			})
		}
	}
}

func BenchmarkHashHeaders(b *testing.B) {
	for _, n := range []int{1, 2, 3, 4, 5, 6, 8, 16, 2000} {
		headers, dst := randomHeaders(rand.New(rand.NewPCG(7, 4)), n), make([]Hash, n)
		b.Run(fmt.Sprintf("headers=%d/lib=ours", n), func(b *testing.B) {
			for b.Loop() {
				HashHeaders(dst, headers)
			}
			reportRate(b, n)
		})
		for _, lib := range oneByOne {
			b.Run(fmt.Sprintf("headers=%d/lib=%s", n, lib.name), func(b *testing.B) {
				for b.Loop() {
					for i := range headers {
						dst[i] = lib.sum(headers[i][:])
					}
				}
				reportRate(b, n)
			})
		}
	}
}
