package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/chain/store"
	"github.com/jbcnet/jbc/coordinator"
	"github.com/jbcnet/jbc/coordinator/access"
)

// dataDir is the directory of one network's node: the store, and beside it the
// keys.
type dataDir struct {
	path  string
	store *store.Store
	chain *chain.Chain
}

// dataPath returns where a network's data lies unless --data-dir says otherwise.
func (s *shell) dataPath(network string) (string, error) {
	base := s.env("XDG_DATA_HOME")
	if base == "" {
		home := s.env("HOME")
		if home == "" {
			return "", usageError(errors.New("no home directory to keep the chain in"), "set HOME, or give --data-dir")
		}
		base = filepath.Join(home, ".local", "share")
	}
	return filepath.Join(base, "jbc", network), nil
}

// chainDir is the store's place in a data directory.
const chainDir = "chain"

// openDataDir opens a network's chain, making the directory if it is not there.
func openDataDir(path string, params *chain.Params, opts chain.Options) (*dataDir, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, withHint(fmt.Errorf("data directory: %w", err), "give another one with --data-dir")
	}
	st, err := store.Open(store.Options{Dir: filepath.Join(path, chainDir), Network: params.ID(), Logger: opts.Logger})
	if err != nil {
		return nil, explainStore(err)
	}
	ch, err := chain.Open(st, params, opts)
	if err != nil {
		return nil, explainStore(errors.Join(err, st.Close()))
	}
	return &dataDir{path: path, store: st, chain: ch}, nil
}

// Close closes the store. What made the store fail was reported before.
func (d *dataDir) Close() error {
	err := d.store.Close()
	if d.store.Err() != nil {
		return nil
	}
	return err
}

// payScript returns the script that blocks pay to, and its address: the one that
// is given, or that of a key made in the data directory.
func (d *dataDir) payScript(params *chain.Params, address string) (script []byte, paid string, err error) {
	if address == "" {
		if address, err = d.ownAddress(params); err != nil {
			return nil, "", err
		}
	}
	script, err = chain.ParseAddress(params, address)
	if err != nil {
		return nil, "", usageError(err, fmt.Sprintf("give an address of network %s, or leave --address out to have a key made", params.Name))
	}
	return script, address, nil
}

func (d *dataDir) ownAddress(params *chain.Params) (string, error) {
	path := filepath.Join(d.path, coordinator.PayoutKeyFile)
	wif, err := access.Secret(path, func() ([]byte, error) {
		key, err := chain.NewKey(params, rand.Reader)
		return []byte(key.WIF), err
	})
	if err != nil {
		return "", fmt.Errorf("payout key: %w", err)
	}
	key, err := chain.ParseKey(params, string(wif))
	if err != nil {
		return "", withHint(fmt.Errorf("%s: %w", path, err), "move the file away to have a new key made, or give --address")
	}
	return key.Address, nil
}

// explainStore adds to an error of the store what to try.
func explainStore(err error) error {
	var (
		network *store.NetworkError
		format  *store.FormatError
		locked  *store.LockedError
		access  *store.AccessError
		damage  *store.DamageError
		space   *store.SpaceError
		failed  *store.FailedError
	)
	switch {
	case errors.As(err, &network):
		return withHint(err, "choose that network with --network, or another directory with --data-dir")
	case errors.As(err, &format):
		return withHint(err, "use the version of jbc that wrote it, or a newer one, or another directory with --data-dir")
	case errors.As(err, &locked):
		return withHint(err, "another jbc coordinator runs on it: stop that one, or give this one its own --data-dir")
	case errors.As(err, &access):
		return withHint(err, "check the directory's owner and mode, or give another one with --data-dir")
	case errors.As(err, &damage):
		return withHint(err, "jbc chain verify finds out more; restore the directory from a copy, or move it away to start the chain anew")
	case errors.As(err, &space):
		return withHint(err, "free some space and start again: nothing that was acknowledged is lost")
	case errors.As(err, &failed):
		return withHint(err, "look at the disk (full? broken?) and start again: nothing that was acknowledged is lost")
	}
	return err
}
