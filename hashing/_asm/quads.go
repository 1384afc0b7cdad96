package main

import (
	"fmt"
	"slices"
)

// Some CPUs have instructions for SHA-256 itself. They do four rounds at a time,
// on one nonce: a register holds four of its words, the lowest lane first.

// The kinds of operations on such registers. Those that take rounds or expand the
// message overwrite their first argument.
const (
	HashABCD Kind = 64 + iota // a, b, c, d after four rounds, of a..d, e..h and W+K
	HashEFGH                  // e, f, g, h after four rounds, of e..h, a..d and W+K
	Expand0                   // W[t-16..] + smallSigma0(W[t-15..]), of W[t-16..] and W[t-12..]
	Expand1                   // adds W[t-7..] + smallSigma1(W[t-2..]), of W[t-8..] and W[t-4..]
	Copy
	LastLane // the first lane, moved to the last; the others are zero
)

// hashes says whether SHA-256's own instructions do it, for which there is one
// port on many cores.
func hashes(k Kind) bool { return slices.Contains(hashKinds, k) }

var hashKinds = []Kind{HashABCD, HashEFGH, Expand0, Expand1}

// Quad is four words that are the same for every nonce.
type Quad [4]*Uniform

func (Quad) value() {}

// lanes is four words: an operation's result, or a Quad where op is nil. Words
// that no nonce changes may be known beside an operation too.
type lanes struct {
	op   *Op
	word Quad
}

func knownQuad(words ...uint32) (q Quad) {
	for i := range q {
		q[i] = known(words[i])
	}
	return q
}

// loaded returns v in a register of its own or, if an operation made it, in that
// one's.
func (g *Graph) loaded(v lanes) *Op {
	if v.op != nil {
		return v.op
	}
	return g.load(v.word)
}

// overwrite does an operation in the place of its first argument, after everybody
// else has read that.
func (g *Graph) overwrite(kind Kind, args ...*Op) *Op {
	values := make([]Value, len(args))
	for i, a := range args {
		values[i] = a
	}
	o := g.op(kind, 0, values...)
	for _, reader := range g.Ops[:o.ID] {
		for _, a := range reader.Args {
			if a == values[0] {
				o.after = append(o.after, reader.ID)
			}
		}
	}
	return o
}

// expand returns the four message words that follow m's sixteen.
func (g *Graph) expand(m [4]lanes) lanes {
	x, y := m[0], m[1]
	if x.op == nil && y.word[0] != nil {
		next := Quad{x.word[1], x.word[2], x.word[3], y.word[0]}
		for i := range next {
			x.word[i] = addWords(smallSigma0.apply(next[i]), x.word[i])
		}
	} else {
		x = lanes{op: g.overwrite(Expand0, g.loaded(x), g.loaded(y))}
	}
	return lanes{op: g.overwrite(Expand1, g.loaded(x), g.loaded(m[2]), g.loaded(m[3]))}
}

// withConstants returns W+K for the four rounds from t.
func (g *Graph) withConstants(w lanes, t int) lanes {
	k := knownQuad(roundConstants[t : t+4]...)
	if w.op != nil {
		return lanes{op: g.op(Add, 0, w.op, g.load(k))}
	}
	for i := range k {
		k[i] = addWords(w.word[i], k[i])
	}
	return lanes{word: k}
}

// rounds returns the variables after four rounds.
func (g *Graph) rounds(abcd, efgh, wk lanes) (lanes, lanes) {
	old := lanes{word: abcd.word} // loaded twice
	if abcd.op != nil {
		old.op = g.op(Copy, 0, abcd.op)
	}
	sum := g.loaded(wk)
	a, e := g.loaded(abcd), g.loaded(efgh)
	return lanes{op: g.overwrite(HashABCD, a, e, sum)}, lanes{op: g.overwrite(HashEFGH, e, g.loaded(old), sum)}
}

// quadMessage is a message schedule, sixteen words at a time: those for the rounds
// from t on.
type quadMessage struct {
	g *Graph
	m [4]lanes
	t int
}

// next returns W+K for four rounds and moves on.
func (q *quadMessage) next() lanes {
	sum := q.g.withConstants(q.m[0], q.t)
	var words lanes
	if q.t+16 < 64 {
		words = q.g.expand(q.m)
	}
	q.m, q.t = [4]lanes{q.m[1], q.m[2], q.m[3], words}, q.t+4
	return sum
}

// headerPadding are the words behind the nonce in a header's second block: W[4..15].
var headerPadding = [3]Quad{knownQuad(0x80000000, 0, 0, 0), knownQuad(0, 0, 0, 0), knownQuad(0, 0, 0, 640)}

// headerMessage returns the schedule of a header's second block from round 4 on.
// W[16..19] are the same for every nonce but for the nonce itself in W[19] and its
// smallSigma0 in W[18].
func (g *Graph) headerMessage(stream int) *quadMessage {
	var w [3]*Uniform
	for t := range w {
		w[t] = word(fmt.Sprintf("w[%d]", t))
	}
	w16 := addWords(smallSigma0.apply(w[1]), w[0])
	w17 := addWords(smallSigma1.apply(known(640)), smallSigma0.apply(w[2]), w[1])
	w18 := addWords(smallSigma1.apply(w16), w[2])
	w19 := addWords(smallSigma1.apply(w17), smallSigma0.apply(known(0x80000000)))

	zero := knownQuad(0, 0, 0, 0)
	nonce := g.op(LastLane, 0, g.load(zero), g.load(g.slot(streamNonce(stream))))
	nonce = g.overwrite(Expand0, nonce, g.load(zero))
	q := &quadMessage{g: g, t: 4}
	for i, words := range headerPadding {
		q.m[i].word = words
	}
	q.m[3] = lanes{op: g.op(Add, 0, nonce, g.load(Quad{w16, w17, w18, w19})), word: Quad{w16, w17}}
	return q
}

// Where a stream's nonce lies, alone in the first lane as SHA-256 reads it, and its
// W+K for four rounds.
func streamNonce(stream int) string  { return fmt.Sprintf("nonce %d", stream) }
func streamSum(stream, t int) string { return fmt.Sprintf("sum %d.%d", stream, t) }

// streamTables builds the code that computes W[16..63]+K of the first hash, one
// nonce a stream, which no version changes.
func streamTables(streams int, slots map[any]Slot) *Graph {
	g := newGraph(nil)
	g.slots = slots
	for stream := range streams {
		g.stream = fmt.Sprintf("table %d", stream)
		q := g.headerMessage(stream)
		for t := q.t; t < 64; t += 4 {
			if sum := q.next(); t >= 16 {
				g.store(g.loaded(sum), g.slot(streamSum(stream, t)))
			}
		}
	}
	return g
}

// streamHashes builds the code that hashes a nonce a stream under one version. With
// a table W+K of the first hash is there already.
func streamHashes(streams int, table bool, slots map[any]Slot) *Graph {
	g := newGraph(nil)
	g.slots = slots
	for stream := range streams {
		g.stream = fmt.Sprintf("hash %d", stream)
		if !table {
			q := g.headerMessage(stream)
			g.secondHash(stream, g.firstHash(stream, func(int) lanes { return q.next() }))
			continue
		}
		g.secondHash(stream, g.firstHash(stream, func(t int) lanes {
			if t < 16 {
				return g.withConstants(lanes{word: headerPadding[t/4-1]}, t)
			}
			return lanes{op: g.load(g.slot(streamSum(stream, t)))}
		}))
	}
	return g
}

// firstHash hashes a header's second block from the nonce's round on; sum returns
// W+K for four rounds.
func (g *Graph) firstHash(stream int, sum func(t int) lanes) [2]lanes {
	abcd, efgh := afterNonce()
	nonce := g.load(g.slot(streamNonce(stream)))
	a := lanes{op: g.op(Add, 0, nonce, g.load(abcd))}
	e := lanes{op: g.op(Add, 0, nonce, g.load(efgh))}
	for t := 4; t < 64; t += 4 {
		a, e = g.rounds(a, e, sum(t))
	}
	var mid [2]Quad
	for i := range 8 {
		mid[i/4][i%4] = word(fmt.Sprintf("mid[%d]", i))
	}
	return [2]lanes{{op: g.op(Add, 0, a.op, g.load(mid[0]))}, {op: g.op(Add, 0, e.op, g.load(mid[1]))}}
}

// afterNonce returns the variables after the nonce's round, but for the nonce,
// which is added to the first of each four.
func afterNonce() (abcd, efgh Quad) {
	var in [8]*Uniform
	for i := range in {
		in[i] = word(fmt.Sprintf("st[%d]", i))
	}
	t1 := addWords(in[varH], bigSigma1.apply(in[varE]), choose.apply(in[varE:varH]...), known(roundConstants[firstFrom]))
	a := addWords(t1, bigSigma0.apply(in[varA]), majority.apply(in[varA:varD]...))
	return Quad{a, in[0], in[1], in[2]}, Quad{addWords(in[varD], t1), in[4], in[5], in[6]}
}

// secondHash hashes the first one's hash and leaves the last word for the test. That
// word is e after round 60 plus a constant, which W+K can carry.
func (g *Graph) secondHash(stream int, inner [2]lanes) {
	q := &quadMessage{g: g, m: [4]lanes{inner[0], inner[1], {word: knownQuad(0x80000000, 0, 0, 0)}, {word: knownQuad(0, 0, 0, 256)}}}
	a, e := lanes{word: knownQuad(initialState[:4]...)}, lanes{word: knownQuad(initialState[4:]...)}
	for q.t < 60 {
		a, e = g.rounds(a, e, q.next())
	}
	k := g.load(knownQuad(roundConstants[60]+initialState[7], 0, 0, 0))
	last := g.overwrite(HashEFGH, e.op, a.op, g.op(Add, 0, q.m[0].op, k))
	g.op(Test, stream, last)
}
