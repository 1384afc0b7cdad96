package hashing

import (
	"crypto/sha256"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// naivePath is the definition, by recursion: the sibling of a leaf, then the path
// of their pair in the list of pairs.
func naivePath(ids []Hash, index int) []Hash {
	if len(ids) == 1 {
		return nil
	}
	var pairs []Hash
	for pair := range slices.Chunk(ids, 2) {
		inner := sha256.Sum256(slices.Concat(pair[0][:], pair[len(pair)-1][:]))
		pairs = append(pairs, sha256.Sum256(inner[:]))
	}
	sibling := ids[min(index^1, len(ids)-1)]
	return append([]Hash{sibling}, naivePath(pairs, index/2)...)
}

func TestMerkleProof(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	for n := 1; n <= 70; n++ {
		ids := randomIDs(rng, n)
		root := naiveRoot(ids)
		for i := range ids {
			branch := MerkleProof(slices.Clone(ids), i)
			if want := naivePath(ids, i); !slices.Equal(branch, want) {
				t.Fatalf("leaf %d of %d: branch %v, want %v", i, n, branch, want)
			}
			if len(branch) != MerkleDepth(uint32(n)) {
				t.Fatalf("leaf %d of %d: %d hashes, depth %d", i, n, len(branch), MerkleDepth(uint32(n)))
			}
			if got, ok := FoldProof(ids[i], uint32(i), uint32(n), branch); !ok || got != root {
				t.Fatalf("leaf %d of %d: root %s, %t; want %s, true", i, n, got, ok, root)
			}
		}
	}
	if branch := MerkleProof(nil, 0); len(branch) != 0 {
		t.Errorf("no ids: a branch of %d hashes", len(branch))
	}
}

// TestFoldProofTellsPlaces: of all places that could be claimed for a leaf its branch
// leads to the root from its own alone; and that of the last leaf only where it is
// the last one, so that it shows how many leaves there are.
func TestFoldProofTellsPlaces(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for n := 1; n <= 35; n++ {
		ids := randomIDs(rng, n)
		root := naiveRoot(ids)
		for i := range ids {
			branch := naivePath(ids, i)
			for leaves := range uint32(80) {
				for index := range leaves + 2 {
					got, ok := FoldProof(ids[i], index, leaves, branch)
					holds := ok && got == root
					if own := index == uint32(i); holds && !own || !holds && own && leaves == uint32(n) {
						t.Fatalf("leaf %d of %d, claimed to be %d of %d: %t", i, n, index, leaves, holds)
					}
					if holds && i == n-1 && leaves != uint32(n) {
						t.Fatalf("the last of %d leaves passes for number %d of %d", n, index, leaves)
					}
				}
			}
		}
	}
}

func TestFoldProofRefuses(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 7))
	five := randomIDs(rng, 5)
	branch := func(i int) []Hash { return naivePath(five, i) }
	twins := slices.Clone(five)
	twins[1] = twins[0]
	tests := []struct {
		name          string
		leaf          Hash
		index, leaves uint32
		branch        []Hash
	}{
		{"no leaves", five[0], 0, 0, nil},
		{"first index behind the end", five[4], 5, 5, branch(4)},
		{"what the odd level repeats", five[4], 5, 6, branch(4)},
		{"what the odd level above repeats", five[4], 6, 8, branch(4)},
		{"branch too short", five[0], 0, 5, branch(0)[:2]},
		{"branch too long", five[0], 0, 5, append(branch(0), five[0])},
		{"an inner node for a leaf", hashPair(five[0], five[1]), 0, 3, append(branch(0)[1:], five[0])},
		{"equal neighbours", twins[0], 0, 5, naivePath(twins, 0)},
		{"equal neighbours, from the right", twins[1], 1, 5, naivePath(twins, 1)},
		{"the last leaf with another sibling", five[4], 4, 5, append([]Hash{five[3]}, branch(4)[1:]...)},
		{"all there can be", five[0], math.MaxUint32, math.MaxUint32, make([]Hash, 32)},
	}
	for _, tt := range tests {
		if root, ok := FoldProof(tt.leaf, tt.index, tt.leaves, tt.branch); ok {
			t.Errorf("%s: root %s", tt.name, root)
		}
	}
	if got := MerkleDepth(0); got != 0 {
		t.Errorf("depth %d of no leaves", got)
	}
	if got := MerkleDepth(math.MaxUint32); got != 32 {
		t.Errorf("depth %d of 2^32-1 leaves, want 32", got)
	}
}
