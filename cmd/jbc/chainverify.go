package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/chain/store"
	"github.com/jbcnet/jbc/hashing"
)

// scratchDir is where a data directory has the replay of its own chain.
const scratchDir = "verify.tmp"

// verifyJSON is what jbc chain verify found, for programs.
type verifyJSON struct {
	Network     string       `json:"network"`
	Height      uint32       `json:"height"`
	Tip         hashing.Hash `json:"tip"`
	Chainwork   chain.Work   `json:"chainwork"`
	SideBlocks  int          `json:"side_blocks"`
	UndoRecords int          `json:"undo_records"`
	Outputs     uint64       `json:"outputs"`
	Value       int64        `json:"value"` // units
	UTXOHash    hashing.Hash `json:"utxo_hash"`
	Scripts     bool         `json:"scripts"` // were run
	Seconds     float64      `json:"seconds"`
}

func newChainVerify(s *shell) *cobra.Command {
	var (
		f             chainDirFlags
		quick, asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Check the whole chain of a directory, from its first block",
		Long: "Check all that a directory has: the index, every block's bytes and place, what every\n" +
			"block spent, and that this leaves the outputs which are unspent. Then replay the chain\n" +
			"from its first block, every script included, in a directory beside it that goes away\n" +
			"again, and compare. The replay takes as much room as the chain. What does not fit is\n" +
			"named, and the exit status is 1. No coordinator may use the directory meanwhile.",
		Args: exactArgs(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.verify(cmd.Context(), s, quick, asJSON)
		},
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&quick, "quick", false, "leave out the replay: no scripts")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func (f *chainDirFlags) verify(ctx context.Context, s *shell, quick, asJSON bool) (err error) {
	params, err := f.params()
	if err != nil {
		return err
	}
	begin := time.Now()
	dir, err := f.open(s, params)
	if err != nil {
		return explainDamage(err)
	}
	defer func() { err = errors.Join(err, dir.Close()) }()

	opts := chain.VerifyOptions{CacheBytes: max(1, int64(f.cache))}
	if !quick {
		scratch, openErr := dir.openScratch(s, params)
		if openErr != nil {
			return openErr
		}
		defer func() { err = errors.Join(err, scratch.remove()) }()
		opts.Scratch = scratch.Store
	}
	var latest atomic.Pointer[stageProgress]
	latest.Store(&stageProgress{begun: begin})
	opts.Progress = func(p chain.VerifyProgress) {
		begun := latest.Load().begun
		if p.Stage != latest.Load().Stage {
			begun = time.Now()
		}
		latest.Store(&stageProgress{p, begun})
	}
	var report chain.VerifyReport
	err = s.showWork(func(time.Duration) string { return describeVerify(latest.Load(), time.Now()) }, func() (err error) {
		report, err = dir.chain.Verify(ctx, opts)
		return err
	})
	switch {
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("%w while verifying %s: no damage was found so far", errInterrupted, latest.Load().Stage)
	case errors.As(err, new(*store.SpaceError)):
		return withHint(err, "the replay takes as much room as the chain: free some, or leave it out with --quick")
	case err != nil:
		return explainDamage(err)
	}
	return s.printVerified(params, &report, time.Since(begin), asJSON)
}

// scratchStore is the store of a replay.
type scratchStore struct {
	*store.Store
	path string
}

// openScratch makes the store of a replay, in the place of one that a process which
// was killed may have left.
func (d *dataDir) openScratch(s *shell, params *chain.Params) (*scratchStore, error) {
	path := filepath.Join(d.path, scratchDir)
	if err := os.RemoveAll(path); err != nil {
		return nil, withHint(fmt.Errorf("replay: %w", err), "remove that directory, or leave the replay out with --quick")
	}
	st, err := store.Open(store.Options{Dir: path, Network: params.ID(), Logger: s.log})
	if err != nil {
		return nil, explainStore(errors.Join(err, os.RemoveAll(path)))
	}
	return &scratchStore{st, path}, nil
}

func (s *scratchStore) remove() error {
	_ = s.Close() // why it failed was said, and it is of no more use
	return os.RemoveAll(s.path)
}

// stageProgress is how far a stage of a check is, and since when it runs.
type stageProgress struct {
	chain.VerifyProgress
	begun time.Time
}

// describeVerify is the status line of a check.
func describeVerify(p *stageProgress, now time.Time) string {
	return strings.TrimSpace(bar(p.Done, p.Total, now.Sub(p.begun)) + "  verifying " + string(p.Stage))
}

func (s *shell) printVerified(params *chain.Params, r *chain.VerifyReport, took time.Duration, asJSON bool) error {
	tip := r.UTXO.Tip
	if asJSON {
		return printJSON(s.out, verifyJSON{
			Network: params.ID(), Height: tip.Height, Tip: tip.Hash, Chainwork: tip.Work,
			SideBlocks: r.SideBlocks, UndoRecords: r.UndoRecords,
			Outputs: r.UTXO.Outputs, Value: r.UTXO.Value, UTXOHash: r.UTXO.Hash, Scripts: r.Scripts, Seconds: took.Seconds(),
		})
	}
	what := "blocks, undo records, unspent outputs; no scripts"
	if r.Scripts {
		what = "blocks, scripts, undo records, unspent outputs"
	}
	return table(s.out, func(line func(string, ...any)) {
		line("network\t%s", params.ID())
		line("tip\t%d  %s", tip.Height, tip.Hash)
		line("chainwork\t%s", tip.Work)
		line("blocks\t%d, %d beside the main chain, %s", r.Blocks, r.SideBlocks, about(r.Bytes))
		line("unspent\t%d outputs, %s coins", r.UTXO.Outputs, chain.FormatCoins(r.UTXO.Value))
		line("utxo hash\t%s", r.UTXO.Hash)
		line("verified\t%s, in %v", what, took.Round(time.Millisecond))
	})
}
