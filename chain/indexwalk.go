package chain

import (
	"fmt"

	"github.com/jbcnet/jbc/chain/store"
)

// indexWalk takes indexes from the block that they are all at along the chain, into
// a batch. They themselves move when that is applied.
type indexWalk struct {
	group indexGroup
	from  *node // where they are
	at    *node // where the batch takes them; nil for no block
	batch *store.Batch
	load  func(n *node) (b *sane, spent, overwritten undo, err error)
}

// walk goes on to the block to, back to where its chain leaves this one and up
// again, unless stop says after a block that this is enough.
func (w *indexWalk) walk(to *node, stop func() bool) error {
	for w.at != to {
		var err error
		if w.at != nil && (w.at.height > to.height || to.ancestor(w.at.height) != w.at) {
			err = w.disconnect()
		} else {
			height := uint32(0)
			if w.at != nil {
				height = w.at.height + 1
			}
			err = w.connect(to.ancestor(height))
		}
		if err != nil || stop() {
			return err
		}
	}
	return nil
}

func (w *indexWalk) connect(n *node) error {
	x, err := w.block(n)
	if err != nil {
		return err
	}
	for _, k := range w.group {
		if err := k.connect(w.batch, x); err != nil {
			return fmt.Errorf("index %s: %w", k.name, err)
		}
	}
	w.at = n
	return nil
}

func (w *indexWalk) disconnect() error {
	x, err := w.block(w.at)
	if err != nil {
		return err
	}
	for _, k := range w.group {
		if err := k.disconnect(w.batch, x); err != nil {
			return fmt.Errorf("index %s: %w", k.name, err)
		}
	}
	w.at = w.at.parent
	return nil
}

func (w *indexWalk) block(n *node) (*indexedBlock, error) {
	b, spent, overwritten, err := w.load(n)
	if err != nil {
		return nil, fmt.Errorf("indexes, block %s at height %d: %w", n.hash, n.height, err)
	}
	return &indexedBlock{sane: b, height: n.height, spent: spent, overwritten: overwritten}, nil
}

// setState ends the batch, and says whether there is anything in it.
func (w *indexWalk) setState() bool {
	if w.at == w.from {
		return false
	}
	for _, x := range w.group {
		x.setState(w.batch, w.at)
	}
	return true
}

// followIndexes adds to an update what the indexes that are at the tip need to be at
// the update's. They are when the caller, who holds c.writing, has applied it and
// moved them. Those that lag stay where they are.
func (c *Chain) followIndexes(u *update) (indexGroup, error) {
	tip := c.state
	w := &indexWalk{from: tip, at: tip, batch: u.batch, load: u.indexed}
	for _, x := range c.indexes.on {
		if x.at == tip {
			w.group = append(w.group, x)
		}
	}
	if len(w.group) == 0 {
		return nil, nil
	}
	if err := w.walk(u.tip, func() bool { return false }); err != nil {
		return nil, err
	}
	w.setState()
	return w.group, nil
}

// indexed returns a block on the way of the update, what it spent and what it
// overwrote.
func (u *update) indexed(n *node) (b *sane, spent, overwritten undo, err error) {
	if b, err = u.body(n); err != nil {
		return nil, nil, nil, err
	}
	if spent, ok := u.undos[n.hash]; ok {
		return b, spent, u.overwritten[n.hash], nil
	}
	spent, overwritten, err = u.chain.readUndoRecord(n.hash, b.Block)
	return b, spent, overwritten, err
}
