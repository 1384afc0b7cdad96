package main

import "fmt"

// The last rounds of the second hash leave only e to compute. Ordinary registers do
// that well, and their ports have nothing else to do: it takes two of sixty
// SHA256RNDS2 off the port that limits the code.

// tailFrom is the first round that needs no new a: four rounds later, as d, it
// would come too late.
const (
	tailFrom   = secondTo - 4
	tailStream = "tail"
)

// word returns one of the four words of a slot, as a place of its own: those are
// counted down from -1.
func (s Slot) word(i int) Slot { return Slot(-1 - 4*int(s) - i) }

// storeWords writes v, after everybody has read the words that were there.
func (b *shani) storeWords(v Value, s Slot) {
	for i := range 4 {
		b.readers[s] = append(b.readers[s], b.readers[s.word(i)]...)
		b.readers[s.word(i)] = nil
	}
	b.store(v, s)
}

// tailEntry is where the tail of a lane finds what it starts with.
func (b *shani) tailEntry(lane int, what string) Slot {
	return b.slot(fmt.Sprintf("tail %d: %s", lane, what))
}

// enterTail leaves the state and the last words of the message for the tail. The
// last word's K is added there, with what else is constant.
func (b *shani) enterTail(lane int, s halves, message Value) {
	k := knownQuad(roundConstants[tailFrom], roundConstants[tailFrom+1], roundConstants[tailFrom+2], 0)
	b.storeWords(b.op(Add, 0, message, k), b.tailEntry(lane, "message"))
	b.storeWords(s.abef, b.tailEntry(lane, "abef"))
	b.storeWords(s.cdgh, b.tailEntry(lane, "cdgh"))
}

// tail builds the last rounds of a lane's second hash and the test of its last word,
// which is e after the last of them plus a constant.
func (b *shani) tail(lane int) {
	b.stream = tailStream
	var s [8]Value
	for i := range 4 {
		s[orderABEF[i]] = b.tailEntry(lane, "abef").word(i)
		s[orderCDGH[i]] = b.tailEntry(lane, "cdgh").word(i)
	}
	for i := range secondTo - tailFrom {
		t1 := b.sum(s[varH], b.tailEntry(lane, "message").word(i), b.choose(s[varE], s[varF], s[varG]))
		e := b.sum(t1, b.bigSigma1(s[varE]), s[varD])
		s = [8]Value{nil, s[varA], s[varB], s[varC], e, s[varE], s[varF], s[varG]}
	}
	b.op(Test, lane, b.sum(s[varE], known(roundConstants[secondTo-1]+initialState[7])))
}

// general is what ordinary registers have: rotations, and functions of two operands
// of which the first is overwritten and the second may be memory.
type general struct{}

func (general) rotate(g *Graph, x Value, n int) Value { return g.op(Ror, n, x) }

func (general) xor3(g *Graph, a, b, c Value) Value { return g.op(Xor, 0, g.op(Xor, 0, a, b), c) }

func (general) choose(g *Graph, e, f, h Value) Value {
	return g.op(Xor, 0, g.op(And, 0, g.op(Xor, 0, g.inRegister(f), h), e), h)
}

func (general) majority(g *Graph, a, b, c Value) Value {
	return g.op(Xor, 0, g.op(And, 0, g.op(Xor, 0, g.inRegister(a), b), g.op(Xor, 0, g.inRegister(c), b)), b)
}

// tailRegisters are those that the tail may use for its results.
var tailRegisters = []string{"AX", "CX", "DX", "R9", "R11", "R12"}

// tailOperand returns a register, an address or an immediate.
func (e *xmm) tailOperand(v Value) string {
	switch v := v.(type) {
	case *Op:
		n, ok := e.tail.of[v]
		if !ok {
			panic(fmt.Sprintf("the result of operation %d is in no register", v.ID))
		}
		return tailRegisters[n]
	case Slot:
		return mem(4*(-1-int(v))-shaniBytes*shaniBias, shaniSlots)
	case *Uniform:
		return "$" + v.String()
	}
	panic(fmt.Sprintf("operand %T", v))
}

// tailOperation writes an operation on ordinary registers.
func (e *xmm) tailOperation(o *Op, dying []*Op) error {
	switch o.Kind {
	case Test:
		// Carry says whether nothing is left of the word, and becomes the lowest bit.
		e.ins("ANDL", e.operand(Quad{word("mask"), word("mask"), word("mask"), word("mask")}), e.tailOperand(o.Args[0]))
		e.ins("CMPL", e.tailOperand(o.Args[0]), imm(1))
		e.ins("ADCL", shaniMask, shaniMask)
		e.tail.release(dying)
		return nil
	case Load, Ror:
		source := e.tailOperand(o.Args[0])
		e.tail.release(dying)
		n, err := e.tail.take(o)
		if err != nil {
			return err
		}
		if o.Kind == Load {
			e.ins("MOVL", source, tailRegisters[n])
		} else {
			e.ins("RORXL", imm(o.Imm), source, tailRegisters[n])
		}
		return nil
	}
	first, second := o.Args[0].(*Op), o.Args[1]
	if x, ok := second.(*Op); ok && contains(dying, x) {
		first, second = x, first
	}
	source := e.tailOperand(second)
	var n int
	if contains(dying, first) {
		n = e.tail.inherit(o, first)
	} else {
		from := e.tailOperand(first)
		var err error
		if n, err = e.tail.take(o); err != nil {
			return err
		}
		e.ins("MOVL", from, tailRegisters[n])
	}
	e.tail.release(dying)
	e.ins(map[Kind]string{Add: "ADDL", Xor: "XORL", And: "ANDL"}[o.Kind], source, tailRegisters[n])
	return nil
}
