package chain_test

import (
	"testing"
	"time"

	"github.com/btcsuite/btcd/wire/v2"
	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/chain/chaintest"
)

func TestRules(t *testing.T) {
	tx := func(b *chain.Block) *wire.MsgTx { return b.Transactions[0] }
	tests := []struct {
		name   string
		change chaintest.Option
		want   chain.Rule
	}{
		{"no transactions", func(b *chain.Block) { b.Transactions = []*wire.MsgTx{} }, chain.RuleNoTransactions},
		{"not a coinbase", func(b *chain.Block) { tx(b).TxIn[0].PreviousOutPoint.Index = 0 }, chain.RuleFirstCoinbase},
		{"two coinbases", func(b *chain.Block) {
			b.Transactions = append(b.Transactions, tx(b).Copy(), tx(b))
			tx(b).LockTime = 1
			b.Transactions[1].LockTime = 2
		}, chain.RuleManyCoinbases},
		{"same coinbase twice", func(b *chain.Block) { b.Transactions = append(b.Transactions, tx(b)) }, chain.RuleMutated},
		{"script of one byte", chaintest.Script([]byte{0x51}), chain.RuleCoinbaseScript},
		{"script of 101 bytes", chaintest.Script(append([]byte{0x51}, make([]byte, 100)...)), chain.RuleCoinbaseScript},
		{"a spend of nothing", func(b *chain.Block) {
			spend := tx(b).Copy()
			spend.TxIn[0].PreviousOutPoint.Index = 0
			b.Transactions = append(b.Transactions, spend)
		}, chain.RuleMissingInput},
		{"no outputs", func(b *chain.Block) { tx(b).TxOut = nil }, chain.RuleNoOutputs},
		{"negative output", chaintest.Pays(-1), chain.RuleOutputValue},
		{"more than all money", chaintest.Pays(21_000_000*chain.Coin + 1), chain.RuleOutputValue},
		{"outputs of more than all money", func(b *chain.Block) {
			tx(b).TxOut[0].Value = 21_000_000 * chain.Coin
			tx(b).AddTxOut(wire.NewTxOut(1, nil))
		}, chain.RuleOutputValue},
		{"too heavy", func(b *chain.Block) { tx(b).TxOut[0].PkScript = make([]byte, chain.MaxBlockWeight/4) }, chain.RuleWeight},
		{"harder bits", chaintest.Bits(0x207ffffe), chain.RuleWrongBits},
		{"time of the median", chaintest.At(time.Unix(int64(chain.Regtest().Genesis.Header.Time()), 0)), chain.RuleTimeTooOld},
		{"version 3", chaintest.Version(3), chain.RuleVersion},
		{"negative version", chaintest.Version(-1), chain.RuleVersion},
		{"height of another block", chaintest.Script([]byte{0x52, 0}), chain.RuleCoinbaseHeight},
		{"height in two bytes", chaintest.Script([]byte{0x01, 0x01}), chain.RuleCoinbaseHeight},
		{"a witness without commitment", func(b *chain.Block) { tx(b).TxIn[0].Witness = wire.TxWitness{{1}} }, chain.RuleWitness},
		{"one unit too much", chaintest.Pays(50*chain.Coin + 1), chain.RuleCoinbaseValue},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := chaintest.New(t, chain.Regtest())
			if tt.want == chain.RuleNoTransactions {
				b := h.Next(h.Genesis)
				b.Transactions = nil
				h.Reject(b, tt.want)
				return
			}
			h.Reject(h.Next(h.Genesis, tt.change), tt.want)
			h.ExpectTip(h.Genesis)
			h.Expect(h.Next(h.Genesis), chain.Extended)
		})
	}
	t.Run("easier bits than the limit", func(t *testing.T) {
		h := chaintest.New(t, easyASERT())
		h.Reject(h.Next(h.Genesis, chaintest.Bits(0x2100ffff)), chain.RuleWrongBits)
	})
	t.Run("high hash", func(t *testing.T) {
		h := chaintest.New(t, chain.Regtest())
		b := h.Next(h.Genesis)
		for target, _ := chain.Regtest().PowLimit.Target(); target.MetBy(b.Hash()); {
			b.Header.SetNonce(b.Header.Nonce() + 1)
		}
		h.Reject(b, chain.RuleHighHash)
	})
}
