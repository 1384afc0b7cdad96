package script

import (
	"bytes"
	"slices"

	"github.com/btcsuite/btcd/address/v2"
	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcec/v2/ecdsa"
	"github.com/btcsuite/btcd/txscript/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

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
