//go:build arm64 && !purego

package hashing

import "unsafe"

// The SHA-2 kernels hash four nonces side by side, each in registers of its own. What
// they work on lies on the stack of whoever scans, in quads: four words that fill
// a register and start where it is loaded fastest.
const (
	quadWords        = 4
	quadSpare        = quadWords - 1 // for an array to hold quads wherever it starts
	sha2VersionWords = 16            // of a version
	// sha2Batches is how many batches one call of the assembly may hash: 4,096
	// hashes, an eighth of a millisecond at 85 cycles each and 3 GHz. Small cores
	// take several times that; [ScanBudget] keeps n smaller there.
	sha2Batches = 1024
)

// quads returns n words of b, which has [quadSpare] more, from where a quad may start.
func quads(b []uint32, n int) []uint32 {
	skip := -uintptr(unsafe.Pointer(unsafe.SliceData(b))) / 4 % quadWords
	return b[skip : skip+uintptr(n)]
}

// scanSHA2 takes the code that is faster for so many versions.
func scanSHA2(s *Search, first uint32, n int, hits []Hit) (done, found int) {
	if len(s.Midstates) == 1 {
		return scanSHA2One(s, first, n, hits)
	}
	return scanSHA2Many(s, first, n, hits)
}

// scanSHA2One scans the only version.
func scanSHA2One(s *Search, first uint32, n int, hits []Hit) (done, found int) {
	var (
		commonWords  [len(sha2OneCommon) + quadSpare]uint32
		versionWords [sha2VersionWords + quadSpare]uint32
		slotWords    [quadWords*sha2OneSlots + quadSpare]uint32
		masks        [sha2Batches]uint16
	)
	common := quads(commonWords[:], len(sha2OneCommon))
	version := quads(versionWords[:], sha2VersionWords)
	slots := quads(slotWords[:], quadWords*sha2OneSlots)
	copy(common, sha2OneCommon[:])
	sha2OneSearch(common, &s.Tail, rejectMask(s.Target))
	st := s.Midstates[0].beforeNonce(s.Tail)
	sha2OneVersion(version, &s.Midstates[0], &st)
	for done < n {
		batches := min(sha2Batches, (n-done+sha2OneStreams-1)/sha2OneStreams)
		sha2One(&common[0], &version[0], &slots[0], &masks[0], uint64(first)+uint64(done), batches)
		c := candidates{masks: masks[:batches], lanes: sha2OneStreams, vectorStep: 1, versionStep: 1}
		block := min(n-done, batches*sha2OneStreams)
		var at int
		at, found = c.collect(s, first+uint32(done), block, hits, found)
		if done += at; at < block {
			break
		}
	}
	return done, found
}

// scanSHA2Many scans all versions at each vector of nonces.
func scanSHA2Many(s *Search, first uint32, n int, hits []Hit) (done, found int) {
	var (
		commonWords  [len(sha2ManyCommon) + quadSpare]uint32
		versionWords [sha2VersionWords*MaxVersions + quadSpare]uint32
		slotWords    [quadWords*sha2ManySlots + quadSpare]uint32
		masks        [sha2Batches]uint16
	)
	common := quads(commonWords[:], len(sha2ManyCommon))
	versions := quads(versionWords[:], sha2VersionWords*MaxVersions)
	slots := quads(slotWords[:], quadWords*sha2ManySlots)
	copy(common, sha2ManyCommon[:])
	sha2ManySearch(common, &s.Tail, rejectMask(s.Target))
	count := len(s.Midstates)
	for v, mid := range s.Midstates {
		st := mid.beforeNonce(s.Tail)
		sha2ManyVersion(versions[sha2VersionWords*v:], &mid, &st)
	}
	for done < n {
		vectors := min(sha2Batches/count, (n-done+sha2ManyStreams-1)/sha2ManyStreams)
		sha2Many(&common[0], &versions[0], &slots[0], &masks[0], uint64(first)+uint64(done), vectors, count)
		c := candidates{masks: masks[:vectors*count], lanes: sha2ManyStreams, vectorStep: count, versionStep: 1}
		block := min(n-done, vectors*sha2ManyStreams)
		var at int
		at, found = c.collect(s, first+uint32(done), block, hits, found)
		if done += at; at < block {
			break
		}
	}
	return done, found
}
