package chain

import (
	"encoding/binary"
	"fmt"

	"github.com/btcsuite/btcd/wire/v2"
	"github.com/jbcnet/jbc/chain/store"
	"github.com/jbcnet/jbc/hashing"
)

// undo is what a block spent, in the order of its inputs: what taking it off the
// main chain needs besides the block.
type undo []packed

// encode writes each output with its length before it, as a varint.
func (u undo) encode() []byte {
	size := 0
	for _, p := range u {
		size += binary.MaxVarintLen32 + len(p)
	}
	buf := make([]byte, 0, size)
	for _, p := range u {
		buf = binary.AppendUvarint(buf, uint64(len(p)))
		buf = append(buf, p...)
	}
	return buf
}

// decodeUndo reads the record of a block that spent n outputs, and made more that may
// have overwritten others: where one did not its length is zero.
func decodeUndo(raw []byte, n, more int) (undo, error) {
	made := n + more
	u := make(undo, 0, min(n, len(raw)))
	for len(raw) > 0 {
		size, k := binary.Uvarint(raw)
		if k <= 0 || size > uint64(len(raw)-k) {
			return nil, fmt.Errorf("cut short after %d outputs", len(u))
		}
		p := packed(raw[k : k+int(size)])
		if _, err := p.unpack(); err != nil && (p != "" || len(u) < n) {
			return nil, fmt.Errorf("output %d: %w", len(u), err)
		}
		u = append(u, p)
		raw = raw[k+int(size):]
	}
	if len(u) != made {
		return nil, fmt.Errorf("%d outputs, the block spent or overwrote %d", len(u), made)
	}
	return u, nil
}

// spends returns how many outputs a block spends.
func (b *Block) spends() (n int) {
	for _, tx := range b.Transactions[1:] {
		n += len(tx.TxIn)
	}
	return n
}

func undoKey(hash hashing.Hash) []byte { return append([]byte{prefixUndo}, hash[:]...) }

// setUndo keeps what a block spent; nothing where that is nothing.
func setUndo(b *store.Batch, hash hashing.Hash, u undo) {
	if len(u) > 0 {
		b.Set(store.Chain, undoKey(hash), u.encode())
	}
}

// readUndo reads what a block spent.
func (c *Chain) readUndo(hash hashing.Hash, b *Block) (undo, error) {
	u, _, err := c.readUndoRecord(hash, b)
	return u, err
}

// makes returns the places of the outputs that a block makes, in their order.
func (b *Block) makes() (places []wire.OutPoint) {
	for _, tx := range b.Transactions {
		id := tx.TxHash()
		for i, out := range tx.TxOut {
			if spendable(out) {
				places = append(places, wire.OutPoint{Hash: id, Index: uint32(i)})
			}
		}
	}
	return places
}

// readUndoRecord reads what a block spent, and of one of BIP30's exceptions what was
// in the place of each output that it made.
func (c *Chain) readUndoRecord(hash hashing.Hash, b *Block) (spent, overwritten undo, err error) {
	n, more := b.spends(), 0
	for _, exception := range c.params.Forks.BIP30Exceptions {
		if exception == hash {
			more = len(b.makes())
		}
	}
	if n+more == 0 {
		return nil, nil, nil
	}
	raw, err := c.store.Get(store.Chain, undoKey(hash))
	if err != nil {
		return nil, nil, fmt.Errorf("undo record of block %s: %w", hash, err)
	}
	u, err := decodeUndo(raw, n, more)
	if err != nil {
		return nil, nil, c.damaged("undo record of block "+hash.String(), "%v", err)
	}
	return u[:n], u[n:], nil
}
