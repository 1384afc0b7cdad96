package bench

import (
	"context"
	"fmt"
	"slices"
)

// part is one of the things that [Run] measures.
type part struct {
	name string
	cost float64 // in time, beside the others
	run  func(context.Context, Options) ([]Row, error)
}

func parts() []part {
	return []part{
		{"kernels", 9, Hashing},
		{"devices", 4, Devices},
		{"rivals", 15, Rivals},
		{"live", 6, Live},
		{"cancel", 4, Cancel},
		{"leases", 1, Leases},
	}
}

// Parts returns the names that [Run] takes.
func Parts() []string {
	var names []string
	for _, p := range parts() {
		names = append(names, p.name)
	}
	return names
}

// Run measures the parts that are named, all for none: what kernels and libraries
// do, what devices do, what a worker makes of its kernel on a running job, how long a solution
// takes to stop it, how many leases a coordinator grants. It returns the rows it
// has when something ends it early.
func Run(ctx context.Context, o Options, names ...string) ([]Row, error) {
	chosen, total := parts(), 0.0
	if len(names) > 0 {
		chosen = slices.DeleteFunc(chosen, func(p part) bool { return !slices.Contains(names, p.name) })
		if len(chosen) < len(slices.Compact(slices.Sorted(slices.Values(names)))) {
			return nil, fmt.Errorf("bench: no such part among %q", names)
		}
	}
	for _, p := range chosen {
		total += p.cost
	}
	var rows []Row
	done := 0.0
	for _, part := range chosen {
		within := o
		if o.Progress != nil {
			before := done
			within.Progress = func(d float64) { o.Progress((before + part.cost*d) / total) }
		}
		got, err := part.run(ctx, within)
		rows = append(rows, got...)
		if ctx.Err() != nil {
			return rows, ctx.Err()
		}
		if err != nil {
			return rows, fmt.Errorf("bench: %w", err)
		}
		done += part.cost
	}
	return rows, nil
}
