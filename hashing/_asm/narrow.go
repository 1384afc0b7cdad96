package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
)

// Registers of the AVX2 and SSE kernels. Slots are read and written most, and the
// place of one is a byte of an instruction, not four, if a register points near it:
// seven registers point to where slots lie, those first that make instructions
// shorter.
const (
	yRegInner   = "R8"  // the hash that leaves the first phase or enters the second
	yRegCommon  = "R9"  // the search's words
	yRegTable   = "R10" // message words of the batch that enters
	yRegTable1  = "R11" // those of the batch before; in the second phase the test's result
	yRegVersion = "R12" // the version's words; in the second phase where masks go
)

var yRegSlots = []string{"AX", "BX", "CX", "DX", "SI", "DI", "R13"}

const (
	yTableBias    = 4  // vectors
	yVersionWords = 32 // the room of a version's words
)

// narrow lowers schedules to the instructions of a CPU without AVX-512: to AVX2's
// for 8 lanes, to SSE's for 4.
type narrow struct {
	text
	lanes     int
	name      string
	g         *Graph
	words     *table
	constants []uint32 // whole vectors of them lie in static memory
	regs      *registers
	most      int // registers in use at once, in any phase
	copies    int // that the graph did not ask for
	places    map[Slot]int
	window    int            // the first place that registers point to
	batch     map[string]int // instructions of a batch that count
}

// newNarrow starts a kernel.
func newNarrow(name string, lanes int) *narrow {
	return &narrow{name: name, lanes: lanes, words: newTable(), places: map[Slot]int{}, batch: map[string]int{}}
}

// bytes is how many a number of vectors have.
func (e *narrow) bytes(vectors int) int { return 4 * e.lanes * vectors }

// hashBytes are those of a batch's inner hashes.
func (e *narrow) hashBytes() int { return e.bytes(8) }

// near is how many slots are near a register: within 128 bytes on either side.
func (e *narrow) near() int { return 256 / e.bytes(1) }

// place returns where a slot lies.
func (e *narrow) place(s Slot) int {
	at, ok := e.places[s]
	if !ok {
		at = len(e.places)
		e.places[s] = at
	}
	return at
}

// placeSlots gives the slots of a piece of code their places, those first that it
// names most, and points the registers to them.
func (e *narrow) placeSlots(g *Graph) {
	e.g, e.window = g, len(e.places)
	uses := map[Slot]int{}
	for _, o := range g.Ops {
		for _, v := range append([]Value{o.To}, o.Args...) {
			if s, ok := v.(Slot); ok && e.innerWord(s) < 0 {
				uses[s]++
			}
		}
	}
	slots := slices.SortedFunc(maps.Keys(uses), func(a, b Slot) int {
		return cmp.Or(cmp.Compare(uses[b], uses[a]), cmp.Compare(a, b))
	})
	for _, s := range slots {
		e.place(s)
	}
	first, near := yRegSlots[0], e.near()
	e.ins("MOVQ", "slots+16(FP)", first)
	for k, reg := range yRegSlots[1:] {
		e.ins("LEAQ", mem(e.bytes(e.window+near*(k+1)+near/2), first), reg)
	}
	e.ins("ADDQ", imm(e.bytes(e.window+near/2)), first)
}

// innerWord returns which word of an inner hash s holds, or -1: those have a place
// of their own.
func (e *narrow) innerWord(s Slot) int {
	for i := range 8 {
		if s == innerHash(e.g, i) {
			return i
		}
	}
	return -1
}

// slotAddress returns where a slot lies, from the register that points near it.
func (e *narrow) slotAddress(s Slot) string {
	at, near := e.place(s)-e.window, e.near()
	k := min(max(at, 0)/near, len(yRegSlots)-1)
	return mem(e.bytes(at-near*k-near/2), yRegSlots[k])
}

// body writes scheduled operations.
func (e *narrow) body(g *Graph, order []int) error {
	names := make([]int, 16)
	for i := range names {
		names[i] = i
	}
	e.regs = newRegisters(g, order, names)
	for at, i := range order {
		if err := e.operation(g.Ops[i], e.regs.dying(g.Ops[i], at)); err != nil {
			return err
		}
	}
	e.most = max(e.most, e.regs.most)
	return nil
}

func (e *narrow) operation(o *Op, dying []*Op) error {
	sources := make([]string, len(o.Args))
	for i, a := range o.Args {
		sources[i] = e.operand(a)
	}
	if e.lanes == sseLanes {
		return e.sse(o, sources, dying)
	}
	return e.avx2(o, sources, dying)
}

// operand returns a register or an address.
func (e *narrow) operand(v Value) string {
	switch v := v.(type) {
	case *Op:
		n, ok := e.regs.of[v]
		if !ok {
			panic(fmt.Sprintf("the result of operation %d is in no register", v.ID))
		}
		return e.register(n)
	case Slot:
		if i := e.innerWord(v); i >= 0 {
			return mem(e.bytes(i-4), yRegInner)
		}
		return e.slotAddress(v)
	case tableWord:
		base := yRegTable
		if v.older {
			base = yRegTable1
		}
		return mem(e.bytes(v.t-tableFrom-yTableBias), base)
	case *Uniform:
		if v.known {
			return fmt.Sprintf("%sWords<>+%d(SB)", e.name, e.bytes(e.constant(v.word)))
		}
		switch at := e.words.place(v); {
		case v.perVersion && v.older:
			return mem(4*(at-versionBias-yVersionWords), yRegVersion)
		case v.perVersion:
			return mem(4*(at-versionBias), yRegVersion)
		default:
			return mem(e.bytes(at), yRegCommon)
		}
	}
	panic(fmt.Sprintf("operand %T", v))
}

// constant returns which vector of static memory holds w in every lane.
func (e *narrow) constant(w uint32) int {
	for i, c := range e.constants {
		if c == w {
			return i
		}
	}
	e.constants = append(e.constants, w)
	return len(e.constants) - 1
}

// static writes the vectors of constants. The linker aligns what assembly declares
// to 32 bytes, if it is that long.
func (e *narrow) static() {
	for i, w := range e.constants {
		for at := 0; at < e.bytes(1); at += 8 {
			e.lines = append(e.lines, fmt.Sprintf("DATA %sWords<>+%d(SB)/8, $0x%08x%08x", e.name, e.bytes(i)+at, w, w))
		}
	}
	e.lines = append(e.lines, fmt.Sprintf("GLOBL %sWords<>(SB), RODATA|NOPTR, $%d", e.name, e.bytes(len(e.constants))))
}

func (e *narrow) register(n int) string {
	if e.lanes == sseLanes {
		return fmt.Sprintf("X%d", n)
	}
	return fmt.Sprintf("Y%d", n)
}
