package main

import (
	"fmt"
	"slices"
)

// Registers of the SHA-NI kernel, beside those of the tail. SHA256RNDS2 takes the
// message from X0, whatever its operands.
const (
	shaniCommon   = "DI"  // the search's words
	shaniVersion  = "BX"  // the version's words
	shaniSlots    = "R8"  // scratch
	shaniMasks    = "SI"  // one mask a batch, written in order
	shaniMask     = "R10" // the lanes of this batch that passed, so far
	shaniLeft     = "R13" // batches to go under this version
	shaniBytes    = 16    // of a vector register, and of a slot
	shaniBias     = 8     // slots: most offsets fit in a byte of the instruction
	shaniVersions = 128   // bytes from one version's words to the next
)

// xmm lowers an order to SHA, AVX and ordinary instructions.
type xmm struct {
	text
	words *table
	regs  *registers // of vectors
	tail  *registers
	sum   [2]Value // the message and K whose sum is in X0
	moves int
}

// body writes the ordered operations.
func (e *xmm) body(g *Graph, order []int) error {
	names := make([]int, 16)
	for i := range names {
		names[i] = i
	}
	e.regs = newRegisters(g, order, names[1:])
	e.tail = newRegisters(g, order, names[:len(tailRegisters)])
	for at, i := range order {
		o := g.Ops[i]
		write, registers := e.operation, e.regs
		if o.Stream == tailStream {
			write, registers = e.tailOperation, e.tail
		}
		if err := write(o, registers.dying(o, at)); err != nil {
			return err
		}
	}
	return nil
}

func (e *xmm) operation(o *Op, dying []*Op) error {
	switch o.Kind {
	case Store:
		e.ins("VMOVDQU", e.operand(o.Args[0]), e.operand(o.To))
		e.regs.release(dying)
		return nil
	case Rounds:
		e.message(o)
		return e.overwrite(o, dying, "SHA256RNDS2", "X0", e.operand(o.Args[1]))
	case Message1:
		return e.overwrite(o, dying, "SHA256MSG1", e.operand(o.Args[1]))
	case Message2:
		return e.overwrite(o, dying, "SHA256MSG2", e.operand(o.Args[1]))
	}
	sources := make([]string, len(o.Args))
	for i, a := range o.Args {
		sources[len(o.Args)-1-i] = e.operand(a)
	}
	e.regs.release(dying)
	n, err := e.regs.take(o)
	if err != nil {
		return err
	}
	operands := append(sources, xmmName(n))
	switch o.Kind {
	case Load:
		e.ins("VMOVDQU", operands...)
	case Add:
		e.ins("VPADDD", operands...)
	case Align:
		e.ins("VPALIGNR", slices.Insert(operands, 0, imm(4))...)
	case Permute:
		e.ins("VPSHUFD", slices.Insert(operands, 0, hexImm(o.Imm))...)
	case Shuffle:
		e.ins("VPSHUFB", operands...)
	case Mix:
		e.ins("VSHUFPS", slices.Insert(operands, 0, hexImm(o.Imm))...)
	case Blend:
		e.ins("VBLENDPS", slices.Insert(operands, 0, imm(o.Imm))...)
	case Raise:
		e.ins("VPSLLDQ", slices.Insert(operands, 0, imm(o.Imm))...)
	default:
		panic(fmt.Sprintf("SHA-NI has no operation of kind %d here", o.Kind))
	}
	return nil
}

// message brings the half of the message, with K, that o takes into X0.
func (e *xmm) message(o *Op) {
	if len(o.Args) == 3 {
		e.ins("VMOVQ", e.address(o.Args[2], 8*o.Imm), "X0")
		return
	}
	if sum := [2]Value{o.Args[2], o.Args[3]}; e.sum != sum {
		e.ins("VPADDD", e.operand(o.Args[3]), e.operand(o.Args[2]), "X0")
		e.sum = sum
	}
	if o.Imm == 1 {
		e.ins("VPSHUFD", hexImm(picks(2, 3, 0, 0)), "X0", "X0")
		e.sum = [2]Value{}
	}
}

// overwrite writes an instruction whose result comes in its first argument's place.
func (e *xmm) overwrite(o *Op, dying []*Op, mnemonic string, sources ...string) error {
	from := o.Args[0].(*Op)
	var n int
	if contains(dying, from) {
		n = e.regs.inherit(o, from)
	} else {
		var err error
		if n, err = e.regs.take(o); err != nil {
			return err
		}
		e.moves++
		e.ins("VMOVDQA", e.operand(from), xmmName(n))
	}
	e.regs.release(dying)
	e.ins(mnemonic, append(sources, xmmName(n))...)
	return nil
}

// operand returns a vector register or an address.
func (e *xmm) operand(v Value) string {
	o, ok := v.(*Op)
	if !ok {
		return e.address(v, 0)
	}
	n, ok := e.regs.of[o]
	if !ok {
		panic(fmt.Sprintf("the result of operation %d is in no register", o.ID))
	}
	return xmmName(n)
}

// address returns where a byte of v lies.
func (e *xmm) address(v Value, at int) string {
	switch v := v.(type) {
	case Slot:
		return mem(shaniBytes*(int(v)-shaniBias)+at, shaniSlots)
	case Quad:
		place, perVersion := e.words.placeQuad(v)
		base := shaniCommon
		if perVersion {
			base = shaniVersion
		}
		return mem(4*place-shaniBytes*shaniBias+at, base)
	}
	panic(fmt.Sprintf("operand %T", v))
}

func xmmName(n int) string { return fmt.Sprintf("X%d", n) }

// shaniGraph builds the loop's body. Stages come last first, so that each reads what
// the one before it left in the previous iteration before that is overwritten.
func shaniGraph(lanes int) *shani {
	b := &shani{Graph: newGraph(general{})}
	for lane := range lanes {
		b.tail(lanes - 1 - lane) // the first one's bit ends up highest
	}
	for lane := range lanes {
		b.secondHash(lane)
	}
	for lane := range lanes {
		b.firstHash(lane)
	}
	b.stream = "nonces"
	step := uint32(lanes)
	b.store(b.op(Add, 0, b.load(b.slot(naturalSlot)), knownQuad(step, step, step, step)), b.slot(naturalSlot))
	return b
}

// shaniDepth is how many batches late a result comes: the second hash and its tail
// follow a batch each.
const shaniDepth = 2

// firstNonces is where a version's first nonces lie.
const firstNonces = "first nonces"

// shaniStreams is the scan with the SHA instructions, lanes nonces at a time. It goes
// through all batches under one version and then through the next version's, without
// a break: hashes of two or three versions are in flight then.
func shaniStreams(lanes int) (*kernel, error) {
	b := shaniGraph(lanes)
	order, err := weave(b.Graph)
	if err != nil {
		return nil, err
	}
	e := &xmm{words: newTable()}
	e.ins("MOVQ", "common+0(FP)", shaniCommon)
	e.ins("ADDQ", imm(shaniBytes*shaniBias), shaniCommon)
	e.ins("MOVQ", "versions+8(FP)", shaniVersion)
	e.ins("ADDQ", imm(shaniBytes*shaniBias), shaniVersion)
	e.ins("MOVQ", "slots+16(FP)", shaniSlots)
	e.ins("ADDQ", imm(shaniBytes*shaniBias), shaniSlots)
	e.ins("MOVQ", "masks+24(FP)", shaniMasks)
	e.ins("MOVQ", "batches+32(FP)", shaniLeft)
	e.comment("The SHA instructions have no VEX form: they keep the upper parts of wide registers,")
	e.comment("for which a CPU may have to wait or change its state. Nothing here dirties them again.")
	e.ins("VZEROUPPER")
	e.ins("PCALIGN", imm(64))
	e.label("batch")
	e.ins("XORL", shaniMask, shaniMask)
	before := len(e.lines)
	if err := e.body(b.Graph, order); err != nil {
		return nil, err
	}
	instructions := len(e.lines) - before
	e.ins("MOVW", shaniMask, "("+shaniMasks+")")
	e.ins("ADDQ", imm(2), shaniMasks)
	e.ins("DECQ", "total+40(FP)")
	e.ins("JEQ", "done")
	e.ins("DECQ", shaniLeft)
	e.ins("JNE", "batch")
	e.comment("The next version, from the first nonces on.")
	e.ins("MOVQ", "batches+32(FP)", shaniLeft)
	e.ins("ADDQ", imm(shaniVersions), shaniVersion)
	e.ins("VMOVDQU", e.operand(b.slot(firstNonces)), "X0")
	e.ins("VMOVDQU", "X0", e.operand(b.slot(naturalSlot)))
	e.ins("JMP", "batch")
	e.label("done")
	e.ins("RET")

	rounds := b.count(Rounds)
	perHash := float64(rounds) / float64(lanes)
	return &kernel{
		name: "shaniStreams", file: "scan_shani_streams", arch: "amd64", asm: e.text, words: e.words,
		about: []string{
			fmt.Sprintf("shaniStreams hashes %d nonces a batch, version after version, with %d hashes in flight.", lanes, 2*lanes),
			fmt.Sprintf("Of the %.0f instructions of a hash %.0f are SHA256RNDS2: one in two cycles, at least %.0f cycles.",
				float64(instructions)/float64(lanes), perHash, 2*perHash),
			fmt.Sprintf("Vector registers: %d. Copies: %d.", 1+e.regs.most, e.moves),
		},
		decl: "func shaniStreams(common, versions *uint32, slots *byte, masks *uint16, batches, total int)",
		consts: [][2]string{
			{"shaniStreamsLanes", fmt.Sprint(lanes)},
			{"shaniStreamsDepth", fmt.Sprint(shaniDepth)},
			{"shaniStreamsNatural", fmt.Sprint(int(b.slot(naturalSlot)))},
			{"shaniStreamsFirst", fmt.Sprint(int(b.slot(firstNonces)))},
			{"shaniStreamsSlots", fmt.Sprint(len(b.slots))},
		},
		// The others have room between these, on ports of their own.
		work:    work{lanes, map[string]int{"SHA256RNDS2 X": rounds}, nil},
		perHash: perHash,
	}, nil
}
