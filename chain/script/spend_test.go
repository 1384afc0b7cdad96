package script

import (
	"testing"

	"github.com/btcsuite/btcd/wire/v2"
)

func TestSpendRefuses(t *testing.T) {
	tx, spent := newSigner(t, 30).spend(payToPubKeyHash, payToWitnessKeyHash)
	whole, err := NewSpend(tx, spent)
	if err != nil {
		t.Fatal(err)
	}
	discard := func(_ [32]byte, err error) error { return err }
	for _, c := range []struct {
		name string
		got  error
		want string
	}{
		{"an output too few", Verify(tx, 0, spent[:1], allForks), "1 spent outputs for 2 inputs"},
		{"a missing output", Verify(tx, 0, []*wire.TxOut{spent[0], nil}, allForks), "the output that input 1 spends is missing"},
		{"an input too far", Verify(tx, 2, spent, allForks), "input 2 of a transaction with 2"},
		{"an input before the first", Verify(tx, -1, spent, allForks), "input -1 of a transaction with 2"},
		{"legacy hash", discard(whole.LegacySighash(2, nil, SighashAll)), "input 2 of a transaction with 2"},
		{"witness hash", discard(whole.WitnessSighash(-1, nil, SighashAll)), "input -1 of a transaction with 2"},
		{"taproot hash", discard(whole.TaprootSighash(-1, SighashAll)), "input -1 of a transaction with 2"},
		{"tapscript hash", discard(whole.TapscriptSighash(2, nil, SighashAll)), "input 2 of a transaction with 2"},
		{"a type that is none", discard(whole.TaprootSighash(1, 0x04)), "invalid taproot sighash type: 4"},
		{"witness without BIP16", whole.Verify(1, SegWit), "P2SH must be enabled to do witness verification"},
	} {
		if c.got == nil || c.got.Error() != c.want {
			t.Errorf("%s: %v, want %s", c.name, c.got, c.want)
		}
	}
}

// TestPrevouts asks for outputs in every order, and for one that there is not.
func TestPrevouts(t *testing.T) {
	tx, spent := newSigner(t, 31).spend(anyone, payToPubKeyHash, taprootKey)
	s := &Spend{tx: tx, spent: spent}
	for first := range spent {
		for second := range spent {
			p := s.prevouts(first)
			for _, i := range []int{second, first, second, 2, 1, 0, 0} {
				if got := p.FetchPrevOutput(tx.TxIn[i].PreviousOutPoint); got != spent[i] {
					t.Errorf("from %d, output %d: %v, want %v", first, i, got, spent[i])
				}
			}
			if got := p.FetchPrevOutput(wire.OutPoint{Index: 7}); got != nil {
				t.Errorf("an outpoint that no input has: %v", got)
			}
		}
	}
}
