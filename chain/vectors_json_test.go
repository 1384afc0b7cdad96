package chain

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"testing"

	"github.com/jbcnet/jbc/hashing"
	"github.com/jbcnet/jbc/hashing/vectortest"
)

func TestCheckPowVectors(t *testing.T) {
	vectortest.Each(t, "compact_bits", func(t *testing.T, f vectortest.File) int {
		var file struct {
			CheckPow []struct {
				Comment string
				Bits    hashing.Bits
				Hash    hashing.Hash
				OK      bool
			} `json:"check_pow"`
			SetCompact []json.RawMessage `json:"set_compact"`
		}
		decodeJSON(t, f.Data, &file)
		for _, c := range file.CheckPow {
			err := CheckProofOfWork(c.Hash, c.Bits, Bitcoin().PowLimit)
			if got := err == nil; got != c.OK {
				t.Errorf("%s: bits %s, hash %s: ok %v (%v), want %v", c.Comment, c.Bits, c.Hash, got, err, c.OK)
			}
		}
		// A file may hold cases of the other kind only, which package hashing runs.
		return len(file.CheckPow) + len(file.SetCompact)
	})
}

// TestMutatedBlockVectors refuses blocks with repeated transactions under an
// unchanged hash, and then takes the original.
func TestMutatedBlockVectors(t *testing.T) {
	sources := map[string][]byte{}
	for _, f := range vectortest.Folder(t, "blocks") {
		sources[f.Name] = f.Data
	}
	vectortest.Each(t, "mutated_blocks", func(t *testing.T, f vectortest.File) int {
		var file struct {
			Cases []struct {
				Source  string       `json:"source_block"`
				Hash    hashing.Hash `json:"hash"`
				Indexes []int        `json:"mutated_tx_indexes"`
				Sum     string       `json:"mutated_block_sha256"`
			} `json:"cases"`
		}
		decodeJSON(t, f.Data, &file)
		for i, c := range file.Cases {
			original, err := DecodeBlock(sources[c.Source])
			if err != nil {
				t.Fatalf("case %d: %s: %v", i, c.Source, err)
			}
			mutant := &Block{Header: original.Header}
			for _, j := range c.Indexes {
				mutant.Transactions = append(mutant.Transactions, original.Transactions[j])
			}
			raw := mutant.Encode()
			if sum := sha256.Sum256(raw); hex.EncodeToString(sum[:]) != c.Sum {
				t.Fatalf("case %d: rebuilt block has SHA-256 %x, want %s", i, sum, c.Sum)
			}
			if mutant, err = DecodeBlock(raw); err != nil {
				t.Fatalf("case %d: %v", i, err)
			}
			if mutant.Hash() != c.Hash {
				t.Errorf("case %d: hash %s, want %s", i, mutant.Hash(), c.Hash)
			}
			if _, err := Bitcoin().sanity(mutant); !errors.Is(err, RuleMutated) {
				t.Errorf("case %d: %v, want rule %q", i, err, RuleMutated)
			}
			if _, err := Bitcoin().sanity(original); err != nil {
				t.Errorf("case %d: the original after it: %v", i, err)
			}
		}
		return len(file.Cases)
	})
}

// TestAddressVectors reads Core's valid addresses of the networks we know, and
// refuses them on every other.
func TestAddressVectors(t *testing.T) {
	networks := map[string]*Params{"main": Bitcoin(), "regtest": Regtest()}
	vectortest.Each(t, "key_io_valid", func(t *testing.T, f vectortest.File) (cases int) {
		for _, row := range decodeRows(t, f.Data, 3) {
			var address, payload string
			var about struct {
				Chain     string
				IsPrivkey bool
			}
			decodeJSON(t, row[0], &address)
			decodeJSON(t, row[1], &payload)
			decodeJSON(t, row[2], &about)
			if cases++; about.IsPrivkey {
				continue // keys are only written here, not read
			}
			for _, foreign := range []*Params{Dev(), Main()} {
				if script, err := ParseAddress(foreign, address); !errors.Is(err, ErrAddress) {
					t.Errorf("%s on %s: script %x, %v, want %v", address, foreign.Name, script, err, ErrAddress)
				}
			}
			if p, ok := networks[about.Chain]; ok {
				checkAddress(t, p, address, payload)
			}
		}
		return cases
	})
}

func checkAddress(t *testing.T, p *Params, address, want string) {
	t.Helper()
	script, err := ParseAddress(p, address)
	if err != nil {
		t.Errorf("%s: %v", address, err)
		return
	}
	if got := hex.EncodeToString(script); got != want {
		t.Errorf("%s: script %s, want %s", address, got, want)
	}
	back, ok := AddressOf(p, script)
	again, err := ParseAddress(p, back)
	if !ok || err != nil || !bytes.Equal(again, script) {
		t.Errorf("%s: written back as %q (%v), script %x, %v, want %x", address, back, ok, again, err, script)
	}
}

func TestInvalidAddressVectors(t *testing.T) {
	vectortest.Each(t, "key_io_invalid", func(t *testing.T, f vectortest.File) (cases int) {
		for _, row := range decodeRows(t, f.Data, 1) {
			var address string
			decodeJSON(t, row[0], &address)
			for _, p := range Networks() {
				if script, err := ParseAddress(p, address); !errors.Is(err, ErrAddress) {
					t.Errorf("%q on %s: script %x, %v, want %v", address, p.Name, script, err, ErrAddress)
				}
			}
			cases++
		}
		return cases
	})
}

func decodeRows(t *testing.T, data []byte, columns int) [][]json.RawMessage {
	t.Helper()
	var rows [][]json.RawMessage
	decodeJSON(t, data, &rows)
	for i, row := range rows {
		if len(row) != columns {
			t.Fatalf("row %d: %d columns, want %d", i, len(row), columns)
		}
	}
	return rows
}

func decodeJSON(t *testing.T, data []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(data, into); err != nil {
		t.Fatal(err)
	}
}
