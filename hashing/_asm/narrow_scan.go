package main

import "fmt"

// The scans of AVX2 and SSE work in two phases: a loop that runs the first hash for
// a group of batches, then one that runs the second. Each loop is a pipeline of its
// own, cut as the plan says. One loop for both would not fit in the cache of decoded
// instructions: with half the lanes of AVX-512, and without its rotations and
// functions of three operands, a hash takes more than twice its instructions.

// zen5Narrow is what Zen 5 does with 256-bit operations: as many as of 512 bits, but
// two stores (measured).
var zen5Narrow = machine{width: 4, shifts: 2, stores: 2}

// yGroupBatches is how many batches a group has, or as many as fill whole vectors:
// the more the less often the loops take each other's place in the cache, while
// what they hand over still fits in the cache of data.
const yGroupBatches = 64

// half says how the loop of one of the two hashes is cut and ordered.
type half struct {
	cut    []int // the rounds before which a stage ends
	memory string
	ahead  int
	tuning tuning
}

// plan returns the half as a plan.
func (h half) plan(first, table bool) plan {
	p := plan{memory: h.memory, ahead: h.ahead, table: table, lean: true}
	if first {
		p.cutFirst = h.cut
	} else {
		p.cutSecond = h.cut
	}
	return p
}

// phase builds the loop of one of the two hashes.
func (p *plan) phase(set isa, first bool, slots map[any]Slot) *Graph {
	p.g = newGraph(set)
	p.g.slots = slots
	from, to, cuts := secondFrom, secondTo, p.cutSecond
	if first {
		from, to, cuts = firstFrom, firstTo, p.cutFirst
	}
	ends := append(append([]int{from}, cuts...), to)
	for i := len(ends) - 2; i >= 0; i-- {
		p.stage(first, ends[i], ends[i+1])
	}
	return p.g
}

// ordered is a graph and the order to issue it in.
type ordered struct {
	*Graph
	order  []int
	cycles int
}

func inOrder(g *Graph, t tuning) (ordered, error) {
	order, cycles, err := g.schedule(zen5Narrow, t)
	return ordered{g, order, cycles}, err
}

// phases are the pieces of a kernel.
type phases struct {
	first, second, table ordered
	lag                  int // how many batches late a result comes
}

// orderPhases builds and orders the pieces; the table only with a tuning for it.
func orderPhases(set isa, first, second half, table *tuning) (ph phases, err error) {
	slots := map[any]Slot{}
	one, two := first.plan(true, table != nil), second.plan(false, false)
	if ph.first, err = inOrder(one.phase(set, true, slots), first.tuning); err != nil {
		return ph, err
	}
	if ph.second, err = inOrder(two.phase(set, false, slots), second.tuning); err != nil {
		return ph, err
	}
	if table != nil {
		ph.table, err = inOrder(expandTable(set, slots), *table)
	}
	ph.lag = len(first.cut) + len(second.cut) // within a group nothing is late
	return ph, err
}

func (ph *phases) operations() int { return ph.first.arithmetic() + ph.second.arithmetic() }
func (ph *phases) shifts() int     { return ph.first.shifts() + ph.second.shifts() }

// advance moves the nonces on to the next vector.
func (e *narrow) advance() {
	natural, swapped, shuffle := e.operand(e.g.slot(naturalSlot)), e.operand(e.g.slot(nonceSlot)), e.operand(e.g.slot(shuffleSlot))
	if e.lanes == sseLanes {
		e.advanceSSE(natural, swapped, shuffle)
	} else {
		e.advanceAVX2(natural, swapped, shuffle)
	}
}

// loop writes a phase as a loop over the batches of a group, with what comes at the
// end of each.
func (e *narrow) loop(label string, body ordered, end func()) error {
	e.placeSlots(body.Graph)
	e.ins("PCALIGN", imm(64))
	e.label(label)
	before := e.mark()
	if err := e.body(body.Graph, body.order); err != nil {
		return err
	}
	for name, n := range e.since(before) {
		e.batch[name] += n
	}
	end()
	e.ins("ADDQ", imm(e.hashBytes()), yRegInner)
	e.ins("DECQ", yCount)
	e.ins("JNE", label)
	return nil
}

// Local variables of the assembly.
const (
	yCount   = "count-8(SP)"    // batches to go in the loop
	yGroup   = "group-16(SP)"   // batches of the group
	yVectors = "vectors-24(SP)" // vectors to go in the group
	yFrame   = 24               // bytes
)

// atFirstHash points to the group's inner hashes.
func (e *narrow) atFirstHash() {
	e.ins("MOVQ", "inner+24(FP)", yRegInner)
	e.ins("ADDQ", imm(e.hashBytes()/2), yRegInner)
}

// atFirstVersion points to the first version's words. Before them are the last's,
// for the batch that is half done.
func (e *narrow) atFirstVersion() {
	e.ins("MOVQ", "versions+8(FP)", yRegVersion)
	e.ins("ADDQ", imm(4*(versionBias+yVersionWords)), yRegVersion)
}

// second writes the second phase, for all batches of the group.
func (e *narrow) second(body ordered, masks string) error {
	e.atFirstHash()
	e.ins("MOVQ", yGroup, "AX")
	e.ins("MOVQ", "AX", yCount)
	e.ins("MOVQ", masks, yRegVersion)
	e.ins("LEAQ", "("+yRegVersion+")(AX*2)", "AX")
	e.ins("MOVQ", "AX", masks)
	return e.loop("second", body, e.writeMask)
}

func (e *narrow) writeMask() {
	e.ins("MOVW", yRegTable1, mem(0, yRegVersion))
	e.ins("ADDQ", imm(2), yRegVersion)
}

// finish ends the function.
func (e *narrow) finish() {
	if e.lanes != sseLanes {
		e.ins("VZEROUPPER")
	}
	e.ins("RET")
	e.static()
}

// avx2OneVersion is the scan of one version, in groups of batches.
func avx2OneVersion(first, second half) (*kernel, error) {
	ph, err := orderPhases(binary{}, first, second, nil)
	if err != nil {
		return nil, err
	}
	e := newNarrow("avx2One", avx2Lanes)
	e.ins("MOVQ", "common+0(FP)", yRegCommon)
	e.label("group")
	e.ins("MOVQ", imm(yGroupBatches), "AX")
	e.ins("CMPQ", "AX", "batches+40(FP)")
	e.ins("CMOVQGT", "batches+40(FP)", "AX")
	e.ins("MOVQ", "AX", yGroup)
	e.ins("MOVQ", "AX", yCount)
	e.atFirstHash()
	e.atFirstVersion()
	if err := e.loop("first", ph.first, e.advance); err != nil {
		return nil, err
	}
	if err := e.second(ph.second, "masks+32(FP)"); err != nil {
		return nil, err
	}
	e.ins("MOVQ", yGroup, "AX")
	e.ins("SUBQ", "AX", "batches+40(FP)")
	e.ins("JNE", "group")
	e.finish()
	return &kernel{
		name: e.name, file: "scan_avx2_one", arch: "amd64", asm: e.text, words: e.words, frame: yFrame,
		about: []string{
			fmt.Sprintf("avx2One hashes 8 nonces a batch under one version, in groups of %d batches.", yGroupBatches),
			fmt.Sprintf("A batch costs %d vector operations, %d of them shifts: on four ports at least %.1f cycles a hash.",
				ph.operations(), ph.shifts(), float64(ph.operations())/4/float64(e.lanes)),
			e.model(ph),
		},
		decl:    "func avx2One(common, versions *uint32, slots, inner *byte, masks *uint16, batches int)",
		consts:  e.consts(ph),
		work:    work{avx2Lanes, e.batch, nil},
		perHash: float64(ph.operations()) / float64(e.lanes),
	}, nil
}

// model is a line about the order.
func (e *narrow) model(ph phases) string {
	return fmt.Sprintf("The model that ordered them needs %.1f. Registers: %d. Copies: %d.",
		float64(ph.first.cycles+ph.second.cycles)/float64(e.lanes), e.most, e.copies)
}

// consts are what the Go side has to know of the scratch memory.
func (e *narrow) consts(ph phases) [][2]string {
	at := func(slot string) string { return fmt.Sprint(e.place(e.g.slot(slot))) }
	return [][2]string{
		{e.name + "Depth", fmt.Sprint(ph.lag)},
		{e.name + "Nonces", at(nonceSlot)},
		{e.name + "Natural", at(naturalSlot)},
		{e.name + "Shuffle", at(shuffleSlot)},
		{e.name + "Group", fmt.Sprint(yGroupBatches)},
		{e.name + "Slots", fmt.Sprint(len(e.places))},
	}
}

// narrowManyVersions is the scan of many versions, which share the message words that
// no version changes. A group is one or several vectors of nonces under all versions.
func narrowManyVersions(name, file string, lanes int, first, second half, table tuning) (*kernel, error) {
	var set isa = binary{}
	if lanes == sseLanes {
		set = overwriting{}
	}
	ph, err := orderPhases(set, first, second, &table)
	if err != nil {
		return nil, err
	}
	e := newNarrow(name, lanes)
	e.ins("MOVQ", "common+0(FP)", yRegCommon)
	e.ins("ADDQ", imm(e.bytes(yTableBias)), "tables+32(FP)")
	e.ins("MOVQ", "tables+32(FP)", yRegTable)
	e.ins("ADDQ", imm(e.bytes(firstTo-tableFrom)), yRegTable)
	e.label("group")
	e.ins("MOVQ", "each+64(FP)", "AX")
	e.ins("MOVQ", "AX", yVectors)
	e.ins("MOVQ", imm(0), yGroup)
	e.atFirstHash()
	e.label("vector")
	e.comment("The batch that is half done goes on with the older of two tables.")
	e.ins("MOVQ", yRegTable, yRegTable1)
	e.ins("MOVQ", "tables+32(FP)", yRegTable)
	e.ins("MOVQ", yRegTable1, "tables+32(FP)")
	e.placeSlots(ph.table.Graph)
	before := e.mark()
	if err := e.body(ph.table.Graph, ph.table.order); err != nil {
		return nil, err
	}
	perVector := e.since(before)
	e.ins("MOVQ", "n+56(FP)", "AX")
	e.comment("After the last vector come as many batches as the pipelines are deep.")
	e.ins("MOVQ", imm(ph.lag), "BX")
	e.ins("CMPQ", "vectors+48(FP)", imm(0))
	e.ins("CMOVQEQ", "BX", "AX")
	e.ins("MOVQ", "AX", yCount)
	e.ins("ADDQ", "AX", yGroup)
	e.atFirstVersion()
	nextVersion := func() {
		e.ins("MOVQ", yRegTable, yRegTable1)
		e.ins("ADDQ", imm(4*yVersionWords), yRegVersion)
	}
	if err := e.loop("first", ph.first, nextVersion); err != nil {
		return nil, err
	}
	e.advance()
	e.ins("SUBQ", imm(1), "vectors+48(FP)")
	e.ins("JCS", "hashes")
	e.ins("DECQ", yVectors)
	e.ins("JNE", "vector")
	e.label("hashes")
	if err := e.second(ph.second, "masks+40(FP)"); err != nil {
		return nil, err
	}
	e.ins("CMPQ", "vectors+48(FP)", imm(0))
	e.ins("JGE", "group")
	e.finish()
	return &kernel{
		name: e.name, file: file, arch: "amd64", asm: e.text, words: e.words, frame: yFrame,
		about: []string{
			fmt.Sprintf("%s hashes %d nonces a batch under each of many versions.", name, lanes),
			fmt.Sprintf("A batch costs %d vector operations, %d of them shifts, and a vector's table of message words %d more:",
				ph.operations(), ph.shifts(), ph.table.arithmetic()),
			fmt.Sprintf("on four ports at least %.1f + %.1f/versions cycles a hash.",
				float64(ph.operations())/4/float64(e.lanes), float64(ph.table.arithmetic())/4/float64(e.lanes)),
			e.model(ph),
		},
		decl:     "func " + name + "(common, versions *uint32, slots, inner, tables *byte, masks *uint16, vectors, n, each int)",
		consts:   e.consts(ph),
		work:     work{lanes, e.batch, perVector},
		perHash:  float64(ph.operations()) / float64(e.lanes),
		perTable: float64(ph.table.arithmetic()) / float64(e.lanes),
	}, nil
}
