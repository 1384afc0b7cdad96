package chain

import (
	"fmt"
	"log/slog"
	"sync"

	"github.com/jbcnet/jbc/chain/script"
	"github.com/jbcnet/jbc/chain/store"
	"github.com/jbcnet/jbc/hashing"
)

// Chain is every block that is known, the choice of the main one among their
// chains, and the outputs that are unspent at its tip. It is safe for concurrent
// use: blocks are taken in one at a time, and nobody who reads waits for that.
//
// Memory runs ahead of the disk by the writes that are not synced yet: see
// [Accepted.Wait]. When the store fails, nothing is accepted any more and the
// process should end; the next one opens what was synced.
type Chain struct {
	params  *Params
	store   *store.Store
	log     *slog.Logger
	scripts *script.Checker

	updateBytes int64 // what an update may hold, see Options

	// writing is held by whoever takes in blocks. What follows is his: he alone
	// changes it, and where it stands below mu holds that too while he does.
	writing sync.Mutex
	utxos   *utxoCache
	last    *store.Pending // of the latest batch: when it is synced, so is everything
	broken  error          // a batch was not applied: memory and disk differ
	// doubtful says that the store is from when fewer rules were known: what it has is
	// judged again.
	doubtful bool

	mu       sync.RWMutex
	nodes    nodeTable
	main     []*node            // the main chain by height
	state    *node              // where the unspent outputs are that the store has: the tip, or on the way to another
	excluded bool               // a checkpoint rules out blocks that break no other rule
	leaves   map[*node]struct{} // nodes without children
	indexes  indexes            // those that are on
	sequence uint64             // of the next node
	unspent  uint64             // outputs at the tip
	orphans  *orphans
}

// Tip is the last block of the main chain, as it was when asked.
type Tip struct {
	Hash       hashing.Hash
	Height     uint32
	Header     hashing.Header
	Work       Work   // of the whole chain
	MedianTime uint32 // median time past: a child's time must be above it
}

// Params returns the network. It must not be changed.
func (c *Chain) Params() *Params { return c.params }

// Tip returns the last block of the main chain.
func (c *Chain) Tip() Tip {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.tip().snapshot()
}

func (n *node) snapshot() Tip {
	return Tip{Hash: n.hash, Height: n.height, Header: n.header(), Work: n.work, MedianTime: n.median}
}

// tip returns the last node of the main chain. The caller holds the lock.
func (c *Chain) tip() *node { return c.main[len(c.main)-1] }

// onMain says whether n is on the main chain. The caller holds the lock.
func (c *Chain) onMain(n *node) bool {
	return int(n.height) < len(c.main) && c.main[n.height] == n
}

// insert puts n, whose parent is there, into the index. The caller holds the lock.
func (c *Chain) insert(n *node) {
	n.link()
	c.nodes.put(n)
	delete(c.leaves, n.parent)
	c.leaves[n] = struct{}{}
	c.sequence = max(c.sequence, n.sequence+1)
}

// setMain makes the chain up to n the main one. The caller holds both locks.
func (c *Chain) setMain(n *node) {
	fork := n
	for !c.onMain(fork) {
		fork = fork.parent
	}
	c.main = c.main[:fork.height+1]
	for height := fork.height + 1; height <= n.height; height++ {
		c.main = append(c.main, nil)
	}
	for ; n != fork; n = n.parent {
		c.main[n.height] = n
	}
}

// apply hands a batch to the store. The caller holds c.writing.
func (c *Chain) apply(b *store.Batch) error {
	pending, err := b.Apply()
	if err != nil {
		c.broken = fmt.Errorf("chain: %w", err)
		return c.broken
	}
	c.last = pending
	return nil
}
