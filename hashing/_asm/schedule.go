package main

import (
	"errors"
	"math/rand/v2"
	"slices"
)

// machine is what the scheduler believes of a CPU core: how many operations it
// starts in a cycle. The CPU reorders by itself; the order only has to give it
// independent operations within its window, at few registers.
type machine struct {
	width, shifts, stores int // a cycle
}

// tuning is what the search for a good order varies.
type tuning struct {
	// window is how far from the first operation of its stage that waits another of
	// that stage may be issued.
	window int
	// registers is how many results may be alive at once.
	registers int
	// latency is that of every operation, and storeLatency that from a store to a
	// load of what it stored, in cycles.
	latency, storeLatency int
	// noise is how many cycles of priority are drawn by chance, from seed, or where
	// there are seeds from the one of the part of its stage that an operation is in: so
	// a search can change one part and leave the others as they are, nearly.
	noise float64
	seed  uint64
	seeds []uint64
	// shiftBonus is how many cycles of priority rotations and shifts have ahead.
	shiftBonus float64
	// storeBonus is how many cycles of priority stores have ahead: they free
	// registers.
	storeBonus float64
	// When fewer than headroom registers are left only operations within tail of
	// their stage's first get one.
	tail, headroom int
}

// errRegisters says that no order was found with so few registers.
var errRegisters = errors.New("out of registers")

// schedule is a list scheduler's state. It issues, cycle by cycle, what is ready,
// the longest way from its stage's end first.
type schedule struct {
	g *Graph
	m machine
	t tuning

	next     [][]int   // who waits for an operation
	waits    []int     // for how many operations each waits
	ready    []int     // the cycle from which each can be issued
	priority []float64 // of each
	readers  []int     // operations yet to read each result
	issued   []bool
	streams  [][]int // operations by stage, in natural order
	place    []int   // of each in its stage
	heads    []int   // the first of each stage that waits
	stage    []int   // of each operation

	cycle, live, extra int
	order              []int
}

// run returns the operations in the order to issue them, and in how many cycles the
// model machine does.
func (g *Graph) schedule(m machine, t tuning) (order []int, cycles int, err error) {
	s := &schedule{g: g, m: m, t: t}
	s.prepare()
	for idle := 0; len(s.order) < len(g.Ops); s.cycle++ {
		if s.issue() {
			idle = 0
			continue
		}
		if idle++; idle > 12 { // stuck for want of registers: allow one more than asked for
			idle = 0
			if s.extra++; s.extra > 12 {
				return nil, 0, errRegisters
			}
		}
	}
	return s.order, s.cycle, nil
}

func (s *schedule) prepare() {
	ops := s.g.Ops
	n := len(ops)
	s.next, s.waits, s.ready = make([][]int, n), make([]int, n), make([]int, n)
	s.readers, s.issued, s.place, s.stage = make([]int, n), make([]bool, n), make([]int, n), make([]int, n)
	byName := map[string]int{}
	for i, o := range ops {
		slices.Sort(o.after)
		o.after = slices.Compact(o.after)
		s.waits[i] = len(o.after)
		for _, before := range o.after {
			s.next[before] = append(s.next[before], i)
		}
		for _, a := range distinct(o.Args) {
			s.readers[a.ID]++
		}
		k, ok := byName[o.Stream]
		if !ok {
			k = len(s.streams)
			byName[o.Stream] = k
			s.streams = append(s.streams, nil)
		}
		s.stage[i], s.place[i] = k, len(s.streams[k])
		s.streams[k] = append(s.streams[k], i)
	}
	s.heads = make([]int, len(s.streams))
	s.prioritize()
}

// distinct returns the results among args, each once.
func distinct(args []Value) (ops []*Op) {
	for _, a := range args {
		if o, ok := a.(*Op); ok && !slices.Contains(ops, o) {
			ops = append(ops, o)
		}
	}
	return ops
}

// prioritize gives each operation the share of its stage's longest way that lies
// behind it, so that stages move on together.
func (s *schedule) prioritize() {
	ops := s.g.Ops
	way := make([]float64, len(ops))
	longest := make([]float64, len(s.streams))
	for _, i := range slices.Backward(s.byDependence()) {
		for _, j := range s.next[i] {
			way[i] = max(way[i], way[j]+float64(s.between(ops[i], ops[j])-s.latency(ops[i])))
		}
		way[i] += float64(s.latency(ops[i]))
		longest[s.stage[i]] = max(longest[s.stage[i]], way[i])
	}
	parts := []*rand.Rand{rand.New(rand.NewPCG(s.t.seed, 0))}
	for i, seed := range s.t.seeds {
		parts = append(parts[:i], rand.New(rand.NewPCG(seed, 1)))
	}
	s.priority = make([]float64, len(ops))
	for i, o := range ops {
		behind := 1 - way[i]/longest[s.stage[i]]
		rng := parts[min(int(behind*float64(len(parts))), len(parts)-1)]
		p := way[i] + s.t.noise*rng.Float64()
		if isShift(o.Kind) {
			p += s.t.shiftBonus
		}
		if o.Kind == Store {
			p += s.t.storeBonus
		}
		s.priority[i] = p / longest[s.stage[i]]
	}
}

// byDependence returns the operations so that each comes after all it waits for.
// The natural order does not: a stage waits for readers in stages built before.
func (s *schedule) byDependence() (order []int) {
	waits := slices.Clone(s.waits)
	for i, w := range waits {
		if w == 0 {
			order = append(order, i)
		}
	}
	for k := 0; k < len(order); k++ {
		for _, j := range s.next[order[k]] {
			if waits[j]--; waits[j] == 0 {
				order = append(order, j)
			}
		}
	}
	return order
}

// isShift says whether an operation is of those for which there are fewer ports.
func isShift(k Kind) bool { return k == Ror || k == Shr || k == Shl || hashes(k) }

func (s *schedule) latency(o *Op) int {
	if o.Kind == Store || o.Kind == Load {
		return 0
	}
	return s.t.latency
}

// between is how long b has to wait for a.
func (s *schedule) between(a, b *Op) int {
	if hashes(b.Kind) && !slices.Contains(b.Args, Value(a)) {
		return 0 // b overwrites what a reads
	}
	if a.Kind == Store && b.Kind != Store {
		return s.t.storeLatency
	}
	return s.latency(a)
}

// issue fills one cycle, and says whether anything was issued.
func (s *schedule) issue() (any bool) {
	room := s.m
	limit := s.t.registers + s.extra
	for _, i := range s.candidates() {
		if room.width <= 0 {
			break
		}
		o := s.g.Ops[i]
		if isShift(o.Kind) && room.shifts == 0 || o.Kind == Store && room.stores == 0 {
			continue
		}
		grows := s.growth(o)
		if grows > 0 && s.live+grows > limit {
			continue
		}
		if grows > 0 && s.live+grows > limit-s.t.headroom && s.place[i] > s.heads[s.stage[i]]+s.t.tail {
			continue
		}
		switch {
		case o.Kind == Store:
			room.stores--
		case o.Kind == Load:
		default:
			room.width--
			if isShift(o.Kind) {
				room.shifts--
			}
		}
		s.live += grows
		s.take(i)
		any = true
	}
	return any
}

// growth is by how many the results that are alive grow when o is issued.
func (s *schedule) growth(o *Op) int {
	grows := 1
	if o.Kind == Store || o.Kind == Test {
		grows = 0
	}
	for _, a := range distinct(o.Args) {
		if s.readers[a.ID] == 1 {
			grows--
		}
	}
	return grows
}

// candidates returns what can be issued now, the most urgent first.
func (s *schedule) candidates() (ready []int) {
	for k, ops := range s.streams {
		h := s.heads[k]
		for h < len(ops) && s.issued[ops[h]] {
			h++
		}
		s.heads[k] = h
		for _, i := range ops[h:min(len(ops), h+s.t.window)] {
			if !s.issued[i] && s.waits[i] == 0 && s.ready[i] <= s.cycle {
				ready = append(ready, i)
			}
		}
	}
	slices.SortStableFunc(ready, func(a, b int) int {
		switch {
		case s.priority[a] > s.priority[b]:
			return -1
		case s.priority[a] < s.priority[b]:
			return 1
		}
		return 0
	})
	return ready
}

func (s *schedule) take(i int) {
	o := s.g.Ops[i]
	s.issued[i] = true
	s.order = append(s.order, i)
	for _, a := range distinct(o.Args) {
		s.readers[a.ID]--
	}
	for _, j := range s.next[i] {
		s.waits[j]--
		s.ready[j] = max(s.ready[j], s.cycle+s.between(o, s.g.Ops[j]))
	}
}
