package chain

import (
	"encoding/binary"
	"fmt"

	"github.com/jbcnet/jbc/chain/store"
	"github.com/jbcnet/jbc/hashing"
)

// The chain's records, all under store.Chain:
//
//	h <height, 4 bytes> <hash>   an indexed block, parents before children
//	b <hash>                     the block's bytes
//	t                            the hash of the tip
//
// Numbers are big-endian, so that keys sort by height.
const (
	prefixIndex = 'h'
	prefixBody  = 'b'
	prefixTip   = 't'
)

func indexKey(height uint32, hash hashing.Hash) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{prefixIndex}, height), hash[:]...)
}

func bodyKey(hash hashing.Hash) []byte { return append([]byte{prefixBody}, hash[:]...) }

func tipKey() []byte { return []byte{prefixTip} }

// indexRecord is the value of an index key: header (80 bytes), chainwork (32),
// sequence (8), 1 where invalid (1).
type indexRecord struct {
	header   hashing.Header
	work     Work
	sequence uint64
	invalid  bool
}

const indexRecordSize = hashing.HeaderSize + 32 + 8 + 1

func (r indexRecord) encode() []byte {
	work := r.work.bigEndian()
	out := make([]byte, 0, indexRecordSize)
	out = append(out, r.header[:]...)
	out = append(out, work[:]...)
	out = binary.BigEndian.AppendUint64(out, r.sequence)
	if r.invalid {
		return append(out, 1)
	}
	return append(out, 0)
}

func decodeIndexRecord(key, value []byte) (height uint32, hash hashing.Hash, r indexRecord, err error) {
	if len(key) != 1+4+32 || len(value) != indexRecordSize || value[indexRecordSize-1] > 1 {
		return 0, hash, r, fmt.Errorf("key of %d bytes, value of %d", len(key), len(value))
	}
	height = binary.BigEndian.Uint32(key[1:])
	copy(hash[:], key[5:])
	copy(r.header[:], value)
	rest := value[hashing.HeaderSize:]
	r.work = workFromBigEndian([32]byte(rest[:32]))
	r.sequence = binary.BigEndian.Uint64(rest[32:])
	r.invalid = rest[40] == 1
	return height, hash, r, nil
}

// setIndex writes what the index has of n.
func setIndex(b *store.Batch, n *node) {
	r := indexRecord{header: n.header, work: n.work, sequence: n.sequence, invalid: n.invalid}
	b.Set(store.Chain, indexKey(n.height, n.hash), r.encode())
}

func setBody(b *store.Batch, hash hashing.Hash, block *Block) {
	b.Set(store.Chain, bodyKey(hash), block.Encode())
}

func setTip(b *store.Batch, n *node) { b.Set(store.Chain, tipKey(), n.hash[:]) }
