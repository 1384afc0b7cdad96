package chain

import (
	"context"
	"fmt"
	"slices"

	"github.com/jbcnet/jbc/hashing"
)

// FindTransaction reads the main chain's blocks from the tip down to the one that has
// a transaction, the last of them where two have one of that id (BIP30). progress,
// which may be nil, is told the height of each block. The error is [ErrNotInBlock]
// where none has it, ctx's, or the machine's.
func (c *Chain) FindTransaction(ctx context.Context, id hashing.Hash, progress func(height uint32)) (block hashing.Hash, err error) {
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
			return hashing.Hash{}, fmt.Errorf("transaction %s: %w of any height up to %d", id, ErrNotInBlock, tip.Height)
		}
		hash, height = b.Header.Prev(), height-1
	}
}
