package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"github.com/jbcnet/jbc/bench"
)

func newBench(s *shell) *cobra.Command {
	var (
		options bench.Options
		asJSON  bool
	)
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure this machine",
		Long:  "Measure every kernel of this machine by threads, beside plain libraries.",
		Args:  exactArgs(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkThreads(options.Threads); err != nil {
				return err
			}
			if options.Time < 0 {
				return usageError(fmt.Errorf("time %s is negative", options.Time), "--time takes a duration such as 2s")
			}
			if isTerminal(s.err) {
				bar := s.progress(1000, "measuring")
				options.Progress = func(done float64) { _ = bar.Set(int(1000 * done)) }
			}
			rows, err := bench.Hashing(cmd.Context(), options)
			if err != nil && !errors.Is(err, context.Canceled) {
				return err
			}
			if err != nil && len(rows) == 0 {
				return errInterrupted
			}
			if asJSON {
				return errors.Join(printJSON(s.out, rows), err)
			}
			return errors.Join(bench.WriteTable(s.out, rows), err)
		},
	}
	cmd.Flags().IntVar(&options.Threads, "threads", 0, "most threads to measure with (0: one for every CPU)")
	cmd.Flags().DurationVar(&options.Time, "time", 0, "time for each row (0: a second, less where the whole would pass a minute)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON list of rows")
	return cmd
}

// progress returns a bar on standard error that is gone when it is done.
func (s *shell) progress(total int64, what string) *progressbar.ProgressBar {
	return progressbar.NewOptions64(total,
		progressbar.OptionSetWriter(s.err),
		progressbar.OptionSetDescription(what),
		progressbar.OptionThrottle(200*time.Millisecond),
		progressbar.OptionSetPredictTime(true),
		progressbar.OptionClearOnFinish(),
		progressbar.OptionSetElapsedTime(false),
	)
}

func checkThreads(n int) error {
	if n < 0 || n > 4096 {
		return usageError(fmt.Errorf("%d threads", n), "--threads takes 0 for one on every CPU, or a number up to 4096")
	}
	return nil
}
