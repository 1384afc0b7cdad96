package chain

import (
	"context"
	"crypto/sha256"
	"encoding/binary"

	"github.com/btcsuite/btcd/wire/v2"
	"github.com/jbcnet/jbc/chain/store"
	"github.com/jbcnet/jbc/hashing"
)

// UTXOStats sums up the unspent outputs at a block: the tip, or while a long change of
// the main chain goes on one on the way.
type UTXOStats struct {
	Tip     Tip
	Outputs uint64
	Value   int64 // units
	// Hash is the same wherever the same outputs are unspent: SHA-256d over all of
	// them, by id and number, each as 32 bytes of id, its number and 2 x height
	// + 1 for a coinbase's (4 bytes each), and the output as in a transaction, all
	// little-endian. It is what Bitcoin Core calls hash_serialized_3.
	Hash hashing.Hash
}

// UTXOStats reads every unspent output, as of when it is called. It takes
// about a second for two million; others may go on meanwhile. The error is ctx's,
// a [store.DamageError] where the store has other outputs than it counted, or the
// machine's.
func (c *Chain) UTXOStats(ctx context.Context) (UTXOStats, error) {
	c.mu.RLock()
	tip, counted := c.state, c.unspent
	snapshot, err := c.store.Snapshot()
	c.mu.RUnlock()
	if err != nil {
		return UTXOStats{}, err
	}
	defer snapshot.Close()

	s := UTXOStats{Tip: tip.snapshot()}
	h := sha256.New()
	var buf []byte
	err = snapshot.Iterate(store.Chain, []byte{prefixUTXO}, func(key, value []byte) error {
		at, ok := decodeUTXOKey(key)
		u, err := packed(value).unpack()
		if !ok || err != nil {
			return c.damaged("unspent output", "key %x, value of %d bytes", key, len(value))
		}
		if s.Outputs++; s.Outputs%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		s.Value += u.Value
		buf = appendForHash(buf[:0], &at, &u)
		h.Write(buf)
		return nil
	})
	if err != nil {
		return UTXOStats{}, err
	}
	if s.Outputs != counted {
		return UTXOStats{}, c.damaged("unspent outputs", "there are %d, counted %d", s.Outputs, counted)
	}
	s.Hash = sha256.Sum256(h.Sum(nil))
	return s, nil
}

func appendForHash(buf []byte, at *wire.OutPoint, u *UTXO) []byte {
	code := u.Height << 1
	if u.Coinbase {
		code |= 1
	}
	buf = append(buf, at.Hash[:]...)
	buf = binary.LittleEndian.AppendUint32(buf, at.Index)
	buf = binary.LittleEndian.AppendUint32(buf, code)
	buf = binary.LittleEndian.AppendUint64(buf, uint64(u.Value))
	buf = appendVarint(buf, uint64(len(u.PkScript)))
	return append(buf, u.PkScript...)
}

// appendVarint appends a number of 1, 3, 5 or 9 bytes, as Bitcoin writes counts.
func appendVarint(buf []byte, n uint64) []byte {
	switch {
	case n < 0xfd:
		return append(buf, byte(n))
	case n <= 0xffff:
		return binary.LittleEndian.AppendUint16(append(buf, 0xfd), uint16(n))
	case n <= 0xffffffff:
		return binary.LittleEndian.AppendUint32(append(buf, 0xfe), uint32(n))
	default:
		return binary.LittleEndian.AppendUint64(append(buf, 0xff), n)
	}
}
