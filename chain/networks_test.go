package chain

import (
	"reflect"
	"testing"

	"github.com/jbcnet/jbc/hashing"
)

// TestForks has the heights of Bitcoin's soft forks and its two blocks that repeat
// a coinbase; everywhere else all hold from the start.
func TestForks(t *testing.T) {
	want := Forks{
		BIP16: 173_805, BIP34: 227_931, BIP65: 388_381, BIP66: 363_725, CSV: 419_328, SegWit: 481_824, Taproot: 709_632,
		BIP30Exceptions: map[uint32]hashing.Hash{},
	}
	for height, digits := range map[uint32]string{
		91_842: "00000000000a4d0a398161ffc163c503763b1f4360639393e0e4c8e300e0caec",
		91_880: "00000000000743f190a18c5577a3c2d2a1f610ae9601ac046a38084ccb7cd721",
	} {
		hash, err := hashing.ParseHash(digits)
		if err != nil {
			t.Fatal(err)
		}
		want.BIP30Exceptions[height] = hash
	}
	if got := Bitcoin().Forks; !reflect.DeepEqual(got, want) {
		t.Errorf("bitcoin: %+v, want %+v", got, want)
	}
	for _, p := range []*Params{Dev(), Main(), Regtest()} {
		if !reflect.DeepEqual(p.Forks, Forks{}) {
			t.Errorf("%s: %+v, want all from the start", p.Name, p.Forks)
		}
	}
}

// TestTrustIsOff sees that no built-in network takes anybody's word for its chain.
func TestTrustIsOff(t *testing.T) {
	for _, p := range Networks() {
		if len(p.Checkpoints) != 0 || p.MinimumWork != (Work{}) || p.FinalityDepth != 0 {
			t.Errorf("%s: checkpoints %v, minimum work %s, finality depth %d, want none", p.Name, p.Checkpoints, p.MinimumWork, p.FinalityDepth)
		}
		if p.BlockWeight() != 4_000_000 {
			t.Errorf("%s: blocks of up to %d units", p.Name, p.BlockWeight())
		}
	}
}

func TestCheckNewParams(t *testing.T) {
	tests := []struct {
		name   string
		change func(*Params)
		want   string // empty: nothing is wrong
	}{
		{"least weight", func(p *Params) { p.MaxWeight = 4_000 }, ""},
		{"most weight", func(p *Params) { p.MaxWeight = 4_000_000 }, ""},
		{"too little weight", func(p *Params) { p.MaxWeight = 3_999 }, "network dev: block weight of 3999: want 4000 to 4000000"},
		{"too much weight", func(p *Params) { p.MaxWeight = 4_000_001 }, "network dev: block weight of 4000001: want 4000 to 4000000"},
		{"negative weight", func(p *Params) { p.MaxWeight = -1 }, "network dev: block weight of -1: want 4000 to 4000000"},
		{"checkpoints", func(p *Params) { p.Checkpoints = map[uint32]hashing.Hash{0: p.Genesis.Hash(), 9: {1}} }, ""},
		{"checkpoint of zero", func(p *Params) { p.Checkpoints = map[uint32]hashing.Hash{9: {}} }, "network dev: checkpoint 9 is zero"},
		{"checkpoint of another genesis", func(p *Params) { p.Checkpoints = map[uint32]hashing.Hash{0: {1}} },
			"network dev: checkpoint 0 is 0000000000000000000000000000000000000000000000000000000000000001, the genesis block is " + Dev().Genesis.Hash().String()},
	}
	for _, tt := range tests {
		p := Dev()
		tt.change(p)
		err := p.Check()
		if got := errorText(err); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
