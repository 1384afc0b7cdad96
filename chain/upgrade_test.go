package chain

import (
	"errors"
	"fmt"
	"testing"

	"github.com/btcsuite/btcd/txscript/v2"
	"github.com/btcsuite/btcd/wire/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/jbcnet/jbc/chain/store"
	"github.com/jbcnet/jbc/hashing"
)

// oldDirectory is the chain of a version that knew coinbases alone: of a state it has
// nothing, of the tip the hash, and it took blocks that later rules refuse.
type oldDirectory struct {
	fs    vfs.FS
	store *store.Store
	chain *Chain
}

func newOldDirectory(t *testing.T) *oldDirectory {
	d := &oldDirectory{fs: vfs.NewMem()}
	d.chain, d.store = openVerify(t, d.fs, "d", Regtest())
	return d
}

// add puts a block in that nobody judges.
func (d *oldDirectory) add(t *testing.T, b *Block) {
	t.Helper()
	c := d.chain
	n := c.params.newNode(b.Hash(), &b.Header, c.nodes.get(b.Header.Prev()), c.sequence)
	c.insert(n)
	batch := d.store.NewBatch()
	setIndex(batch, n)
	setBody(batch, n.hash, b)
	apply(t, batch)
}

// next makes a block on a parent; change may be nil.
func (d *oldDirectory) next(t *testing.T, parent hashing.Hash, change func(coinbase *wire.MsgTx)) *Block {
	t.Helper()
	tmpl, err := d.chain.TemplateOn(parent, allTime, TemplateOptions{PayScript: []byte{txscript.OP_TRUE}, Data: fmt.Sprint(d.chain.sequence)})
	if err != nil {
		t.Fatal(err)
	}
	b := tmpl.Block(tmpl.Header(0, tmpl.Time), 0)
	if change != nil {
		change(b.Transactions[0])
	}
	seal(b, tmpl.Target())
	return b
}

// close leaves what that version would have, with this tip.
func (d *oldDirectory) close(t *testing.T, tip hashing.Hash) {
	t.Helper()
	batch := d.store.NewBatch()
	for _, prefix := range []byte{prefixUTXO, prefixUndo} {
		err := d.store.Iterate(store.Chain, []byte{prefix}, func(key, _ []byte) error {
			batch.Delete(store.Chain, key)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	batch.Set(store.Chain, tipKey(), tip[:])
	apply(t, batch)
	if err := d.store.Close(); err != nil {
		t.Fatal(err)
	}
}

func apply(t *testing.T, b *store.Batch) {
	t.Helper()
	p, err := b.Apply()
	if err == nil {
		err = p.Wait()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// unfinal gives a coinbase a lock time that has not come, which was no rule once.
func unfinal(coinbase *wire.MsgTx) { coinbase.LockTime, coinbase.TxIn[0].Sequence = 1000, 0 }

// TestUpgrade opens an old directory: the outputs are those of a chain that had them
// from the start.
func TestUpgrade(t *testing.T) {
	d := newOldDirectory(t)
	for range 20 {
		mine(t, d.chain, []byte{txscript.OP_TRUE})
	}
	beside := d.next(t, d.chain.main[5].hash, nil)
	d.add(t, beside)
	want := utxoStats(t, d.chain)
	d.close(t, want.Tip.Hash)

	for range 2 { // from the old directory, and from what came of it
		c, st := openVerify(t, d.fs, "d", Regtest())
		if got := utxoStats(t, c); got != want || c.Tip() != want.Tip {
			t.Errorf("tip %s, outputs %+v, want %+v", c.Tip().Hash, got, want)
		}
		if e, known := c.Lookup(beside.Hash()); !known || e.Invalid || e.Main {
			t.Errorf("the block beside it: %+v, known %v", e, known)
		}
		if report, err := verify(t, c, true); err != nil || report.UTXO != want {
			t.Errorf("verified %+v, %v, want %+v", report.UTXO, err, want)
		}
		if err := st.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestUpgradeJudges: what the old version took and new nodes refuse is not on the
// main chain afterwards, nor what is on top of it; the best of the rest is.
func TestUpgradeJudges(t *testing.T) {
	for _, beside := range []bool{false, true} {
		t.Run(fmt.Sprintf("another branch %v", beside), func(t *testing.T) {
			d := newOldDirectory(t)
			for range 3 {
				mine(t, d.chain, []byte{txscript.OP_TRUE})
			}
			last := d.chain.Tip().Hash
			bad := d.next(t, last, unfinal)
			d.add(t, bad)
			child := d.next(t, bad.Hash(), nil)
			d.add(t, child)
			want := utxoStats(t, d.chain)
			if beside {
				good := d.next(t, last, nil)
				d.add(t, good)
				fresh, st := openVerify(t, vfs.NewMem(), "d", Regtest())
				defer st.Close()
				for _, n := range append(d.chain.main[1:], d.chain.nodes.get(good.Hash())) {
					b, err := d.chain.BlockByHash(n.hash)
					if err == nil {
						_, err = fresh.Accept(b, allTime)
					}
					if err != nil {
						t.Fatal(err)
					}
				}
				if _, err := fresh.Accept(bad, allTime); !errors.Is(err, RuleUnfinal) {
					t.Fatalf("a new node says %v of the block, want rule %q", err, RuleUnfinal)
				}
				want = utxoStats(t, fresh)
			}
			d.close(t, child.Hash())

			for range 2 {
				c, st := openVerify(t, d.fs, "d", Regtest())
				if got := utxoStats(t, c); got != want || c.Tip() != want.Tip {
					t.Errorf("tip %s, outputs %+v, want %+v", c.Tip().Hash, got, want)
				}
				for _, b := range []*Block{bad, child} {
					if e, _ := c.Lookup(b.Hash()); e.Main || !e.Invalid {
						t.Errorf("block at height %d: %+v, want an invalid one beside the main chain", e.Height, e)
					}
					if _, err := c.Accept(b, allTime); !errors.Is(err, RuleKnownInvalid) {
						t.Errorf("block %s: %v, want rule %q", b.Hash(), err, RuleKnownInvalid)
					}
				}
				if err := st.Close(); err != nil {
					t.Fatal(err)
				}
			}
			c, st := openVerify(t, d.fs, "d", Regtest())
			defer st.Close()
			mine(t, c, []byte{txscript.OP_TRUE})
		})
	}
}

// TestUpgradeJudgesSideBlocks: a block beside the main chain of an old directory, as
// good as the tip by its work, that a newer rule refuses is no part of any chain.
func TestUpgradeJudgesSideBlocks(t *testing.T) {
	for _, reopen := range []bool{false, true} {
		d := newOldDirectory(t)
		for range 3 {
			mine(t, d.chain, []byte{txscript.OP_TRUE})
		}
		bad := d.next(t, d.chain.main[2].hash, unfinal)
		d.add(t, bad)
		tip := d.chain.Tip().Hash
		d.close(t, tip)

		c, st := openVerify(t, d.fs, "d", Regtest())
		if reopen {
			st.Close()
			c, st = openVerify(t, d.fs, "d", Regtest())
		}
		if e, ok := c.Lookup(bad.Hash()); !ok || !e.Invalid || c.Tip().Hash != tip {
			t.Errorf("reopened %v: the block is %+v, %v, want it invalid; tip %s, want %s", reopen, e, ok, c.Tip().Hash, tip)
		}
		st.Close()
	}
}
