package chain_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/btcsuite/btcd/wire/v2"
	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/chain/chaintest"
	"github.com/jbcnet/jbc/chain/store"
	"github.com/jbcnet/jbc/hashing"
)

// indexOracle is what indexes must say at a tip, by reading the whole chain.
type indexOracle struct {
	tip     chain.Ref
	places  map[hashing.Hash]chain.TxPlace
	events  map[string][]chain.AddressEvent
	unspent map[string][]chain.AddressOutput
}

func newIndexOracle(best *chaintest.Block) *indexOracle {
	o := &indexOracle{
		tip:     chain.Ref{Hash: best.Hash(), Height: best.Height},
		places:  map[hashing.Hash]chain.TxPlace{},
		events:  map[string][]chain.AddressEvent{},
		unspent: map[string][]chain.AddressOutput{},
	}
	var way []*chaintest.Block
	for at := best; at != nil; at = at.Parent {
		way = append(way, at)
	}
	made := map[wire.OutPoint]*wire.TxOut{}
	for _, b := range slices.Backward(way) {
		for i, tx := range b.Transactions {
			o.places[hashing.Hash(tx.TxHash())] = chain.TxPlace{
				Block: chain.Ref{Hash: b.Hash(), Height: b.Height}, Number: uint32(i), Tip: o.tip,
			}
			if b.Height == 0 {
				continue
			}
			place := chain.AddressPlace{Height: b.Height, Transaction: uint32(i)}
			for n, in := range tx.TxIn {
				if i == 0 {
					break
				}
				place.Spent, place.Number = true, uint32(n)
				out := made[in.PreviousOutPoint]
				script := string(out.PkScript)
				o.events[script] = append(o.events[script], chain.AddressEvent{AddressPlace: place, Value: out.Value})
				delete(made, in.PreviousOutPoint)
			}
			for _, coin := range chaintest.Made(tx, b.Height) {
				place.Spent, place.Number = false, coin.At.Index
				script := string(coin.Out.PkScript)
				o.events[script] = append(o.events[script], chain.AddressEvent{AddressPlace: place, Value: coin.Out.Value})
				made[coin.At] = coin.Out
			}
		}
	}
	for _, coin := range best.Coins().Ordered() {
		script := string(coin.Out.PkScript)
		o.unspent[script] = append(o.unspent[script], chain.AddressOutput{
			At: coin.At, Value: coin.Out.Value, Height: coin.Height, Coinbase: coin.Coinbase,
		})
	}
	return o
}

// checkIndexes compares both indexes with a naive reading of the chain up to best.
// all are the blocks that were ever accepted: what only others have is not there.
func checkIndexes(t *testing.T, c *chain.Chain, maturity uint32, best *chaintest.Block, all []*chaintest.Block) {
	t.Helper()
	o := newIndexOracle(best)
	scripts := map[string]bool{"nobody's": true}
	for _, b := range append(all, best) {
		for _, tx := range b.Transactions {
			o.checkTransaction(t, c, tx)
			for _, out := range tx.TxOut {
				scripts[string(out.PkScript)] = true
			}
		}
	}
	for script := range scripts {
		for _, newestFirst := range []bool{false, true} {
			o.checkHistory(t, c, script, newestFirst)
		}
		o.checkUnspent(t, c, script, maturity)
	}
}

func (o *indexOracle) checkTransaction(t *testing.T, c *chain.Chain, tx *wire.MsgTx) {
	t.Helper()
	id := hashing.Hash(tx.TxHash())
	got, place, err := c.Transaction(id)
	want, there := o.places[id]
	switch {
	case !there && !errors.Is(err, store.ErrNotFound):
		t.Fatalf("transaction %s: %+v, %v, want %v", id, place, err, store.ErrNotFound)
	case there && (err != nil || place != want || got.TxHash() != tx.TxHash()):
		t.Fatalf("transaction %s: %+v, %v, want %+v", id, place, err, want)
	}
}

func (o *indexOracle) checkHistory(t *testing.T, c *chain.Chain, script string, newestFirst bool) {
	t.Helper()
	want := slices.Clone(o.events[script])
	if newestFirst {
		slices.Reverse(want)
	}
	const limit = 3
	var got []chain.AddressEvent
	for more := true; more; {
		var after *chain.AddressPlace
		if len(got) > 0 {
			after = &got[len(got)-1].AddressPlace
		}
		page, err := c.AddressHistory([]byte(script), after, limit, newestFirst)
		if err != nil || page.Tip != o.tip || page.More && len(page.Events) != limit || len(page.Events) > limit {
			t.Fatalf("history of %x behind %v: %+v, %v, want the tip %v and pages of %d", script, after, page, err, o.tip, limit)
		}
		got = append(got, page.Events...)
		more = page.More
	}
	if !slices.Equal(got, want) {
		t.Fatalf("history of %x, newest first %v: %v, want %v", script, newestFirst, got, want)
	}
}

func (o *indexOracle) checkUnspent(t *testing.T, c *chain.Chain, script string, maturity uint32) {
	t.Helper()
	want := o.unspent[script]
	const limit = 2
	var got []chain.AddressOutput
	for more := true; more; {
		var after *wire.OutPoint
		if len(got) > 0 {
			after = &got[len(got)-1].At
		}
		page, err := c.AddressUnspent([]byte(script), after, limit)
		if err != nil || page.Tip != o.tip || page.More && len(page.Outputs) != limit || len(page.Outputs) > limit {
			t.Fatalf("unspent of %x behind %v: %+v, %v, want the tip %v and pages of %d", script, after, page, err, o.tip, limit)
		}
		got = append(got, page.Outputs...)
		more = page.More
	}
	if !slices.Equal(got, want) {
		t.Fatalf("unspent of %x: %v, want %v", script, got, want)
	}
	sum := chain.AddressBalance{Tip: o.tip, Outputs: uint64(len(want))}
	for _, out := range want {
		sum.Value += out.Value
		if out.Coinbase && out.Height+maturity > o.tip.Height+1 {
			sum.Immature += out.Value
		}
	}
	if got, err := c.AddressBalance(context.Background(), []byte(script)); err != nil || got != sum {
		t.Fatalf("balance of %x: %+v, %v, want %+v", script, got, err, sum)
	}
}

// indexRecords returns every record of indexes, keys and values.
func indexRecords(t *testing.T, st *store.Store) (records []string) {
	t.Helper()
	for _, prefix := range []string{"a", "i", "v", "x"} {
		err := st.Iterate(store.Chain, []byte(prefix), func(key, value []byte) error {
			records = append(records, string(bytes.Join([][]byte{key, value}, []byte("="))))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return records
}
