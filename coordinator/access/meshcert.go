package access

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/nats-io/nkeys"
)

// Reasons for which somebody is not met on routes.
var (
	// ErrNoMeshKey says that a certificate holds no nkey, or there is none.
	ErrNoMeshKey = errors.New("shows no key of a mesh")
	// ErrStranger says that a key is not one of those that are trusted.
	ErrStranger = errors.New("its key is not trusted")
)

// meshProtocol keeps what was meant for another TLS service from being taken for a
// route.
const meshProtocol = "jbc-mesh"

// MeshTLS returns how a node meets others on routes: it shows a self-signed
// certificate whose key is the mesh nkey's, and takes the other side for who it is
// when trusted says so of its public nkey. Works for the side that dials and the
// one that listens.
//
// Nothing else in a certificate counts: no name, no date, no CA. Sessions are not
// resumed, so trusted is asked at every handshake.
func MeshTLS(key nkeys.KeyPair, trusted func(publicKey string) bool) (*tls.Config, error) {
	cert, err := meshCertificate(key)
	if err != nil {
		return nil, fmt.Errorf("mesh certificate: %w", err)
	}
	return &tls.Config{
		Certificates: []tls.Certificate{cert},
		MinVersion:   tls.VersionTLS13,
		NextProtos:   []string{meshProtocol},
		ClientAuth:   tls.RequireAnyClientCert,
		// The key is compared instead of a chain: see VerifyConnection.
		InsecureSkipVerify:     true, //nolint:gosec // see above
		SessionTicketsDisabled: true,
		VerifyConnection: func(state tls.ConnectionState) error {
			if state.NegotiatedProtocol != meshProtocol {
				return fmt.Errorf("speaks %.20q, want %q", state.NegotiatedProtocol, meshProtocol)
			}
			public, err := MeshKey(state)
			if err == nil && !trusted(public) {
				err = fmt.Errorf("%s: %w", public, ErrStranger)
			}
			return err
		},
	}, nil
}

// MeshKey returns the public nkey of the other side of a connection that was made
// with [MeshTLS].
func MeshKey(state tls.ConnectionState) (string, error) {
	if len(state.PeerCertificates) == 0 {
		return "", ErrNoMeshKey
	}
	public, ok := state.PeerCertificates[0].PublicKey.(ed25519.PublicKey)
	if !ok {
		return "", ErrNoMeshKey
	}
	encoded, err := nkeys.Encode(nkeys.PrefixByteUser, public)
	return string(encoded), err
}

// meshCertificate wraps an nkey into a certificate, which says nothing else.
func meshCertificate(key nkeys.KeyPair) (tls.Certificate, error) {
	seed, err := key.Seed()
	if err != nil {
		return tls.Certificate{}, err
	}
	prefix, raw, err := nkeys.DecodeSeed(seed)
	if err != nil {
		return tls.Certificate{}, err
	}
	if prefix != nkeys.PrefixByteUser {
		return tls.Certificate{}, fmt.Errorf("a key of kind %s, want user", prefix)
	}
	private := ed25519.NewKeyFromSeed(raw)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: meshProtocol},
		NotBefore:    time.Unix(0, 0),
		NotAfter:     time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), // no end: RFC 5280, 4.1.2.5
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}, nil
}
