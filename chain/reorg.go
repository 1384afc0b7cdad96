package chain

import (
	"fmt"

	"github.com/jbcnet/jbc/chain/store"
	"github.com/jbcnet/jbc/hashing"
)

// update is what one call of Accept changes on disk.
type update struct {
	batch  *store.Batch
	bodies map[hashing.Hash]*Block // of blocks in the batch, which the store can't read yet
}

// add puts a block whose position is right into the index, and makes its chain
// the main one where that has more work. It returns a [RuleError] where the block
// is invalid in its context; the index then remembers that, and the main chain is
// what it was. The caller holds the lock.
func (c *Chain) add(u *update, hash hashing.Hash, b *Block, parent *node) error {
	n := c.params.newNode(hash, b.Header, parent, c.sequence)
	c.insert(n)
	u.bodies[hash] = b
	verdict := c.activate(u, n)
	setIndex(u.batch, n)
	if !n.invalid {
		setBody(u.batch, hash, b)
	}
	return verdict
}

// activate makes the chain up to n the main one where it is the better one. All
// blocks to be connected are checked before one is: where one of them is invalid,
// it is marked so with its descendants, n among them, and nothing else changes.
// No other chain can have become the best one then: all but n's were weighed
// against the tip when they came.
func (c *Chain) activate(u *update, n *node) error {
	if !n.better(c.tip()) {
		return nil
	}
	for _, connecting := range c.path(n) {
		b, err := c.body(u, connecting)
		if err != nil {
			return c.unreadable(connecting, err)
		}
		if err := c.params.checkContext(b, connecting.height); err != nil {
			c.invalidate(u, connecting)
			if connecting != n {
				return broken(RuleInvalidAncestor, n.height, "%v", err)
			}
			return err
		}
	}
	c.setMain(n)
	return nil
}

// unreadable ends the chain: memory has nodes that the disk will not get.
func (c *Chain) unreadable(n *node, err error) error {
	c.broken = fmt.Errorf("chain: block %s at height %d: %w", n.hash, n.height, err)
	return c.broken
}

// path returns the blocks between the main chain and n, lowest first.
func (c *Chain) path(n *node) []*node {
	fork := forkOf(n, c.tip())
	path := make([]*node, n.height-fork.height)
	for ; n != fork; n = n.parent {
		path[n.height-fork.height-1] = n
	}
	return path
}

func (c *Chain) body(u *update, n *node) (*Block, error) {
	if b, ok := u.bodies[n.hash]; ok {
		return b, nil
	}
	return c.readBlock(n.hash)
}

// invalidate marks bad and everything on top of it.
func (c *Chain) invalidate(u *update, bad *node) {
	for leaf := range c.leaves {
		if leaf.height < bad.height || leaf.ancestor(bad.height) != bad {
			continue
		}
		for n := leaf; n != bad.parent; n = n.parent {
			if !n.invalid {
				n.invalid = true
				setIndex(u.batch, n)
			}
		}
	}
}
