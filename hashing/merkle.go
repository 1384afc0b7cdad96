package hashing

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
		hashPairs(ids, ids)
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
