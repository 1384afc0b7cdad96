package main

import "fmt"

// Registers of the AVX-512 kernels. Tables and slots are addressed from the middle,
// so that most offsets fit in a byte of the instruction.
const (
	regCommon   = "DI"  // the search's words
	regMasks    = "SI"  // one mask a batch, written in order
	regVectors  = "DX"  // vectors of nonces to go
	regSlots    = "R8"  // scratch
	regVersion  = "R11" // the version's words of the batch that enters
	regVersion1 = "R13" // those of the batch before
	regTable    = "R10" // message words of the batch that enters
	regTable1   = "R12" // those of the batch before

	commonBias  = 128 // words
	versionBias = 16  // words
	slotBias    = 128 // slots
	tableBias   = 23  // vectors
)

const vectorBytes = 64

// avx512 lowers a schedule to AVX-512 instructions.
type avx512 struct {
	text
	g     *Graph
	words *table
	regs  *registers
	moves int // that the graph did not ask for
}

// body writes the scheduled operations.
func (e *avx512) body(g *Graph, order []int) error {
	names := make([]int, 32)
	for i := range names {
		names[i] = i
	}
	e.g, e.regs = g, newRegisters(g, order, names)
	for at, i := range order {
		if err := e.operation(g.Ops[i], e.regs.dying(g.Ops[i], at)); err != nil {
			return err
		}
	}
	return nil
}

func (e *avx512) operation(o *Op, dying []*Op) error {
	switch o.Kind {
	case Store:
		e.ins("VMOVDQU32", e.reg(o.Args[0]), e.operand(o.To))
		e.regs.release(dying)
		return nil
	case Test:
		e.ins("VPTESTNMD.BCST", e.operand(o.Args[1]), e.reg(o.Args[0]), "K1")
		e.regs.release(dying)
		return nil
	case Xor3, Choose, Majority:
		return e.ternary(o, dying)
	}
	sources := make([]string, len(o.Args))
	for i, a := range o.Args {
		sources[i] = e.operand(a)
	}
	e.regs.release(dying)
	n, err := e.regs.take(o)
	if err != nil {
		return err
	}
	dst := zmm(n)
	switch o.Kind {
	case Load:
		if _, ok := o.Args[0].(*Uniform); ok {
			e.ins("VPBROADCASTD", sources[0], dst)
		} else {
			e.ins("VMOVDQU32", sources[0], dst)
		}
	case Ror:
		e.ins("VPRORD", imm(o.Imm), sources[0], dst)
	case Shr:
		e.ins("VPSRLD", imm(o.Imm), sources[0], dst)
	case Add:
		e.ins("VPADDD"+broadcast(o.Args[1]), sources[1], sources[0], dst)
	default:
		panic(fmt.Sprintf("AVX-512 has no operation of kind %d here", o.Kind))
	}
	return nil
}

// ternary writes VPTERNLOGD, which overwrites its first operand: one that dies
// here if there is one. Its second is a register, its third may be memory.
func (e *avx512) ternary(o *Op, dying []*Op) error {
	first := e.overwritten(o, dying)
	rest := make([]int, 0, 2)
	for i := range o.Args {
		if i != first {
			rest = append(rest, i)
		}
	}
	if _, ok := o.Args[rest[0]].(*Op); !ok {
		rest[0], rest[1] = rest[1], rest[0]
	}
	if _, ok := o.Args[rest[0]].(*Op); !ok {
		panic(fmt.Sprintf("operation %d: two operands in memory", o.ID))
	}
	third, second := e.operand(o.Args[rest[1]]), e.reg(o.Args[rest[0]])

	var dst string
	if from, ok := o.Args[first].(*Op); ok && contains(dying, from) {
		dst = zmm(e.regs.inherit(o, from))
		e.regs.release(dying)
	} else {
		n, err := e.regs.take(o)
		if err != nil {
			return err
		}
		dst = zmm(n)
		e.moves++
		if _, ok := o.Args[first].(*Uniform); ok {
			e.ins("VPBROADCASTD", e.operand(o.Args[first]), dst)
		} else {
			e.ins("VMOVDQU32", e.operand(o.Args[first]), dst)
		}
		e.regs.release(dying)
	}
	e.ins("VPTERNLOGD"+broadcast(o.Args[rest[1]]), hexImm(truthTable(o.Kind, first, rest[0], rest[1])), third, second, dst)
	return nil
}

// overwritten returns which argument gives its place to the result: one that dies,
// else one that has to be brought into a register anyway, else any.
func (e *avx512) overwritten(o *Op, dying []*Op) int {
	memory, first := -1, -1
	count := 0
	for i, a := range o.Args {
		r, ok := a.(*Op)
		if !ok {
			memory = i
			count++
			continue
		}
		if first < 0 && contains(dying, r) {
			first = i
		}
	}
	switch {
	case count > 1:
		return memory
	case first >= 0:
		return first
	case memory >= 0:
		return memory
	}
	return 0
}

// truthTable is VPTERNLOGD's immediate for operands in that order: bit 4x+2y+z says
// what comes of bits x, y, z of the first, second and third.
func truthTable(k Kind, first, second, third int) (table int) {
	f := map[Kind]function{
		Xor3:     {of: func(x ...uint32) uint32 { return x[0] ^ x[1] ^ x[2] }},
		Choose:   choose,
		Majority: majority,
	}[k].of
	for bits := range 8 {
		var x [3]uint32
		x[first], x[second], x[third] = uint32(bits>>2&1), uint32(bits>>1&1), uint32(bits&1)
		table |= int(f(x[:]...)&1) << bits
	}
	return table
}

func contains(ops []*Op, o *Op) bool {
	for _, x := range ops {
		if x == o {
			return true
		}
	}
	return false
}

// reg returns the register of a result.
func (e *avx512) reg(v Value) string {
	n, ok := e.regs.of[v.(*Op)]
	if !ok {
		panic(fmt.Sprintf("the result of operation %d is in no register", v.(*Op).ID))
	}
	return zmm(n)
}

// operand returns a register or an address.
func (e *avx512) operand(v Value) string {
	switch v := v.(type) {
	case *Op:
		return e.reg(v)
	case Slot:
		return mem(vectorBytes*(int(v)-slotBias), regSlots)
	case tableWord:
		base := regTable
		if v.older {
			base = regTable1
		}
		return mem(vectorBytes*(v.t-tableFrom-tableBias), base)
	case *Uniform:
		switch at := e.words.place(v); {
		case v.perVersion && v.older:
			return mem(4*(at-versionBias), regVersion1)
		case v.perVersion:
			return mem(4*(at-versionBias), regVersion)
		default:
			return mem(4*(at-commonBias), regCommon)
		}
	}
	panic(fmt.Sprintf("operand %T", v))
}

func zmm(n int) string { return fmt.Sprintf("Z%d", n) }

// broadcast is the suffix of an instruction whose memory operand is one word for
// all lanes.
func broadcast(v Value) string {
	if _, ok := v.(*Uniform); ok {
		return ".BCST"
	}
	return ""
}
