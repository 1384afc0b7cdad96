package access

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"time"
)

// ErrNotPinned says that whoever answers has no certificate of the CA whose
// fingerprint was pinned: something else than the coordinator.
var ErrNotPinned = errors.New("no certificate of the pinned CA")

// PinnedTLS returns how to connect to the coordinator whose CA has that SHA-256
// fingerprint and is not known otherwise.
func PinnedTLS(fingerprint [sha256.Size]byte) *tls.Config {
	return &tls.Config{
		ServerName: ServerName,
		MinVersion: tls.VersionTLS13,
		// The chain is checked below, against the one CA that counts: no other is known
		// yet. VerifyConnection runs on resumed connections too.
		InsecureSkipVerify: true, //nolint:gosec // see above
		VerifyConnection: func(state tls.ConnectionState) error {
			return verifyPinned(state.PeerCertificates, fingerprint, time.Now())
		},
	}
}

// verifyPinned wants a certificate with that fingerprint in the chain that a
// server presents, and the chain's leaf signed by it, for [ServerName], at that
// time.
func verifyPinned(chain []*x509.Certificate, fingerprint [sha256.Size]byte, now time.Time) error {
	for _, ca := range chain {
		if sha256.Sum256(ca.Raw) != fingerprint {
			continue
		}
		if !ca.IsCA {
			return ErrNotPinned
		}
		roots := x509.NewCertPool()
		roots.AddCert(ca)
		_, err := chain[0].Verify(x509.VerifyOptions{Roots: roots, DNSName: ServerName, CurrentTime: now})
		return err
	}
	return ErrNotPinned
}

// CheckCA wants one certificate, in PEM, with that fingerprint.
func CheckCA(text string, fingerprint [sha256.Size]byte) error {
	block, rest := pem.Decode([]byte(text))
	if block == nil || block.Type != "CERTIFICATE" || len(bytes.TrimSpace(rest)) > 0 {
		return errors.New("want one certificate in PEM")
	}
	if sha256.Sum256(block.Bytes) != fingerprint {
		return ErrNotPinned
	}
	return nil
}
