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
		Short: "Look at a chain, check it, write it to a file or take it from one",
		Args:  noSuchCommand,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newChainIndex(s), newChainTx(s), newChainAddress(s))
	cmd.AddCommand(newChainShow(s), newChainVerify(s), newChainExport(s), newChainImport(s),
		newChainProve(s), newChainVerifyProof(s), newChainGenerate(s))
	return cmd
}

func newChainShow(s *shell) *cobra.Command {
	var (
		f       observerFlags
		dir     chainDirFlags
		offline bool
	)
	cmd := &cobra.Command{
		Use:   "show HEIGHT|HASH",
		Short: "Show one block",
		Long: "Show one block of a running coordinator. With --offline or --data-dir it comes from a\n" +
			"data directory, with all its transactions, and no coordinator may use that meanwhile.",
		Example: "  jbc chain show 0\n  jbc chain show 1a2b...\n  jbc chain show 170 --offline --network bitcoin",
		Args: func(cmd *cobra.Command, args []string) error {
			// Here only the command line has set flags: the data directory of a
			// configuration is no wish to look into it.
			offline = offline || cmd.Flags().Changed("data-dir")
			return exactArgs(1)(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if offline {
				dir.network = f.network
				return dir.showOffline(s, args[0], f.json)
			}
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
	cmd.Flags().BoolVar(&offline, "offline", false, "show the block of a data directory, with its transactions")
	cmd.Flags().StringVar(&dir.dataDir, "data-dir", "", "`directory` of the chain, for --offline (default $XDG_DATA_HOME/jbc/NETWORK)")
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
