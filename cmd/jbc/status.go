package main

import (
	"context"
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
		Short: "Show a running coordinator's chain and its workers",
		Args:  exactArgs(0),
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
	fmt.Fprintf(s.out, "blocks       %d since the start, %d stale\n", st.Blocks, st.Stale)
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
		return nil
	}
	fmt.Fprintln(s.out)
	return table(s.out, func(line func(string, ...any)) {
		line("WORKER\tSLOT\tKERNEL\tTHREADS\tDECLARED\tMEASURED\tSHARES\tBLOCKS\tREFUSED\tLEASES\tHEARD")
		for _, w := range st.Workers {
			line("%s\t%d\t%s\t%d\t%s\t%s ±%.0f%%\t%d\t%d\t%d\t%d\t%.1fs", w.Name, w.Slot, printable(w.Kernel), w.Threads,
				worker.Rate(w.DeclaredHS), worker.Rate(w.MeasuredHS), 100*w.MeasuredErr,
				w.Shares, w.Blocks, w.Refused, len(w.Leases), float64(w.HeardMS)/1000)
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
