package chain

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"

	"github.com/btcsuite/btcd/wire/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/jbcnet/jbc/chain/store"
)

// TestView makes, spends and takes back at random, over caches of all sizes, and
// compares with maps: what the view says, what a batch of it leaves in the store,
// and how many outputs it counts.
func TestView(t *testing.T) {
	for _, limit := range []int64{0, 300, 3000, 1 << 20} {
		t.Run(fmt.Sprintf("cache of %d bytes", limit), func(t *testing.T) {
			st, err := store.Open(store.Options{Dir: "d", Network: "n", FS: vfs.NewMem()})
			if err != nil {
				t.Fatal(err)
			}
			defer st.Close()
			r := &viewRun{t: t, store: st, view: newView(newUTXOCache(st, limit)), rng: rand.New(rand.NewPCG(1, uint64(limit)))}
			for range 300 {
				r.round()
			}
		})
	}
}

type viewRun struct {
	t     *testing.T
	store *store.Store
	view  *view
	rng   *rand.Rand
	disk  map[wire.OutPoint]packed // what the store should have
	made  uint32
}

// round changes the view, takes half of that back in one of three cases, and writes
// the rest in two of three.
func (r *viewRun) round() {
	now := maps.Clone(r.disk)
	if now == nil {
		now = map[wire.OutPoint]packed{}
	}
	r.change(now)
	kept, m := maps.Clone(now), r.view.mark()
	r.change(now)
	if r.rng.IntN(3) == 0 {
		r.view.rollback(m)
		now = kept
	}
	r.compare(now)
	if got, want := r.view.count, int64(len(now)-len(r.disk)); got != want {
		r.t.Fatalf("counts %d outputs more, want %d", got, want)
	}
	if r.rng.IntN(3) == 0 { // given up
		r.view.rollback(mark{})
		r.compare(r.disk)
		r.view.settle()
		return
	}
	b := r.store.NewBatch()
	r.view.write(b)
	if _, err := b.Apply(); err != nil {
		r.t.Fatal(err)
	}
	r.view.settle()
	r.disk = now
	r.compareStore()
}

// change makes, spends, and makes again some outputs.
func (r *viewRun) change(now map[wire.OutPoint]packed) {
	for range 1 + r.rng.IntN(12) {
		at := wire.OutPoint{Hash: [32]byte{byte(r.rng.IntN(40))}, Index: uint32(r.rng.IntN(2))}
		r.made++
		p := pack(wire.NewTxOut(int64(r.made), make([]byte, r.rng.IntN(40))), r.made, r.made%2 == 0)
		got, err := r.view.get(&at)
		if err != nil || got != now[at] {
			r.t.Fatalf("output %v: %q, %v, want %q", at, got, err, now[at])
		}
		switch {
		case got == "":
			r.view.add(&at, p)
			now[at] = p
		case r.rng.IntN(6) == 0:
			if before, err := r.view.overwrite(&at, p); err != nil || before != got {
				r.t.Fatalf("overwrote %q, %v, want %q", before, err, got)
			}
			now[at] = p
		default:
			r.view.spend(&at)
			delete(now, at)
		}
	}
}

// compare asks the view for every output there could be.
func (r *viewRun) compare(want map[wire.OutPoint]packed) {
	for i := range 80 {
		at := wire.OutPoint{Hash: [32]byte{byte(i / 2)}, Index: uint32(i % 2)}
		if got, err := r.view.get(&at); err != nil || got != want[at] {
			r.t.Fatalf("output %v: %q, %v, want %q", at, got, err, want[at])
		}
	}
	if c := r.view.base; c.limit > 0 && c.bytes > c.limit/2 {
		r.t.Fatalf("half of the cache holds %d bytes, at most %d", c.bytes, c.limit/2)
	}
}

func (r *viewRun) compareStore() {
	found := 0
	err := r.store.Iterate(store.Chain, []byte{prefixUTXO}, func(key, value []byte) error {
		at, ok := decodeUTXOKey(key)
		if !ok || r.disk[at] != packed(value) {
			return fmt.Errorf("the store has %q for %v, want %q", value, at, r.disk[at])
		}
		found++
		return nil
	})
	if err != nil || found != len(r.disk) {
		r.t.Fatalf("%d outputs in the store, want %d: %v", found, len(r.disk), err)
	}
}
