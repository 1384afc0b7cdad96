package script

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcec/v2/schnorr"
)

func TestVerifySchnorrRefuses(t *testing.T) {
	s := newSigner(t, 70)
	message := bytes.Repeat([]byte{7}, 32)
	good := s.schnorr(s.key, [32]byte(message), nil)
	order := unhex(t, "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141")
	for _, c := range []struct {
		name                    string
		key, message, signature []byte
		want                    error
		text                    string
	}{
		{"good", s.xonly[:], message, good, nil, ""},
		{"another message", s.xonly[:], message[:31], good, ErrSignature, ErrSignature.Error()},
		{"another hash", s.xonly[:], bytes.Repeat([]byte{8}, 32), good, ErrSignature, ErrSignature.Error()},
		{"a key of 33 bytes", s.pub, message, good, nil, "public key " + hex.EncodeToString(s.pub) + ": bad pubkey byte string size (want 32, have 33)"},
		{"a short signature", s.xonly[:], message, good[:63], nil, "signature " + hex.EncodeToString(good[:63]) + ": malformed signature: too short: 63 < 64"},
		{
			"s of the group order", s.xonly[:], message, append(bytes.Clone(good[:32]), order...), nil,
			"signature " + hex.EncodeToString(good[:32]) + hex.EncodeToString(order) + ": s is not below the group order",
		},
	} {
		err := VerifySchnorr(c.key, c.message, c.signature)
		text := ""
		if err != nil {
			text = err.Error()
		}
		if text != c.text || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %q, want %q", c.name, text, c.text)
		}
	}
}

// TestVerifyLong compares the two ways on messages that both can read.
func TestVerifyLong(t *testing.T) {
	s := newSigner(t, 71)
	for i := range 50 {
		var message [32]byte
		message[0] = byte(i)
		signature := s.schnorr(s.key, message, nil)
		if i%2 == 1 {
			signature[i] ^= 4
		}
		parsed, err := schnorr.ParseSignature(signature)
		if err != nil {
			continue
		}
		key, err := schnorr.ParsePubKey(s.xonly[:])
		if err != nil {
			t.Fatal(err)
		}
		var scalar btcec.ModNScalar
		scalar.SetByteSlice(signature[32:])
		if got, want := verifyLong(key, message[:], signature[:32], &scalar), parsed.Verify(message[:], key); got != want || want != (i%2 == 0) {
			t.Errorf("message %d: %t, the library says %t", i, got, want)
		}
	}
}
