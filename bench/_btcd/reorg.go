package main

import (
	"context"
	"fmt"
	"time"
)

// measureReorg times the one block that makes the other of two branches from
// genesis, as long as each other before it, the main chain: there and, with two
// blocks more on the first, back again. Our time ends when the new tip would
// survive a power loss; btcd's when its memory is up to date.
func measureReorg(ctx context.Context, o *options) ([]Row, error) {
	var rows []Row
	for _, depth := range o.depths {
		more, err := o.reorgOf(ctx, depth)
		rows = append(rows, more...)
		if err != nil {
			return rows, err
		}
	}
	return rows, nil
}

func (o *options) reorgOf(ctx context.Context, depth int) ([]Row, error) {
	a := newBranch(1).extend(depth + 2)
	b := newBranch(2).extend(depth + 1)
	metrics := []metric{
		{name: fmt.Sprintf("depth %d", depth), unit: "blocks/s"},
		{name: fmt.Sprintf("depth %d, back", depth+1), unit: "blocks/s"},
	}
	return o.compare(ctx, "reorg", metrics, func(c contender, dir string) ([]float64, error) {
		n, err := c.open(dir, regtest, o.settings)
		if err != nil {
			return nil, err
		}
		var there, back time.Duration
		if err = n.Import(a[:depth]); err == nil {
			there, err = reorganise(n, b)
		}
		if err == nil {
			back, err = reorganise(n, a[depth:])
		}
		if err := closeAfter(n, err); err != nil {
			return nil, err
		}
		return []float64{float64(depth) / there.Seconds(), float64(depth+1) / back.Seconds()}, nil
	})
}

// reorganise offers the blocks of a branch, of which only the last must make it
// the main chain, and returns how long that one took.
func reorganise(n node, branch [][]byte) (time.Duration, error) {
	before, height := n.Tip()
	last := len(branch) - 1
	for _, raw := range branch[:last] {
		if _, err := n.Accept(raw); err != nil {
			return 0, err
		}
	}
	if err := expectTip(n, before, int(height)); err != nil {
		return 0, fmt.Errorf("before the reorganisation: %w", err)
	}
	start := time.Now()
	wait, err := n.Accept(branch[last])
	if err == nil && wait != nil {
		err = wait()
	}
	took := time.Since(start)
	if err != nil {
		return 0, err
	}
	return took, expectTip(n, headerOf(branch[last]).Hash(), int(height)+1)
}
