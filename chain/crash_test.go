package chain_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/chain/chaintest"
	"github.com/jbcnet/jbc/chain/store"
)

// soaking says that the long form was asked for.
func soaking() bool { return os.Getenv("JBC_SOAK") != "" }

// TestPowerLoss cuts the power before any change of the disk while blocks that
// spend are accepted, imported and reorganised, and one time in ten again while
// the chain is opened. Of every state that the disk can be in, what had been
// acknowledged must be there, whole.
func TestPowerLoss(t *testing.T) {
	crashes := 150
	if soaking() {
		crashes = 1000
	}
	l := newPowerLoss(t, 3)
	start := time.Now()
	for i := range crashes {
		if err := l.crash(i); err != nil {
			t.Fatalf("crash %d: %v", i, err)
		}
	}
	t.Logf("%d power losses in %v; acknowledged before them: %d blocks, %d of them by imports; %d came back on the way to a better tip, %d were cut again in recovery",
		crashes, time.Since(start).Round(time.Millisecond), l.acknowledged, l.imported, l.moving, l.again)
	if l.acknowledged == 0 || l.imported == 0 || l.moving == 0 || l.again == 0 {
		t.Error("want some of each")
	}
}

// TestPowerLossUnsynced is the control: where the log's syncs do nothing, the same
// test finds blocks that were acknowledged and are gone.
func TestPowerLossUnsynced(t *testing.T) {
	l := newPowerLoss(t, 4)
	l.forgetful = true
	const crashes = 100
	for i := range crashes {
		if err := l.crash(i); errors.Is(err, errLost) {
			t.Logf("crash %d: %v", i, err)
			return
		}
	}
	t.Errorf("%d power losses without a sync, and nothing was lost", crashes)
}

// errLost says that a block was acknowledged and is gone.
var errLost = errors.New("acknowledged and gone")

func farFuture() time.Time { return time.Unix(1_700_000_000, 0) }

// powerLoss is a history and what happened to the chains that took it in.
type powerLoss struct {
	*history
	params    *chain.Params
	forgetful bool

	acknowledged, imported, moving, again int
}

func newPowerLoss(t *testing.T, seed uint64) *powerLoss {
	p := ripeRegtest()
	return &powerLoss{params: p, history: forkedHistory(t, p, rand.New(rand.NewPCG(seed, 4)))}
}

// options bounds updates so that most reorganisations take several batches.
func (l *powerLoss) options() chain.Options {
	sizes := []int64{0, 1, 4 << 10, 16 << 10}
	return chain.Options{SignatureCache: -1}.WithUpdateBytes(sizes[l.rng.IntN(len(sizes))])
}

// open opens the chain that a disk holds.
func (l *powerLoss) open(fs vfs.FS) (*chain.Chain, *store.Store, error) {
	st, err := store.Open(store.Options{Dir: "d", Network: l.params.ID(), FS: fs})
	if err != nil {
		return nil, nil, err
	}
	c, err := chain.Open(st, l.params, l.options())
	if err != nil {
		st.Close()
		return nil, nil, err
	}
	return c, st, nil
}

// crash takes blocks in until the power is cut, and looks at what is there then.
func (l *powerLoss) crash(i int) error {
	disk, safe, err := l.acceptUntilCut()
	if err == nil && i%10 == 0 {
		disk, err = l.cutOnOpen(disk)
	}
	if err != nil {
		return err
	}
	l.acknowledged += len(safe)
	return l.check(disk, safe)
}

// moment returns the number of a change to cut the power before: any order of
// magnitude is as likely as any other.
func (l *powerLoss) moment() int { return 1 + l.rng.IntN(8<<l.rng.IntN(7)) }

// acceptUntilCut returns a state of the disk after the power was cut and the blocks
// that had been acknowledged by then.
func (l *powerLoss) acceptUntilCut() (*vfs.MemFS, []*chaintest.Block, error) {
	mem := vfs.NewCrashableMem()
	fs := &cutFS{FS: mem, forgetful: l.forgetful}
	c, st, err := l.open(fs)
	if err != nil {
		return nil, nil, err
	}
	defer st.Close()

	f := &feeder{chain: c, rng: l.rng}
	unsynced := rand.New(rand.NewPCG(l.rng.Uint64(), 5))
	var disk *vfs.MemFS
	var safe []*chaintest.Block
	cut := sync.OnceFunc(func() {
		f.mu.Lock() // what is safe before the power goes must be there afterwards
		safe = slices.Clone(f.safe)
		disk = mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: unsynced.IntN(101), RNG: unsynced})
		f.mu.Unlock()
		f.cut.Store(true)
	})
	fs.arm(l.moment(), cut)
	err = f.feed(l.blocks[:1+l.rng.IntN(len(l.blocks))])
	cut() // now, unless it is over or a write behind our backs is at it
	l.imported += f.imported
	return disk, safe, err
}

// cutOnOpen cuts the power again while the chain is opened.
func (l *powerLoss) cutOnOpen(mem *vfs.MemFS) (*vfs.MemFS, error) {
	unsynced := rand.New(rand.NewPCG(l.rng.Uint64(), 6))
	var disk *vfs.MemFS
	cut := func() {
		disk = mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: unsynced.IntN(101), RNG: unsynced})
	}
	fs := &cutFS{FS: mem, forgetful: l.forgetful}
	fs.arm(1+l.rng.IntN(24), cut)
	_, st, err := l.open(fs)
	if err != nil {
		return nil, fmt.Errorf("opening: %w", err)
	}
	st.Close() // which changes the disk too
	if disk == nil {
		cut()
	} else {
		l.again++
	}
	return disk, nil
}

// check opens what a power loss left, wants what was acknowledged, and goes on from
// there to the end of the history.
func (l *powerLoss) check(disk vfs.FS, safe []*chaintest.Block) error {
	if l.isMoving(disk) {
		l.moving++
	}
	c, st, err := l.open(disk)
	if err != nil {
		return fmt.Errorf("opening: %w", err)
	}
	defer st.Close()
	tip, there := l.byHash[c.Tip().Hash]
	if !there {
		return fmt.Errorf("tip %s is no block of ours", c.Tip().Hash)
	}
	for _, b := range safe {
		if _, ok := c.Lookup(b.Hash()); !ok {
			return fmt.Errorf("block %s: %w", b, errLost)
		}
		if _, err := c.BlockByHash(b.Hash()); err != nil {
			return fmt.Errorf("block %s: %w: %v", b, errLost, err)
		}
		if b.Work.Cmp(tip.Work) > 0 {
			return fmt.Errorf("tip %s has less work than block %s: %w", tip, b, errLost)
		}
	}
	if err := l.checkState(c); err != nil {
		return err
	}
	f := &feeder{chain: c, rng: l.rng}
	if err := f.feed(l.blocks); err != nil {
		return fmt.Errorf("the rest: %w", err)
	}
	if got, want := c.Tip().Hash, l.best(); got != want.Hash() {
		return fmt.Errorf("tip %s after the rest, want %s", got, want)
	}
	return l.checkState(c)
}

// checkState compares the unspent outputs with a replay of the main chain.
func (l *powerLoss) checkState(c *chain.Chain) error {
	got, err := c.UTXOStats(context.Background())
	if err != nil {
		return err
	}
	if want := l.at(got.Tip.Hash); got.Outputs != want.outputs || got.Hash != want.hash {
		return fmt.Errorf("at tip %s: %d outputs with hash %s, a replay has %d with hash %s",
			l.byHash[got.Tip.Hash], got.Outputs, got.Hash, want.outputs, want.hash)
	}
	return nil
}

// isMoving says whether the disk has a state on the way to a better tip.
func (l *powerLoss) isMoving(disk vfs.FS) bool {
	st, err := store.Open(store.Options{Dir: "d", Network: l.params.ID(), FS: disk})
	if err != nil {
		return false // which check will say
	}
	defer st.Close()
	return chain.IsMoving(st)
}

// feeder gives blocks to a chain in every way there is, until the power is cut.
type feeder struct {
	chain    *chain.Chain
	rng      *rand.Rand
	cut      atomic.Bool
	imported int // blocks acknowledged by imports before that

	mu   sync.Mutex
	safe []*chaintest.Block // acknowledged
}

func (f *feeder) feed(blocks []*chaintest.Block) error {
	for len(blocks) > 0 && !f.cut.Load() {
		n := min(len(blocks), 1+f.rng.IntN(60))
		take := f.accept
		if f.rng.IntN(2) == 0 {
			take = f.importAll
		}
		if err := take(blocks[:n]); err != nil {
			return err
		}
		blocks = blocks[n:]
	}
	return nil
}

// accept accepts blocks one by one and has some waited for by others.
func (f *feeder) accept(blocks []*chaintest.Block) (err error) {
	var waiters sync.WaitGroup
	defer waiters.Wait()
	failed := make(chan error, len(blocks))
	for _, b := range blocks {
		if f.cut.Load() {
			break
		}
		a, err := f.chain.Accept(b.Block, farFuture())
		if err != nil {
			return fmt.Errorf("block %s: %w", b, err)
		}
		if f.rng.IntN(4) == 0 {
			continue // nobody waits for this one
		}
		waiters.Go(func() {
			if err := a.Wait(); err != nil {
				failed <- fmt.Errorf("block %s: %w", b, err)
				return
			}
			f.acknowledge(b)
		})
		if f.rng.IntN(8) == 0 {
			waiters.Wait()
		}
	}
	waiters.Wait()
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}

func (f *feeder) importAll(blocks []*chaintest.Block) error {
	did, err := f.chain.Import(context.Background(), encoded(blocks), farFuture(), nil)
	if err != nil {
		return fmt.Errorf("import: %w", err)
	}
	if n := did.Blocks + did.Known; n != len(blocks) {
		return fmt.Errorf("import of %d blocks reports %d", len(blocks), n)
	}
	if !f.cut.Load() {
		f.imported += len(blocks)
	}
	f.acknowledge(blocks...)
	return nil
}

func (f *feeder) acknowledge(blocks ...*chaintest.Block) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.safe = append(f.safe, blocks...)
}

func encoded(blocks []*chaintest.Block) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for _, b := range blocks {
			if !yield(b.Encode(), nil) {
				return
			}
		}
	}
}
