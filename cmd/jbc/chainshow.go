package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/chain/store"
	"github.com/jbcnet/jbc/coordinator/protocol"
	"github.com/jbcnet/jbc/hashing"
)

// shownJSON is a block of a data directory for programs: what is in it, and what a
// coordinator tells of one.
type shownJSON struct {
	blockJSON
	Header hashing.Header `json:"header"`
	Main   bool           `json:"main"` // part of the best chain
}

// showOffline shows a whole block of a data directory.
func (f *chainDirFlags) showOffline(s *shell, at string, asJSON bool) (err error) {
	if f.network == "" {
		f.network = "dev"
	}
	params, err := f.params()
	if err != nil {
		return err
	}
	f.cache = chain.DefaultCacheBytes
	dir, err := f.open(s, params)
	if errors.As(err, new(*store.LockedError)) {
		return withHint(err, "a coordinator runs on it: leave --offline and --data-dir out to ask that one")
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	entry, err := dir.entry(at)
	if err != nil {
		return err
	}
	b, err := dir.shown(params, &entry)
	if err != nil {
		return err
	}
	if asJSON {
		return printJSON(s.out, b)
	}
	return s.printShown(b)
}

// shown describes a block, on the main chain or beside it.
func (d *dataDir) shown(params *chain.Params, e *chain.Entry) (*shownJSON, error) {
	block, err := d.chain.BlockByHash(e.Hash)
	if errors.Is(err, store.ErrNotFound) && e.Invalid {
		return nil, fmt.Errorf("block %s at height %d is invalid, and its transactions are not kept", e.Hash, e.Height)
	}
	if err != nil {
		return nil, explainStore(fmt.Errorf("block %s at height %d: %w", e.Hash, e.Height, err))
	}
	spent, err := d.chain.Spent(block)
	if errors.Is(err, store.ErrNotFound) && !e.Main {
		spent, err = nil, nil // it never was on the main chain
	}
	if err != nil {
		return nil, explainStore(fmt.Errorf("block %s at height %d: %w", e.Hash, e.Height, err))
	}
	return &shownJSON{blockJSON: wholeJSON(params, block, e.Height, e.Work, spent), Header: e.Header, Main: e.Main}, nil
}

func (s *shell) printShown(b *shownJSON) error {
	err := s.printBlock(&protocol.BlockInfo{
		Height: b.Height, Hash: b.Hash, Header: b.Header, Prev: b.Prev, Time: b.Time, Data: b.Data, Miner: b.Miner,
		Address: b.Address, Chainwork: b.Chainwork, Main: b.Main,
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(s.out, "size       %d bytes, weight %d, transactions %d\n", b.Size, b.Weight, len(b.Transactions))
	for i, tx := range b.Transactions {
		printTransaction(s.out, i, &tx)
	}
	return nil
}

// printTransaction writes a line for a transaction, and one for each of its inputs
// and outputs.
func printTransaction(w io.Writer, number int, tx *txJSON) {
	fmt.Fprintf(w, "\n%d  %s", number, tx.ID)
	if tx.Fee != nil && number > 0 {
		fmt.Fprintf(w, "  fee %s", chain.FormatCoins(*tx.Fee))
	}
	fmt.Fprintln(w)
	for _, in := range tx.Inputs {
		switch {
		case in.ID == nil:
			fmt.Fprintf(w, "   in   coinbase %s\n", in.Coinbase)
		case in.Value == nil:
			fmt.Fprintf(w, "   in   %s:%d\n", in.ID, *in.Output)
		default:
			fmt.Fprintf(w, "   in   %s:%d  %s  %s\n", in.ID, *in.Output, chain.FormatCoins(*in.Value), payee(in.Address, ""))
		}
	}
	for i, out := range tx.Outputs {
		fmt.Fprintf(w, "   out  %d  %s  %s\n", i, chain.FormatCoins(out.Value), payee(out.Address, out.Script))
	}
}

// payee names who is paid: an address, or as much of a script as a line takes.
func payee(address, script string) string {
	const most = 70
	switch {
	case address != "":
		return address
	case script == "":
		return "no address"
	case len(script) > most:
		return fmt.Sprintf("script %s... (%d bytes)", script[:most], len(script)/2)
	}
	return "script " + script
}
