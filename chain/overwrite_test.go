package chain_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/btcsuite/btcd/wire/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/chain/chaintest"
	"github.com/jbcnet/jbc/hashing"
)

// overwriting is blocks on a network whose coinbases need not differ, some of which
// may overwrite what is unspent (BIP30).
type overwriting struct {
	*chaintest.Builder
	params *chain.Params
}

func newOverwriting(t *testing.T) *overwriting {
	p := ripeRegtest()
	p.Forks = chain.Forks{BIP16: 1, BIP34: 1000, BIP65: 1000, BIP66: 1000, CSV: 1000, SegWit: 1000, Taproot: 1000}
	p.Forks.BIP30Exceptions = map[uint32]hashing.Hash{}
	return &overwriting{Builder: chaintest.NewBuilder(t, p), params: p}
}

// twin is the coinbase that blocks have in common: two outputs that can be spent
// around one that can't.
func twin(b *chain.Block) {
	coinbase := b.Transactions[0]
	coinbase.TxIn[0].SignatureScript = []byte("\x04same")
	coinbase.TxOut[0].Value = 30 * chain.Coin
	coinbase.TxOut = append(coinbase.TxOut,
		&wire.TxOut{PkScript: []byte{0x6a}}, &wire.TxOut{Value: 5 * chain.Coin, PkScript: chaintest.AnyoneScript()})
}

// again is a block with that coinbase, and may have it.
func (o *overwriting) again(parent *chaintest.Block, opts ...chaintest.Option) *chaintest.Block {
	b := o.Next(parent, append([]chaintest.Option{twin}, opts...)...)
	o.params.Forks.BIP30Exceptions[b.Height] = b.Hash()
	return b
}

// spends is an option that spends the output of a block's coinbase.
func (o *overwriting) spends(b *chaintest.Block, output int) chaintest.Option {
	coin := chaintest.Made(b.Transactions[0], b.Height)[output]
	coin.Coinbase = true
	return chaintest.Includes(o.Spend([]chaintest.Coin{coin}, wire.NewTxOut(1, chaintest.AnyoneScript())))
}

// TestOverwritten takes blocks that overwrite unspent outputs off the main chain and
// puts them onto it: what is unspent is what a node has that never saw the other
// branch, and the same however the blocks came.
func TestOverwritten(t *testing.T) {
	tests := []struct {
		name   string
		blocks func(o *overwriting) []*chaintest.Block // the last is the tip
	}{
		{"connected", func(o *overwriting) []*chaintest.Block {
			first := o.again(o.Genesis)
			return []*chaintest.Block{first, o.again(first)}
		}},
		{"the second taken off", func(o *overwriting) []*chaintest.Block {
			first := o.again(o.Genesis)
			return append([]*chaintest.Block{first, o.again(first)}, o.Branch(first, 2)...)
		}},
		{"both taken off", func(o *overwriting) []*chaintest.Block {
			first := o.again(o.Genesis)
			return append([]*chaintest.Block{first, o.again(first)}, o.Branch(o.Genesis, 3)...)
		}},
		{"both taken off and put on again", func(o *overwriting) []*chaintest.Block {
			first := o.again(o.Genesis)
			second := o.again(first)
			away := o.Branch(o.Genesis, 3)
			return slices.Concat([]*chaintest.Block{first, second}, away, o.Branch(second, 2))
		}},
		{"the second taken off, put on, taken off", func(o *overwriting) []*chaintest.Block {
			first := o.again(o.Genesis)
			second := o.again(first)
			away := o.Branch(first, 2)
			back := o.Branch(second, 2)
			return slices.Concat([]*chaintest.Block{first, second}, away, back, o.Branch(away[1], 2))
		}},
		{"put on from another branch", func(o *overwriting) []*chaintest.Block {
			away := o.Branch(o.Genesis, 2)
			first := o.again(o.Genesis)
			second := o.again(first)
			return append(away, first, second, o.Next(second))
		}},
		{"one output spent before", func(o *overwriting) []*chaintest.Block {
			first := o.again(o.Genesis)
			spent := o.Next(first, o.spends(first, 1))
			third := o.again(spent)
			return append([]*chaintest.Block{first, spent, third}, o.Branch(spent, 2)...)
		}},
		{"one output spent after", func(o *overwriting) []*chaintest.Block {
			first := o.again(o.Genesis)
			second := o.again(first)
			third := o.Next(second, o.spends(second, 1))
			return append([]*chaintest.Block{first, second, third}, o.Branch(first, 3)...)
		}},
		{"three in a row, two taken off", func(o *overwriting) []*chaintest.Block {
			first := o.again(o.Genesis)
			second := o.again(first)
			third := o.again(second)
			return append([]*chaintest.Block{first, second, third}, o.Branch(first, 3)...)
		}},
		{"three in a row, the last with payments taken off", func(o *overwriting) []*chaintest.Block {
			paid := o.Next(o.Genesis)
			first := o.again(paid)
			second := o.again(first)
			third := o.again(second, o.spends(paid, 0))
			return append([]*chaintest.Block{paid, first, second, third}, o.Branch(second, 2)...)
		}},
	}
	for _, tt := range tests {
		for _, updateBytes := range []int64{0, 1} { // in one write, in one a block
			for _, imported := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/update of %d, imported %v", tt.name, updateBytes, imported), func(t *testing.T) {
					o := newOverwriting(t)
					blocks := tt.blocks(o)
					fs := vfs.NewMem()
					c, st := openUpdating(t, o.params, fs, updateBytes)
					take := acceptAll
					if imported {
						take = func(t *testing.T, c *chain.Chain, blocks ...*chaintest.Block) {
							t.Helper()
							if _, err := c.Import(t.Context(), encoded(blocks), farFuture(), nil); err != nil {
								t.Fatal(err)
							}
						}
					}
					take(t, c, blocks...)
					expectCoins(t, c, blocks[len(blocks)-1])
					mustClose(t, st)
					c, st = openUpdating(t, o.params, fs, updateBytes)
					defer st.Close()
					expectCoins(t, c, blocks[len(blocks)-1])
				})
			}
		}
	}
}

// expectCoins compares tip and unspent outputs with a replay of the blocks up to
// want, and with a chain that never had others.
func expectCoins(t *testing.T, c *chain.Chain, want *chaintest.Block) {
	t.Helper()
	got, err := c.UTXOStats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	coins := want.Coins()
	if got.Tip.Hash != want.Hash() || got.Outputs != uint64(len(coins)) || got.Hash != coins.Hash() {
		t.Errorf("at %s: %d outputs, hash %s; a replay to %s has %d, hash %s",
			got.Tip.Hash, got.Outputs, got.Hash, want, len(coins), coins.Hash())
	}
	var way []*chaintest.Block
	for b := want; b.Parent != nil; b = b.Parent {
		way = append(way, b)
	}
	slices.Reverse(way)
	fresh, st := openUpdating(t, c.Params(), vfs.NewMem(), 0)
	defer st.Close()
	acceptAll(t, fresh, way...)
	if want, err := fresh.UTXOStats(t.Context()); err != nil || got != want {
		t.Errorf("%+v, a fresh chain has %+v, %v", got, want, err)
	}
}

// TestOverwriteForbidden: a block that is no exception overwrites nothing, whatever
// the exceptions are.
func TestOverwriteForbidden(t *testing.T) {
	o := newOverwriting(t)
	first := o.again(o.Genesis)
	allowed := o.again(first)
	c, st := openUpdating(t, o.params, vfs.NewMem(), 0)
	defer st.Close()
	acceptAll(t, c, first)
	refuse(t, c, o.Next(first, twin, chaintest.Version(7)), chain.RuleOverwrite)
	acceptAll(t, c, allowed)
	refuse(t, c, o.Next(allowed, twin), chain.RuleOverwrite)
	expectCoins(t, c, allowed)
}
