package protocol

import (
	"encoding/base64"
	"errors"
	"testing"

	"github.com/nats-io/nats.go"
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
	signer, err := NewSigner(key)
	if err != nil {
		t.Fatal(err)
	}
	good, reply := signer.Sign(ToWorkers, payload), signer.Sign(ReplyTo(&nats.Msg{Data: payload}), payload)
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

// TestReplyTo has a signed reply pass for that to no other request.
func TestReplyTo(t *testing.T) {
	key, public := newKey(t)
	request := func(mac, payload string) *nats.Msg {
		m := &nats.Msg{Data: []byte(payload)}
		if mac != "" {
			m.Header = nats.Header{MACHeader: []string{mac}}
		}
		return m
	}
	payload := Encode(&Reply{Kind: KindShare, ID: 7, Code: HighHash})
	signer, err := NewSigner(key)
	if err != nil {
		t.Fatal(err)
	}
	signature := signer.Sign(ReplyTo(request("mac", "asked")), payload)
	for _, tt := range []struct {
		name  string
		class Class
		want  error
	}{
		{"to the same request", ReplyTo(request("mac", "asked")), nil},
		{"to another's request", ReplyTo(request("mac", "Asked")), ErrSignature},
		{"to the request under another MAC", ReplyTo(request("Mac", "asked")), ErrSignature},
		{"to the request without a MAC", ReplyTo(request("", "asked")), ErrSignature},
		{"to nobody", "reply", ErrSignature},
		{"to all workers", ToWorkers, ErrSignature},
	} {
		if got := Verify(public, tt.class, signature, payload); !errors.Is(got, tt.want) {
			t.Errorf("%s: Verify = %v, want %v", tt.name, got, tt.want)
		}
	}
}
