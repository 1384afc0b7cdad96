package chain_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/chain/chaintest"
	"github.com/jbcnet/jbc/hashing"
)

func TestReadHeaders(t *testing.T) {
	h := chaintest.New(t, chain.Regtest())
	h.Now = h.Now.Add(100 * 24 * time.Hour)
	blocks := append([]*chaintest.Block{h.Genesis}, h.Branch(h.Genesis, 4_500)...)
	raw := rawHeaders(blocks...)
	tip := blocks[4_500]
	spoilt := func(at int) []byte { // a header that is not on the one before
		data := bytes.Clone(raw)
		data[at*80+4] ^= 1
		for hashing.Sum256d(data[at*80 : at*80+80])[31] >= 0x80 { // and has its work
			data[at*80+76]++
		}
		return data
	}
	broken := errors.New("broken")
	tests := []struct {
		name string
		r    io.Reader
		tip  *chaintest.Block
		want error
		text string
	}{
		{"from genesis", bytes.NewReader(raw), tip, nil, ""},
		{"from height 1", bytes.NewReader(raw[80:]), tip, nil, ""},
		{"a byte at a time", iotest.OneByteReader(bytes.NewReader(raw[:100*80])), blocks[99], nil, ""},
		{"genesis alone", bytes.NewReader(raw[:80]), h.Genesis, nil, ""},
		{"nothing", bytes.NewReader(nil), h.Genesis, nil, ""},
		{"from height 2", bytes.NewReader(raw[160:]), h.Genesis, chain.RuleOrphan, "byte 0: height 1: "},
		{"genesis twice", bytes.NewReader(append(bytes.Clone(raw[:80]), raw...)), h.Genesis, chain.RuleOrphan, "byte 80: height 1: "},
		{"another network's", bytes.NewReader(rawHeaders(&chaintest.Block{Block: chain.Bitcoin().Genesis})), h.Genesis, chain.RuleOrphan, "byte 0: height 1: "},
		{"cut", bytes.NewReader(raw[:len(raw)-1]), blocks[4_499], chain.ErrHeadersCut, "byte 360000: "},
		{"cut in the first", bytes.NewReader(raw[:79]), h.Genesis, chain.ErrHeadersCut, "byte 0: "},
		{"cut where a part ends", bytes.NewReader(raw[:2_000*80+1]), blocks[1_999], chain.ErrHeadersCut, "byte 160000: "},
		{"a link that is none", bytes.NewReader(spoilt(3_000)), blocks[2_999], chain.RuleOrphan, "byte 240000: height 3000: "},
		{"the first of a part", bytes.NewReader(spoilt(2_000)), blocks[1_999], chain.RuleOrphan, "byte 160000: height 2000: "},
		{"a reader that breaks", io.MultiReader(bytes.NewReader(raw[:240]), iotest.ErrReader(broken)), blocks[2], broken, "byte 240: "},
	}
	for _, tt := range tests {
		c := h.Chain.Params().NewHeaderChain()
		var last int64
		err := c.Read(t.Context(), tt.r, h.Now, func(n int64) { last = n })
		if !errors.Is(err, tt.want) || err != nil && !strings.HasPrefix(err.Error(), tt.text) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.text)
		}
		if c.Tip().Hash != tt.tip.Hash() {
			t.Errorf("%s: tip at height %d, want %d", tt.name, c.Tip().Height, tt.tip.Height)
		}
		if tt.want == nil && tt.name != "from height 1" && last != int64(tt.tip.Height+1)*80 && tt.name != "nothing" {
			t.Errorf("%s: progress ended at %d", tt.name, last)
		}
	}

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	c := h.Chain.Params().NewHeaderChain()
	if err := c.Read(ctx, bytes.NewReader(raw), h.Now, func(int64) { cancel() }); !errors.Is(err, context.Canceled) || c.Tip().Height != 1_999 {
		t.Errorf("cancelled after a part: %v, tip at height %d", err, c.Tip().Height)
	}
	c = h.Chain.Params().NewHeaderChain()
	early := time.Unix(int64(tip.Header.Time()), 0).Add(-2*time.Hour - time.Second)
	if err := c.Read(t.Context(), bytes.NewReader(raw), early, nil); !errors.Is(err, chain.RuleTimeTooNew) || c.Tip().Height != 4_499 {
		t.Errorf("by a slow clock: %v, tip at height %d", err, c.Tip().Height)
	}
}

func rawHeaders(blocks ...*chaintest.Block) []byte {
	var raw [][]byte
	for _, b := range blocks {
		raw = append(raw, b.Header[:])
	}
	return slices.Concat(raw...)
}
