package chain

import (
	"bytes"
	"errors"
	"runtime"
	"testing"

	"github.com/btcsuite/btcd/wire/v2"
)

func TestDecodeErrors(t *testing.T) {
	whole := Regtest().Genesis.Encode()
	at := func(i int, b ...byte) []byte {
		return append(append(append([]byte(nil), whole[:i]...), b...), whole[i+1:]...)
	}
	tests := []struct {
		name string
		data []byte
		want Rule
	}{
		{"nothing", nil, RuleTruncated},
		{"a header", whole[:80], RuleTruncated},
		{"a byte short", whole[:len(whole)-1], RuleTruncated},
		{"a byte long", append(append([]byte(nil), whole...), 0), RuleTrailing},
		{"two transactions announced", at(80, 2), RuleTruncated},
		{"2^64-1 transactions", at(80, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff), RuleTruncated},
		{"one transaction in three bytes", at(80, 0xfd, 1, 0), RuleEncoding},
		{"2^32-1 inputs", at(85, 0xfe, 0xff, 0xff, 0xff, 0xff), RuleTruncated},
		{"script longer than the block", at(122, 0xfd, 0xff, 0xff), RuleTruncated},
		{"flag of no witness", at(85, 0, 2, 1), RuleEncoding},
		{"too many bytes", make([]byte, MaxBlockSize+1), RuleOversize},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var err error
			allocated := bytesAllocated(func() { _, err = DecodeBlock(tt.data) })
			if !errors.Is(err, tt.want) {
				t.Errorf("%v, want rule %q", err, tt.want)
			}
			if limit := uint64(1024); allocated > limit {
				t.Errorf("%d bytes allocated, want at most %d", allocated, limit)
			}
		})
	}
	if b, err := DecodeBlock(whole); err != nil || b.Hash() != Regtest().Genesis.Hash() {
		t.Errorf("whole block: %v, %v", b, err)
	}
}

// bytesAllocated returns how many bytes one call of f allocates.
func bytesAllocated(f func()) uint64 {
	const calls = 100
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range calls {
		f()
	}
	runtime.ReadMemStats(&after)
	return (after.TotalAlloc - before.TotalAlloc) / calls
}

// FuzzDecodeBlock compares the decoder with that of package wire on any bytes:
// both take a block or neither does, and what is taken is encoded to the same
// bytes.
func FuzzDecodeBlock(f *testing.F) {
	for _, p := range []*Params{Dev(), Main(), Regtest(), Bitcoin()} {
		f.Add(p.Genesis.Encode())
	}
	f.Add(segwitBlock(f))
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := DecodeBlock(data)
		if err != nil && !errors.As(err, new(*RuleError)) {
			t.Fatalf("error %v is no RuleError", err)
		}
		theirs, rest := new(wire.MsgBlock), bytes.NewReader(data)
		wireErr := theirs.Deserialize(rest)
		if got, want := err == nil, wireErr == nil && rest.Len() == 0 && len(data) <= MaxBlockSize; got != want {
			t.Fatalf("decoded %v (%v), package wire says %v (%v, %d bytes left)", got, err, want, wireErr, rest.Len())
		}
		if err != nil {
			return
		}
		if got := b.Encode(); !bytes.Equal(got, data) {
			t.Fatalf("encoded again as %x, want %x", got, data)
		}
		for i, tx := range b.Transactions {
			if got, want := tx.WitnessHash(), theirs.Transactions[i].WitnessHash(); got != want {
				t.Fatalf("transaction %d: %s, package wire says %s", i, got, want)
			}
		}
	})
}

// segwitBlock returns a small block with a witness.
func segwitBlock(t testing.TB) []byte {
	t.Helper()
	b := Regtest().Genesis
	spend := &wire.MsgTx{
		Version: 2,
		TxIn:    []*wire.TxIn{{Witness: wire.TxWitness{{1, 2, 3}, {}}, SignatureScript: []byte{}}},
		TxOut:   []*wire.TxOut{{Value: 7, PkScript: []byte{0x51}}},
	}
	return (&Block{Header: b.Header, Transactions: []*wire.MsgTx{b.Transactions[0], spend}}).Encode()
}
