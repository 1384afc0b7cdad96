package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/wire/v2"
	"github.com/spf13/cobra"

	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/hashing"
)

// scriptPrefix is before the hex of an output script where an address is asked for.
const scriptPrefix = "script:"

// addressReport is what jbc chain address tells programs. Values are in units.
type addressReport struct {
	Address  string         `json:"address"`
	Script   string         `json:"script"`
	Tip      hashing.Hash   `json:"tip"`
	Height   uint32         `json:"height"` // of the tip
	Balance  int64          `json:"balance_units"`
	Immature int64          `json:"immature_units"`
	Outputs  uint64         `json:"outputs"` // unspent
	History  []addressEvent `json:"history,omitempty"`
	Unspent  []addressCoin  `json:"unspent,omitempty"`
	Next     string         `json:"next,omitempty"` // --after of the next page
}

type addressEvent struct {
	Height uint32       `json:"height"`
	ID     hashing.Hash `json:"id"` // of the transaction
	Spent  bool         `json:"spent"`
	Number uint32       `json:"number"` // of the input that spent, or of the output
	Value  int64        `json:"value_units"`
}

type addressCoin struct {
	ID       hashing.Hash `json:"id"`
	Number   uint32       `json:"number"`
	Value    int64        `json:"value_units"`
	Height   uint32       `json:"height"`
	Coinbase bool         `json:"coinbase"`
}

// chainAddressFlags are the flags of jbc chain address.
type chainAddressFlags struct {
	dir                        chainDirFlags
	limit                      int
	after                      string
	oldestFirst, unspent, json bool
}

func newChainAddress(s *shell) *cobra.Command {
	f := chainAddressFlags{dir: chainDirFlags{indexes: chain.IndexAddresses}}
	cmd := &cobra.Command{
		Use:   "address ADDRESS",
		Short: "Show what an address has, was paid and spent",
		Long: "Show what is unspent of an address, and what happened to it on the main chain, the\n" +
			"newest first. Any other output script is named by its bytes, script:HEX. It needs the\n" +
			"index that jbc chain index --address builds. No coordinator may use the directory\n" +
			"meanwhile.",
		Example: "  jbc chain address jbcd1...\n  jbc chain address jbcd1... --unspent --json",
		Args:    exactArgs(1),
		RunE:    func(cmd *cobra.Command, args []string) error { return f.run(cmd.Context(), s, args[0]) },
	}
	f.dir.add(cmd)
	flags := cmd.Flags()
	flags.IntVar(&f.limit, "limit", 25, fmt.Sprintf("lines to show, at most %d", chain.MaxAddressPage))
	flags.StringVar(&f.after, "after", "", "`place` that an answer before this one ended at")
	flags.BoolVar(&f.oldestFirst, "oldest-first", false, "the oldest first")
	flags.BoolVar(&f.unspent, "unspent", false, "show unspent outputs instead of the history")
	flags.BoolVar(&f.json, "json", false, "print JSON")
	return cmd
}

func (f *chainAddressFlags) run(ctx context.Context, s *shell, address string) (err error) {
	if f.limit < 1 || f.limit > chain.MaxAddressPage {
		return usageError(fmt.Errorf("limit %d: want 1 to %d", f.limit, chain.MaxAddressPage), "--after gets what comes behind")
	}
	params, err := f.dir.params()
	if err != nil {
		return err
	}
	script, err := parsePayee(params, address)
	if err != nil {
		return err
	}
	dir, err := f.dir.open(s, params)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	balance, err := dir.chain.AddressBalance(ctx, script)
	if err != nil {
		return explainIndex(err)
	}
	r := &addressReport{
		Address: address, Script: hex.EncodeToString(script), Tip: balance.Tip.Hash, Height: balance.Tip.Height,
		Balance: balance.Value, Immature: balance.Immature, Outputs: balance.Outputs,
	}
	if f.unspent {
		err = f.addUnspent(r, dir.chain, script)
	} else {
		err = f.addHistory(r, dir.chain, script)
	}
	switch {
	case err != nil:
		return explainIndex(err)
	case f.json:
		return printJSON(s.out, r)
	}
	return s.printAddress(r)
}

// parsePayee reads an address, or a script's bytes.
func parsePayee(p *chain.Params, text string) ([]byte, error) {
	if digits, ok := strings.CutPrefix(text, scriptPrefix); ok {
		script, err := hex.DecodeString(digits)
		if err != nil {
			return nil, usageError(fmt.Errorf("script %.80q: %w", digits, err), "script:HEX takes the bytes of an output script")
		}
		return script, nil
	}
	script, err := chain.ParseAddress(p, text)
	if err != nil {
		return nil, usageError(err, fmt.Sprintf("give an address of network %s, or script:HEX", p.Name))
	}
	return script, nil
}

func (f *chainAddressFlags) addHistory(r *addressReport, c *chain.Chain, script []byte) error {
	var after *chain.AddressPlace
	if f.after != "" {
		var err error
		if after, err = parsePlace(f.after); err != nil {
			return err
		}
	}
	h, err := c.AddressHistory(script, after, f.limit, !f.oldestFirst)
	if err != nil {
		return err
	}
	var b *chain.Block
	for i, e := range h.Events {
		if i == 0 || e.Height != h.Events[i-1].Height {
			hash, _ := c.HashAtHeight(e.Height)
			if b, err = c.BlockByHash(hash); err != nil {
				return err
			}
		}
		r.History = append(r.History, addressEvent{
			Height: e.Height, ID: hashing.Hash(b.Transactions[e.Transaction].TxHash()), Spent: e.Spent, Number: e.Number, Value: e.Value,
		})
		if h.More {
			r.Next = formatPlace(e.AddressPlace)
		}
	}
	return nil
}

func (f *chainAddressFlags) addUnspent(r *addressReport, c *chain.Chain, script []byte) error {
	var after *wire.OutPoint
	if f.after != "" {
		var err error
		if after, err = parseOutPoint(f.after); err != nil {
			return err
		}
	}
	u, err := c.AddressUnspent(script, after, f.limit)
	if err != nil {
		return err
	}
	for _, out := range u.Outputs {
		r.Unspent = append(r.Unspent, addressCoin{
			ID: hashing.Hash(out.At.Hash), Number: out.At.Index, Value: out.Value, Height: out.Height, Coinbase: out.Coinbase,
		})
		if u.More {
			r.Next = out.At.String()
		}
	}
	return nil
}

// formatPlace writes a place as --after takes it: "170:1:in:0".
func formatPlace(p chain.AddressPlace) string {
	way := "out"
	if p.Spent {
		way = "in"
	}
	return fmt.Sprintf("%d:%d:%s:%d", p.Height, p.Transaction, way, p.Number)
}

func parsePlace(text string) (*chain.AddressPlace, error) {
	var p chain.AddressPlace
	parts := strings.Split(text, ":")
	if len(parts) == 4 {
		_, err := fmt.Sscanf(parts[0]+" "+parts[1]+" "+parts[3], "%d %d %d", &p.Height, &p.Transaction, &p.Number)
		if p.Spent = parts[2] == "in"; err == nil && formatPlace(p) == text {
			return &p, nil
		}
	}
	return nil, usageError(fmt.Errorf("place %.80q: want one as in 170:1:in:0", text), "--after takes what an answer before this one ended with")
}

func parseOutPoint(text string) (*wire.OutPoint, error) {
	id, number, _ := strings.Cut(text, ":")
	hash, err := hashing.ParseHash(id)
	if err == nil {
		at := wire.OutPoint{Hash: chainhash.Hash(hash)}
		if _, err = fmt.Sscan(number, &at.Index); err == nil && at.String() == text {
			return &at, nil
		}
	}
	return nil, usageError(fmt.Errorf("place %.80q: want the id of a transaction and a number, with a colon", text), "--after takes what an answer before this one ended with")
}

func (s *shell) printAddress(r *addressReport) error {
	fmt.Fprintf(s.out, "address   %s\nbalance   %s in %d outputs, of which %s can't be spent yet\ntip       %d  %s\n",
		r.Address, chain.FormatCoins(r.Balance), r.Outputs, chain.FormatCoins(r.Immature), r.Height, r.Tip)
	err := table(s.out, func(line func(format string, args ...any)) {
		if len(r.History) > 0 {
			line("HEIGHT\tCOINS\tTRANSACTION")
		}
		for _, e := range r.History {
			way, sign := "output", "+"
			if e.Spent {
				way, sign = "input", "-"
			}
			line("%d\t%s%s\t%s %s %d", e.Height, sign, chain.FormatCoins(e.Value), e.ID, way, e.Number)
		}
		if len(r.Unspent) > 0 {
			line("HEIGHT\tCOINS\tOUTPUT")
		}
		for _, u := range r.Unspent {
			line("%d\t%s\t%s:%d", u.Height, chain.FormatCoins(u.Value), u.ID, u.Number)
		}
	})
	if err == nil && r.Next != "" {
		_, err = fmt.Fprintf(s.out, "there is more: --after %s\n", r.Next)
	}
	return err
}
