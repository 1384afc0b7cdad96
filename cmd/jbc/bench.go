package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/klauspost/cpuid/v2"
	"github.com/spf13/cobra"

	"github.com/jbcnet/jbc/bench"
)

func newBench(s *shell) *cobra.Command {
	var (
		options bench.Options
		only    []string
		asJSON  bool
		chart   string
	)
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure this machine",
		Long: "Measure every kernel of this machine by threads, beside plain libraries and beside\n" +
			"other miners that are on PATH; every graphics card and other device; what a worker makes of its kernel on a running job;\n" +
			"how long a solution takes to stop it; how many leases a coordinator grants. Nothing\n" +
			"else should run meanwhile.",
		Args: exactArgs(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkThreads(options.Threads); err != nil {
				return err
			}
			if options.Time < 0 {
				return usageError(fmt.Errorf("time %s is negative", options.Time), "--time takes a duration such as 2s")
			}
			for _, name := range only {
				if !slices.Contains(bench.Parts(), name) {
					return usageError(fmt.Errorf("nothing to measure is called %q", name), "--only takes "+strings.Join(bench.Parts(), ", "))
				}
			}
			line, onTerminal := s.err.(*statusLine)
			if onTerminal {
				options.Progress = func(done float64) { line.Show(fmt.Sprintf("measuring  %.0f %%", 100*done)) }
			}
			rows, err := bench.Run(cmd.Context(), options, only...)
			if onTerminal {
				line.Clear()
			}
			if errors.Is(err, context.Canceled) {
				err = errInterrupted
			}
			switch {
			case len(rows) == 0: // not even one round
			case asJSON:
				err = errors.Join(err, printJSON(s.out, rows))
			default:
				err = errors.Join(err, bench.WriteTable(s.out, rows))
			}
			if chart != "" {
				err = errors.Join(err, writeChart(chart, rows))
			}
			if measures("rivals", only) && !slices.ContainsFunc(rows, func(r bench.Row) bool { return r.Kind == bench.KindRival }) && err == nil {
				fmt.Fprintln(s.err, bench.RivalHint())
			}
			return err
		},
	}
	cmd.Flags().IntVar(&options.Threads, "threads", 0, "most threads to measure with (0: one for every CPU)")
	cmd.Flags().DurationVar(&options.Time, "time", 0, "time for each row (0: a second, less where the whole would pass a minute)")
	cmd.Flags().StringSliceVar(&only, "only", nil, "measure only these, of "+strings.Join(bench.Parts(), ", "))
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON list of rows")
	cmd.Flags().StringVar(&chart, "chart", "", "draw the rates of one thread into this SVG `file`")
	return cmd
}

// measures says whether a part is among those that are asked for, none being all.
func measures(part string, only []string) bool { return len(only) == 0 || slices.Contains(only, part) }

func writeChart(path string, rows []bench.Row) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return usageError(err, "--chart takes the path of a file to write")
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	title := fmt.Sprintf("SHA-256d of block headers, one thread (%s)", cpuid.CPU.BrandName)
	return bench.WriteChart(f, title, rows)
}

func checkThreads(n int) error {
	if n < 0 || n > 4096 {
		return usageError(fmt.Errorf("%d threads", n), "--threads takes 0 for one on every CPU, or a number up to 4096")
	}
	return nil
}
