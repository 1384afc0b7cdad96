package script

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/btcsuite/btcd/address/v2"
	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcec/v2/ecdsa"
	"github.com/btcsuite/btcd/txscript/v2"
	"github.com/btcsuite/btcd/wire/v2"

	"github.com/jbcnet/jbc/chain/script/scripttest"
	"github.com/jbcnet/jbc/hashing"
)

// ordinaryKinds are those that are proved without a script being run.
var ordinaryKinds = []kind{payToPubKeyHash, payToWitnessKeyHash, nestedWitnessKeyHash}

// A locked is one input of a transaction, taken apart.
type locked struct {
	kind      kind
	key       []byte
	owner     []byte                   // the key that the output names, key where nil
	signs     SighashType              // that is signed
	last      byte                     // that is written
	signature func(r, s []byte) []byte // strict DER where nil
	unlock    func(o *locked, full []byte) ([]byte, wire.TxWitness)
	changed   func(tx *wire.MsgTx, spent []*wire.TxOut) // after signing
}

// der encodes numbers as they are.
func der(r, s []byte) []byte {
	out := []byte{0x30, byte(4 + len(r) + len(s)), 0x02, byte(len(r))}
	out = append(append(out, r...), 0x02, byte(len(s)))
	return append(out, s...)
}

// number is the bytes of a scalar as DER wants them.
func number(x btcec.ModNScalar) []byte {
	sum := x.Bytes()
	out := bytes.TrimLeft(sum[:], "\x00")
	if len(out) == 0 || out[0]&0x80 != 0 {
		out = append([]byte{0}, out...)
	}
	return out
}

// lockKey locks an output of the kind to any key.
func lockKey(k kind, key []byte) (lock, program []byte) {
	program = append([]byte{txscript.OP_0}, pushes(address.Hash160(key))...)
	switch k {
	case payToPubKeyHash:
		lock = append([]byte{txscript.OP_DUP, txscript.OP_HASH160}, pushes(address.Hash160(key))...)
		return append(lock, txscript.OP_EQUALVERIFY, txscript.OP_CHECKSIG), nil
	case nestedWitnessKeyHash:
		lock = append([]byte{txscript.OP_HASH160}, pushes(address.Hash160(program))...)
		return append(lock, txscript.OP_EQUAL), program
	}
	return program, program
}

// spendLocked returns a transaction whose second input is unlocked as o says.
func (s *signer) spendLocked(o locked) (*wire.MsgTx, []*wire.TxOut) {
	s.t.Helper()
	tx, spent := s.spend(anyone, anyone, anyone)
	if o.key == nil {
		o.key = s.pub
	}
	if o.owner == nil {
		o.owner = o.key
	}
	lock, program := lockKey(o.kind, o.owner)
	spent[1].PkScript = lock
	spend, err := NewSpend(tx, spent)
	if err != nil {
		s.t.Fatal(err)
	}
	var sum [32]byte
	if o.kind == payToPubKeyHash {
		sum, err = spend.LegacySighash(1, lock, o.signs)
	} else {
		sum, err = spend.WitnessSighash(1, program, o.signs)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	signed := ecdsa.Sign(s.key, sum[:])
	if o.signature == nil {
		o.signature = der
	}
	full := append(o.signature(number(signed.R()), number(signed.S())), o.last)
	in := tx.TxIn[1]
	switch {
	case o.unlock != nil:
		in.SignatureScript, in.Witness = o.unlock(&o, full)
	case o.kind == payToPubKeyHash:
		in.SignatureScript = pushes(full, o.key)
	default:
		in.Witness = wire.TxWitness{full, o.key}
		if o.kind == nestedWitnessKeyHash {
			in.SignatureScript = pushes(program)
		}
	}
	if o.changed != nil {
		o.changed(tx, spent)
	}
	return tx, spent
}

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

// An oddity is an input that differs from an ordinary one.
type oddity struct {
	name string
	locked
	want outcome // under all forks
	only []kind  // all where empty
}

func oddities(s *signer) []oddity {
	legacy, native, nested := []kind{payToPubKeyHash}, []kind{payToWitnessKeyHash}, []kind{nestedWitnessKeyHash}
	witness := append(native, nested...)
	all := locked{signs: SighashAll, last: byte(SighashAll)}
	with := func(change func(o *locked)) locked {
		o := all
		change(&o)
		return o
	}
	encoded := func(f func(r, s []byte) []byte) locked { return with(func(o *locked) { o.signature = f }) }
	keyed := func(key []byte) locked { return with(func(o *locked) { o.key = key }) }
	typed := func(t SighashType) locked { return with(func(o *locked) { o.signs, o.last = t, byte(t) }) }
	written := func(last byte) locked { return with(func(o *locked) { o.last = last }) }
	unlocked := func(f func(o *locked, full []byte) ([]byte, wire.TxWitness)) locked {
		return with(func(o *locked) { o.unlock = f })
	}
	changed := func(f func(tx *wire.MsgTx, spent []*wire.TxOut)) locked {
		return with(func(o *locked) { o.changed = f })
	}
	full := s.key.PubKey().SerializeUncompressed()
	hybrid, wrong := bytes.Clone(full), bytes.Clone(full)
	hybrid[0] = 6 + full[64]&1
	wrong[0] = 7 - full[64]&1
	offCurve := append([]byte{2}, bytes.Repeat([]byte{5}, 32)...)
	return []oddity{
		{"nothing odd", all, isProved, nil},
		{"an uncompressed key", keyed(full), isProved, nil},
		{"a hybrid key", keyed(hybrid), isProved, nil},
		{"a hybrid key of the other y", keyed(wrong), isBad, nil},
		{"a key that is no point", keyed(offCurve), isBad, nil},
		{"a key with a byte more", keyed(append(bytes.Clone(s.pub), 0)), isBad, nil},
		{"a key that signed for another's hash", with(func(o *locked) { o.owner = full }), isBad, nil},
		{"an empty key", keyed([]byte{}), isBad, nil},
		{"s above half of the order", encoded(func(r, low []byte) []byte {
			var x btcec.ModNScalar
			x.SetByteSlice(bytes.TrimLeft(low, "\x00"))
			x.Negate()
			return der(r, number(x))
		}), isProved, nil},
		{"a byte after the signature", encoded(func(r, s []byte) []byte { return append(der(r, s), 0) }), isBad, nil},
		{"a length one short", encoded(func(r, s []byte) []byte { b := der(r, s); b[1]--; return b }), isBad, nil},
		{"a length one long", encoded(func(r, s []byte) []byte { b := der(r, s); b[1]++; return b }), isBad, nil},
		{"r with a zero too many", encoded(func(r, s []byte) []byte { return der(append([]byte{0}, r...), s) }), isBad, nil},
		{"s with a zero too many", encoded(func(r, s []byte) []byte { return der(r, append([]byte{0}, s...)) }), isBad, nil},
		{"another mark of r", encoded(func(r, s []byte) []byte { b := der(r, s); b[2] = 3; return b }), isBad, nil},
		{"another mark of s", encoded(func(r, s []byte) []byte { b := der(r, s); b[4+len(r)] = 3; return b }), isBad, nil},
		{"no sequence", encoded(func(r, s []byte) []byte { b := der(r, s); b[0] = 0x31; return b }), isBad, nil},
		{"a long form of the length", encoded(func(r, s []byte) []byte { b := der(r, s); return slices.Insert(b, 1, 0x81) }), isBad, nil},
		{"r of nothing", encoded(func(r, s []byte) []byte { return der(nil, s) }), isBad, nil},
		{"s of nothing", encoded(func(r, s []byte) []byte { return der(r, nil) }), isBad, nil},
		{"r and s zero", encoded(func(r, s []byte) []byte { return der([]byte{0}, []byte{0}) }), isBad, nil},
		{"s above the order", encoded(func(r, s []byte) []byte { return der(r, append([]byte{0}, bytes.Repeat([]byte{0xff}, 32)...)) }), isBad, nil},
		{"another signature", encoded(func(r, s []byte) []byte { return der(s, r) }), isBad, nil},
		{"no signature", encoded(func(r, s []byte) []byte { return nil }), isBad, nil},
		{"a type that nobody signed", written(2), isBad, nil},
		{"the type 0, not signed", written(0), isBad, nil},
		{"a type of anyone's, not signed", written(0x81), isBad, nil},
		{"no output signed", typed(SighashNone), isValid, nil},
		{"one output signed", typed(SighashSingle), isValid, nil},
		{"one input signed", typed(SighashAll | SighashAnyoneCanPay), isValid, nil},
		{"a type without a meaning, signed", typed(5), isValid, nil},
		{"the type 0, signed", typed(0), isValid, nil},
		{"another hash in the output", changed(func(_ *wire.MsgTx, spent []*wire.TxOut) { spent[1].PkScript[7] ^= 1 }), isBad, nil},
		{"something behind the script", changed(func(_ *wire.MsgTx, spent []*wire.TxOut) {
			spent[1].PkScript = append(spent[1].PkScript, txscript.OP_NOP)
		}), isBad, legacy},
		{"another value", changed(func(_ *wire.MsgTx, spent []*wire.TxOut) { spent[1].Value++ }), isBad, witness},
		{"another value, not signed", changed(func(_ *wire.MsgTx, spent []*wire.TxOut) { spent[1].Value++ }), isProved, legacy},
		{"another sequence", changed(func(tx *wire.MsgTx, _ []*wire.TxOut) { tx.TxIn[1].Sequence-- }), isBad, nil},
		{"another sequence of a neighbour", changed(func(tx *wire.MsgTx, _ []*wire.TxOut) { tx.TxIn[2].Sequence-- }), isBad, nil},
		{"another outpoint", changed(func(tx *wire.MsgTx, _ []*wire.TxOut) { tx.TxIn[0].PreviousOutPoint.Index++ }), isBad, nil},
		{"another output", changed(func(tx *wire.MsgTx, _ []*wire.TxOut) { tx.TxOut[1].Value++ }), isBad, nil},
		{"another version", changed(func(tx *wire.MsgTx, _ []*wire.TxOut) { tx.Version++ }), isBad, nil},
		{"another lock time", changed(func(tx *wire.MsgTx, _ []*wire.TxOut) { tx.LockTime++ }), isBad, nil},
		{"a script in a neighbour", changed(func(tx *wire.MsgTx, _ []*wire.TxOut) { tx.TxIn[0].SignatureScript = []byte{txscript.OP_1} }), isProved, nil},
		{"a longer push", unlocked(func(o *locked, full []byte) ([]byte, wire.TxWitness) {
			return slices.Concat([]byte{txscript.OP_PUSHDATA1, byte(len(full))}, full, pushes(o.key)), nil
		}), isValid, legacy},
		{"a number below", unlocked(func(o *locked, full []byte) ([]byte, wire.TxWitness) {
			return append([]byte{txscript.OP_1}, pushes(full, o.key)...), nil
		}), isValid, legacy},
		{"a push below", unlocked(func(o *locked, full []byte) ([]byte, wire.TxWitness) {
			return pushes(full, full, o.key), nil
		}), isValid, legacy},
		{"a push above", unlocked(func(o *locked, full []byte) ([]byte, wire.TxWitness) {
			return pushes(full, o.key, o.key[:20]), nil
		}), isBad, legacy},
		{"one push", unlocked(func(o *locked, _ []byte) ([]byte, wire.TxWitness) { return pushes(o.key), nil }), isBad, legacy},
		{"half a push", unlocked(func(o *locked, full []byte) ([]byte, wire.TxWitness) {
			b := pushes(full, o.key)
			return b[:len(b)-1], nil
		}), isBad, legacy},
		{"a witness that nothing asks for", unlocked(func(o *locked, full []byte) ([]byte, wire.TxWitness) {
			return pushes(full, o.key), wire.TxWitness{{1}}
		}), isBad, legacy},
		{"a script beside the witness", unlocked(func(o *locked, full []byte) ([]byte, wire.TxWitness) {
			return pushes(full, o.key), wire.TxWitness{full, o.key}
		}), isBad, native},
		{"all in the script", unlocked(func(o *locked, full []byte) ([]byte, wire.TxWitness) { return pushes(full, o.key), nil }), isBad, witness},
		{"an item more", unlocked(func(o *locked, full []byte) ([]byte, wire.TxWitness) {
			_, program := lockKey(o.kind, o.key)
			return map[bool][]byte{true: pushes(program)}[o.kind == nestedWitnessKeyHash], wire.TxWitness{{1}, full, o.key}
		}), isBad, witness},
		{"an item above", unlocked(func(o *locked, full []byte) ([]byte, wire.TxWitness) {
			_, program := lockKey(o.kind, o.key)
			return map[bool][]byte{true: pushes(program)}[o.kind == nestedWitnessKeyHash], wire.TxWitness{full, o.key, {1}}
		}), isBad, witness},
		{"the program not pushed", unlocked(func(o *locked, full []byte) ([]byte, wire.TxWitness) {
			return nil, wire.TxWitness{full, o.key}
		}), isBad, nested},
		{"another program pushed", unlocked(func(o *locked, full []byte) ([]byte, wire.TxWitness) {
			_, program := lockKey(o.kind, append([]byte{0}, o.key...))
			return pushes(program), wire.TxWitness{full, o.key}
		}), isBad, nested},
		{"the program pushed in a longer way", unlocked(func(o *locked, full []byte) ([]byte, wire.TxWitness) {
			_, program := lockKey(o.kind, o.key)
			return slices.Concat([]byte{txscript.OP_PUSHDATA1, 22}, program), wire.TxWitness{full, o.key}
		}), isBad, nested},
		{"the program pushed twice", unlocked(func(o *locked, full []byte) ([]byte, wire.TxWitness) {
			_, program := lockKey(o.kind, o.key)
			return pushes(program, program), wire.TxWitness{full, o.key}
		}), isBad, nested},
	}
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
