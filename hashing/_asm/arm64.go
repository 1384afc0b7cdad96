package main

import (
	"fmt"
	"strings"
)

// Registers of the arm64 kernel.
const (
	armCommon   = "R0" // the search's words
	armVersions = "R1" // those of the versions, the first one first
	armSlots    = "R2" // scratch
	armMasks    = "R3" // one mask a batch, written in order
	armNonce    = "R4" // of the first stream, as a number
	armVectors  = "R5" // vectors of nonces to go
	armCount    = "R6" // of versions
	armMask     = "R7" // bits that have to be zero
	armVersion  = "R8" // the words of the version at hand
	armLeft     = "R9" // versions to go
	armFirst    = 10   // from here on, one a stream
	quadBytes   = 16   // of a register, and of a slot
	armFileSize = 32   // vector registers
)

// arm64Features are the features that an instruction needs (Arm ARM, A64
// instructions), by the names that package cpuid gives them. Every arm64 that Go
// runs on has the others.
var arm64Features = map[string]string{
	"SHA256H": "SHA2", "SHA256H2": "SHA2", "SHA256SU0": "SHA2", "SHA256SU1": "SHA2",
	"VADD": "ASIMD", "VMOV": "ASIMD", "VEXT": "ASIMD", "FMOVQ": "ASIMD", "FMOVS": "ASIMD",
	"MOVD": "", "MOVWU": "", "MOVH.P": "", "ADD": "", "SUBS": "", "ORR": "", "REVW": "", "TSTW": "", "CSET": "", "BNE": "",
}

// arm64 lowers a schedule to arm64 instructions.
type arm64 struct {
	text
	words *table
	regs  *registers
}

// body writes the scheduled operations.
func (e *arm64) body(g *Graph, order []int) error {
	names := make([]int, armFileSize)
	for i := range names {
		names[i] = i
	}
	e.regs = newRegisters(g, order, names)
	for at, i := range order {
		if err := e.operation(g.Ops[i], e.regs.dying(g.Ops[i], at)); err != nil {
			return err
		}
	}
	return nil
}

func (e *arm64) operation(o *Op, dying []*Op) error {
	switch o.Kind {
	case Store:
		e.ins("FMOVQ", "F"+e.reg(o.Args[0]), e.address(o.To))
		e.regs.release(dying)
		return nil
	case Test:
		e.ins("VMOV", "V"+e.reg(o.Args[0])+".S[3]", armResult(o.Imm))
		e.regs.release(dying)
		return nil
	case HashABCD, HashEFGH, Expand0, Expand1:
		return e.overwrite(o, dying)
	}
	var sources []string
	for _, a := range o.Args {
		if _, ok := a.(*Op); ok {
			sources = append(sources, "V"+e.reg(a))
		}
	}
	e.regs.release(dying)
	n, err := e.regs.take(o)
	if err != nil {
		return err
	}
	dst := fmt.Sprint(n)
	switch o.Kind {
	case Load:
		e.ins("FMOVQ", e.address(o.Args[0]), "F"+dst)
	case Add:
		e.ins("VADD", sources[1]+".S4", sources[0]+".S4", "V"+dst+".S4")
	case Copy:
		e.ins("VMOV", sources[0]+".B16", "V"+dst+".B16")
	case LastLane:
		e.ins("VEXT", imm(4), sources[1]+".B16", sources[0]+".B16", "V"+dst+".B16")
	default:
		panic(fmt.Sprintf("arm64 has no operation of kind %d here", o.Kind))
	}
	return nil
}

// overwrite writes one of SHA-256's own instructions. The last operand in Go's
// order is the first argument and the result.
func (e *arm64) overwrite(o *Op, dying []*Op) error {
	mnemonic := map[Kind]string{HashABCD: "SHA256H", HashEFGH: "SHA256H2", Expand0: "SHA256SU0", Expand1: "SHA256SU1"}[o.Kind]
	from := o.Args[0].(*Op)
	if !contains(dying, from) {
		panic(fmt.Sprintf("operation %d overwrites what is read later", o.ID))
	}
	v := make([]string, len(o.Args))
	for i, a := range o.Args {
		v[i] = "V" + e.reg(a)
	}
	e.regs.inherit(o, from)
	e.regs.release(dying)
	switch o.Kind {
	case HashABCD, HashEFGH:
		e.ins(mnemonic, v[2]+".S4", v[1], v[0])
	case Expand0:
		e.ins(mnemonic, v[1]+".S4", v[0]+".S4")
	case Expand1:
		e.ins(mnemonic, v[2]+".S4", v[1]+".S4", v[0]+".S4")
	}
	return nil
}

// reg returns the number of a result's register.
func (e *arm64) reg(v Value) string {
	n, ok := e.regs.of[v.(*Op)]
	if !ok {
		panic(fmt.Sprintf("the result of operation %d is in no register", v.(*Op).ID))
	}
	return fmt.Sprint(n)
}

func (e *arm64) address(v Value) string {
	switch v := v.(type) {
	case Slot:
		return mem(quadBytes*int(v), armSlots)
	case Quad:
		at, perVersion := e.words.placeQuad(v)
		if perVersion {
			return mem(4*at, armVersion)
		}
		return mem(4*at, armCommon)
	}
	panic(fmt.Sprintf("no address of %T", v))
}

// armResult is the register that a stream's last word is tested in.
func armResult(stream int) string { return fmt.Sprintf("R%d", armFirst+stream) }

// placeQuad returns where the four words of q are in their table, and whether that
// is the one of each version.
func (t *table) placeQuad(q Quad) (at int, perVersion bool) {
	var names []string
	for _, u := range q {
		names = append(names, u.String())
		perVersion = perVersion || u.perVersion
	}
	list := &t.common
	if perVersion {
		list = &t.version
	}
	key := strings.Join(names, ", ")
	at, ok := t.index[key]
	if !ok {
		at = len(*list)
		t.index[key] = at
		*list = append(*list, q[:]...)
	}
	return at, perVersion
}
