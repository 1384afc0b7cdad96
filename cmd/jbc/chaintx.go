package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/btcsuite/btcd/wire/v2"
	"github.com/spf13/cobra"

	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/chain/store"
	"github.com/jbcnet/jbc/hashing"
)

// txInfo is a transaction and its place as programs read it. Values are in units.
type txInfo struct {
	ID            hashing.Hash `json:"id"`
	Block         hashing.Hash `json:"block"`
	Height        uint32       `json:"height"`
	Number        uint32       `json:"number"` // in the block; the coinbase is 0
	Confirmations uint32       `json:"confirmations"`
	Size          int          `json:"size"`
	Weight        int          `json:"weight"`
	LockTime      uint32       `json:"lock_time"`
	Fee           int64        `json:"fee_units"`
	Inputs        []txInput    `json:"inputs"`
	Outputs       []txOutput   `json:"outputs"`
	Hex           string       `json:"hex"`
}

// txInput is what an input spent. A coinbase's spent nothing.
type txInput struct {
	ID     *hashing.Hash `json:"id,omitempty"`
	Number uint32        `json:"number"`
	*txOutput
}

type txOutput struct {
	Value   int64  `json:"value_units"`
	Address string `json:"address,omitempty"`
	Script  string `json:"script"`
}

func newChainTx(s *shell) *cobra.Command {
	dir := chainDirFlags{indexes: chain.IndexTransactions}
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "tx ID",
		Short: "Show a transaction of the main chain",
		Long: "Show a transaction of the main chain. It needs the index that jbc chain index --tx\n" +
			"builds. No coordinator may use the directory meanwhile.",
		Example: "  jbc chain tx f4184fc596403b9d638783cf57adfe4c75c605f6356fbc91338530e9831e9e16 --network bitcoin",
		Args:    exactArgs(1),
		RunE: func(_ *cobra.Command, args []string) (err error) {
			id, err := hashing.ParseHash(strings.TrimSpace(args[0]))
			if err != nil {
				return usageError(fmt.Errorf("transaction %.80q: %w", args[0], err), "a transaction's id has 64 hex digits")
			}
			params, err := dir.params()
			if err != nil {
				return err
			}
			data, err := dir.open(s, params)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, data.Close()) }()
			info, err := describeTx(data.chain, id)
			switch {
			case errors.Is(err, store.ErrNotFound):
				return withHint(fmt.Errorf("no transaction %s on the main chain", id), "its block may be beside the main chain, or not have come yet")
			case err != nil:
				return explainIndex(err)
			case asJSON:
				return printJSON(s.out, info)
			}
			return s.printTx(info)
		},
	}
	dir.add(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// describeTx finds a transaction and what it spent.
func describeTx(c *chain.Chain, id hashing.Hash) (*txInfo, error) {
	tx, place, err := c.Transaction(id)
	if err != nil {
		return nil, err
	}
	b, err := c.BlockByHash(place.Block.Hash)
	if err != nil {
		return nil, err
	}
	info := &txInfo{
		ID: id, Block: place.Block.Hash, Height: place.Block.Height, Number: place.Number,
		Confirmations: place.Tip.Height - place.Block.Height + 1,
		Size:          tx.SerializeSize(), Weight: 3*tx.SerializeSizeStripped() + tx.SerializeSize(), LockTime: tx.LockTime,
	}
	var raw strings.Builder
	if err := tx.Serialize(hex.NewEncoder(&raw)); err != nil {
		return nil, err
	}
	info.Hex = raw.String()
	if info.Inputs, err = describeInputs(c, b, place.Number); err != nil {
		return nil, err
	}
	for _, in := range info.Inputs {
		if in.txOutput != nil {
			info.Fee += in.Value
		}
	}
	for _, out := range tx.TxOut {
		info.Outputs = append(info.Outputs, *describeOutput(c.Params(), out.Value, out.PkScript))
		if place.Number > 0 {
			info.Fee -= out.Value
		}
	}
	return info, nil
}

// describeInputs tells of each input of a transaction of b what it spent.
func describeInputs(c *chain.Chain, b *chain.Block, number uint32) ([]txInput, error) {
	if number == 0 {
		return []txInput{{}}, nil
	}
	spent, err := c.Spent(b)
	if err != nil {
		return nil, err
	}
	for _, tx := range b.Transactions[1:number] {
		spent = spent[len(tx.TxIn):]
	}
	var inputs []txInput
	for i, in := range b.Transactions[number].TxIn {
		id := hashing.Hash(in.PreviousOutPoint.Hash)
		out := describeOutput(c.Params(), spent[i].Value, spent[i].PkScript)
		inputs = append(inputs, txInput{ID: &id, Number: in.PreviousOutPoint.Index, txOutput: out})
	}
	return inputs, nil
}

func describeOutput(p *chain.Params, value int64, script []byte) *txOutput {
	address, _ := chain.AddressOf(p, script)
	return &txOutput{Value: value, Address: address, Script: hex.EncodeToString(script)}
}

func (s *shell) printTx(info *txInfo) error {
	fmt.Fprintf(s.out, "transaction    %s\nblock          %s\nheight         %d, transaction %d of the block\nconfirmations  %d\nsize           %d bytes, weight %d\nfee            %s\n",
		info.ID, info.Block, info.Height, info.Number, info.Confirmations, info.Size, info.Weight, chain.FormatCoins(info.Fee))
	return table(s.out, func(line func(format string, args ...any)) {
		for i, in := range info.Inputs {
			if in.txOutput == nil {
				line("input %d\t\tcoinbase", i)
				continue
			}
			line("input %d\t%s\t%s\t%s", i, chain.FormatCoins(in.Value), in.payee(), wire.OutPoint{Hash: [32]byte(*in.ID), Index: in.Number})
		}
		for i, out := range info.Outputs {
			line("output %d\t%s\t%s", i, chain.FormatCoins(out.Value), out.payee())
		}
	})
}

// payee names who is paid: the address, or the script where it has none.
func (o *txOutput) payee() string {
	if o.Address != "" {
		return o.Address
	}
	return scriptPrefix + o.Script
}
