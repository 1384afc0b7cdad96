//go:build amd64 && !purego

package hashing

import (
	"encoding/binary"
	"unsafe"
)

// The AVX-512 kernels hash a vector of 16 nonces at once. What they work on lies
// on the stack of whoever scans, in pieces that start on a cache line.
const (
	lanes512     = 16
	vectorBytes  = 64
	versionWords = 32 // the room of a version's words
	// blockBatches is how many batches one call of the assembly may hash: 16,384
	// hashes, so that filling and draining the pipeline costs little and a
	// garbage collection waits for less than a fifth of a millisecond.
	blockBatches = 1024
)

// line returns where in b, which has 63 bytes to spare, a cache line starts.
func line(b []byte) *byte {
	p := unsafe.SliceData(b)
	return (*byte)(unsafe.Add(unsafe.Pointer(p), -uintptr(unsafe.Pointer(p))&63))
}

// words returns n words from p on.
func words(p *byte, n int) []uint32 { return unsafe.Slice((*uint32)(unsafe.Pointer(p)), n) }

// setNonces lays out the nonces of the first batch, as numbers and as SHA-256 reads
// them, and how to get from one to the other.
func setNonces(slots *byte, natural, swapped, shuffle int, first uint32) {
	at := func(slot int) []byte {
		return unsafe.Slice((*byte)(unsafe.Add(unsafe.Pointer(slots), vectorBytes*slot)), vectorBytes)
	}
	for i := range lanes512 {
		binary.LittleEndian.PutUint32(at(natural)[4*i:], first+uint32(i))
		binary.BigEndian.PutUint32(at(swapped)[4*i:], first+uint32(i))
		for j := range 4 {
			at(shuffle)[4*i+j] = byte(4*i%16 + 3 - j)
		}
	}
}

// scanAVX512One scans one version after the other.
func scanAVX512One(s *Search, first uint32, n int, hits []Hit) (done, found int) {
	var (
		commonBytes  [4*len(avx512OneCommon) + 63]byte
		versionBytes [4*versionWords + 63]byte
		slotBytes    [vectorBytes*avx512OneSlots + 63]byte
		masks        [blockBatches + MaxVersions*avx512OneDepth]uint16
	)
	common, version, slots := line(commonBytes[:]), line(versionBytes[:]), line(slotBytes[:])
	copy(words(common, len(avx512OneCommon)), avx512OneCommon[:])
	avx512OneSearch(words(common, len(avx512OneCommon)), &s.Tail, rejectMask(s.Target))

	for done < n {
		vectors := min(blockBatches/len(s.Midstates), vectorsOf(n-done))
		step := vectors + avx512OneDepth
		for v, mid := range s.Midstates {
			st := mid.beforeNonce(s.Tail)
			avx512OneVersion(words(version, versionWords), &mid, &st)
			setNonces(slots, avx512OneNatural, avx512OneNonces, avx512OneShuffle, first+uint32(done))
			avx512One((*uint32)(unsafe.Pointer(common)), (*uint32)(unsafe.Pointer(version)), slots, &masks[v*step], step)
		}
		c := candidates{masks: masks[avx512OneDepth : step*len(s.Midstates)], lanes: lanes512, vectorStep: 1, versionStep: step}
		block := min(n-done, vectors*lanes512)
		var at int
		at, found = c.collect(s, first+uint32(done), block, hits, found)
		if done += at; at < block {
			break
		}
	}
	return done, found
}

// scanAVX512Many scans all versions at each vector of nonces.
func scanAVX512Many(s *Search, first uint32, n int, hits []Hit) (done, found int) {
	const tableVectors = 46 // W[18..63]+K
	var (
		commonBytes  [4*len(avx512ManyCommon) + 63]byte
		versionBytes [4*versionWords*(MaxVersions+1) + 63]byte
		slotBytes    [vectorBytes*avx512ManySlots + 63]byte
		tableBytes   [2*vectorBytes*tableVectors + 63]byte
		masks        [blockBatches + avx512ManyDepth]uint16
	)
	common, versions := line(commonBytes[:]), line(versionBytes[:])
	slots, tables := line(slotBytes[:]), line(tableBytes[:])
	copy(words(common, len(avx512ManyCommon)), avx512ManyCommon[:])
	avx512ManySearch(words(common, len(avx512ManyCommon)), &s.Tail, rejectMask(s.Target))
	count := len(s.Midstates)
	for v, mid := range s.Midstates {
		st := mid.beforeNonce(s.Tail)
		avx512ManyVersion(words(versions, versionWords*(MaxVersions+1))[versionWords*v:], &mid, &st)
	}
	for done < n {
		vectors := min(blockBatches/count, vectorsOf(n-done))
		setNonces(slots, avx512ManyNatural, avx512ManyNonces, avx512ManyShuffle, first+uint32(done))
		avx512Many((*uint32)(unsafe.Pointer(common)), (*uint32)(unsafe.Pointer(versions)), slots, tables, &masks[0], vectors, count)
		c := candidates{
			masks: masks[avx512ManyDepth : avx512ManyDepth+vectors*count],
			lanes: lanes512, vectorStep: count, versionStep: 1,
		}
		block := min(n-done, vectors*lanes512)
		var at int
		at, found = c.collect(s, first+uint32(done), block, hits, found)
		if done += at; at < block {
			break
		}
	}
	return done, found
}

// vectorsOf returns how many vectors n nonces fill, the last perhaps in part.
func vectorsOf(n int) int { return (n + lanes512 - 1) / lanes512 }
