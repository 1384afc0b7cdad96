package main

import (
	"fmt"
	"math/rand/v2"
)

// armCore stands for the cores that have these instructions: SHA-256's own on one
// port, once a cycle, beside another port for vectors (Neoverse N1, Cortex-A76).
var armCore = machine{width: 2, shifts: 1, stores: 1}

// streamsOneVersion is the scan of one version: several nonces side by side, each
// in registers of its own, so that the core has work while an instruction's result
// is on its way.
func streamsOneVersion(streams int, t tuning) (*kernel, error) {
	slots := map[any]Slot{}
	g := streamHashes(streams, false, slots)
	order, cycles, err := g.schedule(armCore, t)
	if err != nil {
		return nil, err
	}
	e := &arm64{words: newTable()}
	e.arguments("common", armCommon, "version", armVersion, "slots", armSlots, "masks", armMasks, "nonce", armNonce, "batches", armVectors)
	e.ins("PCALIGN", imm(64))
	e.label("batch")
	e.nonces(g, streams)
	if err := e.body(g, order); err != nil {
		return nil, err
	}
	e.mask(streams)
	e.ins("ADD", imm(streams), armNonce)
	e.ins("SUBS", imm(1), armVectors)
	e.ins("BNE", "batch")
	e.ins("RET")

	own, all := float64(g.count(hashKinds...))/float64(streams), float64(g.arithmetic())/float64(streams)
	return &kernel{
		name: "sha2One", file: "scan_sha2_one", arch: "arm64", asm: e.text, words: e.words,
		about: []string{
			fmt.Sprintf("sha2One hashes %d nonces a batch under one version, a stream each.", streams),
			fmt.Sprintf("A hash costs %.0f of SHA-256's own instructions and %.0f other vector operations:", own, all-own),
			fmt.Sprintf("with one of its own a cycle at least %.0f cycles.", own),
			fmt.Sprintf("The model that ordered them needs %.1f. Registers: %d.", float64(cycles)/float64(streams), e.regs.most),
		},
		decl: "func sha2One(common, version, slots *uint32, masks *uint16, nonce uint64, batches int)",
		consts: [][2]string{
			{"sha2OneStreams", fmt.Sprint(streams)},
			{"sha2OneSlots", fmt.Sprint(len(slots))},
		},
		perHash: own,
	}, nil
}

// streamsManyVersions is the scan of many versions: W+K of the first hash lies in
// memory, where all versions find it.
func streamsManyVersions(streams int, t, tt tuning) (*kernel, error) {
	slots := map[any]Slot{}
	x := streamTables(streams, slots)
	g := streamHashes(streams, true, slots)
	tableOrder, _, err := x.schedule(armCore, tt)
	if err != nil {
		return nil, err
	}
	order, cycles, err := g.schedule(armCore, t)
	if err != nil {
		return nil, err
	}
	e := &arm64{words: newTable()}
	e.arguments("common", armCommon, "versions", armVersions, "slots", armSlots, "masks", armMasks, "nonce", armNonce,
		"vectors", armVectors, "n", armCount)
	e.label("vector")
	e.nonces(g, streams)
	if err := e.body(x, tableOrder); err != nil {
		return nil, err
	}
	e.ins("MOVD", armVersions, armVersion)
	e.ins("MOVD", armCount, armLeft)
	e.ins("PCALIGN", imm(64))
	e.label("batch")
	if err := e.body(g, order); err != nil {
		return nil, err
	}
	e.mask(streams)
	e.ins("ADD", imm(4*armVersionWords), armVersion)
	e.ins("SUBS", imm(1), armLeft)
	e.ins("BNE", "batch")
	e.ins("ADD", imm(streams), armNonce)
	e.ins("SUBS", imm(1), armVectors)
	e.ins("BNE", "vector")
	e.ins("RET")

	each := float64(streams)
	own, all, table := float64(g.count(hashKinds...))/each, float64(g.arithmetic())/each, float64(x.count(hashKinds...))/each
	return &kernel{
		name: "sha2Many", file: "scan_sha2_many", arch: "arm64", asm: e.text, words: e.words,
		about: []string{
			fmt.Sprintf("sha2Many hashes %d nonces a batch, a stream each, under each of many versions.", streams),
			fmt.Sprintf("A hash costs %.0f of SHA-256's own instructions and %.0f other vector operations,", own, all-own),
			fmt.Sprintf("and a nonce's table of message words %.0f of its own more:", table),
			fmt.Sprintf("with one of its own a cycle at least %.0f + %.0f/versions cycles a hash.", own, table),
			fmt.Sprintf("The model that ordered them needs %.1f. Registers: %d.", float64(cycles)/each, e.regs.most),
		},
		decl: "func sha2Many(common, versions, slots *uint32, masks *uint16, nonce uint64, vectors, n int)",
		consts: [][2]string{
			{"sha2ManyStreams", fmt.Sprint(streams)},
			{"sha2ManySlots", fmt.Sprint(len(slots))},
		},
		perHash:  own,
		perTable: table,
	}, nil
}

// arguments loads a function's arguments, given as names and registers.
func (e *arm64) arguments(pairs ...string) {
	for i := 0; i < len(pairs); i += 2 {
		e.ins("MOVD", fmt.Sprintf("%s+%d(FP)", pairs[i], 4*i), pairs[i+1])
	}
}

// nonces leaves each stream's nonce where the graph looks for it.
func (e *arm64) nonces(g *Graph, streams int) {
	for stream := range streams {
		number, vector := armResult(stream), fmt.Sprintf("F%d", stream)
		e.ins("ADD", imm(stream), armNonce, number)
		e.ins("REVW", number, number)
		e.ins("FMOVS", number, vector) // the other lanes are zero
		e.ins("FMOVQ", vector, e.address(g.slot(streamNonce(stream))))
	}
}

// mask writes which streams' last words have none of the bits that have to be zero.
func (e *arm64) mask(streams int) {
	passed := armResult(0)
	e.ins("MOVWU", mem(4*e.words.place(word("mask")), armCommon), armMask)
	for stream := range streams {
		last := armResult(stream)
		e.ins("TSTW", armMask, last)
		e.ins("CSET", "EQ", last)
		if stream > 0 {
			e.ins("ORR", fmt.Sprintf("%s<<%d", last, stream), passed, passed)
		}
	}
	e.ins("MOVH.P", passed, mem(2, armMasks))
}

// armVersionWords is the room of a version's words, which are as many.
const armVersionWords = 16

// drawStreams returns a random candidate to race, on a machine that has the
// instructions.
func drawStreams(name string, rng *rand.Rand) candidate {
	streams := pick(rng, 3, 4)
	t := tuning{
		window: pick(rng, 8, 12, 16, 20, 30), registers: 32, latency: pick(rng, 3, 4, 5), storeLatency: 8,
		noise: pick(rng, 0.0, 2), seed: rng.Uint64N(1000), shiftBonus: pick(rng, 0.0, 2),
		tail: pick(rng, 8, 12, 20), headroom: pick(rng, 2, 4, 6),
	}
	about := fmt.Sprintf("%d %+v", streams, t)
	if name == "sha2One" {
		return candidate{
			about: about, build: func() (*kernel, error) { return streamsOneVersion(streams, t) },
			call: "common, versions, (*uint32)(unsafe.Pointer(slots)), masks, 0, 1024", hashes: 1024 * streams,
		}
	}
	return candidate{
		about: about, build: func() (*kernel, error) { return streamsManyVersions(streams, t, t) },
		call: "common, versions, (*uint32)(unsafe.Pointer(slots)), masks, 0, 64, 16", hashes: 64 * 16 * streams,
	}
}

// These were found with llvm-mca, on its models of Neoverse N1, N2, V1 and V2 and of
// Apple's M1, no such machine being at hand.
var (
	streamsOne  = tuning{window: 20, registers: 31, latency: 2, storeLatency: 8, tail: 12, headroom: 4}
	streamsMany = tuning{window: 20, registers: 32, latency: 4, storeLatency: 8, tail: 12, headroom: 4}
)
