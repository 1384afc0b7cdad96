package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/jbcnet/jbc/chain"
)

// networkUsage says what --network takes where the chain is kept.
const networkUsage = "dev, main, regtest or the `file` of a network (jbc network new)"

func newNetwork(s *shell) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "network",
		Short: "Make a network of your own, or look at one",
		Args:  noSuchCommand,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newNetworkNew(s), newNetworkShow(s))
	return cmd
}

// networkByName returns the network that --network asks for: a built-in one, or
// that of a file.
func networkByName(text string) (*chain.Params, error) {
	if isNetworkFile(text) {
		return readNetwork(text)
	}
	params, err := chain.ByName(text)
	if err != nil {
		return nil, usageError(err, "--network takes one of those, or the path of a network file (jbc network new)")
	}
	return params, nil
}

// wantedNetwork returns the name or id of the network that an observer or a worker
// asks for: what is given, or the id of a file's.
func wantedNetwork(text string) (string, error) {
	if !isNetworkFile(text) {
		return text, nil
	}
	params, err := readNetwork(text)
	if err != nil {
		return "", err
	}
	return params.ID(), nil
}

// isNetworkFile says whether --network is given a path and no name.
func isNetworkFile(text string) bool {
	return strings.ContainsRune(text, '/') || strings.ContainsRune(text, os.PathSeparator) || strings.HasSuffix(text, ".json")
}

func readNetwork(path string) (*chain.Params, error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, usageError(fmt.Errorf("no network file at %s", path), "jbc network new NAME makes one")
	}
	if err != nil {
		return nil, usageError(fmt.Errorf("network file: %w", err), "--network takes a name, or the path of a file that can be read")
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, chain.MaxNetworkFile+1))
	if err != nil {
		return nil, usageError(fmt.Errorf("network file: %w", err), "--network takes a name, or the path of a file that can be read")
	}
	params, err := chain.ParseNetwork(data)
	switch {
	case errors.Is(err, chain.ErrNetworkChanged):
		return nil, usageError(fmt.Errorf("%s: %w", path, err), "take the file as it was made; other parameters are another network: jbc network new")
	case err != nil:
		return nil, usageError(fmt.Errorf("%s: %w", path, err), "jbc network new makes such files; get an unchanged copy of this one")
	}
	return params, nil
}

// networkDir returns the name of a network's directory: that of a built-in one, and
// the id of any other, since names are anybody's.
func networkDir(params *chain.Params) string {
	if builtIn, err := chain.ByName(params.Name); err == nil && builtIn.ID() == params.ID() {
		return params.Name
	}
	return params.ID()
}
