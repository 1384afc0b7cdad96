package chain

import (
	"compress/bzip2"
	"io"
	"os"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/jbcnet/jbc/chain/store"
	"github.com/jbcnet/jbc/hashing"
	"github.com/jbcnet/jbc/hashing/vectortest"
)

// TestIndexReplay imports real blocks, finds every transaction of them, and
// compares what each script has with the unspent outputs. Half of the way is
// indexed as the blocks come, half by a build.
func TestIndexReplay(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	vectortest.Each(t, "blockfiles", func(t *testing.T, f vectortest.File) int {
		st, err := store.Open(store.Options{Dir: "d", Network: Bitcoin().ID(), FS: vfs.NewMem()})
		if err != nil {
			t.Fatal(err)
		}
		defer st.Close()
		open := func(set IndexSet) *Chain {
			c, err := Open(st, Bitcoin(), Options{Indexes: set})
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		if _, err := open(IndexTransactions).Import(t.Context(), records(f.Data), now, nil); err != nil {
			t.Fatal(err)
		}
		c := open(IndexTransactions | IndexAddresses)
		if err := c.BuildIndexes(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		sums := map[string]int64{} // of the history, by script
		transactions := 0
		for height := range uint32(len(c.main)) {
			transactions += checkBlockIndexed(t, c, height, sums)
		}
		compareUnspent(t, c, sums)
		t.Logf("%d transactions, %d scripts", transactions, len(sums))
		return len(c.main)
	})
}

// checkBlockIndexed finds a block's transactions, and notes the scripts it pays to.
func checkBlockIndexed(t *testing.T, c *Chain, height uint32, sums map[string]int64) int {
	t.Helper()
	b, err := c.readBlock(c.main[height].hash)
	if err != nil {
		t.Fatal(err)
	}
	for i, tx := range b.Transactions {
		id := hashing.Hash(tx.TxHash())
		_, place, err := c.Transaction(id)
		if err != nil || place.Block != (Ref{b.Hash(), height}) || place.Number != uint32(i) {
			t.Fatalf("transaction %s: %+v, %v, want number %d of block %d", id, place, err, i, height)
		}
		for _, out := range tx.TxOut {
			sums[string(out.PkScript)] = 0
		}
	}
	return len(b.Transactions)
}

// compareUnspent compares what the chain has unspent with both records of the
// address index, script by script.
func compareUnspent(t *testing.T, c *Chain, sums map[string]int64) {
	t.Helper()
	want := map[string]AddressBalance{}
	err := c.store.Iterate(store.Chain, []byte{prefixUTXO}, func(_, value []byte) error {
		u, err := packed(value).unpack()
		b := want[string(u.PkScript)]
		b.Value += u.Value
		b.Outputs++
		if u.Coinbase && c.tip().height+1-u.Height < c.params.Maturity {
			b.Immature += u.Value
		}
		want[string(u.PkScript)] = b
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for script := range want {
		if _, ok := sums[script]; !ok {
			t.Fatalf("script %x has outputs, and no block pays it", script)
		}
	}
	for script := range sums {
		w := want[script]
		w.Tip = Ref{c.tip().hash, c.tip().height}
		got, err := c.AddressBalance(t.Context(), []byte(script))
		if err != nil || got != w {
			t.Errorf("script %x: %+v, %v, want %+v", script, got, err, w)
		}
		if sum := historySum(t, c, []byte(script)); sum != w.Value {
			t.Errorf("script %x: paid and spent leave %d units, want %d", script, sum, w.Value)
		}
	}
}

// historySum reads a whole history, page by page.
func historySum(t *testing.T, c *Chain, script []byte) (sum int64) {
	t.Helper()
	var after *AddressPlace
	for {
		h, err := c.AddressHistory(script, after, 100, true)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range h.Events {
			if e.Spent {
				sum -= e.Value
			} else {
				sum += e.Value
			}
		}
		if !h.More {
			return sum
		}
		after = &h.Events[len(h.Events)-1].AddressPlace
	}
}

// benchmarkBlocks reads the real blocks that the tests have.
func benchmarkBlocks(b *testing.B) []byte {
	b.Helper()
	file, err := os.Open("testdata/vectors/blockfiles/mainnet_0_2015.blk.bz2")
	if err != nil {
		b.Fatal(err)
	}
	defer file.Close()
	data, err := io.ReadAll(bzip2.NewReader(file))
	if err != nil {
		b.Fatal(err)
	}
	return data
}

// BenchmarkImportIndexed imports real blocks with and without indexes.
func BenchmarkImportIndexed(b *testing.B) {
	data := benchmarkBlocks(b)
	now := time.Unix(1_700_000_000, 0)
	for _, set := range []IndexSet{0, IndexTransactions, IndexAddresses, IndexTransactions | IndexAddresses} {
		name := "none"
		if set != 0 {
			name = set.String()
		}
		b.Run(name, func(b *testing.B) {
			blocks := 0
			for b.Loop() {
				st, err := store.Open(store.Options{Dir: b.TempDir(), Network: Bitcoin().ID()})
				if err != nil {
					b.Fatal(err)
				}
				c, err := Open(st, Bitcoin(), Options{Indexes: set})
				if err != nil {
					b.Fatal(err)
				}
				did, err := c.Import(b.Context(), records(data), now, nil)
				if err != nil {
					b.Fatal(err)
				}
				blocks += did.Blocks
				if err := st.Close(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(blocks)/b.Elapsed().Seconds(), "blocks/s")
		})
	}
}
