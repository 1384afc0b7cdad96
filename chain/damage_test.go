package chain

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/btcsuite/btcd/wire/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/jbcnet/jbc/chain/store"
	"github.com/jbcnet/jbc/hashing"
)

// openMem opens a chain in a file system in memory.
func openMem(t testing.TB, fs vfs.FS) (*Chain, *store.Store, error) {
	t.Helper()
	st, err := store.Open(store.Options{Dir: "d", Network: Regtest().ID(), FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	c, err := Open(st, Regtest(), Options{})
	return c, st, err
}

// mineOn solves a template on the tip.
func mineOn(t testing.TB, c *Chain, now time.Time) *Block {
	t.Helper()
	tmpl, err := c.Template(now, TemplateOptions{PayScript: []byte{0x51}})
	if err != nil {
		t.Fatal(err)
	}
	h := tmpl.Header(0, tmpl.Time)
	for !tmpl.Target().MetBy(h.Hash()) {
		h.SetNonce(h.Nonce() + 1)
	}
	return tmpl.Block(h, 0)
}

// TestDamageIsFound changes one record at a time of a good chain.
func TestDamageIsFound(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	record := func(n *node) indexRecord {
		return indexRecord{header: n.header(), work: n.work, sequence: n.sequence, invalid: n.failed}
	}
	tests := []struct {
		name   string
		damage func(b *store.Batch, c *Chain)
		where  string // in the error
	}{
		{"body gone", func(b *store.Batch, c *Chain) { b.Delete(store.Chain, bodyKey(c.main[3].hash)) }, "body, height 3"},
		{"body of another block", func(b *store.Batch, c *Chain) { setBody(b, c.main[3].hash, c.params.Genesis) }, "body, height 3"},
		{"body cut short", func(b *store.Batch, c *Chain) { b.Set(store.Chain, bodyKey(c.main[3].hash), make([]byte, 90)) }, "body of block"},
		{"body with other transactions", func(b *store.Batch, c *Chain) {
			wrong := &Block{Header: c.main[3].header(), Transactions: []*wire.MsgTx{c.params.Genesis.Transactions[0]}}
			setBody(b, c.main[3].hash, wrong)
		}, "body, height 3"},
		{"index record gone", func(b *store.Batch, c *Chain) { b.Delete(store.Chain, indexKey(3, c.main[3].hash)) }, "index, height 4"},
		{"index record cut short", func(b *store.Batch, c *Chain) { b.Set(store.Chain, indexKey(3, c.main[3].hash), []byte{1}) }, "index key"},
		{"header changed", func(b *store.Batch, c *Chain) {
			r := record(c.main[3])
			r.header.SetNonce(r.header.Nonce() + 1)
			b.Set(store.Chain, indexKey(3, c.main[3].hash), r.encode())
		}, "header hashes to"},
		{"chainwork changed", func(b *store.Batch, c *Chain) {
			r := record(c.main[3])
			r.work = r.work.Add(r.work)
			b.Set(store.Chain, indexKey(3, c.main[3].hash), r.encode())
		}, "chainwork"},
		{"wrong height", func(b *store.Batch, c *Chain) {
			b.Set(store.Chain, indexKey(9, c.main[3].hash), record(c.main[3]).encode())
			b.Delete(store.Chain, indexKey(3, c.main[3].hash))
		}, "index, height"},
		{"a header without work", func(b *store.Batch, c *Chain) {
			r := record(c.main[5])
			for target, _ := c.params.PowLimit.Target(); target.MetBy(r.header.Hash()); {
				r.header.SetNonce(r.header.Nonce() + 1)
			}
			b.Set(store.Chain, indexKey(5, r.header.Hash()), r.encode())
		}, "target"},
		{"a header with wrong bits", func(b *store.Batch, c *Chain) {
			r := record(c.main[5])
			r.header.SetBits(0x1f00ffff)
			b.Set(store.Chain, indexKey(5, r.header.Hash()), r.encode())
		}, "required"},
		{"another genesis", func(b *store.Batch, c *Chain) {
			r := record(c.main[0])
			r.header.SetNonce(9)
			b.Set(store.Chain, indexKey(0, r.header.Hash()), r.encode())
		}, "genesis"},
		{"tip gone", func(b *store.Batch, c *Chain) { b.Delete(store.Chain, tipKey()) }, "tip"},
		{"tip unknown", func(b *store.Batch, c *Chain) { b.Set(store.Chain, tipKey(), tipRecord{}.encode()) }, "not in the index"},
		{"tip is not the best", func(b *store.Batch, c *Chain) {
			b.Set(store.Chain, tipKey(), tipRecord{hash: c.main[3].hash, utxos: 3}.encode())
		}, "chainwork"},
		{"tip is invalid", func(b *store.Batch, c *Chain) {
			c.tip().failed = true
			setIndex(b, c.tip())
		}, "marked invalid"},
		{"valid on invalid", func(b *store.Batch, c *Chain) {
			c.main[2].failed = true
			setIndex(b, c.main[2])
		}, "valid on an invalid parent"},
		{"index gone", func(b *store.Batch, c *Chain) {
			for _, n := range c.main {
				b.Delete(store.Chain, indexKey(n.height, n.hash))
			}
		}, "index"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			fs := vfs.NewMem()
			c, st, err := openMem(t, fs)
			if err != nil {
				t.Fatal(err)
			}
			for range 5 {
				if _, err := c.Accept(mineOn(t, c, now), now); err != nil {
					t.Fatal(err)
				}
			}
			b := st.NewBatch()
			tt.damage(b, c)
			if p, err := b.Apply(); err != nil || p.Wait() != nil {
				t.Fatal(err)
			}
			st.Close()

			_, st, err = openMem(t, fs)
			defer st.Close()
			if !errors.As(err, new(*store.DamageError)) || !strings.Contains(err.Error(), tt.where) {
				t.Errorf("open: %v, want a DamageError about %q", err, tt.where)
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("error has several lines: %q", err)
			}
		})
	}
}

// fullFS reports what free space it is told.
type fullFS struct {
	vfs.FS
	free uint64
}

func (f *fullFS) GetDiskUsage(string) (vfs.DiskUsage, error) {
	return vfs.DiskUsage{AvailBytes: f.free}, nil
}

// TestMachineFailureIsNoRuleError: a full disk condemns no block.
func TestMachineFailureIsNoRuleError(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	fs := &fullFS{vfs.NewMem(), 1 << 40}
	c, st, err := openMem(t, fs)
	if err != nil {
		t.Fatal(err)
	}
	good, err := c.Accept(mineOn(t, c, now), now)
	if err != nil {
		t.Fatal(err)
	}
	lost := mineOn(t, c, now)
	fs.free = 0
	for range 2 {
		_, err = c.Accept(lost, now)
		if !errors.As(err, new(*store.SpaceError)) || errors.As(err, new(*RuleError)) {
			t.Fatalf("accept on a full disk: %v, want a SpaceError", err)
		}
		fs.free = 1 << 40 // does not bring the store back
	}
	if got := c.Tip().Hash; got != good.Hash {
		t.Errorf("tip %s, want %s", got, good.Hash)
	}
	if err := good.Wait(); err != nil {
		t.Errorf("the block before: %v, want it synced", err)
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	if c, st, err = openMem(t, fs); err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	if a, err := c.Accept(lost, now); err != nil || a.Status != Extended {
		t.Errorf("the block again: %v, %v, want %v", a.Status, err, Extended)
	}
}

// TestConcurrentUse has readers, templates and writers at once, for the race
// detector; every block is offered by each writer.
func TestConcurrentUse(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	source, st, err := openMem(t, vfs.NewMem())
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	var blocks []*Block
	for range 200 {
		b := mineOn(t, source, now)
		if _, err := source.Accept(b, now); err != nil {
			t.Fatal(err)
		}
		blocks = append(blocks, b)
	}
	c, st2, err := openMem(t, vfs.NewMem())
	if err != nil {
		t.Fatal(err)
	}
	defer st2.Close()
	var users sync.WaitGroup
	for range 3 {
		users.Go(func() {
			for _, b := range blocks {
				a, err := c.Accept(b, now)
				if err == nil {
					err = a.Wait()
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
		users.Go(func() {
			for range blocks {
				tip := c.Tip()
				if _, err := c.Template(now, TemplateOptions{PayScript: []byte{0x51}}); err != nil {
					t.Error(err)
				}
				if b, err := c.BlockByHash(tip.Hash); err != nil || b.Hash() != tip.Hash {
					t.Errorf("block of the tip: %v", err)
				}
				c.HashAtHeight(tip.Height)
				c.NextBits(tip.Hash)
				c.Lookup(hashing.Hash{})
			}
		})
	}
	users.Wait()
	if got, want := c.Tip(), source.Tip(); got != want {
		t.Errorf("tip %+v, want %+v", got, want)
	}
}
