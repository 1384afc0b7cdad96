package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/jbcnet/jbc/coordinator/protocol"
	"github.com/jbcnet/jbc/worker"
)

func newStatus(s *shell) *cobra.Command {
	var f observerFlags
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show a running coordinator's chain, its workers and the coordinators it knows",
		Long: "Show a running coordinator's chain and its workers, what racing with other\n" +
			"coordinators costs them, and what it knows of those. --coordinator asks another one\n" +
			"that can be reached over the same server.",
		Args: exactArgs(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			o, err := f.open(cmd.Context(), s)
			if err != nil {
				return err
			}
			defer o.close()
			st, err := o.status(cmd.Context())
			if err != nil {
				return err
			}
			if f.json {
				return printJSON(s.out, st)
			}
			return s.printStatus(st, time.Now())
		},
	}
	f.add(cmd)
	return cmd
}

// status gets all pages of the status.
func (o *observer) status(ctx context.Context) (*protocol.Status, error) {
	var whole *protocol.Status
	for from := uint32(0); ; {
		get := protocol.Get{Ask: protocol.Ask{Kind: protocol.KindStatus}, From: from}
		var page protocol.StatusReply
		if err := o.ask(ctx, &get, &page); err != nil {
			return nil, err
		}
		if whole == nil {
			whole = page.Status
		} else {
			whole.Workers = append(whole.Workers, page.Status.Workers...)
		}
		if page.Status.Next <= from {
			whole.Next = 0
			return whole, nil
		}
		from = page.Status.Next
	}
}

func (s *shell) printStatus(st *protocol.Status, now time.Time) error {
	age := now.Sub(time.Unix(int64(st.TipTime), 0)).Round(time.Second)
	fmt.Fprintf(s.out, "coordinator  %s (%s)\nnetwork      %s\n", st.Coordinator, st.Version, st.Network)
	fmt.Fprintf(s.out, "tip          %d  %s  %v ago\n", st.Height, st.Tip, max(age, 0))
	fmt.Fprintf(s.out, "chainwork    %s\nnext bits    %s\n", st.Chainwork, st.Bits)
	s.printRace(st)
	fmt.Fprintf(s.out, "idle a block %.2f ms validation, %.2f ms message, %.2f ms write\n", st.Idle.Validation, st.Idle.Message, st.Idle.Write)
	if st.Holding {
		fmt.Fprintln(s.out, "holding      no job until the clock allows the next block")
	}
	for _, d := range st.Dropped {
		until := time.UnixMilli(d.UntilMS)
		fmt.Fprintf(s.out, "dropped      %s until %s (%v): %s\n", d.Name, until.Format(time.DateTime),
			until.Sub(now).Round(time.Second), reasons(d.Reasons))
	}
	if len(st.Workers) == 0 {
		fmt.Fprintln(s.out, "workers      none; start one with jbc worker")
	} else if err := errors.Join(s.printWorkers(st.Workers), s.printDevices(st.Workers)); err != nil {
		return err
	}
	return s.printOthers(st, now)
}

// printRace shows what became of the blocks since the start, and what it cost that
// others find some.
func (s *shell) printRace(st *protocol.Status) {
	fmt.Fprintf(s.out, "blocks       %d since the start, %d stale (%.1f %%), %d of others\n", st.Blocks, st.Stale, 100*st.StaleRate(), st.Race.Taken)
	if st.Race.Reorgs > 0 {
		fmt.Fprintf(s.out, "reorgs       %d, the deepest took out %d blocks\n", st.Race.Reorgs, st.Race.DeepestReorg)
	}
	fmt.Fprintf(s.out, "lost         %v of hashing in vain, %s\n", lostTime(st.Race.LostMS), hashes(st.Race.LostHashes))
	if f := st.Race.Followed; f.Count > 0 {
		fmt.Fprintf(s.out, "followed     %d solutions of others, half within %.1f ms, 99 %% within %.1f ms\n", f.Count, f.Median, f.P99)
	}
}

// lostTime is a time in ms for people.
func lostTime(ms float64) time.Duration {
	return time.Duration(ms * float64(time.Millisecond)).Round(time.Millisecond)
}

// hashes is a number of hashes for people, for example "1.5 Mhashes".
func hashes(n float64) string {
	return strings.TrimSuffix(worker.Rate(n).String(), "H/s") + "hashes"
}

// printOthers shows the other coordinators that this one knows.
func (s *shell) printOthers(st *protocol.Status, now time.Time) error {
	if len(st.Others) == 0 {
		return nil
	}
	fmt.Fprintln(s.out)
	err := table(s.out, func(line func(string, ...any)) {
		line("COORDINATOR\tHEIGHT\tWORK\tHEARD\tSCORE\tIGNORED\tFAULTS")
		for _, o := range st.Others {
			ignored := "-"
			if until := time.UnixMilli(o.UntilMS); o.UntilMS != 0 {
				ignored = fmt.Sprintf("until %s (%v)", until.Format(time.DateTime), until.Sub(now).Round(time.Second))
			}
			line("%s\t%d\t%s\t%.1fs\t%.1f\t%s\t%s", printable(o.Name), o.Height, printable(shortWork(o.Chainwork)),
				float64(o.HeardMS)/1000, o.Score, ignored, printable(faults(o.Faults)))
		}
	})
	if more := st.Known - len(st.Others); more > 0 {
		fmt.Fprintf(s.out, "and %d more\n", more)
	}
	return err
}

// faults lists how often a coordinator did what, by name.
func faults(counts map[string]uint64) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%d %s", counts[name], name))
	}
	return cmp.Or(strings.Join(parts, ", "), "-")
}

func (s *shell) printWorkers(workers []protocol.WorkerStatus) error {
	fmt.Fprintln(s.out)
	return table(s.out, func(line func(string, ...any)) {
		line("WORKER\tSLOT\tKERNEL\tTHREADS\tDECLARED\tMEASURED\tSHARES\tBLOCKS\tREFUSED\tLEASES\tHEARD")
		for _, w := range workers {
			line("%s\t%d\t%s\t%d\t%s\t%s ±%.0f%%\t%d\t%d\t%d\t%d\t%.1fs", w.Name, w.Slot, printable(w.Kernel), w.Threads,
				worker.Rate(w.DeclaredHS), worker.Rate(w.MeasuredHS), 100*w.MeasuredErr,
				w.Shares, w.Blocks, w.Refused, len(w.Leases), float64(w.HeardMS)/1000)
		}
	})
}

// printDevices shows what workers hash with beside their threads.
func (s *shell) printDevices(workers []protocol.WorkerStatus) error {
	if !slices.ContainsFunc(workers, func(w protocol.WorkerStatus) bool { return len(w.Devices) > 0 }) {
		return nil
	}
	fmt.Fprintln(s.out)
	return table(s.out, func(line func(string, ...any)) {
		line("DEVICE\tWORKER\tSTATE\tRATE\tSHARES")
		for _, w := range workers {
			for _, d := range w.Devices {
				line("%s\t%s\t%s\t%s\t%d", printable(d.Name), w.Name, printable(d.State), worker.Rate(d.RateHS), d.Shares)
			}
		}
	})
}

// printable shows a text that a worker chose without what a terminal obeys.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, text)
}

// reasons lists how often what was refused.
func reasons(counts map[protocol.Code]uint64) string {
	var parts []string
	for _, code := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%d %v (%d)", counts[code], code, uint16(code)))
	}
	return strings.Join(parts, ", ")
}
