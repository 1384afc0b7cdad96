package chain_test

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/chain/chaintest"
	"github.com/jbcnet/jbc/chain/store"
)

// crashes is how many power losses the test makes, enough to find a missing sync
// with near certainty. One in ten is followed by another during recovery.
const crashes = 400

// TestPowerLoss cuts the power at random moments while blocks are accepted and
// waited for by several goroutines. Of every state that the disk can be in, the
// blocks whose Wait had returned must be there.
func TestPowerLoss(t *testing.T) {
	p := chain.Regtest()
	builder := chaintest.NewBuilder(t, p)
	blocks := branchy(builder, 60)
	rng := rand.New(rand.NewPCG(3, 4))
	start, acknowledged := time.Now(), 0
	for i := range crashes {
		disk, safe := acceptUntilCrash(t, p, blocks, rng)
		if i%10 == 0 {
			disk = crashOnOpen(t, p, disk, rng)
		}
		c, st := openOn(t, p, disk)
		for _, b := range safe {
			if _, ok := c.Lookup(b.Hash()); !ok {
				t.Fatalf("crash %d: block %s was acknowledged and is gone", i, b)
			}
			if _, err := c.BlockByHash(b.Hash()); err != nil {
				t.Fatalf("crash %d: block %s was acknowledged: %v", i, b, err)
			}
		}
		for _, b := range blocks { // and it goes on from there
			if _, err := c.Accept(b.Block, farFuture()); err != nil {
				t.Fatalf("crash %d: %v", i, err)
			}
		}
		if got, want := c.Tip().Height, tallest(blocks); got != want {
			t.Fatalf("crash %d: tip at height %d, want %d", i, got, want)
		}
		st.Close()
		acknowledged += len(safe)
	}
	t.Logf("%d power losses, %d blocks acknowledged before them, in %v", crashes, acknowledged, time.Since(start))
}

func farFuture() time.Time { return time.Unix(1700000000, 0) }

// branchy returns blocks parents first, with side branches.
func branchy(b *chaintest.Builder, n int) []*chaintest.Block {
	rng := rand.New(rand.NewPCG(5, 6))
	blocks := []*chaintest.Block{b.Genesis}
	for range n {
		blocks = append(blocks, b.Next(blocks[max(0, len(blocks)-1-rng.IntN(3))]))
	}
	return blocks[1:]
}

func tallest(blocks []*chaintest.Block) (height uint32) {
	for _, b := range blocks {
		height = max(height, b.Height)
	}
	return height
}

func openOn(t *testing.T, p *chain.Params, fs vfs.FS) (*chain.Chain, *store.Store) {
	t.Helper()
	st, err := store.Open(store.Options{Dir: "d", Network: p.ID(), FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	c, err := chain.Open(st, p, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c, st
}

// acceptUntilCrash accepts some of blocks and returns the disk after a power loss
// at a random moment, and the blocks that had been acknowledged by then.
func acceptUntilCrash(t *testing.T, p *chain.Params, blocks []*chaintest.Block, rng *rand.Rand) (*vfs.MemFS, []*chaintest.Block) {
	t.Helper()
	fs := vfs.NewCrashableMem()
	c, st := openOn(t, p, fs)
	defer st.Close()

	var mu sync.Mutex
	var safe []*chaintest.Block
	var waiters sync.WaitGroup
	for _, b := range blocks[:1+rng.IntN(len(blocks))] {
		a, err := c.Accept(b.Block, farFuture())
		if err != nil {
			t.Fatal(err)
		}
		if rng.IntN(4) == 0 {
			continue // nobody waits for this one
		}
		waiters.Go(func() {
			if err := a.Wait(); err != nil {
				t.Error(err)
			}
			mu.Lock()
			safe = append(safe, b)
			mu.Unlock()
		})
		if rng.IntN(8) == 0 {
			waiters.Wait()
		}
	}
	mu.Lock() // what is safe before the power goes must be there afterwards
	before := safe[:len(safe):len(safe)]
	disk := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(101), RNG: rng})
	mu.Unlock()
	waiters.Wait()
	return disk, before
}

// crashOnOpen cuts the power again while the chain is opened.
func crashOnOpen(t *testing.T, p *chain.Params, fs *vfs.MemFS, rng *rand.Rand) *vfs.MemFS {
	t.Helper()
	opened := make(chan struct{})
	var disk *vfs.MemFS
	var cut sync.WaitGroup
	after := time.Duration(rng.IntN(3000)) * time.Microsecond
	cut.Go(func() {
		select { // any moment of real time will do: nothing is asserted about it
		case <-opened:
		case <-time.After(after):
		}
		disk = fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: rng})
	})
	_, st := openOn(t, p, fs)
	close(opened)
	cut.Wait()
	st.Close()
	return disk
}
