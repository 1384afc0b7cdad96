package chain

import (
	"bytes"
	"math"
	"slices"
	"testing"

	"github.com/btcsuite/btcd/wire/v2"
	"github.com/jbcnet/jbc/hashing"
)

// FuzzUnpack: what unpacks is possible, and packs to what unpacks the same.
func FuzzUnpack(f *testing.F) {
	for _, out := range []wire.TxOut{{}, {Value: maxMoney, PkScript: []byte{0x51}}, {Value: 1, PkScript: make([]byte, 300)}} {
		f.Add([]byte(pack(&out, 0, false)))
		f.Add([]byte(pack(&out, math.MaxUint32, true)))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		u, err := packed(data).unpack()
		if err != nil {
			return
		}
		if u.Value < 0 || u.Value > maxMoney {
			t.Fatalf("%x: value %d", data, u.Value)
		}
		out := wire.TxOut{Value: u.Value, PkScript: u.PkScript}
		again, err := pack(&out, u.Height, u.Coinbase).unpack()
		if err != nil || again.Value != u.Value || again.Height != u.Height || again.Coinbase != u.Coinbase || !bytes.Equal(again.PkScript, u.PkScript) {
			t.Fatalf("%x: unpacked %+v, packed and unpacked %+v, %v", data, u, again, err)
		}
	})
}

// FuzzDecodeUndo: what is decoded has the right number of outputs, each of which
// unpacks, and encodes to what is decoded the same.
func FuzzDecodeUndo(f *testing.F) {
	one := pack(&wire.TxOut{Value: 7, PkScript: []byte{0x51}}, 9, true)
	two := pack(&wire.TxOut{Value: 50 * Coin, PkScript: make([]byte, 200)}, 100_000, false)
	f.Add(undo{}.encode(), 0)
	f.Add(undo{one}.encode(), 1)
	f.Add(undo{one, two, one}.encode(), 3)
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01}, 1<<40)
	f.Fuzz(func(t *testing.T, data []byte, n int) {
		if n < 0 {
			return // a block's inputs are counted
		}
		u, err := decodeUndo(data, n, 0)
		if err != nil {
			return
		}
		if len(u) != n {
			t.Fatalf("%d outputs, want %d", len(u), n)
		}
		for i, p := range u {
			if _, err := p.unpack(); err != nil {
				t.Fatalf("output %d: %v", i, err)
			}
		}
		if again, err := decodeUndo(u.encode(), n, 0); err != nil || !slices.Equal(again, u) {
			t.Fatalf("decoded %q, encoded and decoded %q, %v", u, again, err)
		}
	})
}

// FuzzDecodeIndexRecord: a record is what encode writes, or none.
func FuzzDecodeIndexRecord(f *testing.F) {
	for _, p := range []*Params{Regtest(), Bitcoin()} {
		hash := p.Genesis.Hash()
		good := indexRecord{header: p.Genesis.Header, work: WorkOf(p.PowLimit)}
		f.Add(indexKey(0, hash), good.encode())
		bad := indexRecord{header: p.Genesis.Header, work: good.work, sequence: math.MaxUint64, invalid: true}
		f.Add(indexKey(math.MaxUint32, hash), bad.encode())
	}
	f.Fuzz(func(t *testing.T, key, value []byte) {
		height, hash, r, err := decodeIndexRecord(key, value)
		if err != nil {
			return
		}
		if got := r.encode(); !bytes.Equal(got, value) {
			t.Fatalf("encoded again as %x, want %x", got, value)
		}
		if got := indexKey(height, hash); !bytes.Equal(got[1:], key[1:]) { // the store matched the prefix
			t.Fatalf("key %x, want %x", got, key)
		}
	})
}

// FuzzDecodeTipRecord: a record is what encode writes, or none.
func FuzzDecodeTipRecord(f *testing.F) {
	for _, moving := range []bool{false, true} {
		f.Add(tipRecord{hash: Regtest().Genesis.Hash(), utxos: math.MaxUint64, moving: moving}.encode())
	}
	hash := hashing.Hash{1}
	f.Add(hash[:]) // of a directory from before there were unspent outputs
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := decodeTipRecord(data)
		if err != nil {
			return
		}
		if got := r.encode(); !bytes.Equal(got, data) {
			t.Fatalf("encoded again as %x, want %x", got, data)
		}
	})
}

// FuzzDecodeUTXOKey: a key is what utxoKey makes, or none.
func FuzzDecodeUTXOKey(f *testing.F) {
	f.Add(utxoKey(&wire.OutPoint{Index: math.MaxUint32}))
	f.Fuzz(func(t *testing.T, data []byte) {
		at, ok := decodeUTXOKey(data)
		if ok && !bytes.Equal(utxoKey(&at), data) {
			t.Fatalf("made again as %x, want %x", utxoKey(&at), data)
		}
	})
}

// FuzzParseAddress: what is an address of a network pays to a script that has that
// address.
func FuzzParseAddress(f *testing.F) {
	f.Add("bcrt1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqdku202")
	f.Add("bcrt1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqc8gma6")
	f.Add("mfWxJ45yp2SFn7UciZyNpvDKrzbhyfKrY8")
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		p := Regtest()
		script, err := ParseAddress(p, text)
		if err != nil {
			return
		}
		shown, ok := AddressOf(p, script)
		if !ok {
			t.Fatalf("%q pays to %x, which has no address", text, script)
		}
		if again, err := ParseAddress(p, shown); err != nil || !bytes.Equal(again, script) {
			t.Fatalf("%q pays to %x, which is %q, which pays to %x, %v", text, script, shown, again, err)
		}
	})
}

// FuzzCoinbaseText: whatever a coinbase says, what is shown of it is short and can
// be printed.
func FuzzCoinbaseText(f *testing.F) {
	script, err := coinbaseScript(300, "farm", "data", [8]byte{1})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(script)
	f.Add([]byte("\x51\x03bob\x00\x0c123456789012"))
	f.Fuzz(func(t *testing.T, script []byte) {
		tx := &wire.MsgTx{TxIn: []*wire.TxIn{{SignatureScript: script}}}
		miner, data := CoinbaseText(&Block{Transactions: []*wire.MsgTx{tx}})
		for _, text := range []string{miner, data} {
			if len(text) > maxCoinbaseText || !printable(text) {
				t.Fatalf("script %x says %q", script, text)
			}
		}
	})
}
