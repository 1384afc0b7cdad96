package protocol

import (
	"encoding/base64"
	"errors"
	"testing"

	"github.com/nats-io/nkeys"
)

func newKey(t *testing.T) (key nkeys.KeyPair, public string) {
	t.Helper()
	key, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	if public, err = key.PublicKey(); err != nil {
		t.Fatal(err)
	}
	return key, public
}

func TestVerify(t *testing.T) {
	key, public := newKey(t)
	_, stranger := newKey(t)
	payload := Encode(testJob())
	good, err := Sign(key, ToWorkers, payload)
	if err != nil {
		t.Fatal(err)
	}
	reply, err := Sign(key, InReply, payload)
	if err != nil {
		t.Fatal(err)
	}
	bare, err := key.Sign(payload) // by the same key, but not for this protocol
	if err != nil {
		t.Fatal(err)
	}
	altered := append([]byte(nil), payload...)
	altered[len(altered)/2] ^= 1
	flipped := []byte(good)
	flipped[3] ^= 1

	for _, tt := range []struct {
		name, public, signature string
		payload                 []byte
		want                    error
	}{
		{"as signed", public, good, payload, nil},
		{"another key's", stranger, good, payload, ErrSignature},
		{"payload altered", public, good, altered, ErrSignature},
		{"payload cut short", public, good, payload[:len(payload)-1], ErrSignature},
		{"payload longer", public, good, append(append([]byte(nil), payload...), ' '), ErrSignature},
		{"no payload", public, good, nil, ErrSignature},
		{"signature altered", public, string(flipped), payload, ErrSignature},
		{"signature cut short", public, good[:len(good)-4], payload, ErrSignature},
		{"no signature", public, "", payload, ErrSignature},
		{"not base64", public, "%%%", payload, ErrSignature},
		{"padded", public, good + "==", payload, ErrSignature},
		{"signed as a reply", public, reply, payload, ErrSignature},
		{"without the context", public, base64.RawStdEncoding.EncodeToString(bare), payload, ErrSignature},
	} {
		if got := Verify(tt.public, ToWorkers, tt.signature, tt.payload); !errors.Is(got, tt.want) {
			t.Errorf("%s: Verify = %v, want %v", tt.name, got, tt.want)
		}
	}
	if err := Verify("UNOTAKEY", ToWorkers, good, payload); err == nil || errors.Is(err, ErrSignature) {
		t.Errorf("a pinned key that is none: Verify = %v, want what is wrong with the key", err)
	}
}

// TestSeal alters each field that the MAC covers.
func TestSeal(t *testing.T) {
	secret := []byte("0123456789abcdef0123456789abcdef")
	sealed := Claim{
		Ask: Ask{KindShare, 6}, Place: Place{JobID{3, 7}, 0x0000000200000010, 3}, Slot: 2, Terms: 1,
	}
	sealed.Seal(secret)
	if !sealed.Sealed(secret) {
		t.Fatal("a claim is not sealed by its own seal")
	}
	if len(sealed.MAC) != 32 {
		t.Errorf("MAC of %d bytes, want 32", len(sealed.MAC))
	}
	for _, tt := range []struct {
		name  string
		alter func(*Claim)
		want  bool
	}{
		{"kind", func(c *Claim) { c.Kind = KindSolution }, false},
		{"epoch", func(c *Claim) { c.Epoch++ }, false},
		{"number", func(c *Claim) { c.Number++ }, false},
		{"point", func(c *Claim) { c.Point++ }, false},
		{"column", func(c *Claim) { c.Point += ColumnPoints }, false},
		{"roll", func(c *Claim) { c.Roll++ }, false},
		{"slot", func(c *Claim) { c.Slot++ }, false},
		{"terms", func(c *Claim) { c.Terms++ }, false},
		{"epoch and number exchanged", func(c *Claim) { c.Epoch, c.Number = c.Number, c.Epoch }, false},
		{"MAC altered", func(c *Claim) { c.MAC[31] ^= 1 }, false},
		{"MAC cut short", func(c *Claim) { c.MAC = c.MAC[:31] }, false},
		{"no MAC", func(c *Claim) { c.MAC = nil }, false},
		{"the request's number, which changes with every try", func(c *Claim) { c.ID++ }, true},
	} {
		c := sealed
		c.MAC = append(Bytes(nil), sealed.MAC...)
		tt.alter(&c)
		if got := c.Sealed(secret); got != tt.want {
			t.Errorf("%s: Sealed = %v, want %v", tt.name, got, tt.want)
		}
	}
	if other := []byte("another secret of thirty-two byt"); sealed.Sealed(other) {
		t.Error("sealed under another slot's secret")
	}
}
