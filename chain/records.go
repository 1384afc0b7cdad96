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
//	r <hash>                     what the block spent, where it spent something
//	u <id> <number, 4 bytes>     an unspent output at the tip
//	t                            the tip, and how many outputs are unspent there
//	i <name>                     the block that an index is at
//	x <id> <place>               a transaction of the main chain: see txKey
//	a <script> <place>           a payment or a spending: see scriptHash
//	v <script> <id> <number>     an unspent output once more, by its script
//
// Numbers are big-endian, so that keys sort by height.
const (
	prefixIndex = 'h'
	prefixBody  = 'b'
	prefixUndo  = 'r'
	prefixUTXO  = 'u'
	prefixTip   = 't'

	prefixIndexState = 'i'
	prefixTx         = 'x'
	prefixHistory    = 'a'
	prefixUnspent    = 'v'
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
	r := indexRecord{header: n.header(), work: n.work, sequence: n.sequence, invalid: n.failed}
	b.Set(store.Chain, indexKey(n.height, n.hash), r.encode())
}

func setBody(b *store.Batch, hash hashing.Hash, block *Block) {
	b.Set(store.Chain, bodyKey(hash), block.Encode())
}

// tipRecord is the value of the tip key: hash (32 bytes), number of unspent outputs
// (8), 1 while the main chain is on its way to a better tip (1). Directories from
// before there were unspent outputs have the hash alone.
type tipRecord struct {
	hash   hashing.Hash
	utxos  uint64
	moving bool
}

const (
	tipRecordSize    = 32 + 8 + 1
	oldTipRecordSize = 32
)

func (r tipRecord) encode() []byte {
	out := binary.BigEndian.AppendUint64(append([]byte(nil), r.hash[:]...), r.utxos)
	if r.moving {
		return append(out, 1)
	}
	return append(out, 0)
}

func decodeTipRecord(raw []byte) (r tipRecord, err error) {
	if len(raw) != tipRecordSize || raw[tipRecordSize-1] > 1 {
		return r, fmt.Errorf("record of %d bytes", len(raw))
	}
	copy(r.hash[:], raw)
	r.utxos = binary.BigEndian.Uint64(raw[32:])
	r.moving = raw[tipRecordSize-1] == 1
	return r, nil
}
