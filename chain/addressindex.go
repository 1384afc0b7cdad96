package chain

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/btcsuite/btcd/wire/v2"
	"github.com/jbcnet/jbc/chain/store"
)

// The address index has two records of an output script, which is named by its
// SHA-256, so that no two meet:
//
//	history  height, number of the transaction (4 bytes each), 0 for an input or 1
//	         for an output, its number (4): the value, as a varint
//	unspent  id of the transaction, number of the output: the output without its
//	         script, as the unspent outputs of the chain have it
//
// The second is what the chain has unspent, sorted by script. Outputs that nobody
// can spend are in neither, and so are those of genesis.

// scriptHash names an output script.
type scriptHash [sha256.Size]byte

func hashScript(script []byte) scriptHash { return sha256.Sum256(script) }

// key returns the start of the script's keys.
func (s scriptHash) key(prefix byte) []byte {
	return append(append(make([]byte, 0, 1+32+36), prefix), s[:]...)
}

// historyKey is the key of what happened at p.
func (s scriptHash) historyKey(p AddressPlace) []byte {
	key := s.key(prefixHistory)
	key = binary.BigEndian.AppendUint32(key, p.Height)
	key = binary.BigEndian.AppendUint32(key, p.Transaction)
	paid := byte(1)
	if p.Spent {
		paid = 0
	}
	return binary.BigEndian.AppendUint32(append(key, paid), p.Number)
}

func decodeHistoryKey(key []byte) (p AddressPlace, ok bool) {
	if len(key) != 1+32+4+4+1+4 || key[41] > 1 {
		return p, false
	}
	return AddressPlace{
		Height: binary.BigEndian.Uint32(key[33:]), Transaction: binary.BigEndian.Uint32(key[37:]),
		Spent: key[41] == 0, Number: binary.BigEndian.Uint32(key[42:]),
	}, true
}

func (s scriptHash) unspentKey(at *wire.OutPoint) []byte {
	key := append(s.key(prefixUnspent), at.Hash[:]...)
	return binary.BigEndian.AppendUint32(key, at.Index)
}

func decodeUnspentKey(key []byte) (at wire.OutPoint, ok bool) {
	if len(key) != 1+32+32+4 {
		return at, false
	}
	copy(at.Hash[:], key[33:])
	at.Index = binary.BigEndian.Uint32(key[65:])
	return at, true
}

// withoutScript is the value of an unspent record.
func withoutScript(value int64, height uint32, coinbase bool) []byte {
	return []byte(pack(&wire.TxOut{Value: value}, height, coinbase))
}

func connectAddresses(b *store.Batch, x *indexedBlock) error {
	if x.height == 0 {
		return nil
	}
	next := 0
	for i, tx := range x.Transactions {
		place := AddressPlace{Height: x.height, Transaction: uint32(i)}
		if i > 0 {
			for o, in := range tx.TxIn {
				u, err := x.spent[next].unpack()
				if err != nil {
					return fmt.Errorf("what the block spent, number %d: %w", next, err)
				}
				next++
				place.Spent, place.Number = true, uint32(o)
				script := hashScript(u.PkScript)
				b.Set(store.Chain, script.historyKey(place), binary.AppendUvarint(nil, uint64(u.Value)))
				b.Delete(store.Chain, script.unspentKey(&in.PreviousOutPoint))
			}
		}
		for o, out := range tx.TxOut {
			if !spendable(out) {
				continue
			}
			place.Spent, place.Number = false, uint32(o)
			at := wire.OutPoint{Hash: [32]byte(x.ids[i]), Index: uint32(o)}
			script := hashScript(out.PkScript)
			b.Set(store.Chain, script.historyKey(place), binary.AppendUvarint(nil, uint64(out.Value)))
			b.Set(store.Chain, script.unspentKey(&at), withoutScript(out.Value, x.height, i == 0))
		}
	}
	return nil
}

// disconnectAddresses goes from the last transaction to the first: one may spend
// what another of the block made.
func disconnectAddresses(b *store.Batch, x *indexedBlock) error {
	next := len(x.spent)
	for i := len(x.Transactions) - 1; i >= 0; i-- {
		tx := x.Transactions[i]
		place := AddressPlace{Height: x.height, Transaction: uint32(i)}
		for o, out := range tx.TxOut {
			if !spendable(out) {
				continue
			}
			place.Spent, place.Number = false, uint32(o)
			at := wire.OutPoint{Hash: [32]byte(x.ids[i]), Index: uint32(o)}
			script := hashScript(out.PkScript)
			b.Delete(store.Chain, script.historyKey(place))
			b.Delete(store.Chain, script.unspentKey(&at))
		}
		if i == 0 {
			break
		}
		next -= len(tx.TxIn)
		for o, in := range tx.TxIn {
			u, err := x.spent[next+o].unpack()
			if err != nil {
				return fmt.Errorf("what the block spent, number %d: %w", next+o, err)
			}
			place.Spent, place.Number = true, uint32(o)
			script := hashScript(u.PkScript)
			b.Delete(store.Chain, script.historyKey(place))
			b.Set(store.Chain, script.unspentKey(&in.PreviousOutPoint), withoutScript(u.Value, u.Height, u.Coinbase))
		}
	}
	return restoreAddresses(b, x)
}

// restoreAddresses brings back what a block of BIP30's exceptions overwrote.
func restoreAddresses(b *store.Batch, x *indexedBlock) error {
	if len(x.overwritten) == 0 {
		return nil
	}
	for i, at := range x.makes() {
		if x.overwritten[i] == "" {
			continue
		}
		u, err := x.overwritten[i].unpack()
		if err != nil {
			return fmt.Errorf("what the block overwrote, number %d: %w", i, err)
		}
		b.Set(store.Chain, hashScript(u.PkScript).unspentKey(&at), withoutScript(u.Value, u.Height, u.Coinbase))
	}
	return nil
}
