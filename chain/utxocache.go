package chain

import (
	"errors"

	"github.com/btcsuite/btcd/wire/v2"
	"github.com/jbcnet/jbc/chain/store"
)

// utxoCache reads unspent outputs from the store and remembers them. It holds
// nothing that the store does not: what changes goes to the store first, in the
// batch that moves the tip, and only then in here. So it can be dropped at any time.
//
// It belongs to whoever holds Chain.writing.
type utxoCache struct {
	store *store.Store
	limit int64 // bytes
	// Two generations: what is used moves to young; when that holds half of the
	// limit, old is dropped and young is the old one. Nothing is ordered or counted
	// by use, and what was used lately stays.
	young, old map[wire.OutPoint]packed
	bytes      int64 // of young
}

// cachedOverhead is what an output takes in a map besides its text: the key, the
// string's header, and a map's free places, and the allocation's rounding.
const cachedOverhead = 36 + 16 + 44

func cachedSize(p packed) int64 { return int64(len(p)) + cachedOverhead }

func newUTXOCache(st *store.Store, limit int64) *utxoCache {
	return &utxoCache{store: st, limit: limit, young: map[wire.OutPoint]packed{}}
}

// get returns an unspent output, empty where there is none.
func (c *utxoCache) get(at *wire.OutPoint) (packed, error) {
	if p, ok := c.young[*at]; ok {
		return p, nil
	}
	if p, ok := c.old[*at]; ok {
		delete(c.old, *at)
		c.put(at, p)
		return p, nil
	}
	raw, err := c.store.Get(store.Chain, utxoKey(at))
	if errors.Is(err, store.ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	p := packed(raw)
	c.put(at, p)
	return p, nil
}

// put remembers an output that the store has.
func (c *utxoCache) put(at *wire.OutPoint, p packed) {
	if c.bytes+cachedSize(p) > c.limit/2 {
		if cachedSize(p) > c.limit/2 {
			return
		}
		c.old, c.young, c.bytes = c.young, make(map[wire.OutPoint]packed), 0
	}
	c.young[*at] = p
	c.bytes += cachedSize(p)
}

// forget drops an output that the store no longer has.
func (c *utxoCache) forget(at *wire.OutPoint) {
	if p, ok := c.young[*at]; ok {
		delete(c.young, *at)
		c.bytes -= cachedSize(p)
		return
	}
	delete(c.old, *at)
}
