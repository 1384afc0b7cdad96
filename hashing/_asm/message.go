package main

import "fmt"

// tableWord is W[t]+K[t] in the table that was computed for many versions at once;
// older is the table of the batch before.
type tableWord struct {
	t     int
	older bool
}

func (tableWord) value() {}

// nonceSlot holds the nonces of the batch that enters, as SHA-256 reads them.
const nonceSlot = "nonce"

// message is the message schedule of one stage.
type message struct {
	g     *Graph
	ring  string        // names its slots
	words map[int]Value // in the place that reads best
	fresh map[int]Value // in a register, for as long as that lasts
	// reload says that a fresh word is read from memory all the same, which takes
	// fewer registers.
	reload bool
	next   int          // the word to expand next
	last   int          // the last that is needed
	leave  map[int]Slot // where the next stage looks for words
}

// message returns the schedule for rounds from up to to of one of the hashes.
func (p *plan) message(first bool, from, to, end int) *message {
	m := &message{g: p.g, ring: p.g.stream, words: map[int]Value{}, fresh: map[int]Value{}, leave: map[int]Slot{}}
	m.reload = p.inMemory('w')
	hash, start := "second", secondFrom
	if first {
		hash, start = "first", firstFrom
		m.headerBlock()
		m.next = tableFrom
	} else {
		m.hashBlock()
		m.next = 16
	}
	if first && p.table {
		if from == start {
			m.words[3] = p.g.slot(nonceSlot)
		}
		m.next, m.last = 1<<10, 0 // nothing to expand
		return m
	}
	m.last = end - 1
	if to != end {
		m.last = to - 1
		for t := to - 16; t < to; t++ {
			m.leave[t] = p.g.slot(fmt.Sprintf("%s word %d.%d", hash, to, t))
		}
	}
	switch {
	case from == start && first:
		m.words[3] = p.g.slot(nonceSlot)
	case from == start:
		for i := range 8 {
			m.words[i] = innerHash(p.g, i)
		}
	default:
		for t := from - 16; t < from; t++ {
			if m.words[t] == nil {
				m.words[t] = p.g.slot(fmt.Sprintf("%s word %d.%d", hash, from, t))
			}
		}
		m.next = max(m.next, from)
	}
	return m
}

// headerBlock sets the words of a header's second block that are the same in every
// lane: the tail, padding and length, and what follows from them alone.
func (m *message) headerBlock() {
	for t := range 3 {
		m.words[t] = word(fmt.Sprintf("w[%d]", t))
	}
	m.padding(4, 640)
	m.words[16] = m.expand(16)
	m.words[17] = m.expand(17)
}

// hashBlock sets the padding and length behind a hash.
func (m *message) hashBlock() { m.padding(8, 256) }

func (m *message) padding(from int, bits uint32) {
	for t := from; t < 15; t++ {
		m.words[t] = known(0)
	}
	m.words[from] = known(0x80000000)
	m.words[15] = known(bits)
}

// expand computes a word from earlier ones.
func (m *message) expand(t int) Value {
	g := m.g
	recent := m.fresh[t-2]
	if recent == nil || m.reload {
		recent = m.words[t-2]
	}
	x := g.sum(g.smallSigma0(m.words[t-15]), m.words[t-16])
	x = g.sum(x, m.words[t-7])
	return g.sum(x, g.smallSigma1(recent))
}

// expandTo computes all words up to t that are needed and not there yet, and
// leaves a copy of each in memory.
func (m *message) expandTo(t int) {
	for ; m.next <= min(t, m.last); m.next++ {
		v := m.expand(m.next)
		if _, ok := v.(*Uniform); ok {
			m.words[m.next] = v
			continue
		}
		home, ok := m.leave[m.next]
		if !ok {
			home = m.g.slot(fmt.Sprintf("%s ring %d", m.ring, m.next%16))
		}
		m.fresh[m.next] = v
		m.words[m.next] = m.g.store(v, home)
	}
}

// expandTable builds the code that computes W[18..63]+K for a vector of nonces,
// which no version changes.
func expandTable(set isa, slots map[any]Slot) *Graph {
	g := newGraph(set)
	g.slots, g.stream = slots, "table"
	m := &message{g: g, ring: g.stream, words: map[int]Value{}, fresh: map[int]Value{}, last: 63}
	m.headerBlock()
	m.words[3] = g.slot(nonceSlot)
	for m.next = tableFrom; m.next <= m.last; {
		t := m.next
		m.expandTo(t)
		o := g.op(Store, 0, g.add(m.fresh[t], known(roundConstants[t])))
		o.To = tableWord{t: t}
	}
	return g
}
