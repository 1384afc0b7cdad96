package chain

import (
	"encoding/binary"
	"fmt"

	"github.com/btcsuite/btcd/wire/v2"
	"github.com/jbcnet/jbc/chain/store"
	"github.com/jbcnet/jbc/hashing"
)

// TxPlace is where a transaction is on the main chain.
type TxPlace struct {
	Block  Ref
	Number uint32 // in the block; the coinbase is 0
	Tip    Ref    // when asked
}

// Transaction finds a transaction of the main chain by its id. Where there are two
// of one id, made before BIP34 ended that, it is the later. The error is
// [store.ErrNotFound], [ErrNoIndex], an [IndexBehindError], or the machine's.
func (c *Chain) Transaction(id hashing.Hash) (*wire.MsgTx, TxPlace, error) {
	view, err := c.viewIndex(IndexTransactions)
	if err != nil {
		return nil, TxPlace{}, err
	}
	defer view.Close()
	place := TxPlace{Tip: Ref{view.tip.hash, view.tip.height}}
	found := false
	err = view.Descend(store.Chain, append([]byte{prefixTx}, id[:]...), nil, func(key, _ []byte) bool {
		rest := key[1+len(id):]
		if found = len(rest) == 8; found {
			place.Block.Height = binary.BigEndian.Uint32(rest)
			place.Number = binary.BigEndian.Uint32(rest[4:])
		}
		return false
	})
	if err == nil && !found {
		err = store.ErrNotFound
	}
	if err != nil {
		return nil, TxPlace{}, err
	}
	b, err := c.blockOnWay(view.tip, place.Block.Height)
	if err != nil {
		return nil, TxPlace{}, err
	}
	place.Block.Hash = b.Hash()
	if int(place.Number) >= len(b.Transactions) || hashing.Hash(b.Transactions[place.Number].TxHash()) != id {
		return nil, TxPlace{}, c.damaged("index tx", "transaction %s is not number %d of block %s", id, place.Number, place.Block.Hash)
	}
	return b.Transactions[place.Number], place, nil
}

// blockOnWay reads the block at a height of an index, on the way to a tip that was.
func (c *Chain) blockOnWay(tip *node, height uint32) (*Block, error) {
	if height > tip.height {
		return nil, c.damaged("indexes", "height %d, the tip is at %d", height, tip.height)
	}
	n := tip.ancestor(height)
	b, err := c.readBlock(n.hash)
	if err != nil {
		return nil, c.indexDamage(fmt.Errorf("block %s at height %d: %w", n.hash, n.height, err))
	}
	return b, nil
}

// A transaction's record is all key: of two with one id each has its own, and
// taking a block back needs to read nothing.
func txKey(id hashing.Hash, height uint32, number int) []byte {
	key := make([]byte, 0, 1+32+4+4)
	key = append(append(key, prefixTx), id[:]...)
	key = binary.BigEndian.AppendUint32(key, height)
	return binary.BigEndian.AppendUint32(key, uint32(number))
}

func connectTransactions(b *store.Batch, x *indexedBlock) error {
	for i, id := range x.ids {
		b.Set(store.Chain, txKey(id, x.height, i), nil)
	}
	return nil
}

func disconnectTransactions(b *store.Batch, x *indexedBlock) error {
	for i, id := range x.ids {
		b.Delete(store.Chain, txKey(id, x.height, i))
	}
	return nil
}
