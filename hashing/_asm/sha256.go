package main

import "fmt"

// SHA-256 (FIPS 180-4, 6.2) once, over values that may be words or vectors: what is
// the same in every lane folds away while the graph is built.

var roundConstants = [64]uint32{
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
	0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
	0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
	0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
	0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
	0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
	0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
}

var initialState = [8]uint32{
	0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
}

// sigma builds one of the four functions of three rotations, or of two and a shift.
func (g *Graph) sigma(f function, x Value, a, b, c int, shift bool) Value {
	if u, ok := x.(*Uniform); ok {
		return f.apply(u)
	}
	if set, ok := g.isa.(nester); ok {
		return set.sigma(g, x, a, b, c, shift)
	}
	last := func() Value {
		if shift {
			return g.op(Shr, c, x)
		}
		return g.isa.rotate(g, x, c)
	}
	return g.isa.xor3(g, g.isa.rotate(g, x, a), g.isa.rotate(g, x, b), last())
}

func (g *Graph) bigSigma0(x Value) Value   { return g.sigma(bigSigma0, x, 2, 13, 22, false) }
func (g *Graph) bigSigma1(x Value) Value   { return g.sigma(bigSigma1, x, 6, 11, 25, false) }
func (g *Graph) smallSigma0(x Value) Value { return g.sigma(smallSigma0, x, 7, 18, 3, true) }
func (g *Graph) smallSigma1(x Value) Value { return g.sigma(smallSigma1, x, 17, 19, 10, true) }

func (g *Graph) choose(e, f, h Value) Value {
	if us, ok := uniforms(e, f, h); ok {
		return choose.apply(us...)
	}
	return g.isa.choose(g, e, f, h)
}

func (g *Graph) majority(a, b, c Value) Value {
	if us, ok := uniforms(a, b, c); ok {
		return majority.apply(us...)
	}
	return g.isa.majority(g, a, b, c)
}

// working are the eight working variables. Each may have a copy in memory.
type working [8]variable

const (
	varA = iota
	varB
	varC
	varD
	varE
	varF
	varG
	varH
)

type variable struct {
	Value
	home Slot // where hasHome
	has  bool
}

// at returns the variable in the place that reads it best: memory where the plan
// says so.
func (v variable) at(memory bool) Value {
	if _, ok := v.Value.(*Op); ok && memory && v.has {
		return v.home
	}
	return v.Value
}

// round returns the variables after one round. addends are W and K, or their sum;
// without a the new a is not needed and not computed.
func (p *plan) round(s working, t int, addends []Value, withoutA bool) working {
	g := p.g
	in := func(i int) Value { return s[i].at(p.inMemory("abcdefgh"[i])) }
	a, e := g.inRegister(s[varA].Value), s[varE].Value

	t1 := g.sum(append([]Value{in(varH)}, addends...)...)
	t1 = g.sum(t1, g.choose(e, in(varF), in(varG)))
	t1 = g.sum(t1, g.bigSigma1(e))
	next := working{varB: s[varA], varC: s[varB], varD: s[varC], varF: s[varE], varG: s[varF], varH: s[varG]}
	next[varE] = p.keep(g.sum(t1, in(varD)), "e", t)
	if withoutA {
		return next
	}
	m, s0 := g.majority(a, in(varB), in(varC)), g.bigSigma0(a)
	next[varA] = p.keep(g.sum(t1, m, s0), "a", t)
	return next
}

// keep gives a new variable a copy in memory, if later rounds will read it there.
func (p *plan) keep(v Value, name string, t int) variable {
	if _, ok := v.(*Op); !ok {
		return variable{Value: v}
	}
	followers := "bcd"
	if name == "e" {
		followers = "fgh"
	}
	for i := range followers {
		if p.inMemory(followers[i]) {
			home := p.g.store(v, p.home(name, t))
			return variable{Value: v, home: home, has: true}
		}
	}
	return variable{Value: v}
}

// home returns where the copy of a round's new variable lies: where the next stage
// looks for it, if this is one of the last rounds of a stage.
func (p *plan) home(name string, t int) Slot {
	if i := p.at.to - 1 - t; p.lean && i >= 0 && i < 4 {
		if name == "e" {
			i += varE
		}
		return p.g.stateSlot(p.at.hash, p.at.to, i)
	}
	return p.g.slot(fmt.Sprintf("%s %s%d", p.g.stream, name, t%8))
}
