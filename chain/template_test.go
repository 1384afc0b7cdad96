package chain_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"github.com/btcsuite/btcd/wire/v2"
	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/chain/chaintest"
	"github.com/jbcnet/jbc/hashing"
)

func options() chain.TemplateOptions {
	return chain.TemplateOptions{PayScript: []byte{0x51}, Miner: "farm 1 ⛏", Data: "hello", Tag: [8]byte{1, 2, 3, 4, 5, 6, 7, 8}}
}

// solve puts a block together as a miner and a coordinator do: from halves,
// branch and header fields alone.
func solve(t *testing.T, tmpl chain.Template, extranonce uint32) *chain.Block {
	t.Helper()
	first, second := tmpl.CoinbaseHalves()
	coinbase := append(binary.BigEndian.AppendUint32(bytes.Clone(first), extranonce), second...)
	var h hashing.Header
	h.SetVersion(hashing.RollVersion(tmpl.Version, 5))
	h.SetPrev(tmpl.Prev)
	h.SetMerkleRoot(hashing.FoldBranch(hashing.Sum256d(coinbase), tmpl.Branch()))
	h.SetTime(tmpl.Time)
	h.SetBits(tmpl.Bits)
	for !tmpl.Target().MetBy(h.Hash()) {
		h.SetNonce(h.Nonce() + 1)
	}
	return tmpl.Block(h, extranonce)
}

func TestTemplateIsMined(t *testing.T) {
	for _, p := range []*chain.Params{chain.Regtest(), easyASERT()} {
		t.Run(p.Name, func(t *testing.T) {
			h := chaintest.New(t, p)
			for i := range uint32(300) {
				h.Now = h.Now.Add(p.Spacing)
				tmpl, err := h.Chain.Template(h.Now, options())
				if err != nil {
					t.Fatal(err)
				}
				if tmpl.Height != i+1 || tmpl.Prev != h.Chain.Tip().Hash || tmpl.MinTime != h.Chain.Tip().MedianTime+1 {
					t.Fatalf("template %+v does not lie on tip %+v", tmpl, h.Chain.Tip())
				}
				if want := uint32(h.Now.Add(p.MaxFuture()).Unix()); tmpl.MaxTime != want {
					t.Fatalf("latest time %d, want %d", tmpl.MaxTime, want)
				}
				b := solve(t, tmpl, 0xdeadbeef+i)
				a, err := h.Chain.Accept(b, h.Now)
				if err != nil || a.Status != chain.Extended {
					t.Fatalf("block %d: %v, %v", tmpl.Height, a.Status, err)
				}
				if miner, data := chain.CoinbaseText(b); miner != "farm 1 ⛏" || data != "hello" {
					t.Fatalf("block %d: coinbase says %q and %q", tmpl.Height, miner, data)
				}
			}
		})
	}
}

// TestTemplateSurvivesRestart encodes a template, and solves what comes back.
func TestTemplateSurvivesRestart(t *testing.T) {
	h := chaintest.New(t, chain.Regtest())
	h.Accept(h.Branch(h.Genesis, 20)...)
	tmpl, err := h.Chain.Template(h.Now, options())
	if err != nil {
		t.Fatal(err)
	}
	raw := tmpl.Encode()
	b := solve(t, tmpl, 7)
	h.Reopen()
	back, err := chain.DecodeTemplate(raw)
	if err != nil {
		t.Fatal(err)
	}
	if got := back.Block(b.Header, 7).Encode(); !bytes.Equal(got, b.Encode()) {
		t.Errorf("block %x, want %x", got, b.Encode())
	}
	if a, err := h.Chain.Accept(back.Block(b.Header, 7), h.Now); err != nil || a.Status != chain.Extended {
		t.Errorf("solution after the restart: %v, %v", a.Status, err)
	}
	for i := range raw { // no changed byte is believed
		mutant := bytes.Clone(raw)
		mutant[i] ^= 0x10
		if back, err := chain.DecodeTemplate(mutant); err == nil && !bytes.Equal(back.Encode(), mutant) {
			t.Fatalf("byte %d changed: decoded and encoded otherwise", i)
		}
		if _, err := chain.DecodeTemplate(raw[:i]); err == nil {
			t.Fatalf("cut to %d bytes: decoded", i)
		}
	}
	if _, err := chain.DecodeTemplate(append(raw, 0)); err == nil {
		t.Error("a byte too many: decoded")
	}
}

func TestTemplateOptions(t *testing.T) {
	h := chaintest.New(t, chain.Regtest())
	tests := []struct {
		name   string
		change func(*chain.TemplateOptions)
	}{
		{"no script", func(o *chain.TemplateOptions) { o.PayScript = nil }},
		{"unspendably long script", func(o *chain.TemplateOptions) { o.PayScript = make([]byte, 10_001) }},
		{"long name", func(o *chain.TemplateOptions) { o.Miner = "123456789012345678901234567890123" }},
		{"broken UTF-8", func(o *chain.TemplateOptions) { o.Data = "\xff" }},
		{"control character", func(o *chain.TemplateOptions) { o.Miner = "a\x1b[2J" }},
	}
	for _, tt := range tests {
		o := options()
		tt.change(&o)
		if _, err := h.Chain.Template(h.Now, o); err == nil {
			t.Errorf("%s: accepted", tt.name)
		}
	}
	o := options()
	o.Miner, o.Data = "12345678901234567890123456789012", "12345678901234567890123456789012"
	tmpl, err := h.Chain.Template(h.Now, o)
	if err != nil {
		t.Fatal(err)
	}
	first, second := tmpl.CoinbaseHalves()
	if n := len(first) + 4 + len(second); n > 200 {
		t.Errorf("largest coinbase has %d bytes", n)
	}
}

// TestTemplateHold: a clock that is slow against the chain makes no blocks until
// it has caught up.
func TestTemplateHold(t *testing.T) {
	p := easyASERT()
	h := chaintest.New(t, p)
	b := h.Next(h.Genesis, chaintest.At(h.Now.Add(p.MaxFuture())))
	h.Accept(b)
	h.Accept(h.Branch(b, 0)...)
	// Median time past of two blocks is the later one's.
	_, err := h.Chain.Template(h.Now, options())
	var hold *chain.Hold
	if !errors.As(err, &hold) {
		t.Fatalf("%v, want a hold", err)
	}
	if want := h.Now.Add(time.Second); !hold.Until.Equal(want) {
		t.Errorf("hold until %v, want %v", hold.Until, want)
	}
	tmpl, err := h.Chain.Template(hold.Until, options())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Chain.Accept(solve(t, tmpl, 0), hold.Until); err != nil {
		t.Errorf("block made when the hold ended: %v", err)
	}
}

func TestCoinbaseTextOfForeignBlocks(t *testing.T) {
	block := func(script []byte) *chain.Block {
		return &chain.Block{Transactions: []*wire.MsgTx{{TxIn: []*wire.TxIn{{SignatureScript: script}}}}}
	}
	tail := "\x0c123456789012"
	tests := []struct {
		name   string
		block  *chain.Block
		miner  string
		texted bool
	}{
		{"ours", block([]byte("\x51\x03bob\x00" + tail)), "bob", true},
		{"no transactions", &chain.Block{}, "", false},
		{"empty script", block(nil), "", false},
		{"Bitcoin's genesis", chain.Bitcoin().Genesis, "", false},
		{"push beyond the end", block([]byte("\x51\x4bbob")), "", false},
		{"control characters", block([]byte("\x51\x03b\nb\x00" + tail)), "", false},
		{"broken UTF-8", block([]byte("\x51\x02\xff\xfe\x00" + tail)), "", false},
		{"name of 33 bytes", block([]byte("\x51\x21123456789012345678901234567890123\x00" + tail)), "", false},
		{"bytes after the extranonce", block([]byte("\x51\x03bob\x00" + tail + "x")), "", false},
	}
	for _, tt := range tests {
		if miner, data := chain.CoinbaseText(tt.block); miner != tt.miner || data != "" {
			t.Errorf("%s: %q and %q, want %q and nothing", tt.name, miner, data, tt.miner)
		}
	}
}

func FuzzDecodeTemplate(f *testing.F) {
	h := chaintest.New(f, chain.Regtest())
	tmpl, err := h.Chain.Template(h.Now, options())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(tmpl.Encode())
	f.Fuzz(func(t *testing.T, data []byte) {
		back, err := chain.DecodeTemplate(data)
		if err != nil {
			return
		}
		if !bytes.Equal(back.Encode(), data) {
			t.Fatalf("encoded again as %x, want %x", back.Encode(), data)
		}
		back.CoinbaseHalves()
		chain.CoinbaseText(back.Block(back.Header(1, back.Time), 1))
	})
}
