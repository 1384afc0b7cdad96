package chain

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jbcnet/jbc/chain/store"
	"github.com/jbcnet/jbc/hashing"
)

// FindTransaction returns the block of the main chain that has a transaction, the last
// where two have one of that id (BIP30). Where the index of transactions is off or
// behind it reads the chain from the tip down; progress, which may be nil, is told the
// height of each block. The error is [ErrNotInBlock] where none has it, ctx's, or the
// machine's.
func (c *Chain) FindTransaction(ctx context.Context, id hashing.Hash, progress func(height uint32)) (block hashing.Hash, err error) {
	_, place, err := c.Transaction(id)
	switch {
	case err == nil:
		return place.Block.Hash, nil
	case errors.Is(err, store.ErrNotFound):
		return hashing.Hash{}, notOnMain(id, c.Tip().Height)
	case errors.Is(err, ErrNoIndex), errors.As(err, new(*IndexBehindError)):
		return c.searchTransaction(ctx, id, progress)
	}
	return hashing.Hash{}, err
}

func notOnMain(id hashing.Hash, height uint32) error {
	return fmt.Errorf("transaction %s: %w of any height up to %d", id, ErrNotInBlock, height)
}

func (c *Chain) searchTransaction(ctx context.Context, id hashing.Hash, progress func(height uint32)) (block hashing.Hash, err error) {
	tip := c.Tip()
	hash, height := tip.Hash, tip.Height
	for {
		if err := ctx.Err(); err != nil {
			return hashing.Hash{}, err
		}
		if progress != nil {
			progress(height)
		}
		b, err := c.readBlock(hash)
		if err != nil {
			return hashing.Hash{}, fmt.Errorf("block %s at height %d: %w", hash, height, err)
		}
		if slices.Contains(b.ids(), id) {
			return hash, nil
		}
		if height == 0 {
			return hashing.Hash{}, notOnMain(id, tip.Height)
		}
		hash, height = b.Header.Prev(), height-1
	}
}
