package chain

import (
	"errors"
	"fmt"

	"github.com/jbcnet/jbc/chain/store"
)

// What an update may hold before it is written: a longer way between two tips is
// gone in several batches, each of which is a whole state.
const (
	maxUpdateBytes  = 48 << 20
	maxUpdateInputs = 20_000 // whose scripts are not judged yet
)

// add puts a block whose position is right into the index, and makes its chain
// the main one where that has more work. It returns a [RuleError] where the block
// is invalid in its context; the index then remembers that, and the main chain is
// what it was. The caller holds c.writing.
func (c *Chain) add(u *update, b *sane, parent *node) error {
	return c.activate(u, c.index(u, b, parent))
}

// index makes the node of a block and puts both into the update.
func (c *Chain) index(u *update, b *sane, parent *node) *node {
	n := c.params.newNode(b.hash, &b.Header, parent, c.sequence)
	c.mu.Lock()
	c.insert(n)
	c.mu.Unlock()
	u.bodies[b.hash] = b
	u.bytes += heldBlock * int64(b.Size())
	setIndex(u.batch, n)
	setBody(u.batch, b.hash, b.Block)
	return n
}

// activate takes the state to n where that is the better tip. Where a block on
// the way is invalid, it is marked so with its descendants, n among them, and the
// state goes back to the best of the others.
func (c *Chain) activate(u *update, n *node) error {
	if !n.better(u.tip) {
		return nil
	}
	start, startMark := u.tip, u.view.mark()
	writes := u.writes
	bad, verdict := u.moveTo(n)
	switch {
	case verdict == nil:
		return nil
	case bad == nil:
		return c.unusable(n, verdict)
	}
	c.invalidate(u, bad)
	if u.writes == writes { // as it was, without going there
		u.view.rollback(startMark)
		u.tip = start
	}
	if err := c.activateBest(u); err != nil {
		return err
	}
	if bad != n {
		cause := (*RuleError)(nil)
		errors.As(verdict, &cause)
		return &RuleError{Rule: RuleInvalidAncestor, Height: n.height, Cause: cause}
	}
	return verdict
}

// activateBest takes the state to the best valid block there is.
func (c *Chain) activateBest(u *update) error {
	for {
		best := c.best()
		if best == u.tip || !u.tip.invalid && !best.better(u.tip) {
			return nil
		}
		bad, verdict := u.moveTo(best)
		switch {
		case verdict == nil:
			return nil
		case bad == nil:
			return c.unusable(best, verdict)
		}
		c.invalidate(u, bad)
	}
}

// best returns the valid block with the most work.
func (c *Chain) best() (best *node) {
	for n := range c.leaves {
		for n.invalid {
			n = n.parent
		}
		if best == nil || n.better(best) {
			best = n
		}
	}
	return best
}

// moveTo takes the state to n. Where a rule is broken on the way, bad is the block
// that broke it, verdict says how, and the state is that of bad's parent. Any
// other verdict is the machine's, and the update is good for nothing more.
func (u *update) moveTo(n *node) (bad *node, verdict error) {
	fork := forkOf(n, u.tip)
	for u.tip != fork {
		if err := u.disconnect(); err != nil {
			return nil, err
		}
		if bad, err := u.relieve(); err != nil {
			return bad, err
		}
	}
	for height := fork.height + 1; height <= n.height; height++ {
		next := n.ancestor(height)
		b, err := u.body(next)
		if err == nil {
			err = u.connect(next, b)
		}
		if err != nil {
			return u.refused(next, err)
		}
		if bad, err := u.relieve(); err != nil {
			return bad, err
		}
	}
	return u.settle()
}

// refused sorts an error of connect: a script of an earlier block, which nobody
// has waited for yet, comes before it.
func (u *update) refused(n *node, err error) (bad *node, verdict error) {
	if !errors.As(err, new(*RuleError)) {
		return nil, err
	}
	if bad, earlier := u.settle(); earlier != nil {
		return bad, earlier
	}
	return n, err
}

// relieve waits for scripts, and writes the state, when there are many.
func (u *update) relieve() (bad *node, verdict error) {
	if u.scripts.Len() < maxUpdateInputs && u.size() < u.chain.updateBytes {
		return nil, nil
	}
	if bad, err := u.settle(); err != nil || u.size() < u.chain.updateBytes {
		return bad, err
	}
	u.writes++
	return nil, u.chain.commit(u, true)
}

// commit writes the update, and shows it unless it is moving: on its way to another
// tip. Until it is there everybody sees the main chain that was, and has no part in
// a chain that may turn out invalid. The update is empty then, at the same tip.
func (c *Chain) commit(u *update, moving bool) error {
	u.view.write(u.batch)
	utxos := uint64(int64(c.unspent) + u.view.count)
	record := tipRecord{hash: u.tip.hash, utxos: utxos, moving: moving || c.excluded}
	u.batch.Set(store.Chain, tipKey(), record.encode())
	indexes, err := c.followIndexes(u)
	if err != nil {
		return c.unusable(u.tip, err)
	}

	c.mu.Lock()
	err = c.apply(u.batch)
	if err == nil {
		if !moving {
			c.setMain(u.tip)
		}
		c.state, c.unspent = u.tip, utxos
		indexes.moveTo(u.tip)
	}
	c.mu.Unlock()
	if err != nil {
		return err
	}
	u.view.settle()
	u.batch = c.store.NewBatch()
	clear(u.bodies)
	clear(u.undos)
	clear(u.overwritten)
	u.bytes = 0
	return nil
}

// unusable ends the chain: memory has nodes that the disk will not get, or the
// disk has not what it should.
func (c *Chain) unusable(n *node, err error) error {
	if e := (*stateError)(nil); errors.As(err, &e) {
		err = c.damaged("unspent outputs", "%v", e)
	}
	c.broken = fmt.Errorf("chain: on the way to block %s at height %d: %w", n.hash, n.height, err)
	return c.broken
}

// invalidate marks bad and everything on top of it, and drops their bodies.
func (c *Chain) invalidate(u *update, bad *node) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for leaf := range c.leaves {
		if leaf.height < bad.height || leaf.ancestor(bad.height) != bad {
			continue
		}
		for n := leaf; n != bad.parent; n = n.parent {
			if n.failed {
				continue
			}
			n.failed, n.invalid = true, true
			setIndex(u.batch, n)
			u.batch.Delete(store.Chain, bodyKey(n.hash))
			u.batch.Delete(store.Chain, undoKey(n.hash))
		}
	}
}
