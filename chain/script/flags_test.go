package script

import (
	"fmt"
	"testing"

	"github.com/btcsuite/btcd/address/v2"
	"github.com/btcsuite/btcd/txscript/v2"
	"github.com/btcsuite/btcd/wire/v2"

	"github.com/jbcnet/jbc/chain/script/scripttest"
)

// TestForks names what each fork adds as Bitcoin Core's GetBlockScriptFlags does.
func TestForks(t *testing.T) {
	for _, c := range []struct {
		name  string
		flags Flags
		core  string
	}{
		{"BIP16", BIP16, "P2SH"},
		{"BIP66", BIP66, "DERSIG"},
		{"BIP65", BIP65, "CHECKLOCKTIMEVERIFY"},
		{"CSV", CSV, "CHECKSEQUENCEVERIFY"},
		{"SegWit", SegWit, "WITNESS,NULLDUMMY"},
		{"Taproot", Taproot, "TAPROOT"},
	} {
		if want, err := scripttest.ParseFlags(c.core); c.flags != want || err != nil {
			t.Errorf("%s: %#x, want %#x (%s)", c.name, c.flags, want, c.core)
		}
	}
}

// TestForksForbid spends outputs that were free for all before a fork.
func TestForksForbid(t *testing.T) {
	key := "0x79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
	hashOf := func(script string) string {
		return fmt.Sprintf("HASH160 0x14 0x%x EQUAL", address.Hash160(parse(t, script)))
	}
	for _, c := range []struct {
		name      string
		fork      Flags
		sigScript string
		lock      string
		witness   wire.TxWitness
		want      txscript.ErrorCode
	}{
		{"a script that fails under its hash", BIP16, "0x01 0x6a", hashOf("RETURN"), nil, txscript.ErrEarlyReturn},
		{"more than pushes for a hash", BIP16, "NOP 0x01 0x51", hashOf("1"), nil, txscript.ErrNotPushOnly},
		{"a signature that is no DER", BIP66, "0x02 0x0001 0x21 0x02 " + key, "CHECKSIG NOT", nil, txscript.ErrSigTooShort},
		{"a lock time not reached", BIP65, "1", "1 CHECKLOCKTIMEVERIFY", nil, txscript.ErrUnsatisfiedLockTime},
		{"a sequence not reached", CSV, "1", "1 CHECKSEQUENCEVERIFY", nil, txscript.ErrUnsatisfiedLockTime},
		{"a dummy that is not empty", SegWit, "1", "0 0 CHECKMULTISIG", nil, txscript.ErrSigNullDummy},
		{"a program without a witness", SegWit, "", "0 0x14 0x0102030405060708090a0b0c0d0e0f1011121314", nil, txscript.ErrWitnessProgramMismatch},
		{"a witness for nothing", SegWit, "1", "1", wire.TxWitness{{1}}, txscript.ErrWitnessUnexpected},
		{"a taproot key without a witness", Taproot, "", "1 0x20 " + key, nil, txscript.ErrWitnessProgramEmpty},
	} {
		tx := wire.NewMsgTx(1)
		in := &wire.TxIn{SignatureScript: parse(t, c.sigScript), Witness: c.witness, Sequence: wire.MaxTxInSequenceNum}
		tx.AddTxIn(in)
		tx.AddTxOut(&wire.TxOut{})
		spent := []*wire.TxOut{{PkScript: parse(t, c.lock)}}
		if err := Verify(tx, 0, spent, allForks); !txscript.IsErrorCode(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
		before := allForks &^ c.fork
		if c.fork&BIP16 != 0 {
			before &^= SegWit | Taproot // which need it
		}
		if err := Verify(tx, 0, spent, before); err != nil {
			t.Errorf("%s, before the fork: %v", c.name, err)
		}
	}
}

func parse(t *testing.T, text string) []byte {
	t.Helper()
	script, err := scripttest.ParseScript(text)
	if err != nil {
		t.Fatal(err)
	}
	return script
}
