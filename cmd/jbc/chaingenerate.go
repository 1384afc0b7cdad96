package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/spf13/cobra"

	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/chain/store"
	"github.com/jbcnet/jbc/hashing"
)

// maxGenerate is the most blocks that one command makes.
const maxGenerate = 10_000_000

// chainGenerateFlags are the flags of jbc chain generate.
type chainGenerateFlags struct {
	dir                     chainDirFlags
	parent, address, at, to string
	spacing                 time.Duration
	json                    bool
}

// generatedJSON is what was generated, for programs.
type generatedJSON struct {
	Network   string       `json:"network"`
	Blocks    int          `json:"blocks"`
	Parent    hashing.Hash `json:"parent"` // of the first
	Last      hashing.Hash `json:"last"`
	Height    uint32       `json:"height"` // of the last
	Main      bool         `json:"main"`   // the last lies on the main chain
	Tip       hashing.Hash `json:"tip"`
	TipHeight uint32       `json:"tip_height"`
	Seconds   float64      `json:"seconds"`
}

func newChainGenerate(s *shell) *cobra.Command {
	var f chainGenerateFlags
	cmd := &cobra.Command{
		Use:   "generate N",
		Short: "Make blocks at will, on a network whose difficulty is fixed",
		Long: "Make N blocks on top of each other and take them into a data directory, on regtest or\n" +
			"another network whose difficulty is fixed: for tests of what comes on top. They go on\n" +
			"the tip, or with --parent on any block: a branch with more work than the main chain\n" +
			"takes its place. With --blocks they go to a block file instead, for jbc chain import.\n" +
			"One core mines. No coordinator may use the directory meanwhile.",
		Example: "  jbc chain generate 101 --network regtest\n  jbc chain generate 3 --network regtest --parent 99\n  jbc chain generate 6 --network regtest --parent 99 --address bcrt1q... --blocks branch.dat",
		Args:    exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			n, err := strconv.ParseUint(args[0], 10, 32)
			if err != nil || n == 0 || n > maxGenerate {
				return usageError(fmt.Errorf("%.40q blocks: want 1 to %d", args[0], maxGenerate), "usage: "+cmd.UseLine())
			}
			return f.run(cmd.Context(), s, int(n))
		},
	}
	f.dir.add(cmd)
	flags := cmd.Flags()
	flags.StringVar(&f.parent, "parent", "", "`height` or hash of the block that the first goes on (default the tip)")
	flags.StringVar(&f.address, "address", "", "`address` that the blocks pay to (default the key of the data directory)")
	flags.StringVar(&f.at, "time", "", "`time` of the first block, as 2026-11-20T12:00:00Z or now (default one --spacing after its parent's)")
	flags.DurationVar(&f.spacing, "spacing", time.Second, "time from one block to the next, whole seconds; 0: as close as the rules allow")
	flags.StringVar(&f.to, "blocks", "", "block `file` to write, \"-\" for standard output; the data directory stays as it is")
	markCommandLineOnly(flags, "time")
	flags.BoolVar(&f.json, "json", false, "print JSON")
	return cmd
}

func (f *chainGenerateFlags) run(ctx context.Context, s *shell, n int) (err error) {
	params, err := f.dir.params()
	if err != nil {
		return err
	}
	if params.Schedule != chain.ScheduleNone {
		return explainGenerate(fmt.Errorf("network %s: %w", params.ID(), chain.ErrGenerate))
	}
	opts, err := f.options()
	if err != nil {
		return err
	}
	dir, err := f.open(s, params)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	if opts.Template.PayScript, _, err = dir.payScript(params, f.address); err != nil {
		return err
	}
	parent, err := f.parentIn(dir)
	if err != nil {
		return err
	}
	g := &generation{dir: dir, params: params, parent: parent, n: n, now: time.Now(), opts: opts}
	describe := func(elapsed time.Duration) string {
		return bar(g.done.Load(), int64(n), elapsed) + "  " + perSecond(g.done.Load(), elapsed) + " blocks"
	}
	err = s.showWork(describe, func() error {
		if f.to != "" {
			return g.write(ctx, s.out, f.to)
		}
		return g.accept(ctx)
	})
	switch tip := dir.chain.Tip(); {
	case errors.Is(err, context.Canceled) && f.to != "":
		return fmt.Errorf("%w: nothing was written to %s", errInterrupted, f.to)
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("%w after %d blocks: the tip is at height %d", errInterrupted, g.made, tip.Height)
	case err != nil:
		return explainGenerate(err)
	}
	return f.print(s, g, time.Since(g.now))
}

// options checks what the flags say but for who is paid.
func (f *chainGenerateFlags) options() (opts chain.GenerateOptions, err error) {
	if f.spacing < 0 || f.spacing%time.Second != 0 {
		return opts, usageError(fmt.Errorf("spacing %v: want whole seconds", f.spacing), "--spacing takes a time such as 1s or 10m, or 0")
	}
	opts.Spacing = f.spacing
	switch f.at {
	case "":
	case "now":
		opts.Start = time.Now()
	default:
		if opts.Start, err = time.Parse(time.RFC3339, f.at); err != nil {
			return opts, usageError(fmt.Errorf("time %.40q", f.at), "--time takes one such as 2026-11-20T12:00:00Z, or now")
		}
	}
	if f.to != "" && f.address == "" {
		return opts, usageError(errors.New("--blocks without --address"), "the key in the data directory is for what goes there: name an address")
	}
	opts.Template.Miner = "jbc chain generate"
	rand.Read(opts.Template.Tag[:]) // never fails
	return opts, nil
}

// open opens the directory and begins a chain where there is none; for a block file
// that chain is in memory.
func (f *chainGenerateFlags) open(s *shell, params *chain.Params) (*dataDir, error) {
	if f.to == "" {
		return f.dir.make(s, params)
	}
	path, err := f.dir.path(s, params)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(path, chainDir)); !errors.Is(err, fs.ErrNotExist) {
		return f.dir.open(s, params)
	}
	st, err := store.Open(store.Options{Dir: chainDir, Network: params.ID(), FS: vfs.NewMem()})
	if err != nil {
		return nil, err
	}
	ch, err := chain.Open(st, params, chain.Options{})
	if err != nil {
		return nil, errors.Join(err, st.Close())
	}
	return &dataDir{path: path, store: st, chain: ch}, nil
}

// parentIn returns the block that the first one goes on.
func (f *chainGenerateFlags) parentIn(dir *dataDir) (chain.Entry, error) {
	if f.parent == "" {
		return dir.entry(dir.chain.Tip().Hash.String())
	}
	return dir.entry(f.parent)
}

// generation is one run of jbc chain generate.
type generation struct {
	dir    *dataDir
	params *chain.Params
	parent chain.Entry
	n      int
	now    time.Time
	opts   chain.GenerateOptions

	done atomic.Int64 // blocks that were mined
	made int          // those that were taken in or written
	last hashing.Hash // of all
}

// each calls visit with every block.
func (g *generation) each(ctx context.Context, visit func(raw []byte, err error) bool) {
	for b, err := range g.dir.chain.Generate(ctx, g.parent.Hash, g.n, g.now, g.opts) {
		if err != nil {
			visit(nil, err)
			return
		}
		g.done.Add(1)
		g.last = b.Hash()
		if !visit(b.Encode(), nil) {
			return
		}
	}
}

// accept takes the blocks in.
func (g *generation) accept(ctx context.Context) error {
	blocks := func(yield func([]byte, error) bool) { g.each(ctx, yield) }
	did, err := g.dir.chain.Import(ctx, blocks, g.now, nil)
	g.made = did.Blocks
	return err
}

// write puts the blocks into a block file.
func (g *generation) write(ctx context.Context, out io.Writer, name string) error {
	return writeOut(out, name, func(w io.Writer) (failed error) {
		g.each(ctx, func(raw []byte, err error) bool {
			if failed = err; failed == nil {
				failed = g.params.WriteBlock(w, raw)
				g.made++
			}
			return failed == nil
		})
		return failed
	})
}

func explainGenerate(err error) error {
	switch {
	case errors.Is(err, chain.ErrGenerate):
		return usageError(err, "take --network regtest, or a network file made with jbc network new NAME --half-life 0")
	case errors.Is(err, chain.RuleTimeTooNew):
		return withHint(err, "other nodes would not take it yet: choose an earlier --time, or a smaller --spacing")
	}
	return explainStore(err)
}

func (f *chainGenerateFlags) print(s *shell, g *generation, took time.Duration) error {
	tip, height := g.dir.chain.Tip(), g.parent.Height+uint32(g.n)
	out := s.out
	if f.to == "-" {
		out = s.err // the blocks are in the other
	}
	if f.json {
		return printJSON(out, generatedJSON{
			Network: g.params.ID(), Blocks: g.n, Parent: g.parent.Hash, Last: g.last, Height: height,
			Main: g.dir.chain.IsMain(g.last), Tip: tip.Hash, TipHeight: tip.Height, Seconds: took.Seconds(),
		})
	}
	return table(out, func(line func(string, ...any)) {
		line("generated\t%d blocks, heights %d to %d, in %v (%s)", g.n, g.parent.Height+1, height, took.Round(time.Millisecond), perSecond(int64(g.n), took))
		line("last\t%d  %s", height, g.last)
		line("tip\t%d  %s", tip.Height, tip.Hash)
	})
}
