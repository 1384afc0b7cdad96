package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/chain/store"
)

// chainDirFlags say which chain a command works on that needs no coordinator, and
// that none may use meanwhile.
type chainDirFlags struct {
	network, dataDir string
	cache            size
	indexes          chain.IndexSet // to have on while it is open
}

// cacheUsage says what --cache is wherever the chain is kept.
const cacheUsage = "memory for unspent outputs, as in 64MiB or 1GiB"

func (f *chainDirFlags) add(cmd *cobra.Command) {
	f.cache = chain.DefaultCacheBytes
	flags := cmd.Flags()
	flags.StringVar(&f.network, "network", "dev", "network of the chain: "+networkUsage)
	flags.StringVar(&f.dataDir, "data-dir", "", "`directory` of the chain (default $XDG_DATA_HOME/jbc/NETWORK)")
	flags.Var(&f.cache, "cache", cacheUsage)
}

// params returns the network.
func (f *chainDirFlags) params() (*chain.Params, error) { return networkByName(f.network) }

// make opens the chain, and begins one where there is none.
func (f *chainDirFlags) make(s *shell, params *chain.Params) (*dataDir, error) {
	path, err := f.path(s, params)
	if err != nil {
		return nil, err
	}
	return openDataDir(path, params, chain.Options{Logger: s.log, CacheBytes: max(1, int64(f.cache)), Indexes: f.indexes})
}

// open opens a chain that is there.
func (f *chainDirFlags) open(s *shell, params *chain.Params) (*dataDir, error) {
	path, err := f.path(s, params)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(path, chainDir)); errors.Is(err, fs.ErrNotExist) {
		return nil, withHint(fmt.Errorf("no chain of network %s at %s", params.ID(), path),
			"--network and --data-dir say where it is; jbc coordinator and jbc chain import begin one")
	}
	return f.make(s, params)
}

func (f *chainDirFlags) path(s *shell, params *chain.Params) (string, error) {
	if f.dataDir != "" {
		return f.dataDir, nil
	}
	return s.dataPath(networkDir(params))
}

// damageHint says what to try where jbc chain verify found damage: it has looked.
const damageHint = "restore the directory from a copy, or move it away and import the chain anew"

// explainDamage adds to damage that a command found by itself what to try.
func explainDamage(err error) error {
	if errors.As(err, new(*store.DamageError)) {
		return withHint(err, damageHint)
	}
	return explainStore(err)
}
