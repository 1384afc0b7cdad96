package hashing

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestKernelBlocks tries intervals longer than a kernel hashes in one go, and the
// most versions that a search may hold: the seams inside one call of Scan.
func TestKernelBlocks(t *testing.T) {
	tests := []struct {
		name     string
		versions int
		first    uint32
		n        int
		slow     bool // left out of short runs
	}{
		{"64 versions", MaxVersions, 7, 70, false},
		{"64 versions over the end of the nonces", MaxVersions, math.MaxUint32 - 30, 67, false},
		{"63 versions", MaxVersions - 1, 1 << 20, 131, true},
		{"one version", 1, 5, 4099, false},
		{"one version over the end of the nonces", 1, math.MaxUint32 - 5000, 16_411, true},
		{"one version, twice", 1, 1 << 30, 33_000, true},
		{"17 versions", 17, 99, 2001, true},
	}
	plain := Kernels()[0]
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if test.slow && testing.Short() {
				t.Skip("takes too long under emulation: left out with -short")
			}
			rng := rand.New(rand.NewPCG(1, 8))
			w := randomTask(rng, 32)
			w.versions = make([]uint32, test.versions)
			for i := range w.versions {
				w.versions[i] = rng.Uint32()
			}
			w.search = NewSearch(w.header, w.versions, w.search.Target)
			want := scanAll(t, plain, &w.search, test.first, test.n, 1<<17)
			if len(want) < 10 {
				t.Fatalf("only %d hits: the test proves little", len(want))
			}
			eachKernel(t, func(t *testing.T, k Kernel) {
				for _, room := range []int{MaxVersions, 300, 1 << 17} {
					if got := scanAll(t, k, &w.search, test.first, test.n, room); !slices.Equal(got, want) {
						t.Errorf("room %d: %d hits, plain Go has %d", room, len(got), len(want))
					}
				}
			})
		})
	}
}
