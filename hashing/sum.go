package hashing

import sha256 "github.com/minio/sha256-simd"

// Sum256d returns the SHA-256 of the SHA-256 of data.
func Sum256d(data []byte) Hash {
	inner := sha256.Sum256(data)
	return sha256.Sum256(inner[:])
}

// HashHeaders sets dst, which is as long as headers, to their hashes. Many headers
// are hashed side by side where the CPU can, several times as fast as one by one.
func HashHeaders(dst []Hash, headers []Header) {
	dst = dst[:len(headers)]
	for i := headersInLanes(dst, headers); i < len(headers); i++ {
		dst[i] = headers[i].Hash()
	}
}

// hashPairs sets dst to the hashes of the pairs in ids, two by two, of which a last
// one without a neighbour is left out. dst may be the front of ids, or begin in
// front of it.
func hashPairs(dst, ids []Hash) {
	dst, ids = dst[:len(ids)/2], ids[:len(ids)&^1]
	for i := pairsInLanes(dst, ids); i < len(dst); i++ {
		dst[i] = hashPair(ids[2*i], ids[2*i+1])
	}
}

func hashPair(left, right Hash) Hash {
	var pair [64]byte
	copy(pair[:32], left[:])
	copy(pair[32:], right[:])
	return Sum256d(pair[:])
}
