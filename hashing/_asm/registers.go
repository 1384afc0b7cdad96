package main

import "fmt"

// registers hands out vector registers along a schedule. A result's register is
// free again after its last reader; the one that was freed longest ago is taken
// first, which keeps short-lived values from waiting for each other's renaming.
type registers struct {
	free []int
	of   map[*Op]int
	last map[*Op]int // the place in the order of its last reader
	most int         // were in use at once
	all  int
}

func newRegisters(g *Graph, order []int, names []int) *registers {
	r := &registers{free: append([]int(nil), names...), of: map[*Op]int{}, last: map[*Op]int{}, all: len(names)}
	for at, i := range order {
		for _, a := range distinct(g.Ops[i].Args) {
			r.last[a] = at
		}
	}
	return r
}

// take gives o a register.
func (r *registers) take(o *Op) (int, error) {
	if len(r.free) == 0 {
		return 0, fmt.Errorf("operation %d: %w", o.ID, errRegisters)
	}
	n := r.free[0]
	r.free = r.free[1:]
	r.of[o] = n
	r.most = max(r.most, r.all-len(r.free))
	return n, nil
}

// inherit gives o the register of one of its arguments, which nobody reads later.
func (r *registers) inherit(o, from *Op) int {
	n := r.of[from]
	r.of[o] = n
	delete(r.of, from)
	return n
}

// dying returns the arguments of o that nobody reads after place at.
func (r *registers) dying(o *Op, at int) (ops []*Op) {
	for _, a := range distinct(o.Args) {
		if r.last[a] == at {
			ops = append(ops, a)
		}
	}
	return ops
}

// release frees the registers of results that nobody reads any more.
func (r *registers) release(ops []*Op) {
	for _, o := range ops {
		if n, ok := r.of[o]; ok {
			r.free = append(r.free, n)
			delete(r.of, o)
		}
	}
}
