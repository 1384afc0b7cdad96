package main

import "fmt"

// A scan is a pipeline: while one batch of nonces goes through one part of the two
// hashes, the batch before goes through the next part, in the same straight code.
// That keeps several independent chains of operations in flight though the code
// is only one double hash long. Batch k's hash is done when batch k+depth enters.

// plan says how the double hash is cut and laid out, and holds the graph while it
// is built.
type plan struct {
	// cutFirst and cutSecond are the rounds of the first and second hash before
	// which a stage ends.
	cutFirst, cutSecond []int
	// memory lists the working variables that rounds read from memory instead of a
	// register, and w if the message expansion does.
	memory string
	// ahead is how many rounds before its use a message word is computed.
	ahead int
	// table says that the first hash reads W[18..63]+K from memory, which another
	// piece of code computed: one table for many versions.
	table bool
	// lean says that a variable which has a copy in memory is read there when a stage
	// ends, too, and handed over as it lies there. It takes fewer registers.
	lean bool

	g  *Graph
	at leaving // where the stage that is being built hands over
}

// leaving is the end of a stage: of which hash, before which round.
type leaving struct {
	hash string
	to   int
}

// depth is how many batches late a result comes.
func (p *plan) depth() int { return len(p.cutFirst) + len(p.cutSecond) + 1 }

func (p *plan) inMemory(variable byte) bool {
	for i := range p.memory {
		if p.memory[i] == variable {
			return true
		}
	}
	return false
}

// The first round of each hash that depends on the lane, and the one after the
// last that is computed. The nonce is the fourth word of the first hash's block.
// The last word of the second hash is its e after round 60 plus a constant, and
// is all that the test needs.
const (
	firstFrom, firstTo   = 3, 64
	secondFrom, secondTo = 0, 61
	tableFrom            = 18 // message words before do not depend on the lane, or barely
)

// build makes the loop's body. Stages come last first, so that each reads what the
// one before it left in the previous iteration before that is overwritten.
func (p *plan) build(set isa) *Graph {
	p.g = newGraph(set)
	second := append(append([]int{secondFrom}, p.cutSecond...), secondTo)
	for i := len(second) - 2; i >= 0; i-- {
		p.stage(false, second[i], second[i+1])
	}
	first := append(append([]int{firstFrom}, p.cutFirst...), firstTo)
	for i := len(first) - 2; i >= 0; i-- {
		p.stage(true, first[i], first[i+1])
	}
	return p.g
}

// stage builds rounds from up to to of one of the hashes.
func (p *plan) stage(first bool, from, to int) {
	hash, start, end := "second", secondFrom, secondTo
	if first {
		hash, start, end = "first", firstFrom, firstTo
	}
	p.g.stream = fmt.Sprintf("%s %d", hash, from)
	p.at = leaving{hash, to}
	if to == end {
		p.at = leaving{}
	}
	m := p.message(first, from, to, end)
	var s working
	t := from
	if from == start {
		s = p.enter(first, m)
		t++
	} else {
		s = p.takeOver(hash, from)
	}
	for ; t < to; t++ {
		m.expandTo(t + p.ahead)
		if !first && t == secondTo-1 {
			p.test(s, m)
			return
		}
		s = p.round(s, t, p.addends(first, from, m, t), !first && t >= secondTo-4)
	}
	m.expandTo(m.last)
	switch {
	case to != end:
		p.handOver(hash, to, s)
	case first:
		p.feed(s)
	}
}

// addends returns what a round adds: K and W, or their sum from the table.
func (p *plan) addends(first bool, from int, m *message, t int) []Value {
	if first && p.table && t >= tableFrom {
		return []Value{tableWord{t, from != firstFrom}}
	}
	return []Value{known(roundConstants[t]), m.words[t]}
}

// enter returns the variables after the first round of a hash that depends on the
// lane. All before that round and most of it is the same in every lane.
func (p *plan) enter(first bool, m *message) working {
	var in [8]*Uniform
	for i := range in {
		if first {
			in[i] = word(fmt.Sprintf("st[%d]", i))
		} else {
			in[i] = known(initialState[i])
		}
	}
	t := secondFrom
	if first {
		t = firstFrom
	}
	toA, toE := foldRound(in, t)

	w := m.words[t]
	if !first {
		w = p.g.load(w)
	}
	s := working{}
	for i := range 3 {
		s[varB+i], s[varF+i] = variable{Value: in[varA+i]}, variable{Value: in[varE+i]}
	}
	s[varA] = p.keep(p.g.add(w, toA), "a", t)
	s[varE] = p.keep(p.g.add(w, toE), "e", t)
	return s
}

// foldRound returns what a round over uniform variables makes a and e, but for its
// message word, which is yet to be added to both.
func foldRound(in [8]*Uniform, t int) (toA, toE *Uniform) {
	t1 := addWords(in[varH], bigSigma1.apply(in[varE]), choose.apply(in[varE:varH]...), known(roundConstants[t]))
	return addWords(t1, bigSigma0.apply(in[varA]), majority.apply(in[varA:varD]...)), addWords(in[varD], t1)
}

// handOver leaves the variables in memory for the next stage's next iteration.
func (p *plan) handOver(hash string, to int, s working) {
	for i, v := range s {
		if slot := p.g.stateSlot(hash, to, i); !v.has || v.home != slot {
			p.g.store(v.Value, slot)
		}
	}
}

func (p *plan) takeOver(hash string, from int) working {
	var s working
	for i := range s {
		slot := p.g.stateSlot(hash, from, i)
		s[i] = variable{Value: slot, home: slot, has: true}
		if i == varA || i == varE {
			s[i].Value = p.g.load(slot)
		}
	}
	return s
}

// stateSlot is where a stage that ends before round to of a hash leaves its
// variables.
func (g *Graph) stateSlot(hash string, to, variable int) Slot {
	return g.slot(fmt.Sprintf("%s state %d.%d", hash, to, variable))
}

// last returns a variable where it is read when a stage ends.
func (p *plan) last(v variable) Value { return v.at(p.lean) }

// feed adds the midstate to the first hash's last variables, which makes the
// second hash's message.
func (p *plan) feed(s working) {
	for i, v := range s {
		mid := word(fmt.Sprintf("mid[%d]", i))
		mid.older = len(p.cutFirst) > 0
		p.g.store(p.g.add(p.last(v), mid), innerHash(p.g, i))
	}
}

func innerHash(g *Graph, i int) Slot { return g.slot(fmt.Sprintf("inner hash %d", i)) }

// test computes the second hash's last word, the only one that a header far above
// the target has to show, and looks which lanes have none of the mask's bits.
func (p *plan) test(s working, m *message) {
	g, t := p.g, secondTo-1
	h7 := g.sum(p.last(s[varH]), p.last(s[varD]))
	h7 = g.sum(h7, m.words[t], known(roundConstants[t]+initialState[7]))
	h7 = g.sum(h7, g.choose(s[varE].Value, p.last(s[varF]), p.last(s[varG])))
	h7 = g.sum(h7, g.bigSigma1(s[varE].Value))
	g.op(Test, 0, h7, word("mask"))
}
