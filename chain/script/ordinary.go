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

// An ordinary input is unlocked by one signature of the one key whose hash its output
// names, in one of three forms: P2PKH, P2WPKH, and P2WPKH within P2SH. Nothing but the
// signature can fail there, so it is looked at without running a script. Whatever is
// not exactly that, and whatever fails, is txscript's to judge: here is said
// "valid" or nothing.
type ordinary struct {
	signature []byte // strict DER, without the type
	key       []byte
	hash      []byte // of the key
	witness   bool   // signed as BIP143 says
}

// ordinaryUnder says whether it is known here what txscript does under these flags:
// those of blocks. Without [BIP66] there are other signatures than those that are
// read here; witnesses without [BIP16] are refused by txscript whatever the input.
func ordinaryUnder(flags Flags) bool {
	const known = BIP16 | BIP66 | BIP65 | CSV | SegWit | Taproot
	return flags&^known == 0 && flags&BIP66 != 0 && (flags&txscript.ScriptVerifyWitness == 0 || flags&BIP16 != 0)
}

// proved says that an input is an ordinary one and its signature good.
func (j *job) proved(input int, w *workspace) bool {
	if !ordinaryUnder(j.flags) {
		return false
	}
	o, ok := asOrdinary(j.tx.TxIn[input], j.spent[input].PkScript, j.flags)
	if !ok || !bytes.Equal(address.Hash160(o.key), o.hash) {
		return false
	}
	digest := j.digest(input, &o, w)
	if w.cache != nil && w.cache.Exists([32]byte(digest), o.signature, o.key) {
		return true // read and found good before
	}
	key, err := btcec.ParsePubKey(o.key)
	if err != nil {
		return false
	}
	signature, err := ecdsa.ParseDERSignature(o.signature)
	if err != nil || !signature.Verify(digest[:], key) {
		return false
	}
	if w.cache != nil {
		own := slices.Concat(o.signature, o.key) // else the entry holds the block
		n := len(o.signature)
		w.cache.Add([32]byte(digest), own[:n:n], own[n:])
	}
	return true
}

// asOrdinary takes the scripts of an ordinary input apart. Its signature is strict DER
// then, and commits to all of the transaction; nothing else is known of it and the key.
func asOrdinary(in *wire.TxIn, lock []byte, flags Flags) (o ordinary, ok bool) {
	var full []byte // with the type
	if isKeyHash(lock) && len(in.Witness) == 0 {
		o.hash = lock[3:23]
		if full, o.key, ok = twoPushes(in.SignatureScript); !ok {
			return o, false
		}
	} else {
		program, found := keyProgram(in.SignatureScript, lock)
		if !found || flags&txscript.ScriptVerifyWitness == 0 || len(in.Witness) != 2 {
			return o, false
		}
		o.hash, o.witness = program, true
		full, o.key = in.Witness[0], in.Witness[1]
	}
	// A signature as long as the hash could be the hash: txscript cuts it out of what is signed.
	n := len(full) - 1
	if n < len(o.hash) || full[n] != byte(SighashAll) {
		return o, false
	}
	o.signature = full[:n]
	return o, strictDER(o.signature)
}

// isKeyHash says whether a script is OP_DUP OP_HASH160 <20 bytes> OP_EQUALVERIFY OP_CHECKSIG.
func isKeyHash(script []byte) bool {
	return len(script) == 25 && script[0] == txscript.OP_DUP && script[1] == txscript.OP_HASH160 &&
		script[2] == txscript.OP_DATA_20 && script[23] == txscript.OP_EQUALVERIFY && script[24] == txscript.OP_CHECKSIG
}

// keyProgram returns the 20 bytes of a witness program of version 0, which the output
// holds itself, or which the input pushes where the output holds its hash.
func keyProgram(unlock, lock []byte) (program []byte, ok bool) {
	switch {
	case isKeyProgram(lock) && len(unlock) == 0:
		return lock[2:], true
	case len(lock) == 23 && lock[0] == txscript.OP_HASH160 && lock[1] == txscript.OP_DATA_20 && lock[22] == txscript.OP_EQUAL &&
		len(unlock) == 23 && unlock[0] == txscript.OP_DATA_22 && isKeyProgram(unlock[1:]) &&
		bytes.Equal(address.Hash160(unlock[1:]), lock[2:22]):
		return unlock[3:], true
	}
	return nil, false
}

func isKeyProgram(script []byte) bool {
	return len(script) == 22 && script[0] == txscript.OP_0 && script[1] == txscript.OP_DATA_20
}

// twoPushes takes a script apart that is two pushes of 1 to 75 bytes and nothing else.
func twoPushes(script []byte) (first, second []byte, ok bool) {
	if first, script, ok = push(script); !ok {
		return nil, nil, false
	}
	second, script, ok = push(script)
	return first, second, ok && len(script) == 0
}

func push(script []byte) (data, rest []byte, ok bool) {
	if len(script) == 0 {
		return nil, nil, false
	}
	n := int(script[0])
	if n < txscript.OP_DATA_1 || n > txscript.OP_DATA_75 || n >= len(script) {
		return nil, nil, false
	}
	return script[1 : 1+n], script[1+n:], true
}

// strictDER says whether a signature, without its type, is encoded as BIP66 demands:
// a sequence of two numbers and nothing else, each positive and as short as it can be.
func strictDER(sig []byte) bool {
	if len(sig) < 8 || len(sig) > 72 || sig[0] != 0x30 || int(sig[1]) != len(sig)-2 {
		return false
	}
	rest, ok := positive(sig[2:])
	if ok {
		rest, ok = positive(rest)
	}
	return ok && len(rest) == 0
}

// positive takes one number off: a mark, its length, and it.
func positive(from []byte) (rest []byte, ok bool) {
	if len(from) < 3 || from[0] != 0x02 {
		return nil, false
	}
	n := int(from[1])
	if n == 0 || n > len(from)-2 {
		return nil, false
	}
	number, rest := from[2:2+n], from[2+n:]
	negative := number[0]&0x80 != 0
	padded := n > 1 && number[0] == 0 && number[1]&0x80 == 0
	return rest, !negative && !padded
}
