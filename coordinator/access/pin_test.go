package access

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"testing"
	"time"
)

// signed makes a certificate of template, signed by parent, or by itself where
// there is none.
func signed(t *testing.T, template, parent *x509.Certificate, parentKey *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if parent == nil {
		parent, parentKey = template, key
	}
	template.SerialNumber = big.NewInt(1)
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, parentKey)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

// TestVerifyPinned lets pass what the pinned CA signed for the coordinator, and
// nothing else that could be presented.
func TestVerifyPinned(t *testing.T) {
	now := time.Now()
	authority := func() *x509.Certificate {
		return &x509.Certificate{NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	}
	leaf := func(name string) *x509.Certificate {
		return &x509.Certificate{NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour), DNSNames: []string{name}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	}
	ca, caKey := signed(t, authority(), nil, nil)
	good, goodKey := signed(t, leaf(ServerName), ca, caKey)
	elsewhere, _ := signed(t, leaf("example.org"), ca, caKey)
	evil, evilKey := signed(t, authority(), nil, nil)
	forged, _ := signed(t, leaf(ServerName), evil, evilKey)
	below, _ := signed(t, leaf(ServerName), good, goodKey)

	for _, tt := range []struct {
		name   string
		chain  []*x509.Certificate
		pinned *x509.Certificate
		now    time.Time
		want   error // nil for none
	}{
		{"as it should be", []*x509.Certificate{good, ca}, ca, now, nil},
		{"more certificates than needed", []*x509.Certificate{good, evil, ca}, ca, now, nil},
		{"another CA", []*x509.Certificate{forged, evil}, ca, now, ErrNotPinned},
		{"another CA, the pinned one shown beside", []*x509.Certificate{forged, evil, ca}, ca, now, x509.UnknownAuthorityError{}},
		{"the CA missing", []*x509.Certificate{good}, ca, now, ErrNotPinned},
		{"nothing", nil, ca, now, ErrNotPinned},
		{"another name", []*x509.Certificate{elsewhere, ca}, ca, now, x509.HostnameError{}},
		{"ran out", []*x509.Certificate{good, ca}, ca, now.Add(2 * time.Hour), x509.CertificateInvalidError{}},
		{"not yet", []*x509.Certificate{good, ca}, ca, now.Add(-2 * time.Hour), x509.CertificateInvalidError{}},
		{"the pinned one is no CA", []*x509.Certificate{below, good}, good, now, ErrNotPinned},
	} {
		err := verifyPinned(tt.chain, sha256.Sum256(tt.pinned.Raw), tt.now)
		var is bool
		switch tt.want.(type) {
		case nil:
			is = err == nil
		case x509.UnknownAuthorityError:
			is = errors.As(err, new(x509.UnknownAuthorityError))
		case x509.HostnameError:
			is = errors.As(err, new(x509.HostnameError))
		case x509.CertificateInvalidError:
			is = errors.As(err, new(x509.CertificateInvalidError))
		default:
			is = errors.Is(err, tt.want)
		}
		if !is {
			t.Errorf("%s: %v, want %T %v", tt.name, err, tt.want, tt.want)
		}
	}
}

func TestCheckCA(t *testing.T) {
	text := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	der := []byte("a certificate")
	sum := sha256.Sum256(der)
	for _, tt := range []struct {
		name, text string
		ok         bool
	}{
		{"the one", text("CERTIFICATE", der), true},
		{"a line break more", text("CERTIFICATE", der) + "\n", true},
		{"another", text("CERTIFICATE", []byte("another")), false},
		{"two", text("CERTIFICATE", der) + text("CERTIFICATE", der), false},
		{"a key", text("PRIVATE KEY", der), false},
		{"nothing", "", false},
		{"no PEM", "a certificate", false},
	} {
		if err := CheckCA(tt.text, sum); (err == nil) != tt.ok {
			t.Errorf("%s: %v, want ok %v", tt.name, err, tt.ok)
		}
	}
}
