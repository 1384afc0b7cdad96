package chain

import (
	"github.com/jbcnet/jbc/hashing"
)

// MaxLocator is more than the hashes of any locator.
const MaxLocator = 64

// Locator names blocks of the main chain from the tip down to genesis, the first
// ones each, then further and further apart: whoever gets it finds the last block
// that the two chains share, or one a little before it.
func (c *Chain) Locator() []hashing.Hash {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.locator(c.tip())
}

// LocatorFrom is a locator of the chain up to a block, which need not be on the
// main chain; of the tip where the block is not known.
func (c *Chain) LocatorFrom(hash hashing.Hash) []hashing.Hash {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if n := c.nodes.get(hash); n != nil {
		return c.locator(n)
	}
	return c.locator(c.tip())
}

func (c *Chain) locator(n *node) []hashing.Hash {
	var hashes []hashing.Hash
	for step := uint32(1); ; {
		hashes = append(hashes, n.hash)
		if n.height == 0 {
			return hashes
		}
		if len(hashes) > 10 {
			step *= 2
		}
		n = n.ancestor(n.height - min(step, n.height))
	}
}

// HeadersAfter returns headers of the main chain, at most limit of them, and the
// height of the first: those that follow the first block of the locator that is on
// it, from height 1 on where none is.
func (c *Chain) HeadersAfter(locator []hashing.Hash, limit int) (from uint32, headers []hashing.Header) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	from = 1
	for _, hash := range locator {
		if n := c.nodes.get(hash); n != nil && c.onMain(n) {
			from = n.height + 1
			break
		}
	}
	end := min(int(from)+limit, len(c.main))
	for height := int(from); height < end; height++ {
		headers = append(headers, c.main[height].header())
	}
	return from, headers
}
