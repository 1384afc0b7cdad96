package script

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"slices"
	"testing"

	"github.com/btcsuite/btcd/wire/v2"

	"github.com/jbcnet/jbc/hashing"
	"github.com/jbcnet/jbc/hashing/vectortest"
)

// TestSighashVectors reads rows of transaction, script, input, type and hash.
func TestSighashVectors(t *testing.T) {
	vectortest.Each(t, "sighash", func(t *testing.T, f vectortest.File) (cases int) {
		for i, fields := range jsonRows(t, f.Data) {
			if len(fields) == 1 {
				continue // a comment
			}
			cases++
			var raw, code string
			var input int
			var kind int32
			var want hashing.Hash
			if len(fields) != 5 {
				t.Fatalf("row %d: %d fields, want 5", i, len(fields))
			}
			for k, into := range []any{&raw, &code, &input, &kind, &want} {
				if err := json.Unmarshal(fields[k], into); err != nil {
					t.Fatalf("row %d: %v", i, err)
				}
			}
			tx := decodeTx(t, raw)
			spent := slices.Repeat([]*wire.TxOut{{}}, len(tx.TxIn)) // legacy signatures don't look at them
			s, err := NewSpend(tx, spent)
			if err != nil {
				t.Fatalf("row %d: %v", i, err)
			}
			if got, err := s.LegacySighash(input, unhex(t, code), SighashType(kind)); hashing.Hash(got) != want || err != nil {
				t.Errorf("row %d: %s, %v, want %s", i, hashing.Hash(got), err, want)
			}
		}
		return cases
	})
}

// bip143Tail is what follows the script in a preimage of BIP143: value, sequence,
// hash of the outputs, lock time and type.
const bip143Tail = 8 + 4 + 32 + 4 + 4

func TestBIP143Vectors(t *testing.T) {
	vectortest.Each(t, "bip143", func(t *testing.T, f vectortest.File) (cases int) {
		var rows []struct {
			Tx       string `json:"unsigned_tx"`
			Preimage string
			Sighash  string
		}
		if err := json.Unmarshal(f.Data, &rows); err != nil {
			t.Fatal(err)
		}
		for i, row := range rows {
			cases++
			tx, preimage := decodeTx(t, row.Tx), unhex(t, row.Preimage)
			// Version, two hashes, the outpoint, the script with its length, and the tail.
			outpoint := wire.OutPoint{Hash: [32]byte(preimage[68:100]), Index: binary.LittleEndian.Uint32(preimage[100:])}
			input := slices.IndexFunc(tx.TxIn, func(in *wire.TxIn) bool { return in.PreviousOutPoint == outpoint })
			if input < 0 {
				if len(tx.TxIn) != 1 {
					t.Fatalf("row %d: no input is that of the preimage", i)
				}
				// One row carries the transaction of the row before it, which differs
				// in this only; the hash of all outpoints would tell if in more.
				input, tx.TxIn[0].PreviousOutPoint = 0, outpoint
			}
			code, err := wire.ReadVarBytes(bytes.NewReader(preimage[104:len(preimage)-bip143Tail]), 0, 1<<16, "script")
			if err != nil {
				t.Fatalf("row %d: %v", i, err)
			}
			tail := preimage[len(preimage)-bip143Tail:]
			spent := slices.Repeat([]*wire.TxOut{{}}, len(tx.TxIn))
			spent[input] = &wire.TxOut{Value: int64(binary.LittleEndian.Uint64(tail))}
			s, err := NewSpend(tx, spent)
			if err != nil {
				t.Fatalf("row %d: %v", i, err)
			}
			kind := SighashType(binary.LittleEndian.Uint32(tail[len(tail)-4:]))
			got, err := s.WitnessSighash(input, code, kind)
			if hex.EncodeToString(got[:]) != row.Sighash || err != nil {
				t.Errorf("row %d: input %d, type %#x: %x, %v, want %s", i, input, kind, got, err, row.Sighash)
			}
		}
		return cases
	})
}
