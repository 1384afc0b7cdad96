//go:build amd64 && !purego

package hashing

import "unsafe"

// The SHA-NI kernel has each nonce's state in registers of its own, which hold four
// words.
const (
	shaniQuadBytes = 16
	// shaniBlockBatches bounds one call of the assembly to about the time that a call
	// of the AVX-512 kernels takes.
	shaniBlockBatches = 4096 / shaniStreamsLanes
)

// scanSHANI scans all nonces under one version after the other.
func scanSHANI(s *Search, first uint32, n int, hits []Hit) (done, found int) {
	const lanes, depth = shaniStreamsLanes, shaniStreamsDepth
	// While the last hashes end, the assembly starts on versions that there are none of.
	const versionRoom = versionWords * (MaxVersions + depth)
	var (
		commonBytes  [4*len(shaniStreamsCommon) + 63]byte
		versionBytes [4*versionRoom + 63]byte
		slotBytes    [shaniQuadBytes*shaniStreamsSlots + 63]byte
		masks        [shaniBlockBatches + depth]uint16
	)
	common, versions, slots := line(commonBytes[:]), line(versionBytes[:]), line(slotBytes[:])
	copy(words(common, len(shaniStreamsCommon)), shaniStreamsCommon[:])
	shaniStreamsSearch(words(common, len(shaniStreamsCommon)), &s.Tail, rejectMask(s.Target))
	count := len(s.Midstates)
	for v, mid := range s.Midstates {
		st := mid.beforeNonce(s.Tail)
		shaniStreamsVersion(words(versions, versionRoom)[versionWords*v:], &mid, &st)
	}
	nonces := func(slot int) []uint32 {
		return words((*byte)(unsafe.Add(unsafe.Pointer(slots), shaniQuadBytes*slot)), lanes)
	}
	for done < n {
		batches := min(shaniBlockBatches/count, (n-done+lanes-1)/lanes)
		for lane := range lanes {
			nonce := first + uint32(done+lane)
			nonces(shaniStreamsNatural)[lane], nonces(shaniStreamsFirst)[lane] = nonce, nonce
		}
		total := batches*count + depth
		shaniStreams((*uint32)(unsafe.Pointer(common)), (*uint32)(unsafe.Pointer(versions)), slots, &masks[0], batches, total)
		c := candidates{masks: masks[depth:total], lanes: lanes, vectorStep: 1, versionStep: batches}
		block := min(n-done, batches*lanes)
		var at int
		at, found = c.collect(s, first+uint32(done), block, hits, found)
		if done += at; at < block {
			break
		}
	}
	return done, found
}
