package chain_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/chain/chaintest"
	"github.com/jbcnet/jbc/chain/store"
	"github.com/jbcnet/jbc/hashing"
)

const bothIndexes = chain.IndexTransactions | chain.IndexAddresses

func openIndexed(t *testing.T, p *chain.Params, fs vfs.FS, set chain.IndexSet) (*chain.Chain, *store.Store) {
	t.Helper()
	st, err := store.Open(store.Options{Dir: "d", Network: p.ID(), FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	c, err := chain.Open(st, p, chain.Options{Indexes: set})
	if err != nil {
		t.Fatal(err)
	}
	return c, st
}

func acceptAll(t *testing.T, c *chain.Chain, blocks ...*chaintest.Block) {
	t.Helper()
	for _, b := range blocks {
		if _, err := c.Accept(b.Block, farFuture()); err != nil {
			t.Fatalf("block %s: %v", b, err)
		}
	}
}

func mustClose(t *testing.T, st *store.Store) {
	t.Helper()
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
}

func mustBuild(t *testing.T, c *chain.Chain) {
	t.Helper()
	if err := c.BuildIndexes(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
}

// TestIndexesFollow keeps both indexes from the first block on, over every fork.
func TestIndexesFollow(t *testing.T) {
	for seed := range uint64(4) {
		h := forkedHistory(t, ripeRegtest(), rand.New(rand.NewPCG(seed, 11)))
		c, st := openIndexed(t, ripeRegtest(), vfs.NewMem(), bothIndexes)
		checkIndexes(t, c, 1, h.Genesis, nil)
		for i, b := range h.blocks {
			acceptAll(t, c, b)
			if i%9 == 0 || i == len(h.blocks)-1 {
				checkIndexes(t, c, 1, h.byHash[c.Tip().Hash], h.blocks)
			}
		}
		mustClose(t, st)
	}
}

// TestAddressBalanceImmature sums up coinbases of which only the first are ripe.
func TestAddressBalanceImmature(t *testing.T) {
	p := chain.Regtest()
	p.Maturity = 4
	b := chaintest.NewBuilder(t, p)
	blocks := b.Branch(b.Genesis, 6)
	c, st := openIndexed(t, p, vfs.NewMem(), bothIndexes)
	defer st.Close()
	for _, at := range blocks {
		acceptAll(t, c, at)
		checkIndexes(t, c, 4, at, blocks)
	}
	got, err := c.AddressBalance(t.Context(), []byte{0x51})
	want := chain.AddressBalance{Tip: chain.Ref{Hash: blocks[5].Hash(), Height: 6}, Outputs: 6, Value: 300 * chain.Coin, Immature: 150 * chain.Coin}
	if err != nil || got != want {
		t.Errorf("balance: %+v, %v, want %+v", got, err, want)
	}
}

// TestIndexesOnAndOff opens a chain again and again with other indexes, which were
// left at blocks that the main chain has left too, and compares what is built with
// what was there all the time.
func TestIndexesOnAndOff(t *testing.T) {
	for seed := range uint64(6) {
		rng := rand.New(rand.NewPCG(seed, 12))
		h := forkedHistory(t, ripeRegtest(), rng)
		fs := vfs.NewMem()
		left := 0 // indexes found at a block beside the main chain
		for blocks := h.blocks; len(blocks) > 0; {
			set := chain.IndexSet(rng.IntN(4))
			c, st := openIndexed(t, ripeRegtest(), fs, set)
			left += beside(t, c)
			c.SetIndexBatch(1 + rng.IntN(4000))
			if rng.IntN(2) == 0 {
				mustBuild(t, c)
			}
			n := min(len(blocks), 1+rng.IntN(12))
			acceptAll(t, c, blocks[:n]...)
			blocks = blocks[n:]
			mustBuild(t, c)
			if set == bothIndexes {
				checkIndexes(t, c, 1, h.byHash[c.Tip().Hash], h.blocks)
			}
			if _, _, err := c.Transaction(hashing.Hash{}); set&chain.IndexTransactions == 0 && !errors.Is(err, chain.ErrNoIndex) {
				t.Fatalf("transaction without an index: %v, want %v", err, chain.ErrNoIndex)
			}
			if _, err := c.AddressHistory(nil, nil, 0, false); set&chain.IndexAddresses == 0 && !errors.Is(err, chain.ErrNoIndex) {
				t.Fatalf("history without an index: %v, want %v", err, chain.ErrNoIndex)
			}
			mustClose(t, st)
		}
		c, st := openIndexed(t, ripeRegtest(), fs, bothIndexes)
		mustBuild(t, c)
		checkIndexes(t, c, 1, h.best(), h.blocks)
		got := indexRecords(t, st)
		mustClose(t, st)

		c, st = openIndexed(t, ripeRegtest(), vfs.NewMem(), bothIndexes)
		acceptAll(t, c, h.blocks...)
		if want := indexRecords(t, st); !slices.Equal(got, want) {
			t.Errorf("seed %d: %d records, want %d of indexes that were always on", seed, len(got), len(want))
		}
		mustClose(t, st)
		if seed == 0 && left == 0 {
			t.Error("no index was left beside the main chain: the history is too tame")
		}
	}
}

// beside counts the indexes that are at a block beside the main chain.
func beside(t *testing.T, c *chain.Chain) (n int) {
	t.Helper()
	states, err := c.Indexes()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range states {
		if s.Any && !s.Main {
			n++
		}
	}
	return n
}

// TestIndexBehind asks an index that lags, stops a build in the middle and has it go on.
func TestIndexBehind(t *testing.T) {
	h := newHistory(t, ripeRegtest(), rand.New(rand.NewPCG(1, 13)))
	h.grow(h.Genesis, 40)
	fs := vfs.NewMem()
	c, st := openIndexed(t, ripeRegtest(), fs, 0)
	acceptAll(t, c, h.blocks...)
	mustClose(t, st)

	c, st = openIndexed(t, ripeRegtest(), fs, bothIndexes)
	wantBehind(t, c, 0, 40)
	acceptAll(t, c, h.grow(h.best(), 2)...) // leaves them alone
	wantBehind(t, c, 0, 42)

	c.SetIndexBatch(1)
	ctx, cancel := context.WithCancel(t.Context())
	var steps []uint32
	err := c.BuildIndexes(ctx, func(p chain.IndexProgress) {
		if p.Tip != 42 || p.Indexes != bothIndexes {
			t.Errorf("progress %+v, want of both to 42", p)
		}
		if steps = append(steps, p.Height); p.Height >= 20 {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) || len(steps) < 2 || !slices.IsSorted(steps) {
		t.Errorf("build: %v after %v, want %v", err, steps, context.Canceled)
	}
	mustClose(t, st)

	c, st = openIndexed(t, ripeRegtest(), fs, bothIndexes)
	defer st.Close()
	wantBehind(t, c, steps[len(steps)-1], 42)
	mustBuild(t, c)
	checkIndexes(t, c, 1, h.best(), h.blocks)
}

func wantBehind(t *testing.T, c *chain.Chain, height, tip uint32) {
	t.Helper()
	var behind *chain.IndexBehindError
	if _, _, err := c.Transaction(hashing.Hash{}); !errors.As(err, &behind) || *behind != (chain.IndexBehindError{Name: "tx", Height: height, Tip: tip}) {
		t.Errorf("transaction: %v, want index tx at height %d of %d", err, height, tip)
	}
	if _, err := c.AddressUnspent(nil, nil, 0); !errors.As(err, &behind) || *behind != (chain.IndexBehindError{Name: "address", Height: height, Tip: tip}) {
		t.Errorf("unspent: %v, want index address at height %d of %d", err, height, tip)
	}
}

// TestIndexesBuildBesideBlocks builds while blocks come, forks among them, and
// somebody asks all the time.
func TestIndexesBuildBesideBlocks(t *testing.T) {
	for seed := range uint64(8) {
		rng := rand.New(rand.NewPCG(seed, 14))
		h := forkedHistory(t, ripeRegtest(), rng)
		fs := vfs.NewMem()
		c, st := openIndexed(t, ripeRegtest(), fs, 0)
		half := 5 + rng.IntN(len(h.blocks)/2)
		acceptAll(t, c, h.blocks[:half]...)
		mustClose(t, st)

		c, st = openIndexed(t, ripeRegtest(), fs, bothIndexes)
		c.SetIndexBatch(1 + rng.IntN(1000))
		var others sync.WaitGroup
		for range 2 {
			others.Go(func() {
				if err := c.BuildIndexes(context.Background(), nil); err != nil {
					t.Error(err)
				}
			})
		}
		stop := make(chan struct{})
		others.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				_, _, err := c.Transaction(hashing.Hash{})
				if !errors.Is(err, store.ErrNotFound) && !errors.As(err, new(*chain.IndexBehindError)) {
					t.Error(err)
					return
				}
			}
		})
		acceptAll(t, c, h.blocks[half:]...)
		close(stop)
		others.Wait()
		checkIndexes(t, c, 1, h.best(), h.blocks) // it met the tip, and followed
		mustClose(t, st)
	}
}

// indexCrashes is how many power losses the test makes.
const indexCrashes = 40

// TestIndexPowerLoss cuts the power while indexes are built and blocks accepted. In
// every state that the disk can be in, an index has what the block says that it is
// at: when it is built to its end it has each record, and none besides.
func TestIndexPowerLoss(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 15))
	h := forkedHistory(t, ripeRegtest(), rng)
	half := 0 // disks with an index on its way
	for i := range indexCrashes {
		mem := vfs.NewCrashableMem()
		n := 10 + rng.IntN(len(h.blocks)-10)
		c, st := openIndexed(t, ripeRegtest(), mem, chain.IndexSet(rng.IntN(2)))
		acceptAll(t, c, h.blocks[:n]...)
		mustClose(t, st)
		disk := buildUntilCut(t, mem, h.blocks[n:], rng)

		c, st = openIndexed(t, ripeRegtest(), disk, bothIndexes)
		if _, _, err := c.Transaction(hashing.Hash{}); errors.As(err, new(*chain.IndexBehindError)) {
			half++
		}
		mustBuild(t, c)
		checkIndexes(t, c, 1, h.byHash[c.Tip().Hash], h.blocks)
		if i%10 == 0 { // and it goes on from there
			acceptAll(t, c, h.blocks...)
			checkIndexes(t, c, 1, h.best(), h.blocks)
		}
		mustClose(t, st)
	}
	t.Logf("%d power losses, %d with an index on its way", indexCrashes, half)
	if half < indexCrashes/10 {
		t.Errorf("%d of %d power losses met an index on its way, want a tenth", half, indexCrashes)
	}
}

// buildUntilCut builds indexes, then takes blocks, and returns the disk as a power
// loss before some write or sync on the way left it.
func buildUntilCut(t *testing.T, mem *vfs.MemFS, blocks []*chaintest.Block, rng *rand.Rand) (disk *vfs.MemFS) {
	t.Helper()
	fs := &cutFS{FS: mem}
	c, st := openIndexed(t, ripeRegtest(), fs, bothIndexes)
	c.SetIndexBatch(1 + rng.IntN(300))
	cfg := vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(101), RNG: rand.New(rand.NewPCG(rng.Uint64(), 0))}
	cut := func() { disk = mem.CrashClone(cfg) }
	fs.arm(1+rng.IntN(60), cut)
	mustBuild(t, c)
	acceptAll(t, c, blocks...)
	mustClose(t, st)
	if disk == nil {
		cut()
	}
	return disk
}

func TestDropIndex(t *testing.T) {
	h := newHistory(t, ripeRegtest(), rand.New(rand.NewPCG(3, 16)))
	h.grow(h.Genesis, 20)
	fs := vfs.NewMem()
	c, st := openIndexed(t, ripeRegtest(), fs, bothIndexes)
	acceptAll(t, c, h.blocks...)
	if err := c.DropIndex(chain.IndexAddresses); err == nil || err.Error() != "chain: index address is on" {
		t.Errorf("dropping an index that is on: %v", err)
	}
	checkIndexes(t, c, 1, h.best(), h.blocks)
	mustClose(t, st)

	c, st = openIndexed(t, ripeRegtest(), fs, chain.IndexTransactions)
	if err := c.DropIndex(chain.IndexAddresses); err != nil {
		t.Fatal(err)
	}
	for _, r := range indexRecords(t, st) {
		if r[0] != 'x' && !strings.HasPrefix(r, "itx=") {
			t.Errorf("record %q is left", r)
		}
	}
	states, err := c.Indexes()
	tip := chain.Ref{Hash: h.best().Hash(), Height: 20}
	want := []chain.IndexState{{Index: chain.IndexTransactions, On: true, Any: true, At: tip, Main: true}, {Index: chain.IndexAddresses}}
	if err != nil || !slices.Equal(states, want) {
		t.Errorf("states %+v, %v, want %+v", states, err, want)
	}
	mustClose(t, st)

	c, st = openIndexed(t, ripeRegtest(), fs, bothIndexes) // the one is at the tip, the other nowhere
	defer st.Close()
	mustBuild(t, c)
	checkIndexes(t, c, 1, h.best(), h.blocks)
}

// TestIndexDuplicateIDs has a coinbase twice, as could be before BIP34: the first
// time with its output spent before the second, and the second time overwritten.
func TestIndexDuplicateIDs(t *testing.T) {
	for _, overwritten := range []bool{false, true} {
		t.Run(fmt.Sprintf("overwritten=%v", overwritten), func(t *testing.T) {
			p := ripeRegtest()
			p.Forks.BIP34 = 1000
			p.Forks.BIP30Exceptions = map[uint32]hashing.Hash{}
			h := newHistory(t, p, rand.New(rand.NewPCG(4, 17)))
			same := chaintest.Script([]byte("\x04same"))
			first := h.Next(h.Genesis, same)
			second := h.Next(first)
			if !overwritten {
				coins := first.Coins().Ordered()
				second = h.Next(first, chaintest.Includes(h.Spend(coins, coins[0].Out)))
			}
			third := h.Next(second, same)
			if overwritten {
				p.Forks.BIP30Exceptions[3] = third.Hash()
			}
			away := h.Branch(second, 2)
			all := []*chaintest.Block{first, second, third, away[0], away[1]}
			c, st := openIndexed(t, p, vfs.NewMem(), bothIndexes)
			defer st.Close()
			acceptAll(t, c, first, second, third)
			checkIndexes(t, c, 1, third, all)
			acceptAll(t, c, away...)
			if got := c.Tip().Hash; got != away[1].Hash() {
				t.Fatalf("tip %s, want %s", got, away[1])
			}
			checkIndexes(t, c, 1, away[1], all) // what was overwritten is back
			id := hashing.Hash(first.Transactions[0].TxHash())
			if _, place, err := c.Transaction(id); err != nil || place.Block.Height != 1 {
				t.Errorf("after the second was taken back: %+v, %v, want height 1", place, err)
			}
		})
	}
}

// TestIndexDamage opens and builds on records that are not as they were written.
func TestIndexDamage(t *testing.T) {
	h := newHistory(t, ripeRegtest(), rand.New(rand.NewPCG(5, 18)))
	h.grow(h.Genesis, 150)
	tests := []struct {
		name   string
		key    string
		value  string // empty: taken out
		set    chain.IndexSet
		open   bool // it shows when opened; else when built
		damage string
	}{
		{"state cut short", "itx", "short", 0, true, "state of index tx: 5 bytes"},
		{"state at a block that is not there", "iaddress", strings.Repeat("\x01", 32), 0, true, "state of index address: block " + strings.Repeat("01", 32) + " is not in the index of blocks"},
		{"body missing", "b" + hashText(h.blocks[6]), "", 0, false, fmt.Sprintf("blocks: indexes, block %s at height 7: not found", h.blocks[6].Hash())},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			fs := vfs.NewMem()
			c, st := openIndexed(t, ripeRegtest(), fs, tt.set)
			acceptAll(t, c, h.blocks...)
			b := st.NewBatch()
			b.Set(store.Chain, []byte(tt.key), []byte(tt.value))
			if tt.value == "" {
				b.Delete(store.Chain, []byte(tt.key))
			}
			if p, err := b.Apply(); err != nil || p.Wait() != nil {
				t.Fatal(err)
			}
			c, err := chain.Open(st, ripeRegtest(), chain.Options{Indexes: bothIndexes})
			if !tt.open && err == nil {
				err = c.BuildIndexes(t.Context(), nil)
			}
			var damage *store.DamageError
			if !errors.As(err, &damage) || damage.Where+": "+damage.What != tt.damage {
				t.Errorf("%v, want damage %q", err, tt.damage)
			}
			mustClose(t, st)
		})
	}
}

func hashText(b *chaintest.Block) string {
	hash := b.Hash()
	return string(hash[:])
}

func TestParseIndexSet(t *testing.T) {
	tests := []struct {
		text string
		want chain.IndexSet
		err  string
	}{
		{"", 0, ""},
		{"tx", chain.IndexTransactions, ""},
		{"address", chain.IndexAddresses, ""},
		{"address, tx,tx", bothIndexes, ""},
		{"block", 0, `no index "block"; there are tx, address`},
		{"tx,", 0, `no index ""; there are tx, address`},
	}
	for _, tt := range tests {
		got, err := chain.ParseIndexSet(tt.text)
		if got != tt.want || fmt.Sprint(err) != cmpErr(tt.err) {
			t.Errorf("%q: %v, %v, want %v, %s", tt.text, got, err, tt.want, cmpErr(tt.err))
		}
	}
	if got := bothIndexes.String(); got != "tx,address" {
		t.Errorf("both: %q, want tx,address", got)
	}
	p := chain.Regtest()
	_, st := openIndexed(t, p, vfs.NewMem(), 0)
	defer st.Close()
	if _, err := chain.Open(st, p, chain.Options{Indexes: 8}); err == nil || err.Error() != "chain: no index has bits 0x8" {
		t.Errorf("an index that there is not: %v", err)
	}
}

func cmpErr(text string) string {
	if text == "" {
		return "<nil>"
	}
	return text
}
