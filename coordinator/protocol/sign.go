package protocol

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
)

// SignatureHeader is the NATS header that holds a coordinator's signature over
// the payload: ed25519, base64 without padding.
const SignatureHeader = "Jbc-Signature"

// signatureContext keeps a coordinator's key from signing, on this protocol's
// behalf, what another protocol would take as its own.
const signatureContext = "jbc.v1\n"

// Class says where a signed message belongs, and is signed with it: what a
// coordinator answered to somebody's request never passes for its word to all.
type Class string

// The classes.
const (
	ToWorkers Class = "job"   // on its job subject
	ToAll     Class = "block" // on its block subject
)

// ReplyTo is the class of the reply to a request: nothing but that reply passes for
// it, even where somebody sent another request of the same number to have it
// refused.
func ReplyTo(request *nats.Msg) Class {
	h := sha256.New()
	h.Write([]byte(request.Header.Get(MACHeader) + "\n"))
	h.Write(request.Data)
	return Class("reply " + hex.EncodeToString(h.Sum(nil)))
}

// signed returns what is signed of a payload.
func (c Class) signed(payload []byte) []byte {
	return append([]byte(signatureContext+string(c)+"\n"), payload...)
}

// ErrSignature says that a message was not signed by the coordinator whose key is
// pinned.
var ErrSignature = errors.New("not signed by the pinned coordinator key")

// Signer signs with a coordinator's key. It is safe for concurrent use. An
// nkeys.KeyPair would do as well at twice the cost: it derives its key anew for
// every signature.
type Signer struct{ key ed25519.PrivateKey }

// NewSigner returns a signer with the seed of key.
func NewSigner(key nkeys.KeyPair) (*Signer, error) {
	seed, err := key.Seed()
	if err != nil {
		return nil, fmt.Errorf("signing key: %w", err)
	}
	_, raw, err := nkeys.DecodeSeed(seed)
	if err != nil {
		return nil, fmt.Errorf("signing key: %w", err)
	}
	return &Signer{key: ed25519.NewKeyFromSeed(raw)}, nil
}

// Sign returns the value of [SignatureHeader] for a payload of that class.
func (s *Signer) Sign(class Class, payload []byte) string {
	return base64.RawStdEncoding.EncodeToString(ed25519.Sign(s.key, class.signed(payload)))
}

// Verify returns nil when signature is the owner of publicKey's over a payload of
// that class, and [ErrSignature] otherwise.
func Verify(publicKey string, class Class, signature string, payload []byte) error {
	key, err := nkeys.FromPublicKey(publicKey)
	if err != nil {
		return fmt.Errorf("coordinator key %.60q: %w", publicKey, err)
	}
	sig, err := base64.RawStdEncoding.DecodeString(signature)
	if err != nil || key.Verify(class.signed(payload), sig) != nil {
		return ErrSignature
	}
	return nil
}
