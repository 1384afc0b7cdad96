package main

import (
	"errors"
	"slices"
)

// weave orders a graph so that its streams take turns. The CPU looks much further
// ahead and finds the others' work while one stream waits, so nothing is gained by
// cutting finer, and this way only one stream at a time needs registers for its
// message.
func weave(g *Graph) (order []int, err error) {
	streams, done := turns(g), make([]bool, len(g.Ops))
	for len(order) < len(g.Ops) {
		before := len(order)
		for i, left := range streams {
			if len(left) == 0 || !g.mayFollow(left[0], done) {
				continue
			}
			for _, o := range left[0] {
				done[o] = true
			}
			order, streams[i] = append(order, left[0]...), left[1:]
		}
		if len(order) == before {
			return nil, errors.New("streams wait for each other")
		}
	}
	return order, nil
}

// turns cuts each stream of a graph after every four rounds, and those without rounds
// into as many pieces.
func turns(g *Graph) (streams [][][]int) {
	number, most := map[string]int{}, 0
	for i, o := range g.Ops {
		n, ok := number[o.Stream]
		if !ok {
			n = len(streams)
			number[o.Stream], streams = n, append(streams, [][]int{nil})
		}
		last := len(streams[n]) - 1
		streams[n][last] = append(streams[n][last], i)
		if o.Kind == Rounds && o.Imm == 1 {
			streams[n] = append(streams[n], nil)
		}
		most = max(most, len(streams[n]))
	}
	for n, cut := range streams {
		if whole := cut[0]; len(cut) == 1 {
			streams[n] = slices.Collect(slices.Chunk(whole, (len(whole)+most-1)/most))
		}
	}
	return streams
}

// mayFollow says whether nothing in a turn waits for what is neither done nor in it.
func (g *Graph) mayFollow(turn []int, done []bool) bool {
	for _, o := range turn {
		for _, a := range g.Ops[o].after {
			if !done[a] && !slices.Contains(turn, a) {
				return false
			}
		}
	}
	return true
}
