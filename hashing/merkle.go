package hashing

import "math/bits"

// MerkleRoot folds ids, which it overwrites, into the root of their merkle tree and
// takes no other memory. Each level pairs neighbours and repeats the last one where
// their number is odd. mutated says that two neighbours of a level were equal before any was repeated:
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
		last, odd := ids[len(ids)-1], len(ids)%2 == 1
		hashPairs(ids, ids)
		ids = ids[:(len(ids)+1)/2]
		if odd {
			ids[len(ids)-1] = hashPair(last, last)
		}
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
		hashPairs(ids[1:], ids[2:])
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

// MerkleProof returns the hashes that [FoldProof] needs to get from the one of ids
// at index to their root, lowest level first. It overwrites ids.
func MerkleProof(ids []Hash, index int) []Hash {
	var branch []Hash
	for ; len(ids) > 1; index /= 2 {
		if len(ids)%2 == 1 {
			ids = append(ids[:len(ids):len(ids)], ids[len(ids)-1])
		}
		branch = append(branch, ids[index^1])
		hashPairs(ids, ids)
		ids = ids[:len(ids)/2]
	}
	return branch
}

// MerkleDepth returns how many hashes lead from any of so many leaves to their
// root: the length of a branch. Of no leaves it is zero, as of one.
func MerkleDepth(leaves uint32) int {
	if leaves == 0 {
		return 0
	}
	return bits.Len32(leaves - 1)
}

// FoldProof returns the merkle root of a tree with so many leaves whose leaf at
// index is leaf. It is not ok where no tree that [MerkleRoot] takes for unmutated
// has such a branch: the index is out of range, the branch is not as long as the
// tree is deep, or a hash is its own sibling anywhere but at the end of an odd
// level, where it has to be. So what an odd level repeats is no further leaf
// (CVE-2012-2459), and the branch of the last leaf shows how many there are, in a
// tree whose depth is known.
func FoldProof(leaf Hash, index, leaves uint32, branch []Hash) (root Hash, ok bool) {
	if index >= leaves || len(branch) != MerkleDepth(leaves) {
		return Hash{}, false
	}
	for _, sibling := range branch {
		right := index%2 == 1
		alone := !right && index == leaves-1
		if (sibling == leaf) != alone {
			return Hash{}, false
		}
		if right {
			leaf = hashPair(sibling, leaf)
		} else {
			leaf = hashPair(leaf, sibling)
		}
		index /= 2
		leaves = leaves/2 + leaves%2
	}
	return leaf, true
}
