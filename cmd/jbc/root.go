package main

import (
	"fmt"
	"io"
	"log/slog"

	"github.com/knadh/koanf/v2"
	"github.com/spf13/cobra"
)

// shell is what every command of one run shares.
type shell struct {
	out, err io.Writer
	environ  []string // as os.Environ returns it

	// Set before a command runs.
	conf *koanf.Koanf // file and environment; flags have taken their values from it already
	log  *slog.Logger
}

// newRoot returns the command tree.
func newRoot(s *shell) *cobra.Command {
	root := &cobra.Command{
		Use:   "jbc",
		Short: "Mine a proof-of-work chain with a farm of machines",
		Args:  noSuchCommand,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },

		SilenceErrors:     true, // report prints them
		SilenceUsage:      true,
		DisableAutoGenTag: true,

		SuggestionsMinimumDistance: 2,
	}
	root.SetOut(s.out)
	root.SetErr(s.err)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError(err, cmd.CommandPath()+" --help lists the flags")
	})
	root.PersistentFlags().String("config", "", "configuration `file` (default $XDG_CONFIG_HOME/jbc/config.toml, if there)")
	logLevel := root.PersistentFlags().String("log-level", "info", "trace, debug, info, warn or error")
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		if cmd.Name() == "help" || cmd.Name() == cobra.ShellCompRequestCmd || cmd.Name() == cobra.ShellCompNoDescRequestCmd {
			return nil
		}
		if err := s.configure(cmd); err != nil {
			return err
		}
		log, err := newLogger(s.err, *logLevel, s.env("NO_COLOR") != "")
		s.log = log
		return err
	}
	root.AddCommand(
		newCoordinator(s),
		newWorker(s),
		newJoin(s),
		newToken(s),
		newNATSConfig(s),
		newStatus(s),
		newNodes(s),
		newRace(s),
		newChain(s),
		newNetwork(s),
		newScan(s),
		newKernels(s),
		newDevices(s),
		newBench(s),
		newVersion(s),
	)
	return root
}

func noSuchCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	hint := cmd.CommandPath() + " --help lists the commands"
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		hint = fmt.Sprintf("did you mean %s %s?", cmd.CommandPath(), near[0])
	}
	return usageError(fmt.Errorf("no command %q", args[0]), hint)
}

// exactArgs wants n arguments, named by the command's usage line.
func exactArgs(n int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == n {
			return nil
		}
		return usageError(fmt.Errorf("%s takes %d argument(s), got %d", cmd.CommandPath(), n, len(args)), "usage: "+cmd.UseLine())
	}
}
