//go:build !nogpu && linux && !android && (amd64 || arm64)

package gpu

import (
	"encoding/binary"
	"fmt"
)

// ptxProgram is a kernel of a PTX file, ready to be run. It is understood as far as
// clang uses the language for kernel.cl; whatever else there is, is an error.
type ptxProgram struct {
	name      string
	params    []ptxParam
	constants []uint64 // the first registers hold what instructions name as numbers
	registers int      // with those
	special   map[string]int
	code      []ptxInstruction
}

// ptxParam is a parameter: where its bytes lie among those of all.
type ptxParam struct{ offset, size int }

// ptxInstruction does something to registers, which are numbers in the order of
// ptxProgram.registers, or to memory.
type ptxInstruction struct {
	kind    ptxKind
	compute func(a, b, c uint64) uint64
	to      []int
	from    [3]int
	offset  int // in memory, or among the bytes of the parameters
	size    int // bytes of each register
	guard   int // the predicate that it is done under, -1 for always
	unless  bool
	label   string
	next    int // where label is
}

type ptxKind int

const (
	ptxCompute ptxKind = iota
	ptxLoadParam
	ptxStore
	ptxAtomicAdd
	ptxBranch
	ptxReturn
)

// ptxComputes are the instructions without memory: which registers they take, the
// result first (r of 32 bits, d of 64 bits, p a predicate), and what they compute.
var ptxComputes = map[string]struct {
	registers string
	compute   func(a, b, c uint64) uint64
}{
	"mov.u32":        {"rr", func(a, _, _ uint64) uint64 { return a }},
	"mov.b32":        {"rr", func(a, _, _ uint64) uint64 { return a }},
	"add.s32":        {"rrr", func(a, b, _ uint64) uint64 { return uint64(uint32(a + b)) }},
	"add.s64":        {"ddd", func(a, b, _ uint64) uint64 { return a + b }},
	"mul.wide.u32":   {"drr", func(a, b, _ uint64) uint64 { return a * b }},
	"xor.b32":        {"rrr", func(a, b, _ uint64) uint64 { return a ^ b }},
	"and.b32":        {"rrr", func(a, b, _ uint64) uint64 { return a & b }},
	"or.b32":         {"rrr", func(a, b, _ uint64) uint64 { return a | b }},
	"shl.b32":        {"rrr", func(a, b, _ uint64) uint64 { return uint64(uint32(a << b)) }},
	"shr.u32":        {"rrr", func(a, b, _ uint64) uint64 { return a >> b }},
	"shf.l.wrap.b32": {"rrrr", func(a, b, c uint64) uint64 { return uint64(uint32((b<<32 | a) << (c & 31) >> 32)) }},
	"prmt.b32":       {"rrrr", ptxPermute},
	"setp.gt.u32":    {"prr", func(a, b, _ uint64) uint64 { return ptxTruth(a > b) }},
	"setp.ge.u32":    {"prr", func(a, b, _ uint64) uint64 { return ptxTruth(a >= b) }},
}

func ptxTruth(yes bool) uint64 {
	if yes {
		return 1
	}
	return 0
}

// ptxPermute picks bytes of b and a, by the four low digits of c.
func ptxPermute(a, b, c uint64) (out uint64) {
	both := b<<32 | a
	for i := range 4 {
		digit := c >> (4 * i) & 15
		one := uint8(both >> (8 * (digit & 7)))
		if digit&8 != 0 {
			one = uint8(int8(one) >> 7)
		}
		out |= uint64(one) << (8 * i)
	}
	return out
}

// run runs a thread of a block on memory, in which word returns what an address is of,
// nil for none. It uses registers, of which there are as many as the program has.
func (p *ptxProgram) run(registers []uint64, block, thread uint32, params []byte, word func(address uint64) *uint32) error {
	clear(registers[copy(registers, p.constants):])
	registers[p.special["%ctaid.x"]], registers[p.special["%tid.x"]] = uint64(block), uint64(thread)
	for at, steps := 0, 0; ; at, steps = at+1, steps+1 {
		if at >= len(p.code) || steps > 1<<20 {
			return fmt.Errorf("the program does not return")
		}
		in := &p.code[at]
		if in.guard >= 0 && (registers[in.guard] == 0) != in.unless {
			continue
		}
		switch in.kind {
		case ptxCompute:
			registers[in.to[0]] = in.compute(registers[in.from[0]], registers[in.from[1]], registers[in.from[2]])
		case ptxLoadParam:
			for i, to := range in.to {
				bytes := params[in.offset+i*in.size:]
				if in.size == 4 {
					registers[to] = uint64(binary.LittleEndian.Uint32(bytes))
				} else {
					registers[to] = binary.LittleEndian.Uint64(bytes)
				}
			}
		case ptxStore, ptxAtomicAdd:
			memory := word(registers[in.from[0]] + uint64(in.offset))
			if memory == nil {
				return fmt.Errorf("address %#x + %d is not the program's", registers[in.from[0]], in.offset)
			}
			if in.kind == ptxStore {
				*memory = uint32(registers[in.from[1]])
			} else {
				registers[in.to[0]] = uint64(*memory)
				*memory += uint32(registers[in.from[1]])
			}
		case ptxBranch:
			at = in.next - 1
		case ptxReturn:
			return nil
		}
	}
}
