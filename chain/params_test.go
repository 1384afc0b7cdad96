package chain

import (
	"strings"
	"testing"
	"time"
)

func TestGenesis(t *testing.T) {
	tests := []struct {
		p    *Params
		hash string
		id   string
		text string
	}{
		{Dev(), "000001710e5befbd3d4461b1f9b4225202fd064d4f8f52565c20047fee6c34cc", "dev-ee6c34cc", "JBC dev 2026-11-20"},
		{Main(), "0000000c02ccd615fad76af518d12191d7406ce5afc8cd0ba0900bc02aadfc9e", "main-2aadfc9e", "JBC main 2026-11-20"},
		{Regtest(), "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206", "regtest-466e2206", "The Times 03/Jan/2009"},
		{Bitcoin(), "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f", "bitcoin-0a8ce26f", "The Times 03/Jan/2009"},
	}
	for _, tt := range tests {
		t.Run(tt.p.Name, func(t *testing.T) {
			g := tt.p.Genesis
			if got := g.Hash().String(); got != tt.hash {
				t.Errorf("hash %s, want %s", got, tt.hash)
			}
			if got := tt.p.ID(); got != tt.id {
				t.Errorf("id %s, want %s", got, tt.id)
			}
			if g.Header.Bits() != tt.p.PowLimit {
				t.Errorf("bits %s, want the limit %s", g.Header.Bits(), tt.p.PowLimit)
			}
			if err := CheckProofOfWork(g.Hash(), g.Header.Bits(), tt.p.PowLimit); err != nil {
				t.Error(err)
			}
			if root, _ := g.merkleRoot(); root != g.Header.MerkleRoot() {
				t.Errorf("merkle root %s, header says %s", root, g.Header.MerkleRoot())
			}
			if err := tt.p.Check(); err != nil {
				t.Error(err)
			}
			if script := string(g.Transactions[0].TxIn[0].SignatureScript); !strings.Contains(script, tt.text) {
				t.Errorf("coinbase script %q, want %q in it", script, tt.text)
			}
		})
	}
	for _, p := range []*Params{Dev(), Main()} {
		if out := p.Genesis.Transactions[0].TxOut; len(out) != 1 || out[0].Value != 0 || string(out[0].PkScript) != "\x6a" {
			t.Errorf("%s: genesis pays %v, want nothing to OP_RETURN", p.Name, out)
		}
		at := time.Unix(int64(p.Genesis.Header.Time()), 0).UTC()
		if want := time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC); at.Sub(want).Abs() > time.Hour {
			t.Errorf("%s: genesis time %v, want about %v", p.Name, at, want)
		}
	}
}

func TestMaxFuture(t *testing.T) {
	tests := []struct {
		p    *Params
		want time.Duration
	}{
		{Dev(), 5 * time.Second}, {Main(), 50 * time.Second}, {Regtest(), 2 * time.Hour}, {Bitcoin(), 2 * time.Hour},
		{&Params{HalfLife: 96 * time.Hour}, 2 * time.Hour},
	}
	for _, tt := range tests {
		if got := tt.p.MaxFuture(); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.p.Name, got, tt.want)
		}
	}
}

func TestByName(t *testing.T) {
	for _, p := range Networks() {
		if got, err := ByName(p.Name); err != nil || got.ID() != p.ID() {
			t.Errorf("ByName(%q): %v, %v", p.Name, got, err)
		}
	}
	if _, err := ByName("mian"); err == nil || err.Error() != `no network "mian"; there are dev, main, regtest, bitcoin` {
		t.Errorf("unknown network: %v", err)
	}
}

func TestCheckParams(t *testing.T) {
	tests := []struct {
		name   string
		change func(*Params)
	}{
		{"name", func(p *Params) { p.Name = "Dev Net" }},
		{"no genesis", func(p *Params) { p.Genesis = nil }},
		{"unworked genesis", func(p *Params) { p.Genesis.Header.SetNonce(1) }},
		{"limit below genesis", func(p *Params) { p.PowLimit = 0x1d00ffff }},
		{"spacing of zero", func(p *Params) { p.Spacing = 0 }},
		{"spacing with a fraction", func(p *Params) { p.Spacing = 1500 * time.Millisecond }},
		{"no half-life", func(p *Params) { p.HalfLife = 0 }},
		{"half-life without use", func(p *Params) { p.Schedule = ScheduleNone }},
		{"schedule", func(p *Params) { p.Schedule = 9 }},
		{"negative subsidy", func(p *Params) { p.InitialSubsidy = -1 }},
		{"no addresses", func(p *Params) { p.Address = nil }},
	}
	for _, tt := range tests {
		p := Dev()
		tt.change(p)
		if err := p.Check(); err == nil {
			t.Errorf("%s: accepted", tt.name)
		}
	}
}

// TestAnchors follows the anchor of the ASERT schedule through slow and fast blocks.
func TestAnchors(t *testing.T) {
	p := Dev()
	genesis := p.newNode(p.Genesis.Hash(), &p.Genesis.Header, nil, 0)
	tests := []struct {
		name   string
		gap    uint32 // seconds since the block before
		anchor bool
		easy   bool // the block has the limit's bits
	}{
		{"block 1, months after genesis", 10_000_000, true, true},
		{"after a block on time", 2, false, true},
		{"after a block on time", 1, false, true},
		{"after a fast one", 1, false, false},
		{"after another", 0, false, false},
		{"after another", 86400, false, false},
		{"after a weekend", 2, true, true}, // the target came out above the limit: anchored anew
		{"after a block on time", 1, false, true},
		{"after a fast one", 3, false, false},
		{"back on time", 60, false, true},
		{"after a slow one", 2, true, true},
	}
	at := genesis
	for i, tt := range tests {
		bits, _ := p.required(at)
		header := p.Genesis.Header
		header.SetPrev(at.hash)
		header.SetBits(bits)
		header.SetTime(at.time + tt.gap)
		n := p.newNode(header.Hash(), &header, at, uint64(i))
		if got := n.anchor == n; got != tt.anchor {
			t.Errorf("block %d, %s: anchor %v, want %v", n.height, tt.name, got, tt.anchor)
		}
		if got := bits == p.PowLimit; got != tt.easy {
			t.Errorf("block %d, %s: bits %s, at the limit %v, want %v", n.height, tt.name, bits, got, tt.easy)
		}
		at = n
	}
}
