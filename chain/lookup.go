package chain

import (
	"errors"
	"fmt"

	"github.com/btcsuite/btcd/wire/v2"
	"github.com/jbcnet/jbc/chain/store"
	"github.com/jbcnet/jbc/hashing"
)

// Entry is what the index has of one block.
type Entry struct {
	Hash       hashing.Hash
	Height     uint32
	Header     hashing.Header
	Work       Work   // of the chain up to it
	MedianTime uint32 // median time past of a child
	Main       bool   // it lies on the main chain
	Invalid    bool   // it broke a rule of context, or descends from one that did
}

// Lookup returns what the index has of a block.
func (c *Chain) Lookup(hash hashing.Hash) (Entry, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	n := c.nodes.get(hash)
	if n == nil {
		return Entry{}, false
	}
	return Entry{
		Hash: n.hash, Height: n.height, Header: n.header(), Work: n.work, MedianTime: n.median,
		Main: c.onMain(n), Invalid: n.invalid,
	}, true
}

// IsMain says whether a block lies on the main chain.
func (c *Chain) IsMain(hash hashing.Hash) bool {
	e, _ := c.Lookup(hash)
	return e.Main
}

// HashAtHeight returns the main chain's block at height.
func (c *Chain) HashAtHeight(height uint32) (hashing.Hash, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if int64(height) >= int64(len(c.main)) {
		return hashing.Hash{}, false
	}
	return c.main[height].hash, true
}

// NextBits returns the bits that a block on parent must have.
func (c *Chain) NextBits(parent hashing.Hash) (hashing.Bits, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	n := c.nodes.get(parent)
	if n == nil {
		return 0, false
	}
	bits, _ := c.params.required(n)
	return bits, true
}

// Held says whether a block waits in memory for its parent.
func (c *Chain) Held(hash hashing.Hash) bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	_, held := c.orphans.byHash[hash]
	return held
}

// BlockByHash reads a block, of the main chain or beside it. The error is
// [store.ErrNotFound] where there is none, or the machine's.
func (c *Chain) BlockByHash(hash hashing.Hash) (*Block, error) { return c.readBlock(hash) }

// RawBlock reads a block's bytes, as [Block.Encode] gives them. The error is that
// of [Chain.BlockByHash].
func (c *Chain) RawBlock(hash hashing.Hash) ([]byte, error) {
	raw, err := c.store.Get(store.Chain, bodyKey(hash))
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, fmt.Errorf("chain: block %s: %w", hash, err)
	}
	return raw, err
}

// UTXO returns an output that is unspent at the tip; false where it is not. While a
// long change of the main chain goes on, it is that of a block on the way.
func (c *Chain) UTXO(at wire.OutPoint) (UTXO, bool, error) {
	raw, err := c.store.Get(store.Chain, utxoKey(&at))
	if errors.Is(err, store.ErrNotFound) {
		return UTXO{}, false, nil
	}
	if err != nil {
		return UTXO{}, false, fmt.Errorf("chain: output %s: %w", at, err)
	}
	u, err := packed(raw).unpack()
	if err != nil {
		return UTXO{}, false, c.damaged("unspent output "+at.String(), "%v", err)
	}
	return u, true, nil
}

func (c *Chain) readBlock(hash hashing.Hash) (*Block, error) {
	raw, err := c.RawBlock(hash)
	if err != nil {
		return nil, err
	}
	b, err := DecodeBlock(raw)
	if err != nil {
		return nil, c.damaged("body of block "+hash.String(), "%v", err)
	}
	return b, nil
}
