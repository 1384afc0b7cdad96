package script

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/btcsuite/btcd/address/v2"
	"github.com/btcsuite/btcd/txscript/v2"
	"github.com/btcsuite/btcd/wire/v2"

	"github.com/jbcnet/jbc/chain/script/scripttest"
	"github.com/jbcnet/jbc/hashing"
)

// ordinaryKinds are those that are proved without a script being run.
var ordinaryKinds = []kind{payToPubKeyHash, payToWitnessKeyHash, nestedWitnessKeyHash}

// proved says what is known of an input before any script is run.
func proved(tx *wire.MsgTx, input int, spent []*wire.TxOut, flags Flags) bool {
	j := &job{Spend: Spend{tx: tx, spent: spent}, flags: flags}
	return j.proved(input, &workspace{})
}

// What becomes of an input.
type outcome string

const (
	isProved outcome = "proved"
	isValid  outcome = "valid by its scripts"
	isBad    outcome = "refused"
)

func outcomeOf(tx *wire.MsgTx, spent []*wire.TxOut, flags Flags) outcome {
	switch err := Verify(tx, 1, spent, flags); {
	case err != nil && proved(tx, 1, spent, flags):
		return outcome(fmt.Sprintf("proved, and refused by its scripts: %v", err))
	case err != nil:
		return isBad
	case proved(tx, 1, spent, flags):
		return isProved
	}
	return isValid
}

// eachOddity runs test for every oddity of every kind.
func eachOddity(t *testing.T, test func(t *testing.T, o oddity, tx *wire.MsgTx, spent []*wire.TxOut)) {
	s := newSigner(t, 70)
	for _, o := range oddities(s) {
		for _, k := range ordinaryKinds {
			if len(o.only) > 0 && !slices.Contains(o.only, k) {
				continue
			}
			t.Run(fmt.Sprintf("%s of kind %d", o.name, k), func(t *testing.T) {
				o.locked.kind = k
				tx, spent := s.spendLocked(o.locked)
				test(t, o, tx, spent)
			})
		}
	}
}

func TestOrdinary(t *testing.T) {
	c := New(Options{Workers: 2, CacheEntries: 1000})
	eachOddity(t, func(t *testing.T, o oddity, tx *wire.MsgTx, spent []*wire.TxOut) {
		if got := outcomeOf(tx, spent, allForks); got != o.want {
			t.Errorf("%s, want %s", got, o.want)
		}
		want := Verify(tx, 1, spent, allForks)
		// What was good before BIP66, and remembered, is not good after it for that.
		b := c.Batch()
		b.Add(0, tx, spent, allForks&^BIP66)
		_ = b.Wait()  // some are good then, some are not
		for range 2 { // the second finds what was remembered
			b.Add(0, tx, spent, allForks)
			var got error
			if err, failed := b.Wait().(*Error); failed {
				got = err.Err
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("a batch says %v, the scripts say %v", got, want)
			}
		}
	})
}

// TestOrdinaryFlags judges under every set of forks, and with every policy on top: what
// is proved is valid, and nothing is proved under a policy or without strict DER.
func TestOrdinaryFlags(t *testing.T) {
	forks := []Flags{BIP16, BIP66, BIP65, CSV, txscript.ScriptVerifyWitness, txscript.ScriptStrictMultiSig, Taproot}
	rng := rand.New(rand.NewPCG(71, 1))
	eachOddity(t, func(t *testing.T, o oddity, tx *wire.MsgTx, spent []*wire.TxOut) {
		for set := range 1 << len(forks) {
			if o.name != "nothing odd" && rng.IntN(4) != 0 {
				continue // all sets for the ordinary one, a few for each of the others
			}
			var flags Flags
			for i, f := range forks {
				if set>>i&1 == 1 {
					flags |= f
				}
			}
			got := outcomeOf(tx, spent, flags)
			if got != isProved && got != isValid && got != isBad {
				t.Fatalf("flags %#x: %s", flags, got)
			}
			witness := o.kind == payToPubKeyHash || flags&txscript.ScriptVerifyWitness != 0 && flags&BIP16 != 0
			possible := flags&txscript.ScriptVerifyWitness == 0 || flags&BIP16 != 0
			if want := flags&BIP66 != 0 && witness && possible; o.name == "nothing odd" && want != (got == isProved) {
				t.Errorf("flags %#x: %s, want proved: %t", flags, got, want)
			}
		}
		for bit := range 32 {
			flags := allForks | Flags(1)<<bit
			if flags != allForks && proved(tx, 1, spent, flags) {
				t.Errorf("proved under flags %#x", flags)
			}
		}
	})
}

// TestOrdinaryMutants changes bytes by chance: what is proved is valid.
func TestOrdinaryMutants(t *testing.T) {
	rng := rand.New(rand.NewPCG(72, 1))
	s := newSigner(t, 72)
	odd := oddities(s)
	counts := map[outcome]int{}
	for n := range 3000 {
		o := odd[rng.IntN(len(odd))*rng.IntN(2)] // the first is not odd
		o.locked.kind = ordinaryKinds[rng.IntN(len(ordinaryKinds))]
		tx, spent := s.spendLocked(o.locked)
		in := tx.TxIn[1]
		for i, item := range in.Witness {
			in.Witness[i] = bytes.Clone(item) // it may be the signer's key
		}
		parts := append([][]byte{in.SignatureScript, spent[1].PkScript}, in.Witness...)
		for range rng.IntN(3) {
			if part := parts[rng.IntN(len(parts))]; len(part) > 0 {
				// Mostly where the encoding is, not the numbers.
				part[min(rng.IntN(len(part)), rng.IntN(len(part)), rng.IntN(len(part)))] ^= 1 << rng.IntN(8)
			}
		}
		flags := Flags(rng.Uint32()) & scripttest.AllFlags()
		if rng.IntN(3) != 0 {
			flags = flags&allForks | BIP16 | BIP66
		}
		got := outcomeOf(tx, spent, flags)
		if counts[got]++; got != isProved && got != isValid && got != isBad {
			t.Fatalf("mutant %d, %s, flags %#x: %s", n, o.name, flags, got)
		}
	}
	t.Log(counts)
	for _, want := range []outcome{isProved, isValid, isBad} {
		if counts[want] < 50 {
			t.Errorf("%d mutants are %s, want 50 at least", counts[want], want)
		}
	}
}

// TestOrdinaryDigest compares what is signed with txscript's, for transactions of
// every width of their counts.
func TestOrdinaryDigest(t *testing.T) {
	rng := rand.New(rand.NewPCG(73, 1))
	s := newSigner(t, 73)
	w := new(workspace)
	for _, size := range []struct{ inputs, outputs int }{{1, 1}, {2, 0}, {1, 300}, {252, 2}, {253, 1}, {70_000, 1}} {
		tx := &wire.MsgTx{Version: int32(rng.Uint32()), LockTime: rng.Uint32()}
		tx.TxOut = slices.Repeat([]*wire.TxOut{{Value: rng.Int64(), PkScript: s.program()}}, size.outputs)
		for i := range size.inputs {
			from := wire.OutPoint{Hash: sha256.Sum256([]byte{byte(i)}), Index: uint32(i)}
			tx.AddTxIn(&wire.TxIn{PreviousOutPoint: from, Sequence: rng.Uint32(), SignatureScript: []byte{txscript.OP_1}})
		}
		spent := slices.Repeat([]*wire.TxOut{{Value: rng.Int64(), PkScript: s.program()}}, size.inputs)
		for _, k := range ordinaryKinds[:2] {
			j := &job{Spend: Spend{tx: tx, spent: spent}}
			for _, input := range []int{0, size.inputs / 2, size.inputs - 1} {
				lock := s.lock(k)
				var want [32]byte
				var err error
				hash := address.Hash160(s.pub)
				if k == payToPubKeyHash {
					want, err = j.LegacySighash(input, lock, SighashAll)
				} else {
					want, err = j.WitnessSighash(input, lock, SighashAll)
				}
				if err != nil {
					t.Fatal(err)
				}
				if got := j.digest(input, &ordinary{hash: hash, witness: k != payToPubKeyHash}, w); got != hashing.Hash(want) {
					t.Errorf("%d inputs, %d outputs, kind %d, input %d: %s, txscript says %s", size.inputs, size.outputs, k, input, got, hashing.Hash(want))
				}
			}
		}
	}
}

// TestOrdinaryIsRemembered wants the same entry from both ways: what was judged under
// a policy, before it was in a block, is not checked again.
func TestOrdinaryIsRemembered(t *testing.T) {
	for _, k := range ordinaryKinds {
		tx, spent := newSigner(t, 74).spend(anyone, k)
		var got [2]string
		for i, flags := range []Flags{allForks, allForks | txscript.ScriptVerifyNullFail} {
			c := New(Options{CacheEntries: 10})
			b := c.Batch()
			b.Add(0, tx, spent, flags)
			if err := b.Wait(); err != nil || proved(tx, 1, spent, flags) != (i == 0) {
				t.Fatalf("kind %d, flags %#x: %v", k, flags, err)
			}
			for _, entry := range held(c) {
				got[i] += fmt.Sprintf("%x %x", entry.FieldByName("sig").Bytes(), entry.FieldByName("pubKey").Bytes())
			}
		}
		if got[0] != got[1] || got[0] == "" {
			t.Errorf("kind %d: %s and %s remembered", k, got[0], got[1])
		}
	}
}
