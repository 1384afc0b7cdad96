package chain

import (
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/jbcnet/jbc/chain/store"
	"github.com/jbcnet/jbc/hashing"
)

// TestIndexBuildMeetsTheChain has the main chain come to where a lagging index is,
// and take it along, while a build has read a batch from there: that is thrown away,
// and the index is not taken back to where the batch ends.
func TestIndexBuildMeetsTheChain(t *testing.T) {
	st, err := store.Open(store.Options{Dir: "d", Network: Regtest().ID(), FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	now := time.Unix(1_700_000_000, 0)
	c, err := Open(st, Regtest(), Options{Indexes: IndexTransactions})
	if err != nil {
		t.Fatal(err)
	}
	mine := func(n int) {
		for range n {
			if _, err := c.Accept(mineOn(t, c, now), now); err != nil {
				t.Fatal(err)
			}
		}
	}
	mine(5)
	if c, err = Open(st, Regtest(), Options{}); err != nil {
		t.Fatal(err)
	}
	mine(5)
	if c, err = Open(st, Regtest(), Options{Indexes: IndexTransactions}); err != nil {
		t.Fatal(err)
	}

	w := c.lagging()
	if err := w.walk(c.main[8], func() bool { return false }); err != nil {
		t.Fatal(err)
	}
	rewind(t, c, 5)
	if err := c.finishMove(); err != nil {
		t.Fatal(err)
	}
	at := c.indexes.on[0].at
	if at != c.tip() || at.height != 10 {
		t.Fatalf("the index is at height %d, want the tip at 10", at.height)
	}
	if _, err := c.finishSome(w, func() bool { return true }); err != nil {
		t.Fatal(err)
	}
	if got := c.indexes.on[0].at; got != at || w.at != at {
		t.Errorf("the index is at height %d, the walk at %d, want both at the tip", got.height, w.at.height)
	}
	last, err := c.readBlock(at.hash)
	if err != nil {
		t.Fatal(err)
	}
	id := hashing.Hash(last.Transactions[0].TxHash())
	if _, place, err := c.Transaction(id); err != nil || place.Block.Height != 10 {
		t.Errorf("transaction of the tip: %+v, %v", place, err)
	}
}
