package access

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"net"
	"testing"
	"time"

	"github.com/nats-io/nkeys"
)

func meshKey(t *testing.T) (key nkeys.KeyPair, public string) {
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

// shakeMesh has two sides meet and returns what the one that dials says to that, and
// what the other does. The first has read from the other by then, who sees its
// certificate last.
func shakeMesh(t *testing.T, dials, listens *tls.Config) (errs [2]error, states [2]tls.ConnectionState) {
	t.Helper()
	out, in := net.Pipe()
	defer out.Close()
	defer in.Close()
	end := time.Now().Add(10 * time.Second)
	out.SetDeadline(end)
	in.SetDeadline(end)
	client, server := tls.Client(out, dials), tls.Server(in, listens)
	done := make(chan error, 1)
	go func() {
		err := server.Handshake()
		if err == nil {
			_, err = server.Write([]byte("x"))
		}
		done <- err
	}()
	_, errs[0] = client.Read(make([]byte, 1)) // which shakes hands first
	out.Close()
	errs[1] = <-done
	return errs, [2]tls.ConnectionState{client.ConnectionState(), server.ConnectionState()}
}

// TestMeshTLS meets those whose key both trust, as the owners of their keys, and
// nobody else.
func TestMeshTLS(t *testing.T) {
	a, publicA := meshKey(t)
	b, publicB := meshKey(t)
	_, publicC := meshKey(t)
	only := func(keys ...string) func(string) bool {
		return func(public string) bool {
			for _, key := range keys {
				if key == public {
					return true
				}
			}
			return false
		}
	}
	for _, tt := range []struct {
		name               string
		byDialler, byOther func(string) bool
		dialled, listened  error // errAny where only the other side knows why
	}{
		{"both trust each other", only(publicB), only(publicA), nil, nil},
		{"also others", only(publicB, publicC), only(publicA, publicC), nil, nil},
		{"the one that dials does not", only(publicC), only(publicA), ErrStranger, errAny},
		{"the one that listens does not", only(publicB), only(publicC), errAny, ErrStranger},
		{"only themselves", only(publicA), only(publicB), ErrStranger, errAny},
		{"nobody", only(), only(), ErrStranger, errAny},
	} {
		dials, err := MeshTLS(a, tt.byDialler)
		if err != nil {
			t.Fatal(err)
		}
		listens, err := MeshTLS(b, tt.byOther)
		if err != nil {
			t.Fatal(err)
		}
		errs, states := shakeMesh(t, dials, listens)
		if !like(errs[0], tt.dialled) || !like(errs[1], tt.listened) {
			t.Errorf("%s: %v, want %v and %v", tt.name, errs, tt.dialled, tt.listened)
		}
		if tt.dialled != nil || tt.listened != nil {
			continue
		}
		for i, want := range []string{publicB, publicA} {
			if got, err := MeshKey(states[i]); got != want || err != nil || states[i].Version != tls.VersionTLS13 {
				t.Errorf("%s: key %q, %v, version %x, want %q", tt.name, got, err, states[i].Version, want)
			}
		}
	}
}

var errAny = errors.New("any")

func like(got, want error) bool { return errors.Is(got, want) || want == errAny && got != nil }

// TestMeshTLSForgery has one show the certificate of another, whose key it does not
// hold, or none of a mesh.
func TestMeshTLSForgery(t *testing.T) {
	a, publicA := meshKey(t)
	b, publicB := meshKey(t)
	all := func(string) bool { return true }
	listens, err := MeshTLS(b, func(public string) bool { return public == publicA })
	if err != nil {
		t.Fatal(err)
	}
	own, err := MeshTLS(a, func(public string) bool { return public == publicB })
	if err != nil {
		t.Fatal(err)
	}
	c, _ := meshKey(t)
	other, err := MeshTLS(c, all)
	if err != nil {
		t.Fatal(err)
	}
	borrowed := other.Clone()
	borrowed.Certificates = []tls.Certificate{{Certificate: own.Certificates[0].Certificate, PrivateKey: other.Certificates[0].PrivateKey}}
	behind := other.Clone() // the trusted certificate comes second
	behind.Certificates = []tls.Certificate{{
		Certificate: append(append([][]byte{}, other.Certificates[0].Certificate...), own.Certificates[0].Certificate...),
		PrivateKey:  other.Certificates[0].PrivateKey,
	}}
	elliptical, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, elliptical.Public(), elliptical)
	if err != nil {
		t.Fatal(err)
	}
	noNkey := other.Clone()
	noNkey.Certificates = []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: elliptical}}
	nothing := other.Clone()
	nothing.Certificates = nil
	old := own.Clone()
	old.MinVersion, old.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	elsewhere := own.Clone()
	elsewhere.NextProtos = nil
	for _, tt := range []struct {
		name   string
		config *tls.Config
		want   error
	}{
		{"its own", own, nil},
		{"another's certificate", borrowed, errAny},
		{"another's certificate behind its own", behind, ErrStranger},
		{"a key of another kind", noNkey, ErrNoMeshKey},
		{"no certificate", nothing, errAny},
		{"TLS of old", old, errAny},
		{"a handshake for something else", elsewhere, errAny},
	} {
		if errs, _ := shakeMesh(t, tt.config, listens); !like(errs[1], tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, errs[1], tt.want)
		}
	}
	if key, err := MeshKey(tls.ConnectionState{}); key != "" || !errors.Is(err, ErrNoMeshKey) {
		t.Errorf("of nobody: %q, %v, want %v", key, err, ErrNoMeshKey)
	}
}

// TestMeshTLSAsksAgain has trust that ended count at the next handshake.
func TestMeshTLSAsksAgain(t *testing.T) {
	a, _ := meshKey(t)
	b, _ := meshKey(t)
	trusted := true
	dials, err := MeshTLS(a, func(string) bool { return true })
	if err != nil {
		t.Fatal(err)
	}
	dials.ClientSessionCache = tls.NewLRUClientSessionCache(4)
	dials.ServerName = "node"
	listens, err := MeshTLS(b, func(string) bool { return trusted })
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if errs, states := shakeMesh(t, dials, listens); errs[1] != nil || states[1].DidResume {
			t.Errorf("trusted: %v, resumed %v", errs[1], states[1].DidResume)
		}
	}
	trusted = false
	if errs, _ := shakeMesh(t, dials, listens); !errors.Is(errs[1], ErrStranger) {
		t.Errorf("trusted no more: %v, want %v", errs[1], ErrStranger)
	}
}

// TestMeshTLSNeedsSeed makes no certificate without the seed of a user's nkey.
func TestMeshTLSNeedsSeed(t *testing.T) {
	_, public := meshKey(t)
	blind, err := nkeys.FromPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := MeshTLS(blind, nil); !errors.Is(err, nkeys.ErrPublicKeyOnly) {
		t.Errorf("of a public key: %v, want %v", err, nkeys.ErrPublicKeyOnly)
	}
	account, err := nkeys.CreateAccount()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := MeshTLS(account, nil); err == nil || err.Error() != "mesh certificate: a key of kind account, want user" {
		t.Errorf("of an account's key: %v", err)
	}
}
