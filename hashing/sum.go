package hashing

import sha256 "github.com/minio/sha256-simd"

// Sum256d returns the SHA-256 of the SHA-256 of data.
func Sum256d(data []byte) Hash {
	inner := sha256.Sum256(data)
	return sha256.Sum256(inner[:])
}

// MerkleRoot folds ids, which it overwrites, into the root of their merkle tree:
// each level pairs neighbours and repeats the last one where their number is odd.
// mutated says that two neighbours of a level were equal before any was repeated:
// then a shorter list has the same root (CVE-2012-2459), and the list must be
// refused without condemning the block hash. The root of no ids is zero.
func MerkleRoot(ids []Hash) (root Hash, mutated bool) {
	if len(ids) == 0 {
		return Hash{}, false
	}
	for len(ids) > 1 {
		for i := 0; i+1 < len(ids); i += 2 {
			mutated = mutated || ids[i] == ids[i+1]
		}
		if len(ids)%2 == 1 {
			ids = append(ids[:len(ids):len(ids)], ids[len(ids)-1])
		}
		for i := 0; i < len(ids); i += 2 {
			ids[i/2] = hashPair(ids[i], ids[i+1])
		}
		ids = ids[:len(ids)/2]
	}
	return ids[0], mutated
}

// MerkleBranch returns the hashes that [FoldBranch] needs to get from the first
// of ids to their root, lowest level first. It overwrites ids.
func MerkleBranch(ids []Hash) []Hash {
	var branch []Hash
	for len(ids) > 1 {
		branch = append(branch, ids[1])
		if len(ids)%2 == 1 {
			ids = append(ids[:len(ids):len(ids)], ids[len(ids)-1])
		}
		for i := 2; i < len(ids); i += 2 {
			ids[i/2] = hashPair(ids[i], ids[i+1])
		}
		ids = ids[:len(ids)/2]
	}
	return branch
}

// FoldBranch returns the merkle root of a tree whose first leaf is leaf.
func FoldBranch(leaf Hash, branch []Hash) Hash {
	for _, sibling := range branch {
		leaf = hashPair(leaf, sibling)
	}
	return leaf
}

func hashPair(left, right Hash) Hash {
	var pair [64]byte
	copy(pair[:32], left[:])
	copy(pair[32:], right[:])
	return Sum256d(pair[:])
}
