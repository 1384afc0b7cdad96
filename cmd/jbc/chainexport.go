package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/chain/store"
	"github.com/jbcnet/jbc/hashing"
)

// chainExportFlags are the flags of jbc chain export.
type chainExportFlags struct {
	dir         chainDirFlags
	from, to    uint32
	folder      bool // --json is given on the command line
	toTip       bool // --to is not given
	anyNetwork  bool // --network is not given
	headers     bool
	json        string
	follow      bool
	coordinator string
	route       routeFlags
}

func newChainExport(s *shell) *cobra.Command {
	var f chainExportFlags
	cmd := &cobra.Command{
		Use:   "export FILE | --json DIR",
		Short: "Write the main chain to a file, or to a folder that people can read",
		Long: "Write the main chain to a block file, which jbc chain import and Bitcoin's nodes read,\n" +
			"or with --json to a folder of one readable file a block. FILE \"-\" is standard output.\n" +
			"A file is there whole or not at all. No coordinator may use the directory meanwhile.\n\n" +
			"With --follow the blocks come from a running coordinator instead, until Ctrl-C, as they\n" +
			"are found: without their transactions, which a later jbc chain export --json adds.",
		Example: "  jbc chain export blocks.dat\n  jbc chain export --headers headers.bin --from 1000\n  jbc chain export --json blocks\n  jbc chain export --json blocks --follow",
		Args: func(cmd *cobra.Command, args []string) error {
			// Looked at here, where only the command line has set flags: --json means
			// something else to other commands.
			flags := cmd.Flags()
			f.folder = flags.Changed("json")
			switch {
			case !f.folder && f.follow:
				return usageError(errors.New("--follow without --json"), "only a folder can be followed: --json DIR --follow")
			case !f.folder:
				return exactArgs(1)(cmd, args)
			case f.json == "" || len(args) > 0:
				return usageError(errors.New("--json takes a folder, and no file besides"), "usage: "+cmd.UseLine())
			case f.headers:
				return usageError(errors.New("--headers and --json are both given"), "--headers writes a file of raw headers")
			case f.follow && flags.Changed("to"):
				return usageError(errors.New("--to and --follow are both given"), "--follow has no end")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			f.toTip, f.anyNetwork = !cmd.Flags().Changed("to"), !cmd.Flags().Changed("network")
			switch {
			case !f.folder:
				return f.exportFile(cmd.Context(), s, args[0])
			case f.follow:
				return f.followJSON(cmd.Context(), s)
			default:
				return f.exportJSON(cmd.Context(), s)
			}
		},
	}
	f.dir.add(cmd)
	flags := cmd.Flags()
	flags.Uint32Var(&f.from, "from", 0, "first `height`")
	flags.Uint32Var(&f.to, "to", 0, "last `height` (default the tip's)")
	flags.Lookup("to").DefValue = "" // it depends on the chain
	flags.BoolVar(&f.headers, "headers", false, "write the 80-byte headers alone, one after the other")
	flags.StringVar(&f.json, "json", "", "`folder` to write one readable file a block to")
	flags.BoolVar(&f.follow, "follow", false, "keep the folder up to date with a running coordinator, until Ctrl-C")
	flags.StringVar(&f.coordinator, "coordinator", "", "`name` of the coordinator to follow (default the one that is there)")
	f.route.add(cmd)
	return cmd
}

// open opens the chain and returns the heights to export.
func (f *chainExportFlags) open(s *shell) (dir *dataDir, params *chain.Params, to uint32, err error) {
	if params, err = f.dir.params(); err != nil {
		return nil, nil, 0, err
	}
	if dir, err = f.dir.open(s, params); err != nil {
		return nil, nil, 0, err
	}
	tip := dir.chain.Tip().Height
	if to = f.to; f.toTip {
		to = tip
	}
	switch {
	case f.from > tip || to > tip:
		err = usageError(fmt.Errorf("no block at height %d, the tip is at %d", max(f.from, to), tip), "--from and --to take heights of the chain")
	case f.from > to:
		err = usageError(fmt.Errorf("--from %d is above --to %d", f.from, to), "--from comes first")
	}
	if err != nil {
		return nil, nil, 0, errors.Join(err, dir.Close())
	}
	return dir, params, to, nil
}

// exportFile writes a block file, or the headers.
func (f *chainExportFlags) exportFile(ctx context.Context, s *shell, name string) (err error) {
	dir, params, to, err := f.open(s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	write := func(w io.Writer, raw []byte) error { return params.WriteBlock(w, raw) }
	if f.headers {
		write = func(w io.Writer, raw []byte) error {
			_, err := w.Write(raw[:hashing.HeaderSize])
			return err
		}
	}
	var done atomic.Int64
	total := int64(to-f.from) + 1
	describe := func(elapsed time.Duration) string {
		return bar(done.Load(), total, elapsed) + "  " + perSecond(done.Load(), elapsed) + " blocks"
	}
	err = s.showWork(describe, func() error {
		return writeOut(s.out, name, func(w io.Writer) error {
			return eachBlock(ctx, dir, f.from, to, func(raw []byte) error {
				done.Add(1)
				return write(w, raw)
			})
		})
	})
	if errors.Is(err, context.Canceled) {
		return fmt.Errorf("%w: nothing was written to %s", errInterrupted, name)
	}
	if err == nil && name != "-" {
		fmt.Fprintf(s.out, "wrote %d blocks, heights %d to %d, to %s\n", total, f.from, to, name)
	}
	return explainStore(err)
}

// eachBlock calls visit for the main chain's blocks from one height to another.
func eachBlock(ctx context.Context, dir *dataDir, from, to uint32, visit func(raw []byte) error) error {
	for height := uint64(from); height <= uint64(to); height++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		hash, _ := dir.chain.HashAtHeight(uint32(height))
		raw, err := dir.chain.RawBlock(hash)
		switch {
		case errors.Is(err, store.ErrNotFound):
			return dir.damaged(uint32(height), "its bytes are missing")
		case err != nil:
			return err
		}
		if got := hashing.Sum256d(raw[:min(len(raw), hashing.HeaderSize)]); got != hash {
			return dir.damaged(uint32(height), fmt.Sprintf("its bytes are those of block %s", got))
		}
		if err := visit(raw); err != nil {
			return err
		}
	}
	return nil
}

// damaged says that a block of the main chain is not as it was written.
func (d *dataDir) damaged(height uint32, what string) error {
	hash, _ := d.chain.HashAtHeight(height)
	return &store.DamageError{Dir: d.store.Dir(), Where: fmt.Sprintf("block %s at height %d", hash, height), What: what}
}

// writeOut has a file written, which is there whole or as it was before; "-" is out.
// What is no regular file, as a pipe, is written to as it is.
func writeOut(out io.Writer, name string, write func(io.Writer) error) error {
	buffered := func(w io.Writer) error {
		b := bufio.NewWriterSize(w, 1<<20)
		if err := write(b); err != nil {
			return err
		}
		return b.Flush()
	}
	if name == "-" {
		return buffered(out)
	}
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() {
		file, err := os.OpenFile(name, os.O_WRONLY, 0)
		if err != nil {
			return explainOutput(err)
		}
		return errors.Join(buffered(file), file.Close())
	}
	return replaceFile(name, buffered, true)
}

// replaceFile has a file written beside the one of that name, then puts it in its
// place: on disk too, where synced.
func replaceFile(name string, write func(io.Writer) error, synced bool) (err error) {
	dir, base := filepath.Split(name)
	fresh := filepath.Join(dir, "."+base+".new")
	file, err := os.OpenFile(fresh, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644) //nolint:gosec // G302: a chain is no secret
	if err != nil {
		return explainOutput(err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(fresh))
		}
	}()
	err = write(file)
	if err == nil && synced {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	if err := os.Rename(fresh, name); err != nil {
		return explainOutput(err)
	}
	if synced {
		return syncDir(dir)
	}
	return nil
}

// syncDir has the names in a directory on disk.
func syncDir(path string) error {
	dir, err := os.Open(filepath.Clean(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

func explainOutput(err error) error {
	return withHint(fmt.Errorf("output: %w", err), "name a file in a directory that is there and can be written")
}
