package script

import (
	"bytes"
	"math"
	"testing"

	"github.com/btcsuite/btcd/txscript/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

func TestSigOpCost(t *testing.T) {
	s := newSigner(t, 40)
	multisig := s.leaf(payToWitnessScript) // two keys
	nested, _ := s.spend(nestedWitnessKeyHash)
	hash := s.lock(nestedWitnessKeyHash)
	for _, c := range []struct {
		name      string
		sigScript []byte
		witness   wire.TxWitness
		lock      []byte // of what is spent
		out       []byte
		flags     Flags
		want      int
	}{
		{"nothing", nil, nil, nil, nil, allForks, 0},
		{"one in the output", nil, nil, nil, s.lock(payToPubKeyHash), allForks, 4},
		{"one in the input", []byte{txscript.OP_CHECKSIGVERIFY}, nil, nil, nil, allForks, 4},
		{"the spent script is counted where it was made", nil, nil, s.lock(payToPubKeyHash), nil, allForks, 0},
		{"many keys are 20", nil, nil, nil, multisig, allForks, 80},
		{"up to where it can be read", nil, nil, nil, []byte{txscript.OP_CHECKSIG, txscript.OP_DATA_2, txscript.OP_CHECKSIG}, allForks, 4},
		{"many keys under a hash are as many", pushes(multisig), nil, hash, nil, allForks, 8},
		{"not before BIP16", pushes(multisig), nil, hash, nil, 0, 0},
		{"not where there is more than pushes", append([]byte{txscript.OP_NOP}, pushes(multisig)...), nil, hash, nil, allForks, 0},
		{"a witness key hash", nil, nil, s.program(), nil, allForks, 1},
		{"not before SegWit", nil, nil, s.program(), nil, BIP16, 0},
		{"a nested one", nested.TxIn[0].SignatureScript, nil, hash, nil, allForks, 1},
		{"a witness script", nil, wire.TxWitness{nil, nil, multisig}, s.lock(payToWitnessScript), nil, allForks, 2},
		{"no witness, no script", nil, nil, s.lock(payToWitnessScript), nil, allForks, 0},
		{"taproot", nil, wire.TxWitness{s.leaf(taprootScript)}, s.lock(taprootScript), nil, allForks, 0},
		{"all in one", append(pushes(multisig), txscript.OP_1), wire.TxWitness{multisig}, s.lock(payToWitnessScript), multisig, allForks, 80 + 2},
	} {
		tx := wire.NewMsgTx(1)
		tx.AddTxIn(&wire.TxIn{SignatureScript: c.sigScript, Witness: c.witness})
		tx.AddTxOut(&wire.TxOut{PkScript: c.out})
		if got := SigOpCost(tx, []*wire.TxOut{{PkScript: c.lock}}, c.flags); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
		tx.TxIn[0].PreviousOutPoint.Index = math.MaxUint32
		if got, want := SigOpCost(tx, nil, c.flags), 4*LegacySigOps(tx); got != want {
			t.Errorf("%s, in a coinbase: %d, want %d", c.name, got, want)
		}
	}
}

func TestUnspendable(t *testing.T) {
	for _, c := range []struct {
		name   string
		script []byte
		want   bool
	}{
		{"empty", nil, false},
		{"OP_RETURN", []byte{txscript.OP_RETURN}, true},
		{"OP_RETURN and data", []byte{txscript.OP_RETURN, 1, 2}, true},
		{"OP_RETURN later", []byte{txscript.OP_1, txscript.OP_RETURN}, false},
		{"as long as may be", bytes.Repeat([]byte{txscript.OP_NOP}, 10_000), false},
		{"longer", bytes.Repeat([]byte{txscript.OP_NOP}, 10_001), true},
		{"a push cut short", []byte{txscript.OP_DATA_2, 1}, false},
	} {
		if got := Unspendable(c.script); got != c.want {
			t.Errorf("%s: %t, want %t", c.name, got, c.want)
		}
	}
}
