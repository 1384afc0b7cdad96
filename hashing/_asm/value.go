package main

import (
	"fmt"
	"math/bits"
	"strings"
)

// Value is an operand of the graph: a [*Uniform], a [*Op] (its result, in a vector
// register) or a [Slot] (a vector in memory).
type Value interface{ value() }

// Uniform is a word that is the same in every lane: known when the code is made,
// or computed from the header once per search and then read from a table.
type Uniform struct {
	known bool
	word  uint32 // where known
	// expr is Go source that computes the word. It may name mid (a midstate), st
	// (the state after the rounds that no nonce reaches), w (the tail) and mask.
	expr string
	// perVersion says that expr names mid or st, of which each version has its own.
	perVersion bool
	// older takes the word from the version before, for a stage that runs one
	// batch behind.
	older bool
}

func (*Uniform) value() {}

func known(w uint32) *Uniform { return &Uniform{known: true, word: w} }

func word(expr string) *Uniform {
	return &Uniform{expr: expr, perVersion: strings.Contains(expr, "mid[") || strings.Contains(expr, "st[")}
}

// String returns Go source.
func (u *Uniform) String() string {
	if u.known {
		return fmt.Sprintf("0x%08x", u.word)
	}
	return u.expr
}

func (u *Uniform) isZero() bool { return u.known && u.word == 0 }

// addWords adds words, folding those that are known.
func addWords(words ...*Uniform) *Uniform {
	var sum uint32
	var rest []string
	for _, u := range words {
		if u.known {
			sum += u.word
		} else {
			rest = append(rest, u.expr)
		}
	}
	switch {
	case len(rest) == 0:
		return known(sum)
	case sum != 0:
		rest = append(rest, fmt.Sprintf("0x%08x", sum))
	}
	if len(rest) == 1 {
		return word(rest[0])
	}
	return word("(" + strings.Join(rest, " + ") + ")")
}

// function is one of SHA-256's, on words (FIPS 180-4, 4.1.2).
type function struct {
	name string // in package hashing
	of   func(x ...uint32) uint32
}

func rotr(x uint32, n int) uint32 { return bits.RotateLeft32(x, -n) }

var (
	bigSigma0   = function{"bigSigma0", func(x ...uint32) uint32 { return rotr(x[0], 2) ^ rotr(x[0], 13) ^ rotr(x[0], 22) }}
	bigSigma1   = function{"bigSigma1", func(x ...uint32) uint32 { return rotr(x[0], 6) ^ rotr(x[0], 11) ^ rotr(x[0], 25) }}
	smallSigma0 = function{"smallSigma0", func(x ...uint32) uint32 { return rotr(x[0], 7) ^ rotr(x[0], 18) ^ x[0]>>3 }}
	smallSigma1 = function{"smallSigma1", func(x ...uint32) uint32 { return rotr(x[0], 17) ^ rotr(x[0], 19) ^ x[0]>>10 }}
	choose      = function{"choose", func(x ...uint32) uint32 { return x[0]&x[1] ^ ^x[0]&x[2] }}
	majority    = function{"majority", func(x ...uint32) uint32 { return x[0]&x[1] ^ x[0]&x[2] ^ x[1]&x[2] }}
)

// apply computes f of uniform words, now or in the code that fills the table.
func (f function) apply(args ...*Uniform) *Uniform {
	words, exprs := make([]uint32, len(args)), make([]string, len(args))
	all := true
	for i, a := range args {
		words[i], exprs[i] = a.word, a.String()
		all = all && a.known
	}
	if all {
		return known(f.of(words...))
	}
	return word(f.name + "(" + strings.Join(exprs, ", ") + ")")
}

// uniforms returns args as uniforms, if all of them are.
func uniforms(args ...Value) ([]*Uniform, bool) {
	var us []*Uniform
	for _, a := range args {
		u, ok := a.(*Uniform)
		if !ok {
			return nil, false
		}
		us = append(us, u)
	}
	return us, true
}
