package chain_test

import (
	"math/rand/v2"
	"testing"

	"github.com/btcsuite/btcd/wire/v2"
	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/chain/chaintest"
	"github.com/jbcnet/jbc/hashing"
)

// ripeRegtest is the regression test network where a coinbase can be spent in the
// next block.
func ripeRegtest() *chain.Params {
	p := chain.Regtest()
	p.Maturity = 1
	return p
}

// history is blocks that spend, parents first, and what is unspent after each, by
// replay of the blocks alone.
type history struct {
	*chaintest.Builder
	rng    *rand.Rand
	blocks []*chaintest.Block
	byHash map[hashing.Hash]*chaintest.Block
	states map[hashing.Hash]state
}

// state is what [chain.UTXOStats] must say.
type state struct {
	outputs uint64
	hash    hashing.Hash
}

func newHistory(t testing.TB, p *chain.Params, rng *rand.Rand) *history {
	h := &history{
		Builder: chaintest.NewBuilder(t, p), rng: rng,
		byHash: map[hashing.Hash]*chaintest.Block{}, states: map[hashing.Hash]state{},
	}
	h.byHash[h.Genesis.Hash()] = h.Genesis
	return h
}

// forkedHistory has chains that overtake one another from 10 and 20 blocks below
// the tip, and a last part where forks of a block or two come all the time. Its
// best block is the last of all.
func forkedHistory(t testing.TB, p *chain.Params, rng *rand.Rand) *history {
	h := newHistory(t, p, rng)
	trunk := h.grow(h.Genesis, 20)
	short := h.grow(trunk[9], 12)
	h.grow(trunk[2], 22)
	last := h.grow(short[len(short)-1], 5)
	recent := []*chaintest.Block{last[len(last)-1]}
	for range 20 {
		recent = append(recent, h.next(recent[max(0, len(recent)-1-rng.IntN(3))]))
	}
	best := recent[0]
	for _, b := range recent {
		if b.Height > best.Height {
			best = b
		}
	}
	h.grow(best, 2)
	return h
}

func (h *history) best() *chaintest.Block { return h.blocks[len(h.blocks)-1] }

// grow adds n blocks on top of each other, the first on parent.
func (h *history) grow(parent *chaintest.Block, n int) (branch []*chaintest.Block) {
	for range n {
		parent = h.next(parent)
		branch = append(branch, parent)
	}
	return branch
}

// next adds a block that spends what is unspent at its parent.
func (h *history) next(parent *chaintest.Block) *chaintest.Block {
	b := h.Next(parent, chaintest.PayTo(h.script()), chaintest.Includes(h.spends(parent)...))
	h.blocks = append(h.blocks, b)
	h.byHash[b.Hash()] = b
	return b
}

// spends returns up to three transactions, some of which spend another's outputs.
func (h *history) spends(parent *chaintest.Block) (transactions []*wire.MsgTx) {
	coins := parent.Coins().Ordered()
	h.rng.Shuffle(len(coins), func(i, j int) { coins[i], coins[j] = coins[j], coins[i] })
	for range h.rng.IntN(4) {
		n := min(len(coins), 1+h.rng.IntN(3))
		if n == 0 {
			break
		}
		var in int64
		for _, coin := range coins[:n] {
			in += coin.Out.Value
		}
		tx := h.Spend(coins[:n], h.outputs(in)...)
		coins = coins[n:]
		transactions = append(transactions, tx)
		if h.rng.IntN(3) == 0 {
			coins = append(chaintest.Made(tx, parent.Height+1), coins...)
		}
	}
	return transactions
}

// outputs pays out up to all of it.
func (h *history) outputs(units int64) (outs []*wire.TxOut) {
	for range 1 + h.rng.IntN(4) {
		value := h.rng.Int64N(units + 1)
		units -= value
		outs = append(outs, &wire.TxOut{Value: value, PkScript: h.script()})
	}
	if h.rng.IntN(8) == 0 {
		outs = append(outs, &wire.TxOut{PkScript: []byte{0x6a, 3, 'j', 'b', 'c'}})
	}
	return outs
}

// script is the key's in one of six cases: signatures take most of the time.
func (h *history) script() []byte {
	if h.rng.IntN(6) == 0 {
		return chaintest.KeyScript()
	}
	return chaintest.AnyoneScript()
}

// at returns the state after a block.
func (h *history) at(hash hashing.Hash) state {
	s, ok := h.states[hash]
	if !ok {
		coins := h.byHash[hash].Coins()
		s = state{outputs: uint64(len(coins)), hash: coins.Hash()}
		h.states[hash] = s
	}
	return s
}
