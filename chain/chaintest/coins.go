package chaintest

import (
	"bytes"
	"encoding/binary"
	"maps"
	"slices"

	"github.com/btcsuite/btcd/wire/v2"
	"github.com/jbcnet/jbc/hashing"
)

// Coin is an output that can be spent, with its place.
type Coin struct {
	At       wire.OutPoint
	Out      *wire.TxOut
	Height   uint32 // of its block
	Coinbase bool
}

// Coins are unspent outputs, by their places.
type Coins map[wire.OutPoint]Coin

// Coins returns what is unspent after block, by replay from genesis. The block and
// those before it must be valid.
func (b *Block) Coins() Coins {
	var way []*Block
	for at := b; at.Parent != nil; at = at.Parent { // genesis makes nothing that can be spent
		way = append(way, at)
	}
	coins := Coins{}
	for _, at := range slices.Backward(way) {
		coins.apply(at)
	}
	return coins
}

func (c Coins) apply(b *Block) {
	for i, tx := range b.Transactions {
		if i > 0 {
			for _, in := range tx.TxIn {
				delete(c, in.PreviousOutPoint)
			}
		}
		for _, coin := range Made(tx, b.Height) {
			coin.Coinbase = i == 0
			c[coin.At] = coin
		}
	}
}

// Made returns the coins that a transaction of a block at height makes, as if it
// were no coinbase: all outputs but those that nobody can spend.
func Made(tx *wire.MsgTx, height uint32) (coins []Coin) {
	id := tx.TxHash()
	for i, out := range tx.TxOut {
		if script := out.PkScript; len(script) > 10_000 || len(script) > 0 && script[0] == 0x6a {
			continue
		}
		coins = append(coins, Coin{At: wire.OutPoint{Hash: id, Index: uint32(i)}, Out: out, Height: height})
	}
	return coins
}

// Ordered returns the coins by id and number.
func (c Coins) Ordered() []Coin {
	return slices.SortedFunc(maps.Values(c), func(a, b Coin) int {
		if n := bytes.Compare(a.At.Hash[:], b.At.Hash[:]); n != 0 {
			return n
		}
		return int(int64(a.At.Index) - int64(b.At.Index))
	})
}

// Hash returns the hash of all coins that Bitcoin Core calls hash_serialized_3.
func (c Coins) Hash() hashing.Hash {
	var all bytes.Buffer
	for _, coin := range c.Ordered() {
		code := coin.Height * 2
		if coin.Coinbase {
			code++
		}
		all.Write(coin.At.Hash[:])
		for _, field := range []any{coin.At.Index, code} {
			_ = binary.Write(&all, binary.LittleEndian, field) // memory takes it
		}
		_ = wire.WriteTxOut(&all, 0, 0, coin.Out)
	}
	return hashing.Sum256d(all.Bytes())
}
