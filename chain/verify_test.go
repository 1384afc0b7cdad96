package chain

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/btcsuite/btcd/address/v2"
	"github.com/btcsuite/btcd/txscript/v2"
	"github.com/btcsuite/btcd/wire/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/jbcnet/jbc/chain/store"
	"github.com/jbcnet/jbc/hashing"
	"github.com/jbcnet/jbc/hashing/vectortest"
)

// verifyParams is regtest with coins that can be spent at once, and P2SH scripts run
// from a height on. The network is the same for the store.
func verifyParams(p2sh uint32) *Params {
	p := Regtest()
	p.Maturity = 1
	p.Forks.BIP16, p.Forks.SegWit, p.Forks.Taproot = p2sh, p2sh, p2sh
	return p
}

func openVerify(t testing.TB, fs vfs.FS, dir string, p *Params) (*Chain, *store.Store) {
	t.Helper()
	st, err := store.Open(store.Options{Dir: dir, Network: p.ID(), FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	c, err := Open(st, p, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return c, st
}

// mine makes a block on the tip with these transactions, and takes it in.
func mine(t testing.TB, c *Chain, pay []byte, txs ...*wire.MsgTx) *Block {
	t.Helper()
	now := time.Unix(1_700_000_000, 0)
	tmpl, err := c.Template(now, TemplateOptions{PayScript: pay})
	if err != nil {
		t.Fatal(err)
	}
	b := tmpl.Block(tmpl.Header(0, tmpl.Time), 0)
	b.Transactions = append(b.Transactions, txs...)
	seal(b, tmpl.Target())
	if a, err := c.Accept(b, now); err != nil || a.Status != Extended {
		t.Fatal(a, err)
	}
	return b
}

func seal(b *Block, target hashing.Target) {
	root, _ := b.merkleRoot()
	b.Header.SetMerkleRoot(root)
	for !target.MetBy(b.Hash()) {
		b.Header.SetNonce(b.Header.Nonce() + 1)
	}
}

// spend makes a transaction that spends the first output of another.
func spend(tx *wire.MsgTx, sigScript, pkScript []byte) *wire.MsgTx {
	return &wire.MsgTx{
		Version: 1,
		TxIn:    []*wire.TxIn{{PreviousOutPoint: wire.OutPoint{Hash: tx.TxHash()}, SignatureScript: sigScript, Sequence: wire.MaxTxInSequenceNum}},
		TxOut:   []*wire.TxOut{{Value: tx.TxOut[0].Value, PkScript: pkScript}},
	}
}

// verifyChain has 130 blocks: block 2 spends the coinbase of block 1, twice in a
// row, block 4 that of block 3; beside block 6 lies another.
func verifyChain(t testing.TB, c *Chain) {
	t.Helper()
	easy := []byte{txscript.OP_TRUE}
	first := mine(t, c, easy)
	once := spend(first.Transactions[0], nil, easy)
	mine(t, c, easy, once, spend(once, nil, []byte{txscript.OP_TRUE, txscript.OP_NOP}))
	third := mine(t, c, easy)
	mine(t, c, easy, spend(third.Transactions[0], nil, easy))
	mine(t, c, easy)
	beside := mine(t, c, easy)
	other := &Block{Header: beside.Header, Transactions: []*wire.MsgTx{beside.Transactions[0].Copy()}}
	other.Transactions[0].TxOut[0].Value--
	target, _ := c.params.PowLimit.Target()
	seal(other, target)
	if a, err := c.Accept(other, allTime); err != nil || a.Status != Side {
		t.Fatal(a, err)
	}
	for c.Tip().Height < 130 {
		mine(t, c, easy)
	}
}

// verify checks a chain quickly or with everything.
func verify(t testing.TB, c *Chain, scripts bool) (VerifyReport, error) {
	t.Helper()
	opts := VerifyOptions{}
	if scripts {
		st, err := store.Open(store.Options{Dir: "scratch", Network: c.params.ID(), FS: vfs.NewMem()})
		if err != nil {
			t.Fatal(err)
		}
		defer st.Close()
		opts.Scratch = st
	}
	return c.Verify(t.Context(), opts)
}

// TestVerifyRealBlocks verifies what was imported, and counts what it looked at.
func TestVerifyRealBlocks(t *testing.T) {
	vectortest.Each(t, "blockfiles", func(t *testing.T, f vectortest.File) int {
		c, st := openBitcoin(t, vfs.NewMem())
		defer st.Close()
		did, err := c.Import(t.Context(), records(f.Data), allTime, nil)
		if err != nil {
			t.Fatal(err)
		}
		want := VerifyReport{UTXO: utxoStats(t, c), Blocks: did.Blocks + 1, Bytes: did.Bytes}
		for n := range c.main {
			b, err := c.readBlock(c.main[n].hash)
			if err != nil {
				t.Fatal(err)
			}
			if len(b.Transactions) > 1 {
				want.UndoRecords++
			}
		}
		for _, scripts := range []bool{false, true} {
			want.Scripts = scripts
			if got, err := verify(t, c, scripts); err != nil || got != want {
				t.Errorf("scripts %v: %+v, %v, want %+v", scripts, got, err, want)
			}
		}
		return want.Blocks
	})
}

// TestVerifyFindsDamage changes one record of a good chain, below what Open looks
// at. Without scripts a wrong output is seen in the sum; with them it is named.
func TestVerifyFindsDamage(t *testing.T) {
	at := func(c *Chain, height int) string { return c.main[height].where() }
	spent := func(c *Chain, height int) undo { // what the block there spent
		b, _ := c.readBlock(c.main[height].hash)
		u, _ := c.readUndo(c.main[height].hash, b)
		return u
	}
	coinbase := func(c *Chain, height int) *wire.OutPoint {
		b, _ := c.readBlock(c.main[height].hash)
		return &wire.OutPoint{Hash: b.Transactions[0].TxHash()}
	}
	sideBlock := func(c *Chain) (side *node) {
		c.nodes.all(func(n *node) bool {
			if !c.onMain(n) {
				side = n
			}
			return true
		})
		return side
	}
	const sum = "unspent outputs: they are not what the blocks made and did not spend"
	tests := []struct {
		name   string
		damage func(b *store.Batch, c *Chain)
		quick  func(c *Chain) string // the error
		full   func(c *Chain) string // nil: the same
	}{
		{"body missing", func(b *store.Batch, c *Chain) { b.Delete(store.Chain, bodyKey(c.main[7].hash)) },
			func(c *Chain) string { return at(c, 7) + ": its bytes are missing" }, nil},
		{"body cut short", func(b *store.Batch, c *Chain) {
			raw, _ := c.RawBlock(c.main[7].hash)
			b.Set(store.Chain, bodyKey(c.main[7].hash), raw[:len(raw)-1])
		}, func(c *Chain) string { return at(c, 7) + ": block is cut short: 4 bytes wanted, 3 left" }, nil},
		{"body of another block", func(b *store.Batch, c *Chain) { setBody(b, c.main[7].hash, c.params.Genesis) },
			func(c *Chain) string { return at(c, 7) + ": its bytes are those of block " + c.main[0].hash.String() }, nil},
		{"a byte of a body", func(b *store.Batch, c *Chain) {
			raw, _ := c.RawBlock(c.main[7].hash)
			raw[len(raw)-1]++ // lock time
			b.Set(store.Chain, bodyKey(c.main[7].hash), raw)
		}, func(c *Chain) string { return at(c, 7) + ": merkle root does not match: " }, nil},
		{"body of a side block missing", func(b *store.Batch, c *Chain) { b.Delete(store.Chain, bodyKey(sideBlock(c).hash)) },
			func(c *Chain) string { return sideBlock(c).where() + ": its bytes are missing" }, nil},
		{"undo record missing", func(b *store.Batch, c *Chain) { b.Delete(store.Chain, undoKey(c.main[2].hash)) },
			func(c *Chain) string { return "undo record of " + at(c, 2) + ": missing" }, nil},
		{"undo record cut short", func(b *store.Batch, c *Chain) {
			setUndo(b, c.main[2].hash, spent(c, 2)[:1])
		}, func(c *Chain) string {
			return "undo record of " + at(c, 2) + ": 1 outputs, the block spent or overwrote 2"
		}, nil},
		{"undo record of another height", func(b *store.Batch, c *Chain) {
			u := spent(c, 2)
			out, _ := u[0].unpack()
			setUndo(b, c.main[2].hash, undo{pack(&wire.TxOut{Value: out.Value, PkScript: out.PkScript}, 0, true), u[1]})
		}, func(*Chain) string { return sum },
			func(c *Chain) string { return "undo record of " + at(c, 2) + ": it is not what the block spent" }},
		{"undo record with two swapped", func(b *store.Batch, c *Chain) {
			u := spent(c, 2)
			setUndo(b, c.main[2].hash, undo{u[1], u[0]})
		}, func(*Chain) string { return sum },
			func(c *Chain) string { return "undo record of " + at(c, 2) + ": it is not what the block spent" }},
		{"unspent output missing", func(b *store.Batch, c *Chain) { b.Delete(store.Chain, utxoKey(coinbase(c, 5))) },
			func(*Chain) string { return "unspent outputs: there are 129, counted 130" },
			func(c *Chain) string {
				return fmt.Sprintf("unspent output %s: not there, replayed 5000000000 units of the coinbase at height 5 to 51", coinbase(c, 5))
			}},
		{"spent output not gone", func(b *store.Batch, c *Chain) {
			b.Set(store.Chain, utxoKey(coinbase(c, 1)), []byte(spent(c, 2)[0]))
			b.Set(store.Chain, tipKey(), tipRecord{hash: c.tip().hash, utxos: 131}.encode())
		}, func(*Chain) string { return sum },
			func(c *Chain) string {
				return fmt.Sprintf("unspent output %s: 5000000000 units of the coinbase at height 1 to 51, replayed not there", coinbase(c, 1))
			}},
		{"value of an unspent output", func(b *store.Batch, c *Chain) {
			b.Set(store.Chain, utxoKey(coinbase(c, 5)), []byte(pack(&wire.TxOut{Value: 1, PkScript: []byte{txscript.OP_TRUE}}, 5, false)))
		}, func(*Chain) string { return sum },
			func(c *Chain) string {
				return fmt.Sprintf("unspent output %s: 1 units made at height 5 to 51, replayed 5000000000 units of the coinbase at height 5 to 51", coinbase(c, 5))
			}},
		{"unspent output that is none", func(b *store.Batch, c *Chain) { b.Set(store.Chain, utxoKey(coinbase(c, 5)), []byte{0xff}) },
			func(c *Chain) string {
				return fmt.Sprintf("unspent output: key %x, value of 1 bytes", utxoKey(coinbase(c, 5)))
			},
			func(c *Chain) string {
				return fmt.Sprintf("unspent output %s: not an unspent output, replayed 5000000000 units of the coinbase at height 5 to 51", coinbase(c, 5))
			}},
		{"number of unspent outputs", func(b *store.Batch, c *Chain) {
			b.Set(store.Chain, tipKey(), tipRecord{hash: c.tip().hash, utxos: 129}.encode())
		}, func(*Chain) string { return "unspent outputs: there are 130, counted 129" }, nil},
	}
	for _, tt := range tests {
		for _, scripts := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, scripts %v", tt.name, scripts), func(t *testing.T) {
				fs := vfs.NewMem()
				c, st := openVerify(t, fs, "d", verifyParams(0))
				verifyChain(t, c)
				if _, err := verify(t, c, scripts); err != nil {
					t.Fatalf("before the damage: %v", err)
				}
				want := tt.quick
				b := st.NewBatch()
				tt.damage(b, c)
				if scripts && tt.full != nil {
					want = tt.full
				}
				text := "d is damaged: " + want(c)
				if p, err := b.Apply(); err != nil || p.Wait() != nil {
					t.Fatal(err)
				}
				st.Close()

				c, st = openVerify(t, fs, "d", verifyParams(0))
				defer st.Close()
				_, err := verify(t, c, scripts)
				if !errors.As(err, new(*store.DamageError)) || !strings.HasPrefix(err.Error(), text) {
					t.Errorf("error %v\nwant  %s", err, text)
				}
				if exact := !strings.HasSuffix(text, ": "); exact && err != nil && err.Error() != text {
					t.Errorf("error %v\nwant  %s", err, text)
				}
			})
		}
	}
}

// TestVerifyRunsScripts opens a chain that was made while P2SH scripts were not run,
// under rules that run them.
func TestVerifyRunsScripts(t *testing.T) {
	redeem := []byte{txscript.OP_TRUE, txscript.OP_NOT}
	toHash, err := txscript.NewScriptBuilder().AddOp(txscript.OP_HASH160).AddData(address.Hash160(redeem)).AddOp(txscript.OP_EQUAL).Script()
	if err != nil {
		t.Fatal(err)
	}
	reveal, err := txscript.NewScriptBuilder().AddFullData(redeem).Script()
	if err != nil {
		t.Fatal(err)
	}
	fs := vfs.NewMem()
	c, st := openVerify(t, fs, "d", verifyParams(1_000_000))
	first := mine(t, c, toHash)
	mine(t, c, toHash)
	third := mine(t, c, toHash, spend(first.Transactions[0], reveal, toHash))
	mine(t, c, toHash)
	if _, err := verify(t, c, true); err != nil {
		t.Fatalf("without P2SH: %v", err)
	}
	st.Close()

	c, st = openVerify(t, fs, "d", verifyParams(0))
	defer st.Close()
	if _, err := verify(t, c, false); err != nil {
		t.Errorf("quick: %v", err)
	}
	_, err = verify(t, c, true)
	want := fmt.Sprintf("d is damaged: block %s at height 3: it is invalid: height 3: script fails: ", third.Hash())
	if !errors.Is(err, RuleScript) || !errors.As(err, new(*store.DamageError)) || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("error %v\nwant  %s", err, want)
	}
}

// TestVerifyOverwrittenCoinbase verifies a chain with a coinbase like an earlier one,
// which an exception lets in.
func TestVerifyOverwrittenCoinbase(t *testing.T) {
	p := verifyParams(0)
	p.Forks.BIP34, p.Forks.BIP30Exceptions = 1000, map[uint32]hashing.Hash{}
	c, st := openVerify(t, vfs.NewMem(), "d", p)
	defer st.Close()
	first := mine(t, c, []byte{txscript.OP_TRUE})
	mine(t, c, []byte{txscript.OP_TRUE})
	tmpl, err := c.Template(allTime.Add(-24*time.Hour), TemplateOptions{PayScript: []byte{txscript.OP_TRUE}})
	if err != nil {
		t.Fatal(err)
	}
	again := tmpl.Block(tmpl.Header(0, tmpl.Time), 0)
	again.Transactions = first.Transactions
	seal(again, tmpl.Target())
	p.Forks.BIP30Exceptions[3] = again.Hash()
	if a, err := c.Accept(again, allTime); err != nil || a.Status != Extended {
		t.Fatal(a, err)
	}
	for _, scripts := range []bool{false, true} {
		if got, err := verify(t, c, scripts); err != nil || got.UTXO.Outputs != 2 {
			t.Errorf("scripts %v: %d outputs, %v, want 2 and no error", scripts, got.UTXO.Outputs, err)
		}
	}
}

// TestVerifyStops ends where its context does, at every stage, and tells how far it is.
func TestVerifyStops(t *testing.T) {
	c, st := openVerify(t, vfs.NewMem(), "d", verifyParams(0))
	defer st.Close()
	verifyChain(t, c)
	for _, stage := range []VerifyStage{VerifyBlocks, VerifySide, VerifyOutputs, VerifyScripts, VerifyUndo} {
		scratch, err := store.Open(store.Options{Dir: "scratch", Network: c.params.ID(), FS: vfs.NewMem()})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		reached := false
		_, err = c.Verify(ctx, VerifyOptions{Scratch: scratch, Progress: func(p VerifyProgress) {
			if p.Stage == stage {
				reached = true
				cancel()
			}
			if p.Done > p.Total {
				t.Errorf("%s: %d of %d", p.Stage, p.Done, p.Total)
			}
		}})
		cancel()
		scratch.Close()
		if !reached || !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled in %q, which came %v: %v", stage, reached, err)
		}
	}
	if _, err := verify(t, c, true); err != nil {
		t.Errorf("after that: %v", err)
	}
}

// TestVerifyWantsAnEmptyScratch refuses a store that has something already.
func TestVerifyWantsAnEmptyScratch(t *testing.T) {
	fs := vfs.NewMem()
	c, st := openVerify(t, fs, "d", verifyParams(0))
	defer st.Close()
	other, scratch := openVerify(t, fs, "scratch", verifyParams(0))
	defer scratch.Close()
	mine(t, other, []byte{txscript.OP_TRUE})
	_, err := c.Verify(t.Context(), VerifyOptions{Scratch: scratch})
	if want := "replay: scratch is not empty: its tip is at height 1"; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}
