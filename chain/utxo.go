package chain

import (
	"encoding/binary"
	"errors"

	"github.com/btcsuite/btcd/wire/v2"
	"github.com/jbcnet/jbc/chain/script"
)

// UTXO is an unspent output.
type UTXO struct {
	Value    int64 // units
	PkScript []byte
	Height   uint32 // of the block that made it
	Coinbase bool   // made by a coinbase
}

// packed is an unspent output as the store, the cache and undo records have it:
// height and coinbase as one number (2 x height + 1 for a coinbase's), value,
// script; numbers as varints. It is a string, for it is shared and never changed.
type packed string

func pack(out *wire.TxOut, height uint32, coinbase bool) packed {
	code := uint64(height) << 1
	if coinbase {
		code |= 1
	}
	buf := make([]byte, 0, 2*binary.MaxVarintLen64+len(out.PkScript))
	buf = binary.AppendUvarint(buf, code)
	buf = binary.AppendUvarint(buf, uint64(out.Value))
	return packed(append(buf, out.PkScript...))
}

var errPacked = errors.New("not an unspent output")

// unpack is the inverse of pack. The script is a copy.
func (p packed) unpack() (UTXO, error) {
	code, n := uvarint(p)
	if n <= 0 || code>>33 != 0 {
		return UTXO{}, errPacked
	}
	value, m := uvarint(p[n:])
	if m <= 0 || value > maxMoney {
		return UTXO{}, errPacked
	}
	return UTXO{
		Value: int64(value), PkScript: []byte(p[n+m:]),
		Height: uint32(code >> 1), Coinbase: code&1 == 1,
	}, nil
}

// uvarint is binary.Uvarint for a string.
func uvarint(s packed) (uint64, int) {
	var buf [binary.MaxVarintLen64]byte
	return binary.Uvarint(buf[:copy(buf[:], s)])
}

// spendable says whether an output can ever be spent: others are not kept.
func spendable(out *wire.TxOut) bool { return !script.Unspendable(out.PkScript) }

// utxoKey is where the store has an output: its transaction's id and its number,
// big-endian, so that the outputs of a transaction are neighbours.
func utxoKey(at *wire.OutPoint) []byte {
	key := make([]byte, 0, 1+32+4)
	key = append(key, prefixUTXO)
	key = append(key, at.Hash[:]...)
	return binary.BigEndian.AppendUint32(key, at.Index)
}

func decodeUTXOKey(key []byte) (at wire.OutPoint, ok bool) {
	if len(key) != 1+32+4 || key[0] != prefixUTXO {
		return at, false
	}
	copy(at.Hash[:], key[1:])
	at.Index = binary.BigEndian.Uint32(key[33:])
	return at, true
}
