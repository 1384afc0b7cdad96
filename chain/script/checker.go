package script

import (
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/btcsuite/btcd/txscript/v2"
)

// Options of [New].
type Options struct {
	// Workers is how many goroutines run scripts at once for all batches together;
	// 0 is one for each CPU that Go uses. A caller in [Batch.Wait] is one of them, and
	// works even where other batches have taken all places, so that none waits for
	// another.
	Workers int
	// CacheEntries is how many signatures are remembered as good; 0 is none. Room
	// for all is taken when the first script runs: 115 bytes an entry for 50,000,
	// never over 190. An entry then holds its signature and key, about 110 bytes, of an
	// ordinary input; of any other the scripts of the input, never over 1,024.
	CacheEntries uint
}

// A Checker runs the scripts of batches. It is safe for concurrent use.
type Checker struct {
	limit   int64
	running atomic.Int64
	entries uint
	create  sync.Once
	cache   *txscript.SigCache
}

// New starts nothing.
func New(o Options) *Checker {
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	return &Checker{limit: int64(o.Workers), entries: o.CacheEntries}
}

// Batch returns an empty batch, which belongs to one goroutine.
func (c *Checker) Batch() *Batch {
	b := &Batch{checker: c}
	b.idle.L = &b.mu
	return b
}

// signatures returns the cache, or nil where nothing is to be remembered.
func (c *Checker) signatures() *txscript.SigCache {
	if c.entries == 0 {
		return nil
	}
	c.create.Do(func() { c.cache = txscript.NewSigCache(c.entries) })
	return c.cache
}

// acquire takes the place of one worker, if there is one left.
func (c *Checker) acquire() bool {
	for {
		n := c.running.Load()
		if n >= c.limit {
			return false
		}
		if c.running.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

func (c *Checker) release() { c.running.Add(-1) }
