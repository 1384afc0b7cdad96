//go:build amd64 && !purego

package hashing

import "unsafe"

// The AVX2 kernels hash a vector of 8 nonces at once.
const (
	lanes256       = 8
	vectorBytes256 = 4 * lanes256
	hashBytes256   = 8 * vectorBytes256
	// blockBatches256 bounds one call of the assembly as blockBatches does: as long
	// a time at a quarter of the rate.
	blockBatches256 = 512
)

// scanAVX2One scans one version after the other.
func scanAVX2One(s *Search, first uint32, n int, hits []Hit) (done, found int) {
	var (
		commonBytes  [vectorBytes256*len(avx2OneCommon) + 63]byte
		versionBytes [2*4*versionWords + 63]byte
		slotBytes    [vectorBytes256*avx2OneSlots + 63]byte
		innerBytes   [hashBytes256*avx2OneGroup + 63]byte
		masks        [blockBatches256 + MaxVersions*avx2OneDepth]uint16
	)
	common, version := line(commonBytes[:]), line(versionBytes[:])
	slots, inner := line(slotBytes[:]), line(innerBytes[:])
	search := avx2OneCommon
	avx2OneSearch(search[:], &s.Tail, rejectMask(s.Target))
	inEveryLane(common, lanes256, search[:])

	for done < n {
		vectors := min(blockBatches256/len(s.Midstates), vectorsOfLanes(n-done, lanes256))
		step := vectors + avx2OneDepth
		for v, mid := range s.Midstates {
			st := mid.beforeNonce(s.Tail)
			for i := range 2 { // the batch that is half done has the version before, which is the same
				avx2OneVersion(words(version, 2*versionWords)[versionWords*i:], &mid, &st)
			}
			setLanes(slots, lanes256, avx2OneNatural, avx2OneNonces, avx2OneShuffle, first+uint32(done))
			avx2One((*uint32)(unsafe.Pointer(common)), (*uint32)(unsafe.Pointer(version)), slots, inner, &masks[v*step], step)
		}
		c := candidates{masks: masks[avx2OneDepth : step*len(s.Midstates)], lanes: lanes256, vectorStep: 1, versionStep: step}
		block := min(n-done, vectors*lanes256)
		var at int
		at, found = c.collect(s, first+uint32(done), block, hits, found)
		if done += at; at < block {
			break
		}
	}
	return done, found
}

// scanAVX2Many scans all versions at each vector of nonces.
func scanAVX2Many(s *Search, first uint32, n int, hits []Hit) (done, found int) {
	const tableVectors = 46 // W[18..63]+K
	var (
		commonBytes  [vectorBytes256*len(avx2ManyCommon) + 63]byte
		versionBytes [4*versionWords*(1+MaxVersions+avx2ManyDepth) + 63]byte
		slotBytes    [vectorBytes256*avx2ManySlots + 63]byte
		innerBytes   [hashBytes256*(max(MaxVersions, avx2ManyGroup)+avx2ManyDepth) + 63]byte
		tableBytes   [2*vectorBytes256*tableVectors + 63]byte
		masks        [blockBatches256 + avx2ManyDepth]uint16
	)
	common, versions := line(commonBytes[:]), line(versionBytes[:])
	slots, inner, tables := line(slotBytes[:]), line(innerBytes[:]), line(tableBytes[:])
	search := avx2ManyCommon
	avx2ManySearch(search[:], &s.Tail, rejectMask(s.Target))
	inEveryLane(common, lanes256, search[:])
	count := len(s.Midstates)
	versionTable := words(versions, versionWords*(1+MaxVersions))
	for v, mid := range s.Midstates {
		st := mid.beforeNonce(s.Tail)
		avx2ManyVersion(versionTable[versionWords*(1+v):], &mid, &st)
	}
	copy(versionTable, versionTable[versionWords*count:][:versionWords]) // before the first comes the last
	each := max(1, avx2ManyGroup/count)                                  // vectors of a group
	for done < n {
		vectors := min(blockBatches256/count, vectorsOfLanes(n-done, lanes256))
		setLanes(slots, lanes256, avx2ManyNatural, avx2ManyNonces, avx2ManyShuffle, first+uint32(done))
		avx2Many((*uint32)(unsafe.Pointer(common)), (*uint32)(unsafe.Pointer(versions)), slots, inner, tables, &masks[0], vectors, count, each)
		c := candidates{
			masks: masks[avx2ManyDepth : avx2ManyDepth+vectors*count],
			lanes: lanes256, vectorStep: count, versionStep: 1,
		}
		block := min(n-done, vectors*lanes256)
		var at int
		at, found = c.collect(s, first+uint32(done), block, hits, found)
		if done += at; at < block {
			break
		}
	}
	return done, found
}
