package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/jbcnet/jbc/coordinator/protocol"
)

func newChain(s *shell) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "chain",
		Short: "Look at the chain of a running coordinator",
		Args:  noSuchCommand,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newChainShow(s))
	return cmd
}

func newChainShow(s *shell) *cobra.Command {
	var f observerFlags
	cmd := &cobra.Command{
		Use:     "show HEIGHT|HASH",
		Short:   "Show one block",
		Example: "  jbc chain show 0\n  jbc chain show 1a2b...",
		Args:    exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o, err := f.open(cmd.Context(), s)
			if err != nil {
				return err
			}
			defer o.close()
			get := protocol.Get{Ask: protocol.Ask{Kind: protocol.KindBlock}, At: strings.TrimSpace(args[0])}
			var got protocol.BlockReply
			err = o.ask(cmd.Context(), &get, &got)
			switch {
			case errors.Is(err, protocol.NotFound):
				return withHint(err, "jbc status shows the tip")
			case errors.Is(err, protocol.Malformed):
				return usageError(err, "usage: "+cmd.UseLine())
			case err != nil:
				return err
			}
			if f.json {
				return printJSON(s.out, got.Block)
			}
			return s.printBlock(got.Block)
		},
	}
	f.add(cmd)
	return cmd
}

func (s *shell) printBlock(b *protocol.BlockInfo) error {
	place := "on the best chain"
	if !b.Main {
		place = "a side block"
	}
	_, err := fmt.Fprintf(s.out, "height     %d (%s)\nhash       %s\nprev       %s\ntime       %s\nminer      %s\ndata       %s\naddress    %s\nchainwork  %s\nheader     %s\n",
		b.Height, place, b.Hash, b.Prev, time.Unix(int64(b.Time), 0).UTC().Format(time.RFC3339),
		b.Miner, b.Data, b.Address, b.Chainwork, b.Header)
	return err
}
