package chain

import (
	"context"
	"encoding/binary"
	"errors"
	"iter"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/jbcnet/jbc/chain/store"
	"github.com/jbcnet/jbc/hashing/vectortest"
)

// records gives the blocks of a block file.
func records(data []byte) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for len(data) >= 8 {
			size := 8 + int(binary.LittleEndian.Uint32(data[4:]))
			if size > len(data) {
				yield(nil, errors.New("cut short"))
				return
			}
			if !yield(data[8:size], nil) {
				return
			}
			data = data[size:]
		}
	}
}

func openBitcoin(t *testing.T, fs vfs.FS) (*Chain, *store.Store) {
	t.Helper()
	st, err := store.Open(store.Options{Dir: "d", Network: Bitcoin().ID(), FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	c, err := Open(st, Bitcoin(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	return c, st
}

func utxoStats(t *testing.T, c *Chain) UTXOStats {
	t.Helper()
	s, err := c.UTXOStats(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestReplay imports real blocks with their scripts, goes back, and comes again:
// the unspent outputs are those of a chain that ended there, and then the same as
// before. Half of the way to the tip is gone by a process that comes later.
func TestReplay(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	vectortest.Each(t, "blockfiles", func(t *testing.T, f vectortest.File) int {
		fs := vfs.NewMem()
		c, st := openBitcoin(t, fs)
		did, err := c.Import(t.Context(), records(f.Data), now, nil)
		if err != nil {
			t.Fatal(err)
		}
		whole := utxoStats(t, c)
		if did.Known != 1 || did.Blocks != int(whole.Tip.Height) {
			t.Errorf("imported %+v, tip at height %d", did, whole.Tip.Height)
		}
		t.Logf("%d blocks, %d outputs unspent of %d units, hash %s", did.Blocks, whole.Outputs, whole.Value, whole.Hash)

		back := whole.Tip.Height / 2
		rewind(t, c, back)
		half := utxoStats(t, c)
		if err := st.Close(); err != nil {
			t.Fatal(err)
		}
		if half.Tip.Height != back || half.Hash == whole.Hash || half.Hash != importUpTo(t, f.Data, back, now).Hash {
			t.Errorf("after going back: %+v, want what a chain of %d blocks has", half, back)
		}

		c, st = openBitcoin(t, fs) // and this goes on to the best tip
		if got := utxoStats(t, c); got != whole {
			t.Errorf("after coming back: %+v, want %+v", got, whole)
		}
		if err := st.Close(); err != nil {
			t.Fatal(err)
		}
		c, st = openBitcoin(t, fs)
		defer st.Close()
		if got := utxoStats(t, c); got != whole {
			t.Errorf("after opening again: %+v, want %+v", got, whole)
		}
		return did.Blocks
	})
}

// rewind takes the main chain back to height, as if on the way to another tip.
func rewind(t *testing.T, c *Chain, height uint32) {
	t.Helper()
	c.writing.Lock()
	defer c.writing.Unlock()
	u := c.newUpdate()
	defer u.abandon()
	if _, err := u.moveTo(c.main[height]); err != nil {
		t.Fatal(err)
	}
	if err := c.commit(u, true); err != nil {
		t.Fatal(err)
	}
}

func importUpTo(t *testing.T, data []byte, height uint32, now time.Time) UTXOStats {
	t.Helper()
	c, st := openBitcoin(t, vfs.NewMem())
	defer st.Close()
	first := func(yield func([]byte, error) bool) {
		left := int(height) + 1
		for b, err := range records(data) {
			if left--; left < 0 || !yield(b, err) {
				return
			}
		}
	}
	if _, err := c.Import(t.Context(), first, now, nil); err != nil {
		t.Fatal(err)
	}
	return utxoStats(t, c)
}
