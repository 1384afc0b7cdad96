package main

import "fmt"

// zen5 starts four 512-bit operations a cycle, two of them shifts or rotations, and
// stores once (measured; docs/measurements.md).
var zen5 = machine{width: 4, shifts: 2, stores: 1}

// Slots that the loops use besides the hash's own.
const (
	naturalSlot = "nonces as numbers"
	shuffleSlot = "shuffle that swaps bytes"
)

// advance moves the nonces on by a vector's lanes and leaves them as SHA-256 reads
// them.
func (e *avx512) advance(lanes uint32) {
	natural, swapped, shuffle := e.operand(e.g.slot(naturalSlot)), e.operand(e.g.slot(nonceSlot)), e.operand(e.g.slot(shuffleSlot))
	e.ins("VMOVDQU32", natural, "Z0")
	e.ins("VPADDD.BCST", e.operand(known(lanes)), "Z0", "Z0")
	e.ins("VMOVDQU32", "Z0", natural)
	e.ins("VPSHUFB", shuffle, "Z0", "Z0")
	e.ins("VMOVDQU32", "Z0", swapped)
}

// oneVersion is the scan of one version: two or more stages, nothing shared.
func oneVersion(p plan, t tuning) (*kernel, error) {
	g := p.build(ternary{})
	order, cycles, err := g.schedule(zen5, t)
	if err != nil {
		return nil, err
	}
	e := &avx512{words: newTable()}
	e.ins("MOVQ", "common+0(FP)", regCommon)
	e.ins("ADDQ", imm(4*commonBias), regCommon)
	e.ins("MOVQ", "version+8(FP)", regVersion)
	e.ins("ADDQ", imm(4*versionBias), regVersion)
	e.ins("MOVQ", "slots+16(FP)", regSlots)
	e.ins("ADDQ", imm(vectorBytes*slotBias), regSlots)
	e.ins("MOVQ", "masks+24(FP)", regMasks)
	e.ins("MOVQ", "batches+32(FP)", regVectors)
	e.ins("MOVQ", regVersion, regVersion1)
	e.ins("PCALIGN", imm(64))
	e.label("batch")
	before := e.mark()
	if err := e.body(g, order); err != nil {
		return nil, err
	}
	perBatch := e.since(before)
	e.ins("KMOVW", "K1", "AX")
	e.ins("MOVW", "AX", "(SI)")
	e.ins("ADDQ", imm(2), regMasks)
	e.advance(16)
	e.ins("DECQ", regVectors)
	e.ins("JNE", "batch")
	e.ins("VZEROUPPER")
	e.ins("RET")
	return &kernel{
		name: "avx512One", file: "scan_avx512_one", arch: "amd64", asm: e.text, words: e.words,
		about: []string{
			fmt.Sprintf("avx512One hashes 16 nonces a batch under one version, in %d stages.", p.depth()+1),
			fmt.Sprintf("A batch costs %d vector operations, %d of them shifts: on four ports at least %.1f cycles a hash.",
				g.arithmetic(), g.shifts(), float64(g.arithmetic())/4/16),
			fmt.Sprintf("The model that ordered them needs %.1f. Registers: %d. Copies: %d.", float64(cycles)/16, e.regs.most, e.moves),
		},
		decl:    "func avx512One(common, version *uint32, slots *byte, masks *uint16, batches int)",
		consts:  slotConsts("avx512One", g, p.depth()),
		work:    work{16, perBatch, nil},
		perHash: float64(g.arithmetic()) / 16,
	}, nil
}

// manyVersions is the scan of many versions, which share the message words that no
// version changes.
func manyVersions(p plan, t, tt tuning) (*kernel, error) {
	p.table = true
	g := p.build(ternary{})
	order, cycles, err := g.schedule(zen5, t)
	if err != nil {
		return nil, err
	}
	x := expandTable(ternary{}, g.slots)
	tableOrder, _, err := x.schedule(zen5, tt)
	if err != nil {
		return nil, err
	}
	const tableBytes = (firstTo - tableFrom) * vectorBytes
	e := &avx512{words: newTable()}
	e.ins("MOVQ", "common+0(FP)", regCommon)
	e.ins("ADDQ", imm(4*commonBias), regCommon)
	e.ins("MOVQ", "versions+8(FP)", "BX")
	e.ins("ADDQ", imm(4*versionBias), "BX")
	e.ins("MOVQ", "slots+16(FP)", regSlots)
	e.ins("ADDQ", imm(vectorBytes*slotBias), regSlots)
	e.ins("MOVQ", "tables+24(FP)", "R9")
	e.ins("ADDQ", imm(vectorBytes*tableBias), "R9")
	e.ins("LEAQ", mem(tableBytes, "R9"), regTable)
	e.ins("MOVQ", "masks+32(FP)", regMasks)
	e.ins("MOVQ", "vectors+40(FP)", regVectors)
	e.ins("MOVQ", "BX", regVersion1)
	e.ins("MOVQ", regTable, regTable1)
	e.label("vector")
	e.ins("XCHGQ", "R9", regTable)
	before := e.mark()
	if err := e.body(x, tableOrder); err != nil {
		return nil, err
	}
	perVector := e.since(before)
	e.ins("MOVQ", "BX", regVersion)
	e.ins("MOVQ", "n+48(FP)", "AX")
	e.comment("After the last vector come as many batches as the pipeline is deep.")
	e.ins("MOVQ", imm(p.depth()), "CX")
	e.ins("TESTQ", regVectors, regVectors)
	e.ins("CMOVQEQ", "CX", "AX")
	e.ins("PCALIGN", imm(64))
	e.label("batch")
	before = e.mark()
	if err := e.body(g, order); err != nil {
		return nil, err
	}
	perBatch := e.since(before)
	e.ins("KMOVW", "K1", "CX")
	e.ins("MOVW", "CX", "(SI)")
	e.ins("ADDQ", imm(2), regMasks)
	e.ins("MOVQ", regVersion, regVersion1)
	e.ins("MOVQ", regTable, regTable1)
	e.ins("ADDQ", imm(128), regVersion)
	e.ins("DECQ", "AX")
	e.ins("JNE", "batch")
	e.advance(16)
	e.ins("SUBQ", imm(1), regVectors)
	e.ins("JCC", "vector")
	e.ins("VZEROUPPER")
	e.ins("RET")
	return &kernel{
		name: "avx512Many", file: "scan_avx512_many", arch: "amd64", asm: e.text, words: e.words,
		about: []string{
			fmt.Sprintf("avx512Many hashes 16 nonces a batch under each of many versions, in %d stages.", p.depth()+1),
			fmt.Sprintf("A batch costs %d vector operations, %d of them shifts, and a vector's table of message words %d more:",
				g.arithmetic(), g.shifts(), x.arithmetic()),
			fmt.Sprintf("on four ports at least %.1f + %.1f/versions cycles a hash.", float64(g.arithmetic())/64, float64(x.arithmetic())/64),
			fmt.Sprintf("The model that ordered them needs %.1f. Registers: %d. Copies: %d.", float64(cycles)/16, e.regs.most, e.moves),
		},
		decl:     "func avx512Many(common, versions *uint32, slots, tables *byte, masks *uint16, vectors, n int)",
		consts:   slotConsts("avx512Many", g, p.depth()),
		work:     work{16, perBatch, perVector},
		perHash:  float64(g.arithmetic()) / 16,
		perTable: float64(x.arithmetic()) / 16,
	}, nil
}

// slotConsts are what the Go side has to know of the scratch memory.
func slotConsts(name string, g *Graph, depth int) [][2]string {
	at := func(slot string) string { return fmt.Sprint(int(g.slot(slot))) }
	return [][2]string{
		{name + "Depth", fmt.Sprint(depth)},
		{name + "Nonces", at(nonceSlot)},
		{name + "Natural", at(naturalSlot)},
		{name + "Shuffle", at(shuffleSlot)},
		{name + "Slots", fmt.Sprint(len(g.slots))},
	}
}
