package chain

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"testing"
	"time"

	"github.com/btcsuite/btcd/wire/v2"
	"github.com/jbcnet/jbc/hashing/vectortest"
)

func TestBlockVectors(t *testing.T) {
	vectortest.Each(t, "blocks", func(t *testing.T, f vectortest.File) int {
		b := checkRealBlock(t, f.Data)
		if err := checkWitness(b.Block, 1, true); err != nil {
			t.Errorf("witness: %v", err)
		}
		return 1
	})
}

// TestBlockfileVectors decodes whole chains and judges them by every rule of
// sanity and position as Bitcoin's network.
func TestBlockfileVectors(t *testing.T) {
	vectortest.Each(t, "blockfiles", func(t *testing.T, f vectortest.File) int {
		p := Bitcoin()
		var parent *node
		cases := 0
		for raw := f.Data; len(raw) > 0; cases++ {
			if len(raw) < 8 || hex.EncodeToString(raw[:4]) != "f9beb4d9" || len(raw) < 8+int(binary.LittleEndian.Uint32(raw[4:])) {
				t.Fatalf("block %d: no whole record", cases)
			}
			size := int(binary.LittleEndian.Uint32(raw[4:]))
			b := checkRealBlock(t, raw[8:8+size])
			raw = raw[8+size:]
			if parent != nil {
				if b.Header.Prev() != parent.hash {
					t.Fatalf("block %d: parent %s, want %s", cases, b.Header.Prev(), parent.hash)
				}
				if err := p.checkPosition(b, parent, time.Unix(1700000000, 0)); err != nil {
					t.Fatalf("block %d: %v", cases, err)
				}
			}
			parent = p.newNode(b.hash, &b.Header, parent, uint64(cases))
		}
		return cases
	})
}

// checkRealBlock decodes a block that Bitcoin accepted, encodes it again and runs
// the checks of sanity.
func checkRealBlock(t *testing.T, raw []byte) *sane {
	t.Helper()
	b, err := DecodeBlock(raw)
	if err != nil {
		t.Fatal(err)
	}
	if got := b.Encode(); !bytes.Equal(got, raw) {
		t.Fatalf("block %s: encoding %x, want %x", b.Hash(), got, raw)
	}
	if b.Size() != len(raw) {
		t.Errorf("block %s: size %d, want %d", b.Hash(), b.Size(), len(raw))
	}
	checked, err := Bitcoin().sanity(b)
	if err != nil {
		t.Fatalf("block %s: %v", b.Hash(), err)
	}
	return checked
}

// TestWitnessCommitment changes the witnesses of a real block with a commitment.
func TestWitnessCommitment(t *testing.T) {
	var committed []byte
	for _, f := range vectortest.Folder(t, "blocks") {
		b, err := DecodeBlock(f.Data)
		if err != nil {
			t.Fatal(err)
		}
		if witnessCommitment(b) != nil {
			committed = f.Data
		}
	}
	if committed == nil {
		t.Fatal("no block with a witness commitment among the vectors: testdata has one")
	}
	tests := []struct {
		name   string
		active bool
		change func(b *Block)
	}{
		{"before the fork", false, func(*Block) {}},
		{"no coinbase witness", true, func(b *Block) { b.Transactions[0].TxIn[0].Witness = nil }},
		{"short coinbase witness", true, func(b *Block) { b.Transactions[0].TxIn[0].Witness = wire.TxWitness{make([]byte, 31)} }},
		{"two coinbase items", true, func(b *Block) {
			in := b.Transactions[0].TxIn[0]
			in.Witness = append(in.Witness, in.Witness[0])
		}},
		{"another nonce", true, func(b *Block) { b.Transactions[0].TxIn[0].Witness[0][5] ^= 1 }},
		{"another witness", true, func(b *Block) {
			in := b.Transactions[len(b.Transactions)-1].TxIn[0]
			in.Witness = append(in.Witness, []byte{1})
		}},
		{"no commitment", true, func(b *Block) {
			for _, out := range b.Transactions[0].TxOut {
				out.PkScript = nil
			}
		}},
	}
	for _, tt := range tests {
		b, err := DecodeBlock(committed)
		if err != nil {
			t.Fatal(err)
		}
		tt.change(b)
		if err := checkWitness(b, 1, tt.active); !errors.Is(err, RuleWitness) {
			t.Errorf("%s: %v, want rule %q", tt.name, err, RuleWitness)
		}
	}
}

// TestVersionForks: each fork retires the versions below its own.
func TestVersionForks(t *testing.T) {
	p := Bitcoin()
	tests := []struct {
		height uint32
		least  int32
	}{
		{1, -1 << 31}, {p.Forks.BIP34 - 1, -1 << 31}, {p.Forks.BIP34, 2}, {p.Forks.BIP66, 3}, {p.Forks.BIP65, 4}, {900_000, 4},
	}
	for _, tt := range tests {
		for _, version := range []int32{-1 << 31, -1, 0, 1, 2, 3, 4, 0x20000000} {
			err := p.checkVersion(version, tt.height)
			if want := version >= tt.least; (err == nil) != want || err != nil && !errors.Is(err, RuleVersion) {
				t.Errorf("height %d, version %d: %v, want accepted %v", tt.height, version, err, want)
			}
		}
	}
}
