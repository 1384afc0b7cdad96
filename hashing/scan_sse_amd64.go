//go:build amd64 && !purego

package hashing

import "unsafe"

// The SSE kernel hashes a vector of 4 nonces at once, for CPUs that have nothing
// better: many cheap ones of Intel had no AVX until 2021.
const (
	lanes128       = 4
	vectorBytes128 = 4 * lanes128
	hashBytes128   = 8 * vectorBytes128
	// blockBatches128 bounds one call of the assembly as blockBatches does: these CPUs
	// are slow.
	blockBatches128 = 256
)

// scanSSEMany scans all versions at each vector of nonces.
func scanSSEMany(s *Search, first uint32, n int, hits []Hit) (done, found int) {
	const tableVectors = 46 // W[18..63]+K
	var (
		commonBytes  [vectorBytes128*len(sseManyCommon) + 63]byte
		versionBytes [4*versionWords*(1+MaxVersions+sseManyDepth) + 63]byte
		slotBytes    [vectorBytes128*sseManySlots + 63]byte
		innerBytes   [hashBytes128*(max(MaxVersions, sseManyGroup)+sseManyDepth) + 63]byte
		tableBytes   [2*vectorBytes128*tableVectors + 63]byte
		masks        [blockBatches128 + sseManyDepth]uint16
	)
	common, versions := line(commonBytes[:]), line(versionBytes[:])
	slots, inner, tables := line(slotBytes[:]), line(innerBytes[:]), line(tableBytes[:])
	search := sseManyCommon
	sseManySearch(search[:], &s.Tail, rejectMask(s.Target))
	inEveryLane(common, lanes128, search[:])
	count := len(s.Midstates)
	versionTable := words(versions, versionWords*(1+MaxVersions))
	for v, mid := range s.Midstates {
		st := mid.beforeNonce(s.Tail)
		sseManyVersion(versionTable[versionWords*(1+v):], &mid, &st)
	}
	copy(versionTable, versionTable[versionWords*count:][:versionWords]) // before the first comes the last
	each := max(1, sseManyGroup/count)                                   // vectors of a group
	for done < n {
		vectors := min(blockBatches128/count, vectorsOfLanes(n-done, lanes128))
		setLanes(slots, lanes128, sseManyNatural, sseManyNonces, sseManyShuffle, first+uint32(done))
		sseMany((*uint32)(unsafe.Pointer(common)), (*uint32)(unsafe.Pointer(versions)), slots, inner, tables, &masks[0], vectors, count, each)
		c := candidates{
			masks: masks[sseManyDepth : sseManyDepth+vectors*count],
			lanes: lanes128, vectorStep: count, versionStep: 1,
		}
		block := min(n-done, vectors*lanes128)
		var at int
		at, found = c.collect(s, first+uint32(done), block, hits, found)
		if done += at; at < block {
			break
		}
	}
	return done, found
}
