package main

// One-shot hashing is many messages of one length, a message a lane. Other than in
// a scan every word differs from lane to lane, and a whole double hash is more code
// than fits the core's first cache: it then runs at less than half its rate. So there
// is code for one block, which the Go side calls for each of a message's.

const (
	blockWords = 16
	rounds     = 64
)

// sides are two vectors of messages, which keep two chains of operations in flight.
var sides = []string{"left", "right"}

// mixBlocks builds what mixes a block into the state, on both sides. The states are
// the first 16 slots.
func mixBlocks(set isa, p plan) *Graph {
	p.g = newGraph(set)
	for _, side := range sides {
		for i := range 8 {
			p.g.stateSlot(side, 0, i)
		}
	}
	for i, side := range sides {
		p.g.stream = side
		m := &message{
			g: p.g, ring: side, words: map[int]Value{}, fresh: map[int]Value{},
			reload: p.inMemory('w'), next: blockWords, last: rounds - 1,
		}
		for t := range blockWords {
			m.words[t] = tableWord{t, i > 0}
		}
		s := p.takeOver(side, 0)
		for t := range rounds {
			m.expandTo(t + p.ahead)
			s = p.round(s, t, []Value{known(roundConstants[t]), m.words[t]}, false)
		}
		for i, v := range s {
			at := p.g.stateSlot(side, 0, i)
			p.g.store(p.g.add(p.last(v), at), at)
		}
	}
	return p.g
}
