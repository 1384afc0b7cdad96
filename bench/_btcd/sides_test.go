package main

import (
	"crypto/sha256"
	"slices"
	"strings"
	"testing"

	"github.com/btcsuite/btcd/txscript/v2"
	"github.com/btcsuite/btcd/wire/v2"
	"github.com/jbcnet/jbc/hashing"
)

// mainnetBlocks is the first 2,016 blocks of Bitcoin.
const mainnetBlocks = "../../chain/testdata/vectors/blockfiles/mainnet_0_2015.blk.bz2"

// eachSide opens an empty chain of both.
func eachSide(t *testing.T, net network, test func(t *testing.T, n node)) {
	for _, c := range contenders() {
		t.Run(c.name, func(t *testing.T) {
			n, err := c.open(t.TempDir(), net, settings{cacheBytes: 1 << 20, signatures: 10})
			if err != nil {
				t.Fatal(err)
			}
			test(t, n)
			if err := n.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestScriptsAreOn wants of both sides that they look at every signature, in a
// block by itself and in an import: one in 5,000 signs something else here.
func TestScriptsAreOn(t *testing.T) {
	for _, f := range forms() {
		right := f.digest
		spoilt := 0
		f.digest = func(tx *wire.MsgTx, i int, script []byte, midstate *txscript.TxSigHashes) ([]byte, error) {
			digest, err := right(tx, i, script, midstate)
			if spoilt++; spoilt == spentOutputs {
				other := sha256.Sum256(digest)
				digest = other[:]
			}
			return digest, err
		}
		b := bigBlock(f)
		last := headerOf(b.before[len(b.before)-1]).Hash()
		t.Run(f.name+" accepted", func(t *testing.T) {
			eachSide(t, regtest, func(t *testing.T, n node) {
				if err := n.Import(b.before); err != nil {
					t.Fatal(err)
				}
				if _, err := n.Accept(b.block); err == nil {
					t.Error("the block is good, want a signature refused")
				}
				if err := expectTip(n, last, len(b.before)); err != nil {
					t.Error(err)
				}
			})
		})
		t.Run(f.name+" imported", func(t *testing.T) {
			eachSide(t, regtest, func(t *testing.T, n node) {
				if err := n.Import(append(slices.Clone(b.before), b.block)); err == nil {
					t.Error("the block is good, want a signature refused")
				}
				if err := expectTip(n, last, len(b.before)); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestHeadersAreJudged spoils the last of some headers.
func TestHeadersAreJudged(t *testing.T) {
	headers := headerChain(20)
	for _, test := range []struct {
		name  string
		spoil func(h *hashing.Header)
	}{
		{"parent", func(h *hashing.Header) { h.SetPrev(hashing.Hash{1}); *h = mine(*h) }},
		{"time", func(h *hashing.Header) { h.SetTime(firstTime); *h = mine(*h) }},
		{"bits", func(h *hashing.Header) { h.SetBits(0x207ffffe); *h = mine(*h) }},
		{"work", func(h *hashing.Header) {
			target, err := h.Bits().Target()
			must(err)
			for target.MetBy(h.Hash()) {
				h.SetNonce(h.Nonce() + 1)
			}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			bad := slices.Clone(headers)
			test.spoil(&bad[19])
			eachSide(t, regtest, func(t *testing.T, n node) {
				if _, _, err := n.Headers(bad); err == nil {
					t.Error("the headers are good, want the last refused")
				}
			})
			eachSide(t, regtest, func(t *testing.T, n node) {
				tip, height, err := n.Headers(headers)
				if err != nil || height != 20 || tip != headers[19].Hash() {
					t.Errorf("tip %s at height %d, %v; want %s at 20", tip, height, err, headers[19].Hash())
				}
			})
		})
	}
}

// TestReorganiseIsOne offers branches of which another block than the last is the
// one that turns the chain, or none is: neither may be timed.
func TestReorganiseIsOne(t *testing.T) {
	a, b := newBranch(1).extend(3), newBranch(2).extend(5)
	eachSide(t, regtest, func(t *testing.T, n node) {
		if err := n.Import(a); err != nil {
			t.Fatal(err)
		}
		if _, err := reorganise(n, b[:3]); err == nil || !strings.HasPrefix(err.Error(), "tip ") {
			t.Errorf("a branch as long as the main chain: %v, want the wrong tip", err)
		}
	})
	eachSide(t, regtest, func(t *testing.T, n node) {
		if err := n.Import(a); err != nil {
			t.Fatal(err)
		}
		if _, err := reorganise(n, b); err == nil || !strings.HasPrefix(err.Error(), "before the reorganisation: tip ") {
			t.Errorf("a branch two longer: %v, want the wrong tip before the last block", err)
		}
	})
}
