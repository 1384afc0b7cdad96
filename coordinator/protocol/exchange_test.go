package protocol

import (
	"bytes"
	"crypto/ecdh"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"testing"
)

// exchangeOf makes the key of a private value; those of RFC 7748, section 6.1, are
// used here.
func exchangeOf(t *testing.T, private string) Exchange {
	t.Helper()
	key, err := ecdh.X25519().NewPrivateKey(bytesOf(t, private))
	if err != nil {
		t.Fatal(err)
	}
	return Exchange{key}
}

func bytesOf(t *testing.T, text string) Bytes {
	t.Helper()
	b, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

const (
	rfcAlice       = "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a"
	rfcBob         = "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb"
	rfcAlicePublic = "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"
	rfcBobPublic   = "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"
	rfcShared      = "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"
)

// TestExchange pins the secret that a worker and its coordinator agree on: HKDF
// (RFC 5869) is computed here by its two steps.
func TestExchange(t *testing.T) {
	worker, coordinator := exchangeOf(t, rfcAlice), exchangeOf(t, rfcBob)
	if got := hex.EncodeToString(worker.Public()); got != rfcAlicePublic {
		t.Fatalf("the worker's public value is %s, want %s", got, rfcAlicePublic)
	}
	sum := func(key []byte, parts ...[]byte) []byte {
		h := hmac.New(sha256.New, key)
		h.Write(slices.Concat(parts...))
		return h.Sum(nil)
	}
	salt := slices.Concat(bytesOf(t, rfcAlicePublic), bytesOf(t, rfcBobPublic))
	want := sum(sum(salt, bytesOf(t, rfcShared)), []byte("jbc.v1 slot"), []byte{1})
	if got, err := worker.WorkerSecret(coordinator.Public()); err != nil || !bytes.Equal(got, want) {
		t.Errorf("the worker has %x, %v, want %x", got, err, want)
	}
	if got, err := coordinator.CoordinatorSecret(worker.Public()); err != nil || !bytes.Equal(got, want) {
		t.Errorf("the coordinator has %x, %v, want %x", got, err, want)
	}
	if got, err := coordinator.WorkerSecret(worker.Public()); err != nil || bytes.Equal(got, want) {
		t.Errorf("with the sides exchanged: %x, %v, want another secret", got, err)
	}
}

// TestExchangeIsFresh has no two joins share a secret.
func TestExchangeIsFresh(t *testing.T) {
	var publics []Bytes
	for range 3 {
		e, err := NewExchange()
		if err != nil {
			t.Fatal(err)
		}
		if slices.ContainsFunc(publics, func(p Bytes) bool { return bytes.Equal(p, e.Public()) }) {
			t.Fatal("two keys are the same")
		}
		publics = append(publics, e.Public())
	}
}

// TestExchangeRefuses public values that would make any secret the same, and what
// is none.
func TestExchangeRefuses(t *testing.T) {
	own := exchangeOf(t, rfcAlice)
	for name, public := range map[string]string{
		"zero":             "0000000000000000000000000000000000000000000000000000000000000000",
		"one":              "0100000000000000000000000000000000000000000000000000000000000000",
		"of order 8":       "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
		"also of order 8":  "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
		"p - 1":            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"p":                "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"p + 1":            "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"nothing":          "",
		"a byte too short": rfcBobPublic[2:],
		"a byte too long":  rfcBobPublic + "00",
	} {
		if secret, err := own.WorkerSecret(bytesOf(t, public)); !errors.Is(err, Malformed) || secret != nil {
			t.Errorf("%s to a worker: %x, %v, want %v", name, secret, err, Malformed)
		}
		if secret, err := own.CoordinatorSecret(bytesOf(t, public)); !errors.Is(err, Malformed) || secret != nil {
			t.Errorf("%s to a coordinator: %x, %v, want %v", name, secret, err, Malformed)
		}
	}
}
