package chain

import (
	"bytes"
	"fmt"

	"github.com/btcsuite/btcd/wire/v2"
	"github.com/jbcnet/jbc/hashing"
)

// Limits of a block.
const (
	// MaxBlockWeight is the most that a block may weigh: four units a byte, one
	// for a byte of witness (BIP141).
	MaxBlockWeight = 4_000_000
	// MaxBlockSize is the most bytes that a block of that weight can have.
	MaxBlockSize = MaxBlockWeight
	// witnessScale is the weight of a byte that is not witness.
	witnessScale = 4
)

// Block is a header and its transactions, in Bitcoin's format. It is read by
// everybody and changed by nobody once it is made.
type Block struct {
	Header       hashing.Header
	Transactions []*wire.MsgTx
}

// Hash returns the block's id, which is its header's.
func (b *Block) Hash() hashing.Hash { return b.Header.Hash() }

// Encode returns the block as it is stored and sent: the header, the number of
// transactions, and each with its witness.
func (b *Block) Encode() []byte {
	var out bytes.Buffer
	out.Grow(b.Size())
	out.Write(b.Header[:])
	must(wire.WriteVarInt(&out, 0, uint64(len(b.Transactions))))
	for _, tx := range b.Transactions {
		must(tx.Serialize(&out))
	}
	return out.Bytes()
}

// Size returns the length of what [Block.Encode] returns.
func (b *Block) Size() int {
	n := hashing.HeaderSize + wire.VarIntSerializeSize(uint64(len(b.Transactions)))
	for _, tx := range b.Transactions {
		n += tx.SerializeSize()
	}
	return n
}

// Weight returns the block's weight (BIP141).
func (b *Block) Weight() int {
	n := witnessScale * (hashing.HeaderSize + wire.VarIntSerializeSize(uint64(len(b.Transactions))))
	for _, tx := range b.Transactions {
		n += tx.SerializeSizeStripped()*(witnessScale-1) + tx.SerializeSize()
	}
	return n
}

// merkleRoot returns the root of the transaction ids, and whether it is that of
// a shorter list too (CVE-2012-2459).
func (b *Block) merkleRoot() (root hashing.Hash, mutated bool) {
	return hashing.MerkleRoot(b.ids())
}

func (b *Block) ids() []hashing.Hash {
	ids := make([]hashing.Hash, len(b.Transactions))
	for i, tx := range b.Transactions {
		ids[i] = hashing.Hash(tx.TxHash())
	}
	return ids
}

// must stops on an error that writing to memory cannot give.
func must(err error) {
	if err != nil {
		panic(fmt.Sprintf("chain: writing to memory: %v", err))
	}
}
