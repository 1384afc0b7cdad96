package script

import (
	"testing"

	"github.com/btcsuite/btcd/wire/v2"
)

// FuzzOrdinary puts any scripts into a transaction in which the seeds' signatures are
// good: what is proved without running them is what they say under the same flags.
func FuzzOrdinary(f *testing.F) {
	for _, o := range oddities(newSigner(f, 75)) {
		if o.changed != nil {
			continue
		}
		for _, k := range ordinaryKinds {
			o.locked.kind = k
			tx, spent := newSigner(f, 75).spendLocked(o.locked) // the same transaction for all
			in := tx.TxIn[1]
			f.Add(in.SignatureScript, spent[1].PkScript, joinItems(in.Witness), uint32(allForks))
		}
	}
	f.Fuzz(func(t *testing.T, unlock, lock, witness []byte, flags uint32) {
		s := newSigner(t, 75)
		tx, spent := s.spend(anyone, anyone, anyone)
		tx.TxIn[1].SignatureScript, tx.TxIn[1].Witness = unlock, splitItems(witness)
		spent[1].PkScript = lock
		if !proved(tx, 1, spent, Flags(flags)) {
			return
		}
		if err := Verify(tx, 1, spent, Flags(flags)); err != nil {
			t.Errorf("proved, and refused by its scripts: %v", err)
		}
	})
}

// TestFuzzOrdinarySeed wants the seeds to be proved where FuzzOrdinary puts them.
func TestFuzzOrdinarySeed(t *testing.T) {
	for _, k := range ordinaryKinds {
		s := newSigner(t, 75)
		signed, locks := s.spendLocked(locked{kind: k, signs: SighashAll, last: byte(SighashAll)})
		tx, spent := newSigner(t, 75).spend(anyone, anyone, anyone)
		tx.TxIn[1].SignatureScript = signed.TxIn[1].SignatureScript
		tx.TxIn[1].Witness = splitItems(joinItems(signed.TxIn[1].Witness))
		spent[1] = &wire.TxOut{Value: spent[1].Value, PkScript: locks[1].PkScript}
		if !proved(tx, 1, spent, allForks) {
			t.Errorf("kind %d: a seed is not proved", k)
		}
	}
}
