package protocol

import (
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
)

// An exchange agrees on a slot's secret, so that nobody between a worker and its
// coordinator learns it: X25519 with a fresh key on each side of each join. The
// coordinator's signature covers both public values; without it somebody in the
// middle could agree with either side.

const (
	exchangeBytes = 32
	secretBytes   = 32
	secretInfo    = "jbc.v1 slot"
)

// Exchange is one side's key of one join.
type Exchange struct {
	key *ecdh.PrivateKey
}

// NewExchange makes a key.
func NewExchange() (Exchange, error) {
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return Exchange{}, fmt.Errorf("exchange: %w", err)
	}
	return Exchange{key}, nil
}

// Public is what the other side is told.
func (e Exchange) Public() Bytes { return e.key.PublicKey().Bytes() }

// WorkerSecret returns the slot's secret, on the worker's side: HKDF-SHA-256 of
// what both keys share, salted with both public values, the worker's first. A value
// that shares nothing secret, whatever the key, is an error that wraps [Malformed].
func (e Exchange) WorkerSecret(coordinator Bytes) ([]byte, error) {
	return e.secret(coordinator, e.Public(), coordinator)
}

// CoordinatorSecret returns it on the coordinator's side.
func (e Exchange) CoordinatorSecret(worker Bytes) ([]byte, error) {
	return e.secret(worker, worker, e.Public())
}

func (e Exchange) secret(theirs, worker, coordinator Bytes) ([]byte, error) {
	public, err := ecdh.X25519().NewPublicKey(theirs)
	if err != nil {
		return nil, fmt.Errorf("%w: exchange: %v", Malformed, err)
	}
	shared, err := e.key.ECDH(public) // which refuses points of low order
	if err != nil {
		return nil, fmt.Errorf("%w: exchange: %v", Malformed, err)
	}
	salt := append(append([]byte(nil), worker...), coordinator...)
	return hkdf.Key(sha256.New, shared, salt, secretInfo, secretBytes)
}
