package script

import (
	"errors"
	"fmt"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcec/v2/schnorr"
)

// ErrSignature says that a signature is well formed and not one of this message by
// this key.
var ErrSignature = errors.New("the signature is not of this message by this key")

// VerifySchnorr checks a signature of 64 bytes over a message of any length by a
// public key of 32 bytes (BIP340).
func VerifySchnorr(pubKey, message, signature []byte) error {
	key, err := schnorr.ParsePubKey(pubKey)
	if err != nil {
		return fmt.Errorf("public key %x: %w", pubKey, err)
	}
	parsed, err := schnorr.ParseSignature(signature)
	if err != nil {
		return fmt.Errorf("signature %x: %w", signature, err)
	}
	var s btcec.ModNScalar
	if s.SetByteSlice(signature[32:]) { // the library reduces it
		return fmt.Errorf("signature %x: s is not below the group order", signature)
	}
	// The library takes hashes only: what transactions sign.
	if len(message) == 32 && !parsed.Verify(message, key) || len(message) != 32 && !verifyLong(key, message, signature[:32], &s) {
		return ErrSignature
	}
	return nil
}

// verifyLong is BIP340's Verify(pk, m, sig) from the hash on, for a message of any
// length. The y of the key is even; r and s are the halves of the signature, in
// range.
func verifyLong(key *btcec.PublicKey, message, r []byte, s *btcec.ModNScalar) bool {
	hash := tagged("BIP0340/challenge", r, schnorr.SerializePubKey(key), message)
	var e btcec.ModNScalar
	e.SetBytes(&hash)
	e.Negate()

	var p, sg, ep, sum btcec.JacobianPoint
	key.AsJacobian(&p)
	btcec.ScalarBaseMultNonConst(s, &sg)
	btcec.ScalarMultNonConst(&e, &p, &ep)
	btcec.AddNonConst(&sg, &ep, &sum)
	if sum.X.IsZero() && sum.Y.IsZero() || sum.Z.IsZero() {
		return false // the point at infinity
	}
	sum.ToAffine()
	var x btcec.FieldVal
	x.SetByteSlice(r)
	return !sum.Y.IsOdd() && x.Equals(&sum.X)
}
