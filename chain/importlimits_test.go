package chain_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"testing"
	"time"

	"github.com/btcsuite/btcd/txscript/v2"
	"github.com/btcsuite/btcd/wire/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/chain/chaintest"
)

// importBatches imports blocks and returns how often progress was told: after each
// batch that was full.
func importBatches(t *testing.T, c *chain.Chain, blocks []*chaintest.Block) (did chain.ImportProgress, batches int) {
	t.Helper()
	raw := make([][]byte, len(blocks))
	for i, b := range blocks {
		raw[i] = b.Encode()
	}
	source := func(yield func([]byte, error) bool) {
		for _, b := range raw {
			if !yield(b, nil) {
				return
			}
		}
	}
	did, err := c.Import(t.Context(), source, farFuture(), func(chain.ImportProgress) { batches++ })
	if err != nil {
		t.Fatal(err)
	}
	return did, batches
}

// burns makes the coinbase weigh so many bytes, with an output that nobody can spend.
func burns(size int) chaintest.Option {
	script := append([]byte{txscript.OP_RETURN}, make([]byte, size)...)
	return func(b *chain.Block) {
		b.Transactions[0].TxOut = append(b.Transactions[0].TxOut, &wire.TxOut{PkScript: script})
	}
}

// TestImportBatches: whatever an import holds counts for when it is written.
func TestImportBatches(t *testing.T) {
	const limit, blocks, size = 1 << 20, 10, 900_000
	h := chaintest.NewBuilder(t, chain.Regtest())
	c, st := openUpdating(t, chain.Regtest(), vfs.NewMem(), limit)
	defer st.Close()
	acceptAll(t, c, h.Branch(h.Genesis, blocks+1)...)
	side := h.Branch(h.Genesis, blocks, burns(size))
	tests := []struct {
		name          string
		blocks        []*chaintest.Block
		taken, known  int
		bytesPerBatch int // at most, with the part that made it full
	}{
		{"beside the main chain", side, blocks, 0, limit + size},
		{"known", side, 0, blocks, 2 * limit},
		{"from beside it onto the tip", h.Branch(side[blocks-1], blocks, burns(size)), blocks, 0, limit + size},
	}
	for _, tt := range tests {
		did, batches := importBatches(t, c, tt.blocks)
		if did.Blocks != tt.taken || did.Known != tt.known {
			t.Errorf("%s: %+v, want %d and %d known", tt.name, did, tt.taken, tt.known)
		}
		if least := blocks * size / tt.bytesPerBatch; batches < least {
			t.Errorf("%s: %d full batches of %d bytes, want at least %d", tt.name, batches, did.Bytes, least)
		}
	}
}

// TestImportCountsSpent: blocks of a few bytes that spend outputs with long scripts
// make an update large.
func TestImportCountsSpent(t *testing.T) {
	const limit, fans, outputs = 1 << 20, 3, 90
	h := chaintest.NewBuilder(t, ripeRegtest())
	c, st := openUpdating(t, ripeRegtest(), vfs.NewMem(), limit)
	defer st.Close()
	drop := append([]byte{txscript.OP_PUSHDATA2, 0x08, 0x02}, make([]byte, 521)...)
	drop[len(drop)-1] = txscript.OP_DROP
	long := append(bytes.Repeat(drop, 18), txscript.OP_TRUE) // 9,433 bytes

	tip := h.Next(h.Genesis)
	made := []*chaintest.Block{tip}
	var spends []*wire.MsgTx
	for range fans {
		outs := make([]*wire.TxOut, outputs)
		for i := range outs {
			outs[i] = wire.NewTxOut(1, long)
		}
		fan := h.Spend([]chaintest.Coin{coinOf(tip)}, outs...)
		tip = h.Next(tip, chaintest.Includes(fan))
		made = append(made, tip)
		spends = append(spends, h.Spend(chaintest.Made(fan, tip.Height), wire.NewTxOut(1, chaintest.AnyoneScript())))
	}
	acceptAll(t, c, made...)
	var small []*chaintest.Block
	for _, tx := range spends {
		tip = h.Next(tip, chaintest.Includes(tx))
		small = append(small, tip)
	}
	did, batches := importBatches(t, c, small)
	if did.Bytes > limit/16 {
		t.Fatalf("%d bytes of blocks: want few", did.Bytes)
	}
	if spent := fans * outputs * len(long); batches == 0 {
		t.Errorf("%d bytes of outputs were spent in one update of at most %d", spent, limit)
	}
}

// untilTaken waits until an import, which holds the chain then, has taken b.
func untilTaken(t *testing.T, c *chain.Chain, b *chaintest.Block) {
	t.Helper()
	for late := time.Now().Add(10 * time.Second); ; runtime.Gosched() {
		if _, known := c.Lookup(b.Hash()); known {
			return
		}
		if time.Now().After(late) {
			t.Errorf("block %s was not taken", b)
			return
		}
	}
}

// TestImportWaitsForSource: others have their blocks accepted while an import waits
// for its source, and so does the source itself.
func TestImportWaitsForSource(t *testing.T) {
	const part = 256 // blocks that are handed over together
	tests := []struct {
		name   string
		accept func(accept func() error) error
	}{
		{"the source accepts a block", func(accept func() error) error { return accept() }},
		{"another does", func(accept func() error) error {
			done := make(chan error, 1)
			go func() { done <- accept() }()
			select {
			case err := <-done:
				return err
			case <-time.After(10 * time.Second):
				return errors.New("it waits for the source")
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := chaintest.New(t, chain.Regtest())
			blocks := h.Branch(h.Genesis, 2*part)
			other := h.Next(blocks[part-1])
			source := func(yield func([]byte, error) bool) {
				for b := range encoded(blocks[:part]) {
					if !yield(b, nil) {
						return
					}
				}
				untilTaken(t, h.Chain, blocks[part-1])
				err := tt.accept(func() error {
					a, err := h.Chain.Accept(other.Block, h.Now)
					if err == nil && a.Status != chain.Extended {
						err = fmt.Errorf("it is %v", a.Status)
					}
					return err
				})
				if err != nil {
					t.Errorf("block %s: %v", other, err)
				}
				for b := range encoded(blocks[part:]) {
					if !yield(b, nil) {
						return
					}
				}
			}
			did, err := importWithin(t, 30*time.Second, h.Chain, source)
			if err != nil || did.Blocks != 2*part {
				t.Errorf("%+v, %v, want %d blocks", did, err, 2*part)
			}
			expectState(t, h, blocks[2*part-1])
		})
	}
}

// importWithin is an import that is given up when it takes too long.
func importWithin(t *testing.T, limit time.Duration, c *chain.Chain, source iter.Seq2[[]byte, error]) (did chain.ImportProgress, err error) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		did, err = c.Import(context.Background(), source, farFuture(), nil)
	}()
	select {
	case <-done:
	case <-time.After(limit):
		t.Fatal("the import does not end")
	}
	return did, err
}

// TestImportCountsWhatIsRight: scripts run while later blocks are taken already;
// where one fails neither its block counts nor those on it, only what came before.
func TestImportCountsWhatIsRight(t *testing.T) {
	for _, inputs := range []int{1, 20_000} { // as many as are waited for at once
		for _, before := range []int{0, 3} {
			t.Run(fmt.Sprintf("%d inputs after %d blocks", inputs, before), func(t *testing.T) {
				h := chaintest.New(t, ripeRegtest())
				first := h.Next(h.Genesis)
				outs := make([]*wire.TxOut, inputs)
				for i := range outs {
					outs[i] = wire.NewTxOut(1, []byte{txscript.OP_FALSE})
				}
				fan := h.Spend([]chaintest.Coin{coinOf(first)}, outs...)
				second := h.Next(first, chaintest.Includes(fan))
				h.Accept(first, second)

				good := append([]*chaintest.Block{second}, h.Branch(second, before)...)
				last := good[before]
				bad := h.Next(last, chaintest.Includes(h.Spend(chaintest.Made(fan, 2), wire.NewTxOut(1, chaintest.AnyoneScript()))))
				all := append(append(good, bad), h.Branch(bad, 2)...)
				did, err := h.Chain.Import(t.Context(), encoded(all), h.Now, nil)
				if !errors.Is(err, chain.RuleScript) {
					t.Errorf("%v, want rule %q", err, chain.RuleScript)
				}
				if did.Blocks != before || did.Known != 1 || did.Height != last.Height {
					t.Errorf("%+v, want %d blocks, 1 known, height %d", did, before, last.Height)
				}
				expectState(t, h, last)
				h.Reopen()
				expectState(t, h, last)
				h.Reject(bad, chain.RuleKnownInvalid)
				h.Expect(h.Next(last), chain.Extended)
			})
		}
	}
}

// TestImportTellsOfProgress also while its source makes it wait.
func TestImportTellsOfProgress(t *testing.T) {
	h := chaintest.New(t, chain.Regtest())
	blocks := h.Branch(h.Genesis, 1024)
	told := make(chan struct{}, len(blocks))
	source := func(yield func([]byte, error) bool) {
		for i, b := range blocks {
			if !yield(b.Encode(), nil) {
				return
			}
			if i == len(blocks)/2 {
				select {
				case <-told:
				case <-time.After(10 * time.Second):
					t.Error("512 blocks were given, and nobody told of progress")
				}
			}
		}
	}
	tell := func(chain.ImportProgress) { told <- struct{}{} }
	if _, err := h.Chain.Import(t.Context(), source, h.Now, tell); err != nil {
		t.Fatal(err)
	}
}

// TestImportCountsBytes of the blocks that it took in, and not of a bad one.
func TestImportCountsBytes(t *testing.T) {
	p := chain.Regtest()
	p.Maturity = 1
	h := chaintest.New(t, p)
	first := h.Next(h.Genesis, chaintest.PayTo([]byte{txscript.OP_FALSE}))
	bad := h.Next(first, chaintest.Includes(h.Spend([]chaintest.Coin{coinOf(first)}, coinOf(first).Out)))
	source := func(yield func([]byte, error) bool) { _ = yield(first.Encode(), nil) && yield(bad.Encode(), nil) }
	did, err := h.Chain.Import(t.Context(), source, h.Now, nil)
	if !errors.Is(err, chain.RuleScript) || did.Blocks != 1 || did.Bytes != int64(first.Size()) {
		t.Errorf("%+v, %v, want one block of %d bytes and rule %q", did, err, first.Size(), chain.RuleScript)
	}
}
