package hashing

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestKernelGroups tries every number of versions with a few vectors of nonces:
// kernels put as many vectors into a group as the versions leave room for, and each
// number has its own seams.
func TestKernelGroups(t *testing.T) {
	plain := Kernels()[0]
	for count := 1; count <= MaxVersions; count++ {
		if testing.Short() && count > 4 && count%7 != 0 && count != MaxVersions {
			continue
		}
		rng := rand.New(rand.NewPCG(1, 100+uint64(count)))
		w := randomTask(rng, 16)
		w.versions = make([]uint32, count)
		for i := range w.versions {
			w.versions[i] = rng.Uint32()
		}
		w.search = NewSearch(w.header, w.versions, w.search.Target)
		first := math.MaxUint32 - rng.Uint32N(64)
		for _, n := range []int{7, 8, 9, 8*(64/count) - 1, 8*(64/count) + 1, 16*(64/count) + 3} {
			want := scanAll(t, plain, &w.search, first, n, 1<<14)
			for _, k := range Kernels() {
				if !k.Supported() {
					continue
				}
				if got := scanAll(t, k, &w.search, first, n, 1<<14); !slices.Equal(got, want) {
					t.Errorf("%s: %d versions, nonces %d+%d: hits %v, plain Go says %v", k.Name, count, first, n, got, want)
				}
			}
		}
	}
}
