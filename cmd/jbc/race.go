package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"time"

	"github.com/spf13/cobra"

	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/coordinator/protocol"
	"github.com/jbcnet/jbc/hashing"
)

const (
	// maxRaceNodes is how many processes one machine is asked for.
	maxRaceNodes = 32
	// raceStartTime is how long the nodes may take to answer.
	raceStartTime = 30 * time.Second
	// raceAgreeTime is how long the nodes may take to agree on a tip at the end.
	raceAgreeTime = 5 * time.Second
)

// raceFlags are the flags of jbc race.
type raceFlags struct {
	nodes, threads   int
	time             time.Duration
	network, dataDir string
	json             bool
}

func newRace(s *shell) *cobra.Command {
	var f raceFlags
	cmd := &cobra.Command{
		Use:   "race",
		Short: "Have several coordinators race for blocks on this machine",
		Long: "Start several coordinators on this machine, each a process that mines, have them\n" +
			"race for the blocks of one chain, and show who wins them. Ctrl-C ends the race\n" +
			"early. At the end a table tells what each won, which of its blocks went stale, how\n" +
			"often it changed its chain, and how much of its hash time was in vain.",
		Example: "  jbc race --nodes 4 --for 2m\n  jbc race --nodes 2 --threads 2 --for 30s --json",
		Args:    exactArgs(0),
		RunE:    func(cmd *cobra.Command, _ []string) error { return f.run(cmd.Context(), s) },
	}
	flags := cmd.Flags()
	flags.IntVar(&f.nodes, "nodes", 4, "coordinators, 2 to 32")
	flags.DurationVar(&f.time, "for", time.Minute, "how long they race")
	flags.IntVar(&f.threads, "threads", 1, "threads that each mines with (0: one for every CPU)")
	flags.StringVar(&f.network, "network", "dev", "network to race on: "+networkUsage)
	flags.StringVar(&f.dataDir, "data-dir", "", "`directory` of the nodes' chains and logs (default one that is removed at the end)")
	flags.BoolVar(&f.json, "json", false, "print JSON")
	return cmd
}

// check finds what no race can be run with.
func (f *raceFlags) check() (*chain.Params, error) {
	if f.nodes < 2 || f.nodes > maxRaceNodes {
		return nil, usageError(fmt.Errorf("%d nodes", f.nodes), fmt.Sprintf("--nodes takes 2 to %d", maxRaceNodes))
	}
	if f.time < time.Second {
		return nil, usageError(fmt.Errorf("a race of %v", f.time), "--for takes a duration of 1s or more, such as 2m")
	}
	if err := checkThreads(f.threads); err != nil {
		return nil, err
	}
	params, err := networkByName(f.network)
	if err != nil {
		return nil, err
	}
	if target, err := params.PowLimit.Target(); err == nil && params.Schedule == chain.ScheduleNone && target.Hashes() < 1<<20 {
		return nil, usageError(fmt.Errorf("network %s: blocks come faster than anybody could race for", params.Name), "choose one with a difficulty with --network, for example dev")
	}
	return params, nil
}

func (f *raceFlags) run(ctx context.Context, s *shell) error {
	params, err := f.check()
	if err != nil {
		return err
	}
	dir := f.dataDir
	if dir == "" {
		if dir, err = os.MkdirTemp("", "jbc-race-"); err != nil {
			return err
		}
		defer os.RemoveAll(dir)
	} else if err := os.MkdirAll(dir, 0o700); err != nil {
		return withHint(fmt.Errorf("data directory: %w", err), "give another one with --data-dir")
	}
	runtime.LockOSThread() // see tie
	defer runtime.UnlockOSThread()
	nodes, err := newRaceNodes(s, f, dir)
	if err != nil {
		return err
	}
	defer nodes.stop()
	if err := nodes.start(); err != nil {
		return err
	}
	w := &raceWatch{shell: s, nodes: nodes, network: params.ID(), found: map[string]protocol.Found{}}
	result, err := w.run(ctx, f.time)
	if err != nil {
		return err
	}
	nodes.stop()
	if f.json {
		return printJSON(s.out, result)
	}
	return s.printRaceResult(result)
}

// raceResult is what came of a race.
type raceResult struct {
	Network string  `json:"network"`
	Seconds float64 `json:"seconds"`
	// From is the height that the race began after; what was won before it does not
	// count.
	From   uint32       `json:"from_height"`
	Height uint32       `json:"height"`
	Tip    hashing.Hash `json:"tip"`
	Agreed bool         `json:"agreed"` // all nodes had this tip at one moment
	Blocks int          `json:"blocks"`
	Nodes  []raceNode   `json:"nodes"`
}

// raceNode is one of them. How far it changed its chain and how fast it followed others
// is told since its start, which is a moment before that of the race.
type raceNode struct {
	Name   string  `json:"name"`
	Blocks int     `json:"blocks"`  // that it won in the final chain
	Share  float64 `json:"share"`   // of the blocks
	RateHS float64 `json:"rate_hs"` // that its shares prove over the last minute
	Stale  uint64  `json:"stale"`
	// StaleRate is the share of its blocks that went stale.
	StaleRate float64      `json:"stale_rate"`
	Height    uint32       `json:"height"`
	Tip       hashing.Hash `json:"tip"`
	protocol.Race
}

func (s *shell) printRaceResult(r *raceResult) error {
	err := table(s.out, func(line func(string, ...any)) {
		line("NODE\tBLOCKS\tSHARE\tRATE\tSTALE\tREORGS\tDEEPEST\tLOST\tLOST HASHES\tHEIGHT")
		for _, n := range r.Nodes {
			line("%s\t%d\t%.1f %%\t%s\t%d\t%d\t%d\t%v\t%s\t%d", n.Name, n.Blocks, 100*n.Share, hashRate(n.RateHS),
				n.Stale, n.Reorgs, n.DeepestReorg, lostTime(n.LostMS), hashes(n.LostHashes), n.Height)
		}
	})
	took := time.Duration(r.Seconds * float64(time.Second)).Round(100 * time.Millisecond)
	fmt.Fprintf(s.out, "\n%d blocks in %v, from height %d to %d\n", r.Blocks, took, r.From+1, r.Height)
	if r.Agreed {
		fmt.Fprintf(s.out, "all tips agree: %s\n", r.Tip)
	} else {
		fmt.Fprintf(s.out, "the tips do not agree; the chain with the most work ends in %s\n", r.Tip)
	}
	return err
}
