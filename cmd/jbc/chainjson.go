package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/btcsuite/btcd/wire/v2"

	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/chain/store"
	"github.com/jbcnet/jbc/coordinator/protocol"
	"github.com/jbcnet/jbc/hashing"
)

// blockJSON is a block in a folder, for people and for programs. Values are units,
// of which a coin has 100,000,000. Of a block that came from a coordinator sizes and
// transactions are missing.
type blockJSON struct {
	Network      string       `json:"network"`
	Height       uint32       `json:"height"`
	Hash         hashing.Hash `json:"hash"`
	Prev         hashing.Hash `json:"prev"`
	MerkleRoot   hashing.Hash `json:"merkle_root"`
	Time         uint32       `json:"time"`     // seconds since 1970
	TimeUTC      string       `json:"time_utc"` // the same by RFC 3339
	Bits         hashing.Bits `json:"bits"`
	Nonce        uint32       `json:"nonce"`
	Version      uint32       `json:"version"`
	Chainwork    string       `json:"chainwork"`
	Size         int          `json:"size,omitempty"`
	Weight       int          `json:"weight,omitempty"`
	Miner        string       `json:"miner"`
	Data         string       `json:"data"`
	Address      string       `json:"address,omitempty"` // that the coinbase pays first
	Transactions []txJSON     `json:"transactions,omitempty"`
}

type txJSON struct {
	ID      hashing.Hash `json:"id"`
	Inputs  []inputJSON  `json:"inputs"`
	Outputs []outputJSON `json:"outputs"`
	Fee     *int64       `json:"fee,omitempty"` // not of a coinbase
}

// inputJSON is the coinbase's script, or what is spent; of that its transaction and
// number alone where the rest is not known.
type inputJSON struct {
	Coinbase string        `json:"coinbase,omitempty"` // hex
	ID       *hashing.Hash `json:"id,omitempty"`
	Output   *uint32       `json:"output,omitempty"`
	Value    *int64        `json:"value,omitempty"`
	Address  string        `json:"address,omitempty"`
}

type outputJSON struct {
	Value   int64  `json:"value"`
	Script  string `json:"script"` // hex
	Address string `json:"address,omitempty"`
}

// headerJSON describes what a header says.
func headerJSON(network string, height uint32, h *hashing.Header) blockJSON {
	return blockJSON{
		Network: network, Height: height, Hash: h.Hash(), Prev: h.Prev(), MerkleRoot: h.MerkleRoot(),
		Time: h.Time(), TimeUTC: time.Unix(int64(h.Time()), 0).UTC().Format(time.RFC3339),
		Bits: h.Bits(), Nonce: h.Nonce(), Version: h.Version(),
	}
}

// summaryJSON is a block as a coordinator tells of it.
func summaryJSON(network string, b *protocol.BlockInfo) blockJSON {
	out := headerJSON(network, b.Height, &b.Header)
	out.Chainwork, out.Miner, out.Data, out.Address = b.Chainwork, b.Miner, b.Data, b.Address
	return out
}

// wholeJSON is a block with all that is in it. spent is what it spent, nil where that
// is not known.
func wholeJSON(p *chain.Params, b *chain.Block, height uint32, work chain.Work, spent []chain.UTXO) blockJSON {
	out := headerJSON(p.ID(), height, &b.Header)
	out.Chainwork, out.Size, out.Weight = work.String(), b.Size(), b.Weight()
	out.Miner, out.Data = chain.CoinbaseText(b)
	for i, tx := range b.Transactions {
		var its []chain.UTXO
		if i > 0 && spent != nil {
			its, spent = spent[:len(tx.TxIn)], spent[len(tx.TxIn):]
		}
		out.Transactions = append(out.Transactions, transactionJSON(p, tx, i == 0, its))
	}
	if outs := out.Transactions[0].Outputs; len(outs) > 0 {
		out.Address = outs[0].Address
	}
	return out
}

func transactionJSON(p *chain.Params, tx *wire.MsgTx, coinbase bool, spent []chain.UTXO) txJSON {
	out := txJSON{ID: hashing.Hash(tx.TxHash()), Inputs: []inputJSON{}, Outputs: []outputJSON{}}
	var fee int64
	for i, in := range tx.TxIn {
		if coinbase {
			out.Inputs = append(out.Inputs, inputJSON{Coinbase: hex.EncodeToString(in.SignatureScript)})
			continue
		}
		id := hashing.Hash(in.PreviousOutPoint.Hash)
		input := inputJSON{ID: &id, Output: &in.PreviousOutPoint.Index}
		if spent != nil {
			fee += spent[i].Value
			input.Value = &spent[i].Value
			input.Address, _ = chain.AddressOf(p, spent[i].PkScript)
		}
		out.Inputs = append(out.Inputs, input)
	}
	for _, o := range tx.TxOut {
		fee -= o.Value
		output := outputJSON{Value: o.Value, Script: hex.EncodeToString(o.PkScript)}
		output.Address, _ = chain.AddressOf(p, o.PkScript)
		out.Outputs = append(out.Outputs, output)
	}
	if spent != nil {
		out.Fee = &fee
	}
	return out
}

// blockFolder has a file for every block of a main chain, named by its height.
type blockFolder struct {
	path    string
	network string
}

// openFolder makes the folder where it is missing.
func openFolder(path, network string) (*blockFolder, error) {
	if err := os.MkdirAll(path, 0o755); err != nil { //nolint:gosec // G301: a chain is no secret
		return nil, explainOutput(err)
	}
	return &blockFolder{path: path, network: network}, nil
}

func (f *blockFolder) file(height uint32) string {
	return filepath.Join(f.path, fmt.Sprintf("%08d.json", height))
}

// read returns what the folder has at a height, false where that is nothing or not
// whole. A block of another network is an error.
func (f *blockFolder) read(height uint32) (b blockJSON, raw []byte, ok bool, err error) {
	name := f.file(height)
	raw, err = os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return b, nil, false, nil
	}
	if err != nil {
		return b, nil, false, explainOutput(err)
	}
	if json.Unmarshal(raw, &b) != nil {
		return blockJSON{}, raw, false, nil
	}
	if b.Network != f.network {
		return b, nil, false, withHint(fmt.Errorf("%s is a block of network %q, not %q", name, b.Network, f.network), "choose another folder with --json")
	}
	return b, raw, b.Height == height, nil
}

// put writes a block in the place of any other at its height. What is there of that
// very block stays where it has as much.
func (f *blockFolder) put(b *blockJSON) (written bool, err error) {
	var text bytes.Buffer
	if err := printJSON(&text, b); err != nil {
		return false, err
	}
	have, raw, ok, err := f.read(b.Height)
	if err != nil {
		return false, err
	}
	if bytes.Equal(raw, text.Bytes()) || ok && have.Hash == b.Hash && b.Transactions == nil {
		return false, nil
	}
	return true, replaceFile(f.file(b.Height), func(w io.Writer) error {
		_, err := w.Write(text.Bytes())
		return err
	}, false)
}

// cut removes the blocks above a height, which the chain has no more.
func (f *blockFolder) cut(tip uint32) error {
	entries, err := os.ReadDir(f.path)
	if err != nil {
		return explainOutput(err)
	}
	for _, e := range entries {
		height, err := strconv.ParseUint(strings.TrimSuffix(e.Name(), ".json"), 10, 32)
		name := f.file(uint32(height))
		if err != nil || uint32(height) <= tip || e.Name() != filepath.Base(name) {
			continue
		}
		_, _, ok, err := f.read(uint32(height))
		if err != nil {
			return err
		}
		if !ok {
			continue // not ours
		}
		if err := os.Remove(name); err != nil {
			return explainOutput(err)
		}
	}
	return nil
}

// exportJSON brings the folder to what the directory has.
func (f *chainExportFlags) exportJSON(ctx context.Context, s *shell) (err error) {
	dir, params, to, err := f.open(s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	folder, err := openFolder(f.json, params.ID())
	if err != nil {
		return err
	}
	var done, written atomic.Int64
	total := int64(to-f.from) + 1
	describe := func(elapsed time.Duration) string {
		return bar(done.Load(), total, elapsed) + "  " + perSecond(done.Load(), elapsed) + " blocks"
	}
	height := f.from
	err = s.showWork(describe, func() error {
		err := eachBlock(ctx, dir, f.from, to, func(raw []byte) error {
			b, err := dir.wholeJSON(params, raw, height)
			if err != nil {
				return err
			}
			if wrote, err := folder.put(b); err != nil {
				return err
			} else if wrote {
				written.Add(1)
			}
			height++
			done.Add(1)
			return nil
		})
		if err == nil && f.toTip {
			err = folder.cut(to)
		}
		return errors.Join(err, syncDir(f.json))
	})
	if errors.Is(err, context.Canceled) {
		return withHint(fmt.Errorf("%w: %d of %d blocks are in %s", errInterrupted, done.Load(), total, f.json), "the same command goes on from there")
	}
	if err == nil {
		fmt.Fprintf(s.out, "heights %d to %d are in %s, %d of them written\n", f.from, to, f.json, written.Load())
	}
	return explainStore(err)
}

// wholeJSON describes a block of the main chain.
func (d *dataDir) wholeJSON(params *chain.Params, raw []byte, height uint32) (*blockJSON, error) {
	block, err := chain.DecodeBlock(raw)
	if err != nil {
		return nil, d.damaged(height, err.Error())
	}
	spent, err := d.chain.Spent(block)
	if errors.Is(err, store.ErrNotFound) {
		return nil, d.damaged(height, "the record of what it spent is missing")
	}
	if err != nil {
		return nil, err
	}
	entry, _ := d.chain.Lookup(block.Hash())
	b := wholeJSON(params, block, height, entry.Work, spent)
	return &b, nil
}
