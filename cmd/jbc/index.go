package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/hashing"
)

// indexFlag is the indexes that a flag names: "tx,address".
type indexFlag chain.IndexSet

// Set implements pflag.Value.
func (f *indexFlag) Set(text string) error {
	set, err := chain.ParseIndexSet(text)
	*f = indexFlag(set)
	return err
}

// String implements pflag.Value.
func (f *indexFlag) String() string { return chain.IndexSet(*f).String() }

// Type implements pflag.Value.
func (*indexFlag) Type() string { return "names" }

// commandLineOnly marks flags whose names mean something else in a configuration file.
const commandLineOnly = "command-line-only"

func markCommandLineOnly(flags *pflag.FlagSet, names ...string) {
	for _, name := range names {
		if err := flags.SetAnnotation(name, commandLineOnly, []string{"true"}); err != nil {
			panic("jbc: " + err.Error()) // no such flag: a mistake of the caller's
		}
	}
}

// chainIndexFlags are the flags of jbc chain index.
type chainIndexFlags struct {
	dir         chainDirFlags
	tx, address bool
	drop        indexFlag
	json        bool
}

func newChainIndex(s *shell) *cobra.Command {
	var f chainIndexFlags
	cmd := &cobra.Command{
		Use:   "index",
		Short: "Build indexes of transactions and addresses, drop them, or show how far they are",
		Long: "Build the indexes that jbc chain tx and jbc chain address need, to the tip, from where\n" +
			"they are; drop what one has; and show how far each is. An index stays where it is until\n" +
			"it is built again: to keep one at the tip always, start jbc coordinator with --index. No\n" +
			"coordinator may use the directory meanwhile.",
		Example: "  jbc chain index\n  jbc chain index --tx --address\n  jbc chain index --drop address",
		Args:    exactArgs(0),
		RunE:    func(cmd *cobra.Command, _ []string) error { return f.run(cmd.Context(), s) },
	}
	f.dir.add(cmd)
	flags := cmd.Flags()
	flags.BoolVar(&f.tx, "tx", false, "build the index of transactions by id")
	flags.BoolVar(&f.address, "address", false, "build the index of addresses and other scripts")
	flags.Var(&f.drop, "drop", "drop indexes: tx, address or both with a comma")
	markCommandLineOnly(flags, "tx", "address", "drop")
	flags.BoolVar(&f.json, "json", false, "print JSON")
	return cmd
}

func (f *chainIndexFlags) run(ctx context.Context, s *shell) (err error) {
	drop := chain.IndexSet(f.drop)
	if f.tx {
		f.dir.indexes |= chain.IndexTransactions
	}
	if f.address {
		f.dir.indexes |= chain.IndexAddresses
	}
	if both := f.dir.indexes & drop; both != 0 {
		return usageError(fmt.Errorf("index %s is to be built and to be dropped", both), "give one of them; to build it anew drop it first")
	}
	params, err := f.dir.params()
	if err != nil {
		return err
	}
	dir, err := f.dir.open(s, params)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	if drop != 0 {
		if err := dir.chain.DropIndex(drop); err != nil {
			return explainStore(err)
		}
	}
	if err := s.showIndexing(ctx, dir.chain, f.dir.indexes); err != nil {
		return err
	}
	states, err := dir.chain.Indexes()
	if err != nil {
		return explainStore(err)
	}
	return s.printIndexes(states, dir.chain.Tip(), f.json)
}

// showIndexing builds the indexes that are on, and shows how far it is.
func (s *shell) showIndexing(ctx context.Context, c *chain.Chain, on chain.IndexSet) error {
	var latest atomic.Pointer[chain.IndexProgress]
	latest.Store(&chain.IndexProgress{Indexes: on, Tip: c.Tip().Height})
	err := s.showWork(func(elapsed time.Duration) string {
		p := latest.Load()
		return fmt.Sprintf("%s  index %s at height %d of %d", bar(int64(p.Height), int64(p.Tip), elapsed), p.Indexes, p.Height, p.Tip)
	}, func() error {
		return c.BuildIndexes(ctx, func(p chain.IndexProgress) { latest.Store(&p) })
	})
	if errors.Is(err, context.Canceled) {
		return withHint(fmt.Errorf("%w: index %s is at height %d", errInterrupted, latest.Load().Indexes, latest.Load().Height), "the same command goes on from there")
	}
	return explainStore(err)
}

// indexInfo is the state of an index as programs read it.
type indexInfo struct {
	Index  string        `json:"index"`
	Built  bool          `json:"built"` // it has something
	Height uint32        `json:"height"`
	Hash   *hashing.Hash `json:"hash,omitempty"` // of the block that it is at
	Main   bool          `json:"main"`           // that block is on the main chain
	Tip    uint32        `json:"tip"`
}

func (s *shell) printIndexes(states []chain.IndexState, tip chain.Tip, asJSON bool) error {
	if asJSON {
		infos := []indexInfo{}
		for _, x := range states {
			info := indexInfo{Index: x.Index.String(), Built: x.Any, Height: x.At.Height, Main: x.Main, Tip: tip.Height}
			if x.Any {
				info.Hash = &x.At.Hash
			}
			infos = append(infos, info)
		}
		return printJSON(s.out, infos)
	}
	return table(s.out, func(line func(format string, args ...any)) {
		line("INDEX\tSTATE")
		for _, x := range states {
			line("%s\t%s", x.Index, describeIndex(x, tip))
		}
	})
}

func describeIndex(x chain.IndexState, tip chain.Tip) string {
	switch {
	case !x.Any:
		return "not built"
	case x.At.Hash == tip.Hash:
		return fmt.Sprintf("at the tip, height %d", tip.Height)
	case !x.Main:
		return fmt.Sprintf("at height %d of %d, on a block that has left the main chain", x.At.Height, tip.Height)
	}
	return fmt.Sprintf("at height %d of %d", x.At.Height, tip.Height)
}

// buildIndexes takes the indexes that are on to the tip, beside what else uses the
// chain, until ctx ends. A fault that the rest can go on with ends the build alone:
// questions are answered then with how far it came.
func buildIndexes(ctx context.Context, c *chain.Chain, log *slog.Logger) {
	begin, said := time.Now(), time.Time{}
	err := c.BuildIndexes(ctx, func(p chain.IndexProgress) {
		if now := time.Now(); now.Sub(said) >= firstReport {
			said = now
			log.Info("building indexes", "index", p.Indexes, "height", p.Height, "tip", p.Tip)
		}
	})
	switch {
	case errors.Is(err, context.Canceled):
	case err != nil:
		log.Error("building indexes", "err", err)
	case !said.IsZero():
		log.Info("indexes are at the tip", "took", time.Since(begin).Round(time.Millisecond))
	}
}

// explainIndex adds to an error of a question to an index what to try.
func explainIndex(err error) error {
	var behind *chain.IndexBehindError
	if errors.As(err, &behind) {
		return withHint(err, fmt.Sprintf("jbc chain index --%s builds it", behind.Name))
	}
	return explainStore(err)
}
