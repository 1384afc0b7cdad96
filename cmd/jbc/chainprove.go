package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/hashing"
)

// chainProveFlags are the flags of jbc chain prove.
type chainProveFlags struct {
	dir           chainDirFlags
	block, output string
}

func newChainProve(s *shell) *cobra.Command {
	f := chainProveFlags{dir: chainDirFlags{indexes: chain.IndexTransactions}}
	cmd := &cobra.Command{
		Use:   "prove TXID",
		Short: "Prove to whoever has the headers that a block has a transaction",
		Long: "Write a proof that a block of the main chain has a transaction: a few hundred bytes\n" +
			"that jbc chain verify-proof holds against the chain's headers alone. Without --block\n" +
			"the index finds it that jbc chain index --tx builds, or the chain is searched, from its\n" +
			"tip down. No coordinator may use the directory meanwhile.",
		Example: "  jbc chain prove f4184fc5... --block 170 --output proof.json\n  jbc chain export --headers headers.bin\n  jbc chain verify-proof proof.json --headers headers.bin",
		Args:    exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := hashing.ParseHash(strings.TrimSpace(args[0]))
			if err != nil {
				return usageError(fmt.Errorf("transaction: %w", err), "usage: "+cmd.UseLine())
			}
			return f.prove(cmd.Context(), s, id)
		},
	}
	f.dir.add(cmd)
	cmd.Flags().StringVar(&f.block, "block", "", "`height` or hash of the block that has it (default: search)")
	cmd.Flags().StringVarP(&f.output, "output", "o", "-", "`file` to write, \"-\" for standard output")
	return cmd
}

func (f *chainProveFlags) prove(ctx context.Context, s *shell, id hashing.Hash) (err error) {
	params, err := f.dir.params()
	if err != nil {
		return err
	}
	dir, err := f.dir.open(s, params)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	block, err := f.find(ctx, s, dir, id)
	if err != nil {
		return err
	}
	proof, err := dir.chain.Prove(id, block)
	switch {
	case errors.Is(err, chain.ErrNotInBlock):
		return withHint(err, "leave --block out to have the chain searched")
	case errors.Is(err, chain.ErrSideBlock):
		return withHint(err, "leave --block out to have the main chain searched")
	case err != nil:
		return explainStore(err)
	}
	return writeOut(s.out, f.output, func(w io.Writer) error {
		_, err := w.Write(proof.Encode())
		return err
	})
}

// find returns the block that --block names, or that has the transaction.
func (f *chainProveFlags) find(ctx context.Context, s *shell, dir *dataDir, id hashing.Hash) (block hashing.Hash, err error) {
	if f.block != "" {
		entry, err := dir.entry(f.block)
		return entry.Hash, err
	}
	var at atomic.Uint32
	tip := dir.chain.Tip().Height
	at.Store(tip)
	describe := func(elapsed time.Duration) string {
		return fmt.Sprintf("%s  looking at height %d", bar(int64(tip-at.Load()), int64(tip)+1, elapsed), at.Load())
	}
	err = s.showWork(describe, func() (err error) {
		block, err = dir.chain.FindTransaction(ctx, id, at.Store)
		return err
	})
	switch {
	case errors.Is(err, context.Canceled):
		return block, fmt.Errorf("%w at height %d: not found above", errInterrupted, at.Load())
	case errors.Is(err, chain.ErrNotInBlock):
		return block, withHint(err, "is that its id, and is it on this network's main chain?")
	}
	return block, explainStore(err)
}

// entry returns the block of a height of the main chain, or of a hash.
func (d *dataDir) entry(at string) (chain.Entry, error) {
	at = strings.TrimSpace(at)
	tip := d.chain.Tip()
	var hash hashing.Hash
	if height, err := strconv.ParseUint(at, 10, 32); err == nil {
		var ok bool
		if hash, ok = d.chain.HashAtHeight(uint32(height)); !ok {
			return chain.Entry{}, withHint(fmt.Errorf("no block at height %d", height), fmt.Sprintf("the tip is at height %d", tip.Height))
		}
	} else if hash, err = hashing.ParseHash(at); err != nil {
		return chain.Entry{}, usageError(fmt.Errorf("block %.70q: want a height, or a hash of 64 hex digits", at), "")
	}
	entry, ok := d.chain.Lookup(hash)
	if !ok {
		return entry, withHint(fmt.Errorf("no block %s", hash), fmt.Sprintf("the tip is at height %d, %s", tip.Height, tip.Hash))
	}
	return entry, nil
}
