package main

import "slices"

// isa is what an instruction set makes of the parts of SHA-256 that it may have
// instructions for.
type isa interface {
	rotate(g *Graph, x Value, n int) Value
	xor3(g *Graph, a, b, c Value) Value
	choose(g *Graph, e, f, h Value) Value
	majority(g *Graph, a, b, c Value) Value
}

// ternary has rotations and any function of three operands in one instruction
// (AVX-512).
type ternary struct{}

func (ternary) rotate(g *Graph, x Value, n int) Value  { return g.op(Ror, n, x) }
func (ternary) xor3(g *Graph, a, b, c Value) Value     { return g.op(Xor3, 0, a, b, c) }
func (ternary) choose(g *Graph, e, f, h Value) Value   { return g.op(Choose, 0, e, f, h) }
func (ternary) majority(g *Graph, a, b, c Value) Value { return g.op(Majority, 0, a, b, c) }

// loader is an instruction set that brings into a register first what an operation
// can't read from memory.
type loader interface {
	// load returns args, those in a register that have to be.
	load(g *Graph, kind Kind, args []Value) []Value
}

// binary has shifts and functions of two operands, of which one may be a whole
// vector in memory (AVX2).
type binary struct{}

// load brings in what is shifted, a version's words, and one of two vectors in
// memory.
func (binary) load(g *Graph, kind Kind, args []Value) []Value {
	if kind == Load || kind == Store || kind == Test {
		return args
	}
	for i, a := range args {
		if u, ok := a.(*Uniform); ok && u.perVersion {
			args[i] = g.load(u)
		}
	}
	if _, ok := args[0].(*Op); ok {
		return args
	}
	if len(args) == 2 {
		if _, ok := args[1].(*Op); ok {
			return []Value{args[1], args[0]}
		}
		return []Value{g.load(args[0]), args[1]}
	}
	return []Value{g.loadOnce(args[0])}
}

// overwriting is binary where every operation overwrites its first operand (SSE).
type overwriting struct{ binary }

// nester is an instruction set that puts the shifts of a function of three rotations
// together in its own way.
type nester interface {
	sigma(g *Graph, x Value, a, b, c int, shift bool) Value
}

// sigma nests the shifts, ((x>>14 ^ x)>>5 ^ x)>>6 for x>>25 ^ x>>11 ^ x>>6: two copies
// of x do instead of six, for a longer way.
func (overwriting) sigma(g *Graph, x Value, a, b, c int, shift bool) Value {
	right, left := []int{a, b, c}, []int{32 - a, 32 - b}
	if !shift {
		left = append(left, 32-c)
	}
	return g.op(Xor, 0, nested(g, Shr, x, right), nested(g, Shl, x, left))
}

// nested returns the sum of x shifted by each of some amounts.
func nested(g *Graph, kind Kind, x Value, by []int) Value {
	slices.Sort(by)
	sum := x
	for i := len(by) - 1; i > 0; i-- {
		sum = g.op(Xor, 0, g.op(kind, by[i]-by[i-1], sum), x)
	}
	return g.op(kind, by[0], sum)
}

// rotate leaves the two halves for xor3 to put together: xor does that as well as
// or, in any order.
func (binary) rotate(g *Graph, x Value, n int) Value {
	return g.op(Xor, 0, g.op(Shr, n, x), g.op(Shl, 32-n, x))
}

func (binary) xor3(g *Graph, a, b, c Value) Value { return g.op(Xor, 0, g.op(Xor, 0, a, b), c) }

// choose is h ^ (e & (f ^ h)).
func (binary) choose(g *Graph, e, f, h Value) Value {
	return g.op(Xor, 0, g.op(And, 0, e, g.xor(f, h)), h)
}

// majority is b ^ ((a ^ b) & (b ^ c)): b ^ c was the a ^ b of the round before.
func (binary) majority(g *Graph, a, b, c Value) Value {
	return g.op(Xor, 0, g.op(And, 0, g.xor(a, b), g.xor(b, c)), b)
}
