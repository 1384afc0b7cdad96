package chain_test

import (
	"errors"
	"testing"

	"github.com/btcsuite/btcd/txscript/v2"
	"github.com/btcsuite/btcd/wire/v2"
	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/chain/chaintest"
)

// contextCase is a chain of regtest with a maturity of one block, whose first two
// blocks pay to anyone and to a script that always fails.
type contextCase struct {
	*chaintest.Harness
	tip          *chaintest.Block
	free, locked chaintest.Coin
}

func newContextCase(t *testing.T) *contextCase {
	p := chain.Regtest()
	p.Maturity = 1
	c := &contextCase{Harness: chaintest.New(t, p)}
	first := c.Next(c.Genesis)
	second := c.Next(first, chaintest.PayTo([]byte{txscript.OP_FALSE}))
	c.tip = c.Next(second)
	c.Accept(first, second, c.tip)
	c.free, c.locked = coinOf(first), coinOf(second)
	return c
}

func coinOf(b *chaintest.Block) chaintest.Coin {
	coinbase := b.Transactions[0]
	return chaintest.Coin{At: wire.OutPoint{Hash: coinbase.TxHash()}, Out: coinbase.TxOut[0], Height: b.Height, Coinbase: true}
}

// pay spends coins into one output.
func (c *contextCase) pay(units int64, coins ...chaintest.Coin) *wire.MsgTx {
	return c.Spend(coins, wire.NewTxOut(units, chaintest.AnyoneScript()))
}

// TestContextRules has one block for each rule of context, and says which rule is
// named where two are broken. The chain stays what it was, also after it is opened
// again, and goes on.
func TestContextRules(t *testing.T) {
	const coin = 50 * chain.Coin
	tests := []struct {
		name   string
		change func(c *contextCase) []chaintest.Option
		want   chain.Rule
	}{
		{"nothing to spend", func(c *contextCase) []chaintest.Option {
			lost := c.free
			lost.At.Index = 7
			return []chaintest.Option{chaintest.Includes(c.pay(1, lost))}
		}, chain.RuleMissingInput},
		{"spent twice in a block", func(c *contextCase) []chaintest.Option {
			return []chaintest.Option{chaintest.Includes(c.pay(1, c.free), c.pay(2, c.free))}
		}, chain.RuleMissingInput},
		{"an output of a later transaction", func(c *contextCase) []chaintest.Option {
			first := c.pay(2, c.free)
			child := c.pay(1, chaintest.Coin{At: wire.OutPoint{Hash: first.TxHash()}, Out: first.TxOut[0]})
			return []chaintest.Option{chaintest.Includes(child, first)}
		}, chain.RuleMissingInput},
		{"more than it spends", func(c *contextCase) []chaintest.Option {
			return []chaintest.Option{chaintest.Includes(c.pay(coin+1, c.free))}
		}, chain.RuleSpendTooHigh},
		{"more than subsidy and fees", func(c *contextCase) []chaintest.Option {
			return []chaintest.Option{chaintest.Includes(c.pay(coin-5, c.free)), chaintest.Pays(coin + 6)}
		}, chain.RuleCoinbaseValue},
		{"the script fails", func(c *contextCase) []chaintest.Option {
			return []chaintest.Option{chaintest.Includes(c.pay(1, c.locked))}
		}, chain.RuleScript},
		{"the script fails and the coinbase takes too much", func(c *contextCase) []chaintest.Option {
			return []chaintest.Option{chaintest.Includes(c.pay(coin, c.locked)), chaintest.Pays(coin + 1)}
		}, chain.RuleCoinbaseValue},
		{"the script fails before a missing input", func(c *contextCase) []chaintest.Option {
			return []chaintest.Option{chaintest.Includes(c.pay(1, c.locked), c.pay(2, c.locked))}
		}, chain.RuleMissingInput},
		{"locked for a block", func(c *contextCase) []chaintest.Option {
			tx := c.pay(1, c.free)
			tx.TxIn[0].Sequence = 10
			return []chaintest.Option{chaintest.Includes(tx)}
		}, chain.RuleSequenceLock},
		{"not final", func(c *contextCase) []chaintest.Option {
			tx := c.pay(1, c.free)
			tx.TxIn[0].Sequence, tx.LockTime = 0, 1000
			return []chaintest.Option{chaintest.Includes(tx)}
		}, chain.RuleUnfinal},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := newContextCase(t)
			bad := c.Next(c.tip, tt.change(c)...)
			c.Reject(bad, tt.want)
			c.ExpectTip(c.tip)
			c.Reopen()
			c.ExpectTip(c.tip)
			c.Expect(c.Next(c.tip, chaintest.Includes(c.pay(coin, c.free))), chain.Extended)
		})
	}
	t.Run("too early", func(t *testing.T) {
		c := newContextCase(t)
		p := chain.Regtest() // a maturity of 100
		h := chaintest.New(t, p)
		first := h.Next(h.Genesis)
		h.Accept(first)
		h.Reject(h.Next(first, chaintest.Includes(c.Spend([]chaintest.Coin{coinOf(first)}, wire.NewTxOut(1, nil)))), chain.RuleImmature)
	})
}

// TestInvalidInTheMiddle: a better chain with a bad block half-way is not gone, its
// descendants are invalid too, and what is wrong with it is named.
func TestInvalidInTheMiddle(t *testing.T) {
	c := newContextCase(t)
	a := c.Branch(c.tip, 3)
	c.Accept(a...)
	bad := c.Next(c.tip, chaintest.Includes(c.pay(1, c.locked)))
	side := append([]*chaintest.Block{bad}, c.Branch(bad, 3)...)
	c.Accept(side[:3]...) // beside the main chain, so nobody looks at their context
	_, err := c.Chain.Accept(side[3].Block, c.Now)
	if !errors.Is(err, chain.RuleInvalidAncestor) || !errors.Is(err, chain.RuleScript) {
		t.Fatalf("%v, want an invalid ancestor whose script fails", err)
	}
	c.ExpectTip(a[2])
	for _, b := range side {
		c.Reject(b, chain.RuleKnownInvalid)
	}
	c.Reject(c.Next(side[1]), chain.RuleInvalidAncestor)
	c.Reopen()
	c.ExpectTip(a[2])
	c.Reject(side[0], chain.RuleKnownInvalid)
	c.Expect(c.Next(a[2]), chain.Extended)
}

// TestOrphanBodies: whoever changes the witness of a block that waits for its
// parent, and comes first, keeps nobody from the right one.
func TestOrphanBodies(t *testing.T) {
	p := chain.Regtest()
	p.Maturity = 1
	h := chaintest.New(t, p)
	paid := h.Next(h.Genesis, chaintest.PayTo(chaintest.KeyScript()))
	parent := h.Next(paid)
	h.Accept(paid)
	good := h.Next(parent, chaintest.Includes(h.Spend([]chaintest.Coin{coinOf(paid)}, wire.NewTxOut(1, chaintest.AnyoneScript()))))
	changes := map[string]func(*chain.Block){
		"another witness": func(b *chain.Block) { b.Transactions[1].TxIn[0].Witness[0][10] ^= 1 },
		"no witness":      func(b *chain.Block) { b.Transactions[1].TxIn[0].Witness = nil },
		"no witness at all": func(b *chain.Block) {
			b.Transactions[0].TxIn[0].Witness, b.Transactions[1].TxIn[0].Witness = nil, nil
		},
		"another nonce": func(b *chain.Block) { b.Transactions[0].TxIn[0].Witness[0][0] ^= 1 },
	}
	for name, change := range changes {
		b, err := chain.DecodeBlock(good.Encode())
		if err != nil {
			t.Fatal(err)
		}
		change(b)
		if _, err := h.Chain.Accept(b, h.Now); !errors.Is(err, chain.RuleWitness) || h.Chain.Held(b.Hash()) {
			t.Errorf("%s: %v, held %v, want rule %q", name, err, h.Chain.Held(b.Hash()), chain.RuleWitness)
		}
	}
	h.Expect(good, chain.Orphan)
	h.Expect(parent, chain.Extended)
	h.ExpectTip(good)
}
