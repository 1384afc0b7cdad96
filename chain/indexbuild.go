package chain

import (
	"cmp"
	"context"
	"errors"

	"github.com/jbcnet/jbc/chain/store"
)

// IndexProgress says how far the indexes that are being built are.
type IndexProgress struct {
	Indexes IndexSet
	Height  uint32 // of the block that they are at
	Tip     uint32 // height of the tip
}

// indexBytes is about what a batch of a build has, and what is added to it at most
// while nobody else can write.
const indexBytes = 4 << 20

// BuildIndexes takes the indexes that are switched on and lag to the tip, from where
// they are, which may be nowhere, or on a chain that is not the main one any more.
// It reads every block on the way, in its own time: others use the chain meanwhile,
// and from the tip on an index is always at the tip. A build that was cut off, by
// ctx or a power loss, goes on where it was. progress, which may be nil, is called
// every some thousand blocks.
//
// The error is ctx's, a [store.DamageError], or the machine's.
func (c *Chain) BuildIndexes(ctx context.Context, progress func(IndexProgress)) error {
	c.indexes.building.Lock()
	defer c.indexes.building.Unlock()
	for {
		w := c.lagging()
		if w == nil {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := c.buildSome(ctx, w); err != nil {
			return err
		}
		if progress != nil {
			progress(w.progress(c.Tip().Height))
		}
	}
}

// lagging returns indexes that are at one block other than the tip, ready to go,
// nil where there are none.
func (c *Chain) lagging() *indexWalk {
	c.mu.RLock()
	defer c.mu.RUnlock()
	w := &indexWalk{load: c.indexed}
	for _, x := range c.indexes.on {
		if x.at != c.tip() && (len(w.group) == 0 || x.at == w.from) {
			w.group = append(w.group, x)
			w.from, w.at = x.at, x.at
		}
	}
	if len(w.group) == 0 {
		return nil
	}
	w.batch = c.store.NewBatch()
	return w
}

// buildSome takes indexes a batch further. What is far from the tip is read while
// others write; then, with nobody writing, the rest, if it is not much.
func (c *Chain) buildSome(ctx context.Context, w *indexWalk) error {
	full := func(limit int) func() bool {
		return func() bool { return w.batch.Size() >= limit || ctx.Err() != nil }
	}
	batch := cmp.Or(c.indexes.batch, indexBytes)
	c.mu.RLock()
	tip := c.tip()
	c.mu.RUnlock()
	if err := w.walk(tip, full(batch)); err != nil {
		return c.indexDamage(err)
	}

	pending, err := c.finishSome(w, full(2*batch))
	if err != nil {
		return err
	}
	return pending.Wait()
}

// finishSome goes on to the tip, unless stop says that this is enough, and writes.
func (c *Chain) finishSome(w *indexWalk, stop func() bool) (*store.Pending, error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	if c.broken != nil {
		return nil, c.broken
	}
	if w.group[0].at != w.from { // the main chain came to where they were, and they follow it now
		w.at = w.group[0].at
		return c.last, nil
	}
	if err := w.walk(c.tip(), stop); err != nil {
		return nil, c.indexDamage(err)
	}
	if !w.setState() {
		return nil, nil
	}
	if err := c.apply(w.batch); err != nil {
		return nil, err
	}
	c.mu.Lock()
	w.group.moveTo(w.at)
	c.mu.Unlock()
	return c.last, nil
}

// indexed reads a block that is not new, what it spent and what it overwrote.
func (c *Chain) indexed(n *node) (_ *sane, spent, overwritten undo, err error) {
	b, err := c.readBlock(n.hash)
	if err != nil {
		return nil, nil, nil, err
	}
	spent, overwritten, err = c.readUndoRecord(n.hash, b)
	return trusted(b), spent, overwritten, err
}

// indexDamage sorts an error of reading blocks that were on the main chain: they
// should all be there.
func (c *Chain) indexDamage(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return c.damaged("blocks", "%v", err)
	}
	return err
}

func (w *indexWalk) progress(tip uint32) IndexProgress {
	p := IndexProgress{Tip: tip}
	for _, x := range w.group {
		p.Indexes |= x.set
	}
	if w.at != nil {
		p.Height = w.at.height
	}
	return p
}
