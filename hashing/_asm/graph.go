package main

import "slices"

// Kind is what an operation does, lane by lane.
type Kind uint8

// The kinds. What an instruction set lacks, the graph is built without.
const (
	Add Kind = iota
	Ror      // rotate right by Imm
	Shr      // shift right by Imm
	Shl      // shift left by Imm
	Xor
	And
	AndNot // of its first argument's complement
	Or
	Xor3     // of three
	Choose   // first ? second : third, bit by bit
	Majority // of three
	Load     // from memory, or a uniform word into every lane
	Store    // into Slot
	Test     // sets the mask: lanes whose And with the second argument is zero
)

// Op is one vector operation, and as a [Value] its result.
type Op struct {
	ID     int // the place in Graph.Ops, which is the natural order
	Kind   Kind
	Args   []Value
	Imm    int
	To     Value  // where a Store writes: a Slot or a tableWord
	Stream string // the pipeline stage that it belongs to
	after  []int  // operations that have to be issued before
}

func (*Op) value() {}

// Slot is a vector's place in the scratch memory, by number.
type Slot int

func (Slot) value() {}

// Graph is a straight piece of code as operations and what they depend on. A slot
// that is read before it is written holds what the loop's last iteration left.
type Graph struct {
	Ops    []*Op
	isa    isa
	stream string

	slots   map[any]Slot
	writers map[Slot]int
	readers map[Slot][]int
	held    map[Slot]Value // what a slot holds, where that was in a register
	same    map[sameKey]*Op
}

// sameKey finds an operation that was done before on the same operands.
type sameKey struct {
	kind Kind
	a, b Value
}

func newGraph(set isa) *Graph {
	return &Graph{
		isa: set, slots: map[any]Slot{}, writers: map[Slot]int{}, readers: map[Slot][]int{}, held: map[Slot]Value{},
		same: map[sameKey]*Op{},
	}
}

// slot returns the memory that goes by that name.
func (g *Graph) slot(name any) Slot {
	s, ok := g.slots[name]
	if !ok {
		s = Slot(len(g.slots))
		g.slots[name] = s
	}
	return s
}

func (g *Graph) op(kind Kind, imm int, args ...Value) *Op {
	if l, ok := g.isa.(loader); ok {
		args = l.load(g, kind, args)
	}
	o := &Op{ID: len(g.Ops), Kind: kind, Args: args, Imm: imm, Stream: g.stream}
	for _, a := range args {
		switch a := a.(type) {
		case *Op:
			o.after = append(o.after, a.ID)
		case Slot:
			g.readers[a] = append(g.readers[a], o.ID)
			if w, ok := g.writers[a]; ok {
				o.after = append(o.after, w)
			}
		}
	}
	g.Ops = append(g.Ops, o)
	return o
}

// store writes v, after everybody has read what was there.
func (g *Graph) store(v Value, s Slot) Slot {
	if _, ok := v.(*Op); !ok {
		v = g.load(v)
	}
	o := g.op(Store, 0, v)
	o.To = s
	o.after = append(o.after, g.readers[s]...)
	g.readers[s] = nil
	g.writers[s] = o.ID
	g.held[s] = v
	return s
}

func (g *Graph) load(v Value) *Op {
	o := g.op(Load, 0, v)
	if s, ok := v.(Slot); ok && g.held[s] == nil {
		g.held[s] = o
	}
	return o
}

// loadOnce loads v, or returns what was loaded a moment ago.
func (g *Graph) loadOnce(v Value) *Op {
	const moment = 12 // operations
	if o, ok := g.same[sameKey{kind: Load, a: g.content(v)}]; ok && len(g.Ops)-o.ID < moment {
		return o
	}
	o := g.load(v)
	g.same[sameKey{kind: Load, a: g.content(v)}] = o
	return o
}

// inRegister returns v as the result of an operation.
func (g *Graph) inRegister(v Value) Value {
	if s, ok := v.(Slot); ok {
		return g.load(s)
	}
	return v
}

// add adds two values; a vector in memory comes second.
func (g *Graph) add(x, y Value) Value {
	if us, ok := uniforms(x, y); ok {
		return addWords(us...)
	}
	if _, ok := x.(*Op); !ok {
		x, y = y, x
	}
	if u, ok := y.(*Uniform); ok && u.isZero() {
		return x
	}
	if u, ok := x.(*Uniform); ok && u.isZero() {
		return y
	}
	if _, ok := x.(*Op); !ok {
		if _, isSlot := x.(Slot); !isSlot {
			x, y = y, x
		}
		x = g.load(x)
	}
	return g.op(Add, 0, x, y)
}

// sum adds values, the uniform ones first among themselves and then to the first
// of the others.
func (g *Graph) sum(values ...Value) Value {
	var us []*Uniform
	var vs []Value
	for _, v := range values {
		if u, ok := v.(*Uniform); ok {
			us = append(us, u)
		} else {
			vs = append(vs, v)
		}
	}
	u := addWords(us...)
	if len(vs) == 0 {
		return u
	}
	acc := vs[0]
	if !u.isZero() {
		acc = g.add(acc, u)
	}
	for _, v := range vs[1:] {
		acc = g.add(acc, v)
	}
	return acc
}

// once returns an operation on two operands that was done before, or does it.
func (g *Graph) once(kind Kind, a, b Value) Value {
	x, y := g.content(a), g.content(b)
	for _, key := range []sameKey{{kind, x, y}, {kind, y, x}} {
		if o, ok := g.same[key]; ok && o.Stream == g.stream {
			return o
		}
	}
	o := g.op(kind, 0, a, b)
	g.same[sameKey{kind, x, y}] = o
	return o
}

// content returns the result that a slot holds, if it is known: a slot's name is
// used again for other results.
func (g *Graph) content(v Value) Value {
	if s, ok := v.(Slot); ok && g.held[s] != nil {
		return g.held[s]
	}
	return v
}

// count returns how many operations of those kinds the graph has.
func (g *Graph) count(kinds ...Kind) (n int) {
	for _, o := range g.Ops {
		if slices.Contains(kinds, o.Kind) {
			n++
		}
	}
	return n
}

// arithmetic returns how many operations use the ports that limit the code.
func (g *Graph) arithmetic() int { return len(g.Ops) - g.count(Load, Store) }

// shifts returns how many of them are rotations and shifts, for which there are
// fewer ports.
func (g *Graph) shifts() int { return g.count(Ror, Shr, Shl) }

// xor is done once for a pair of operands in a stage.
func (g *Graph) xor(a, b Value) Value {
	if us, ok := uniforms(a, b); ok {
		if us[0].known && us[1].known {
			return known(us[0].word ^ us[1].word)
		}
		return word("(" + us[0].String() + " ^ " + us[1].String() + ")")
	}
	return g.once(Xor, a, b)
}
