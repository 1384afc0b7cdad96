package hashing

import (
	"crypto/sha256"
	"math/rand/v2"
	"slices"
	"testing"
)

// naiveRoot is the definition, with the standard library and by recursion: the
// root of a list is the root of its pairs.
func naiveRoot(ids []Hash) Hash {
	if len(ids) == 1 {
		return ids[0]
	}
	var pairs []Hash
	for pair := range slices.Chunk(ids, 2) {
		inner := sha256.Sum256(slices.Concat(pair[0][:], pair[len(pair)-1][:]))
		pairs = append(pairs, sha256.Sum256(inner[:]))
	}
	return naiveRoot(pairs)
}

func randomIDs(rng *rand.Rand, n int) []Hash {
	ids := make([]Hash, n)
	for i := range ids {
		for j := range ids[i] {
			ids[i][j] = byte(rng.Uint32())
		}
	}
	return ids
}

func TestMerkleRoot(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 1))
	for n := 1; n <= 130; n++ {
		ids := randomIDs(rng, n)
		want := naiveRoot(ids)
		if got, mutated := MerkleRoot(slices.Clone(ids)); got != want || mutated {
			t.Fatalf("%d ids: root %s, mutated %t; want %s, false", n, got, mutated, want)
		}
		branch := MerkleBranch(slices.Clone(ids))
		if got := FoldBranch(ids[0], branch); got != want {
			t.Fatalf("%d ids: the branch of %d hashes folds to %s, want %s", n, len(branch), got, want)
		}
		other := randomIDs(rng, 1)[0] // the branch knows nothing of the first id
		if got, want := FoldBranch(other, branch), naiveRoot(append([]Hash{other}, ids[1:]...)); got != want {
			t.Fatalf("%d ids: with another first one the branch folds to %s, want %s", n, got, want)
		}
	}
	if root, mutated := MerkleRoot(nil); !root.IsZero() || mutated {
		t.Errorf("no ids: root %s, mutated %t", root, mutated)
	}
	if branch := MerkleBranch(nil); len(branch) != 0 {
		t.Errorf("no ids: a branch of %d hashes", len(branch))
	}
}

// TestMerkleRootLeavesRoomAlone passes slices that end inside a longer array:
// repeating the last id of an odd level must not write behind them.
func TestMerkleRootLeavesRoomAlone(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 2))
	for n := 1; n <= 40; n++ {
		for name, fold := range map[string]func([]Hash){
			"MerkleRoot":   func(ids []Hash) { MerkleRoot(ids) },
			"MerkleBranch": func(ids []Hash) { MerkleBranch(ids) },
			"MerkleProof":  func(ids []Hash) { MerkleProof(ids, len(ids)-1) },
		} {
			ids := randomIDs(rng, n+3)
			behind := slices.Clone(ids[n:])
			fold(ids[:n])
			if !slices.Equal(ids[n:], behind) {
				t.Fatalf("%s of %d ids wrote behind them", name, n)
			}
		}
	}
}

// TestMerkleMutation repeats the end of a list where that keeps its root
// (CVE-2012-2459): it must be seen.
func TestMerkleMutation(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 3))
	for n := 1; n <= 64; n++ {
		size := n & -n // of the subtree that the first odd level repeats
		if size == n {
			continue // a whole tree: no level is odd
		}
		ids := randomIDs(rng, n)
		want := naiveRoot(ids)
		mutant := append(slices.Clone(ids), ids[n-size:]...)
		if naiveRoot(mutant) != want {
			t.Fatalf("%d ids: repeating the last %d changes the root", n, size)
		}
		if root, mutated := MerkleRoot(mutant); root != want || !mutated {
			t.Errorf("%d ids, the last %d repeated: root %s, mutated %t; want %s, true", n, size, root, mutated, want)
		}
	}
}

func TestMerkleMutationInside(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 4))
	ids := randomIDs(rng, 8)
	ids[3] = ids[2]
	if _, mutated := MerkleRoot(slices.Clone(ids)); !mutated {
		t.Error("equal neighbours in the middle are not seen")
	}
	ids = randomIDs(rng, 8)
	ids[2] = ids[1] // neighbours in the list, but no pair
	if _, mutated := MerkleRoot(ids); mutated {
		t.Error("equal ids of two pairs count as a mutation")
	}
}

func TestMerkleRootOfBlock100000(t *testing.T) {
	var ids []Hash
	for _, s := range []string{
		"8c14f0db3df150123e6f3dbbf30f8b955a8249b62ac1d1ff16284aefa3d06d87",
		"fff2525b8931402dd09222c50775608f75787bd2b87e56995a7bdd30f79702c4",
		"6359f0868171b1d194cbee1af2f16ea598ae8fad666d9b012c8ed2b79a236ec4",
		"e9a66845e05d5abc0ad04ec80f774a7e585c6e8db975962d069a522137b80c1d",
	} {
		id, err := ParseHash(s)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	root, mutated := MerkleRoot(ids)
	if want := "f3e94742aca4b5ef85488dc37c06c3282295ffec960994b2c0d5ac2a25a95766"; root.String() != want || mutated {
		t.Errorf("root %s, mutated %t; want %s, false", root, mutated, want)
	}
}
