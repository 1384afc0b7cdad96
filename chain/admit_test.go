package chain

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/btcsuite/btcd/wire/v2"
	"github.com/jbcnet/jbc/hashing"
)

// sealed gives a block the root of its transactions, and work for the easiest network.
func sealed(b *Block) []byte {
	b.Header.SetBits(Regtest().PowLimit)
	target, err := b.Header.Bits().Target()
	if err != nil {
		panic(err)
	}
	seal(b, target)
	return b.Encode()
}

// commit has the coinbase, which has one output besides, commit to the witnesses of a
// block.
func commit(b *Block) { commitWith(b, make([]byte, 32)) }

func commitWith(b *Block, nonce []byte) {
	ids := make([]hashing.Hash, len(b.Transactions))
	for i, tx := range b.Transactions[1:] {
		ids[i+1] = hashing.Hash(tx.WitnessHash())
	}
	root, _ := hashing.MerkleRoot(ids)
	sum := hashing.Sum256d(append(root[:], nonce...))
	coinbase := b.Transactions[0]
	coinbase.TxIn[0].Witness = wire.TxWitness{nonce}
	coinbase.TxOut = append(coinbase.TxOut[:1:1], &wire.TxOut{PkScript: append([]byte(commitmentPrefix), sum[:]...)})
}

// witnessed returns a block with witnesses and whatever is changed in it before it
// is sealed.
func witnessed(t testing.TB, change func(b *Block)) []byte {
	t.Helper()
	b, err := DecodeBlock(segwitBlock(t))
	if err != nil {
		t.Fatal(err)
	}
	b.Transactions[1].TxIn[0].PreviousOutPoint.Index = 7
	commit(b)
	if change != nil {
		change(b)
	}
	return sealed(b)
}

// admitError compares both ways through the first tier: what one block at a time takes
// and what an import takes. They may differ where a witness is wrong, which the
// other way is seen later.
func admitError(p *Params, data []byte) error {
	var want *sane
	b, wantErr := DecodeBlock(data)
	if wantErr == nil {
		want, wantErr = p.sanity(b)
	}
	if seen, _ := look(data); b != nil && seen.weight(len(data)) != b.Weight() {
		return errors.New("another weight")
	}
	got, err := p.admit(bytes.Clone(data))
	var rule, wantRule *RuleError
	switch {
	case errors.As(err, &rule) && rule.Rule == RuleWitness:
		if b == nil || checkWitness(b, 0, true) == nil || checkWitness(b, 0, false) == nil {
			return errors.New("a witness was refused that could be right")
		}
		return nil
	case (err == nil) != (wantErr == nil) || errors.As(err, &rule) && (!errors.As(wantErr, &wantRule) || rule.Error() != wantRule.Error()):
		return errors.Join(errors.New("two verdicts"), err, wantErr)
	case err != nil:
		return nil
	case !slices.Equal(got.ids, want.ids), got.hash != want.hash, !bytes.Equal(got.Encode(), data):
		return errors.New("another block")
	case got.committed && checkWitness(b, 0, true) != nil:
		return errors.New("a witness that is not the one committed to was let pass")
	}
	return nil
}

func TestAdmit(t *testing.T) {
	tests := []struct {
		name   string
		change func(b *Block)
		want   error // nil where all is right
	}{
		{"nothing changed", nil, nil},
		{"no commitment", func(b *Block) { b.Transactions[0].TxOut = b.Transactions[0].TxOut[:1] }, RuleWitness},
		{"another commitment", func(b *Block) { b.Transactions[0].TxOut[1].PkScript[9] ^= 1 }, RuleWitness},
		{"a second commitment", func(b *Block) {
			out := *b.Transactions[0].TxOut[1]
			out.PkScript = append([]byte(commitmentPrefix), make([]byte, 32)...)
			b.Transactions[0].TxOut = append(b.Transactions[0].TxOut, &out)
		}, RuleWitness},
		{"a second one, too short", func(b *Block) {
			b.Transactions[0].TxOut = append(b.Transactions[0].TxOut, &wire.TxOut{PkScript: append([]byte(commitmentPrefix), make([]byte, 31)...)})
		}, nil},
		{"another witness", func(b *Block) { b.Transactions[1].TxIn[0].Witness[0][0] ^= 1 }, RuleWitness},
		{"an item more", func(b *Block) {
			b.Transactions[1].TxIn[0].Witness = append(b.Transactions[1].TxIn[0].Witness, nil)
		}, RuleWitness},
		{"another nonce", func(b *Block) { b.Transactions[0].TxIn[0].Witness[0][0] ^= 1 }, RuleWitness},
		{"no nonce", func(b *Block) { b.Transactions[0].TxIn[0].Witness = nil }, RuleWitness},
		{"a short nonce", func(b *Block) { commitWith(b, make([]byte, 31)) }, RuleWitness},
		{"two nonces", func(b *Block) {
			b.Transactions[0].TxIn[0].Witness = wire.TxWitness{make([]byte, 32), make([]byte, 32)}
		}, RuleWitness},
		{"no witness but the nonce", func(b *Block) {
			b.Transactions[1].TxIn[0].Witness = nil
			commit(b)
		}, nil},
		{"no witness at all", func(b *Block) { b.Transactions[0].TxIn[0].Witness, b.Transactions[1].TxIn[0].Witness = nil, nil }, nil},
		{"a transaction twice", func(b *Block) {
			b.Transactions = append(b.Transactions, b.Transactions[1])
			commit(b)
		}, RuleMutated},
		{"two coinbases", func(b *Block) {
			b.Transactions[1].TxIn[0].PreviousOutPoint.Index = wire.MaxPrevOutIndex
			commit(b)
		}, RuleManyCoinbases},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			raw := witnessed(t, tt.change)
			s, err := Regtest().admit(raw)
			if !errors.Is(err, tt.want) {
				t.Errorf("%v, want %v", err, tt.want)
			}
			if err == nil && s.committed != (s.Transactions[1].HasWitness() || s.Transactions[0].HasWitness()) {
				t.Errorf("committed: %t", s.committed)
			}
			if err := admitError(Regtest(), raw); err != nil {
				t.Error(err)
			}
		})
	}
	raw := witnessed(t, nil)
	for i := range hashing.HeaderSize {
		other := bytes.Clone(raw)
		other[i] ^= 0x10
		if err := admitError(Regtest(), other); err != nil {
			t.Errorf("byte %d of the header: %v", i, err)
		}
	}
}

// FuzzAdmit compares both ways through the first tier on any bytes, and on the same
// block with a header that fits it.
func FuzzAdmit(f *testing.F) {
	for _, p := range []*Params{Dev(), Main(), Regtest(), Bitcoin()} {
		f.Add(p.Genesis.Encode())
	}
	f.Add(witnessed(f, nil))
	f.Add(witnessed(f, func(b *Block) { b.Transactions[1].TxIn[0].Witness[0][0] ^= 1 }))
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := admitError(Regtest(), data); err != nil {
			t.Fatal(err)
		}
		b, err := DecodeBlock(data)
		if err != nil || len(b.Transactions) == 0 {
			return
		}
		if err := admitError(Regtest(), sealed(b)); err != nil {
			t.Fatal(err)
		}
		if len(b.Transactions[0].TxIn) == 0 || len(b.Transactions[0].TxOut) == 0 {
			return
		}
		commit(b)
		if err := admitError(Regtest(), sealed(b)); err != nil {
			t.Fatal(err)
		}
	})
}
