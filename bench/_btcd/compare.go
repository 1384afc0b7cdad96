package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"slices"

	"github.com/jbcnet/jbc/hashing"
)

// metric is one figure that a case yields.
type metric struct {
	name, unit string
	less       bool // the smaller figure is the better one
	noRatio    bool // neither side's is the better one
}

// compare runs both sides in turns, each in a fresh directory, and makes a row of
// each metric. run returns one figure per metric, NaN for what a side has none of.
// Who goes first changes from turn to turn.
func (o *options) compare(ctx context.Context, part string, metrics []metric, run func(c contender, dir string) ([]float64, error)) ([]Row, error) {
	figures := map[string][][]float64{} // by side, turn, metric
	for turn := range o.turns {
		sides := slices.Clone(o.sides)
		if turn%2 == 1 {
			slices.Reverse(sides)
		}
		for _, c := range sides {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			fmt.Fprintf(o.progress, "%s, %s: turn %d of %d, %s\n", part, metrics[0].name, turn+1, o.turns, c.name)
			got, err := o.once(c, run)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", c.name, err)
			}
			figures[c.name] = append(figures[c.name], got)
		}
	}
	rows := make([]Row, len(metrics))
	for i, m := range metrics {
		rows[i] = newRow(part, m, column(figures["jbc"], i), column(figures["btcd"], i))
	}
	return rows, nil
}

// once runs one side in a directory that is gone afterwards.
func (o *options) once(c contender, run func(c contender, dir string) ([]float64, error)) (figures []float64, err error) {
	dir, err := os.MkdirTemp(o.dir, "bench-chain-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }() //nolint:gosec // it was just made
	runtime.GC()                                                 // what the other side left costs this one nothing
	debug.FreeOSMemory()
	return run(c, dir)
}

// column returns one metric of every turn, without those that are not there.
func column(turns [][]float64, i int) []float64 {
	var out []float64
	for _, figures := range turns {
		if !math.IsNaN(figures[i]) {
			out = append(out, figures[i])
		}
	}
	return out
}

// expectTip says where the main chain does not end as it must.
func expectTip(n node, want hashing.Hash, wantHeight int) error {
	if hash, height := n.Tip(); hash != want || int(height) != wantHeight {
		return fmt.Errorf("tip %s at height %d, want %s at %d", hash, height, want, wantHeight)
	}
	return nil
}

// closeAfter closes n and returns err first of all.
func closeAfter(n node, err error) error { return errors.Join(err, n.Close()) }
