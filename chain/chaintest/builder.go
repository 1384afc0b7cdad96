// Package chaintest builds blocks and drives a chain with them in tests.
//
// It shares no arithmetic with package chain: bits, work, median times and
// subsidies are computed here from the written rules, with math/big, so that the
// two check each other.
package chaintest

import (
	"encoding/binary"
	"fmt"
	"math/big"
	"slices"
	"testing"
	"time"

	"github.com/btcsuite/btcd/wire/v2"
	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/hashing"
)

// Block is a block with its place, as the builder sees it.
type Block struct {
	*chain.Block
	Parent *Block // nil for genesis
	Height uint32
	Work   *big.Int // of the chain up to it
	anchor *Block   // of ASERT
}

// Builder makes blocks of one network. Every block differs from every other, for
// its coinbase holds a count.
type Builder struct {
	t      testing.TB
	params *chain.Params
	count  uint64
	// Genesis is where every branch starts.
	Genesis *Block
}

// NewBuilder returns a builder that fails t when it can't build.
func NewBuilder(t testing.TB, params *chain.Params) *Builder {
	b := &Builder{t: t, params: params}
	b.Genesis = &Block{Block: params.Genesis}
	b.Genesis.Work = b.work(params.PowLimit)
	return b
}

// Option changes a block before its merkle root is computed and it is mined.
type Option func(*chain.Block)

// At sets the time. Without it a block is one spacing after its parent.
func At(t time.Time) Option {
	return func(b *chain.Block) { b.Header.SetTime(uint32(t.Unix())) }
}

// Version sets the version.
func Version(v int32) Option { return func(b *chain.Block) { b.Header.SetVersion(uint32(v)) } }

// Bits sets the bits, and so what is mined to.
func Bits(bits hashing.Bits) Option { return func(b *chain.Block) { b.Header.SetBits(bits) } }

// Pays sets the value of the first output.
func Pays(units int64) Option {
	return func(b *chain.Block) { b.Transactions[0].TxOut[0].Value = units }
}

// Script sets the coinbase script.
func Script(script []byte) Option {
	return func(b *chain.Block) { b.Transactions[0].TxIn[0].SignatureScript = script }
}

// Next returns a block on parent: right in everything, unless an option changes it.
func (b *Builder) Next(parent *Block, opts ...Option) *Block {
	b.t.Helper()
	n := &Block{Parent: parent, Height: parent.Height + 1}
	b.count++
	n.Block = &chain.Block{Transactions: []*wire.MsgTx{b.coinbase(n.Height)}}
	n.Header.SetVersion(0x20000000)
	n.Header.SetPrev(parent.Hash())
	n.Header.SetTime(max(parent.Header.Time()+uint32(b.params.Spacing.Seconds()), b.MedianTime(parent)+1))
	var anchored bool
	bits, anchored := b.Required(parent)
	n.Header.SetBits(bits)
	if n.anchor = parent.anchor; anchored {
		n.anchor = n
	}
	for _, opt := range opts {
		opt(n.Block)
	}
	n.Work = new(big.Int).Add(parent.Work, b.work(n.Header.Bits()))
	b.Seal(n.Block)
	return n
}

// Branch returns n blocks on top of each other, the first on parent.
func (b *Builder) Branch(parent *Block, n int, opts ...Option) []*Block {
	b.t.Helper()
	var blocks []*Block
	for range n {
		parent = b.Next(parent, opts...)
		blocks = append(blocks, parent)
	}
	return blocks
}

// Seal computes the merkle root of a block and finds its nonce.
func (b *Builder) Seal(block *chain.Block) {
	b.t.Helper()
	ids := make([]hashing.Hash, len(block.Transactions))
	for i, tx := range block.Transactions {
		ids[i] = hashing.Hash(tx.TxHash())
	}
	block.Header.SetMerkleRoot(merkleRoot(ids))
	target := target(block.Header.Bits())
	for nonce := range uint32(1 << 30) {
		block.Header.SetNonce(nonce)
		if number(block.Header.Hash()).Cmp(target) <= 0 {
			return
		}
	}
	b.t.Fatalf("no nonce for bits %s", block.Header.Bits())
}

func (b *Builder) coinbase(height uint32) *wire.MsgTx {
	script := binary.BigEndian.AppendUint64(append(heightPush(height), 8), b.count)
	return &wire.MsgTx{
		Version: 1,
		TxIn:    []*wire.TxIn{{PreviousOutPoint: wire.OutPoint{Index: 0xffffffff}, SignatureScript: script, Sequence: 0xffffffff}},
		TxOut:   []*wire.TxOut{{Value: b.Subsidy(height), PkScript: []byte{0x51}}},
	}
}

// Subsidy returns what a coinbase at height may pay.
func (b *Builder) Subsidy(height uint32) int64 {
	units := b.params.InitialSubsidy
	for h := b.params.HalvingInterval; h != 0 && h <= height && units > 0; h += b.params.HalvingInterval {
		units /= 2
	}
	return units
}

// heightPush writes a height as BIP34 says.
func heightPush(height uint32) []byte {
	if height >= 1 && height <= 16 {
		return []byte{0x50 + byte(height)}
	}
	be := big.NewInt(int64(height)).Bytes()
	if len(be) > 0 && be[0] >= 0x80 {
		be = append([]byte{0}, be...)
	}
	slices.Reverse(be)
	return append([]byte{byte(len(be))}, be...)
}

// MedianTime returns the median of the times of block and up to ten before it.
func (b *Builder) MedianTime(block *Block) uint32 {
	var times []int
	for ; block != nil && len(times) < 11; block = block.Parent {
		times = append(times, int(block.Header.Time()))
	}
	slices.Sort(times)
	return uint32(times[len(times)/2])
}

func (b *Builder) work(bits hashing.Bits) *big.Int {
	two256 := new(big.Int).Lsh(big.NewInt(1), 256)
	return two256.Div(two256, new(big.Int).Add(target(bits), big.NewInt(1)))
}

// target decodes bits as mantissa x 256^(size-3).
func target(bits hashing.Bits) *big.Int {
	mantissa, size := big.NewInt(int64(bits&0x7fffff)), uint(bits>>24)
	if size < 3 {
		return mantissa.Rsh(mantissa, 8*(3-size))
	}
	return mantissa.Lsh(mantissa, 8*(size-3))
}

// compact encodes a target, rounding down.
func compact(n *big.Int) hashing.Bits {
	raw := n.Bytes()
	if len(raw) > 0 && raw[0] >= 0x80 {
		raw = append([]byte{0}, raw...)
	}
	size := len(raw)
	raw = append(raw, 0, 0, 0)
	return hashing.Bits(uint32(size)<<24 | uint32(raw[0])<<16 | uint32(raw[1])<<8 | uint32(raw[2]))
}

func number(h hashing.Hash) *big.Int {
	slices.Reverse(h[:])
	return new(big.Int).SetBytes(h[:])
}

func merkleRoot(ids []hashing.Hash) hashing.Hash {
	if len(ids) == 1 {
		return ids[0]
	}
	if len(ids)%2 == 1 {
		ids = append(ids[:len(ids):len(ids)], ids[len(ids)-1])
	}
	var up []hashing.Hash
	for i := 0; i < len(ids); i += 2 {
		up = append(up, hashing.Sum256d(append(ids[i][:], ids[i+1][:]...)))
	}
	return merkleRoot(up)
}

// String names the block in messages.
func (b *Block) String() string { return fmt.Sprintf("%d/%.12s", b.Height, b.Hash()) }
