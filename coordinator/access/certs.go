package access

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"time"
)

const (
	caFile   = "ca.pem"     // certificate and key of the CA
	leafFile = "server.pem" // certificate and key that the server shows

	caLife   = 10 * 365 * 24 * time.Hour
	leafLife = 90 * 24 * time.Hour
	// leafRest is what a leaf has left when it is replaced.
	leafRest = 30 * 24 * time.Hour
	// early is how long before it was made a certificate is valid: clocks differ.
	early = time.Hour
)

// Certs are a coordinator's own CA and the certificate that its server shows. It
// is safe for concurrent use.
type Certs struct {
	dir string
	ca  keyPair

	mu    sync.Mutex
	hosts []string // that the leaf has to be good for
	leaf  keyPair
	tried time.Time // when a handshake last asked for another leaf
}

// keyPair is a certificate and its key.
type keyPair struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// OpenCerts reads the certificates in dir, which is made with a new CA where it is
// missing, and sees to a leaf that is good at now and for hosts: names and
// addresses. It returns an error, and makes nothing, where dir is there but the
// CA in it is missing, broken or readable by others: every machine that joined
// trusts that one alone.
func OpenCerts(dir string, hosts []string, now time.Time) (*Certs, error) {
	c := &Certs{dir: dir}
	_, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		err = createCA(dir, now)
	}
	if err != nil {
		return nil, fmt.Errorf("certificates: %w", err)
	}
	c.ca, err = loadPair(filepath.Join(dir, caFile))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%s is missing: restore it; or remove %s to begin with a new one, and have every machine join again", filepath.Join(dir, caFile), dir)
	case err != nil:
		return nil, fmt.Errorf("certificates: %w", err)
	case !c.ca.cert.IsCA:
		return nil, fmt.Errorf("%s holds no CA certificate: restore it", filepath.Join(dir, caFile))
	case now.Before(c.ca.cert.NotBefore):
		return nil, fmt.Errorf("the clock says %s, but %s was made at %s: set the clock", day(now), filepath.Join(dir, caFile), day(c.ca.cert.NotBefore.Add(early)))
	case now.After(c.ca.cert.NotAfter):
		return nil, fmt.Errorf("%s ran out on %s: remove %s to begin with a new one, and have every machine join again", filepath.Join(dir, caFile), day(c.ca.cert.NotAfter), dir)
	}
	if c.leaf, err = loadPair(filepath.Join(dir, leafFile)); err != nil {
		c.leaf = keyPair{} // whatever is wrong with it, a new one is as good
	}
	if _, err := c.Renew(now, hosts); err != nil {
		return nil, err
	}
	return c, nil
}

func day(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 MST") }

// createCA makes dir with a CA in it, whole or not at all.
func createCA(dir string, now time.Time) error {
	parent := filepath.Dir(dir)
	fresh, err := os.MkdirTemp(parent, ".new-") // mode 0700
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(fresh) }() // which has another name by then, or is of no use
	pair, err := sign(nil, &x509.Certificate{
		Subject:               pkix.Name{CommonName: "JBC coordinator CA"},
		NotBefore:             now.Add(-early),
		NotAfter:              now.Add(caLife),
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true,
		KeyUsage:              x509.KeyUsageCertSign,
	})
	if err != nil {
		return err
	}
	if err := pair.save(filepath.Join(fresh, caFile)); err != nil {
		return err
	}
	if err := os.Rename(fresh, dir); err != nil {
		return err
	}
	return syncDir(parent)
}

// Renew replaces the leaf where it is not good for hosts, not valid at now, or for
// less than 30 days more, and says whether it did. Connections that stand stay;
// new ones are shown the new leaf. No hosts are those of the call before.
func (c *Certs) Renew(now time.Time, hosts []string) (renewed bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(hosts) > 0 {
		c.hosts = slices.DeleteFunc(slices.Clone(hosts), func(host string) bool { return !IsHost(host) })
	}
	if c.good(now) {
		return false, nil
	}
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: ServerName},
		NotBefore:   now.Add(-early),
		NotAfter:    now.Add(leafLife),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:    []string{ServerName, "localhost"},
	}
	if end := c.ca.cert.NotAfter; template.NotAfter.After(end) {
		template.NotAfter = end
	}
	for _, host := range c.hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else if !slices.Contains(template.DNSNames, host) {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	leaf, err := sign(&c.ca, template)
	if err != nil {
		return false, fmt.Errorf("server certificate: %w", err)
	}
	if err := leaf.save(filepath.Join(c.dir, leafFile)); err != nil {
		return false, fmt.Errorf("server certificate: %w", err)
	}
	c.leaf = leaf
	return true, nil
}

// IsHost says whether a certificate can be made out to a host: an IP address or a
// name without a dot at its end.
func IsHost(host string) bool {
	return net.ParseIP(host) != nil || len(host) <= 240 && hostName.MatchString(host)
}

var hostName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_-]{0,62}(\.[A-Za-z0-9_][A-Za-z0-9_-]{0,62})*$`)

// good says whether the leaf can be shown from now on until it is looked at again.
func (c *Certs) good(now time.Time) bool {
	cert := c.leaf.cert
	if cert == nil || cert.CheckSignatureFrom(c.ca.cert) != nil || now.Before(cert.NotBefore) {
		return false
	}
	if left := cert.NotAfter.Sub(now); left < leafRest && cert.NotAfter.Before(c.ca.cert.NotAfter) || left <= 0 {
		return false // at the CA's end there is nothing longer to be had
	}
	return !slices.ContainsFunc(append([]string{ServerName}, c.hosts...), func(host string) bool {
		return cert.VerifyHostname(host) != nil
	})
}

// Config returns how a server shows these certificates, the leaf of the moment and
// the CA, which joiners know by its fingerprint.
func (c *Certs) Config() *tls.Config { return c.config(time.Now) }

func (c *Certs) config(now func() time.Time) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			if at := now(); c.isOver(at) { // the machine slept through the time to renew it
				_, _ = c.Renew(at, nil) // whoever looks after it says what is wrong
			}
			c.mu.Lock()
			defer c.mu.Unlock()
			return &tls.Certificate{
				Certificate: [][]byte{c.leaf.cert.Raw, c.ca.cert.Raw},
				PrivateKey:  c.leaf.key, Leaf: c.leaf.cert,
			}, nil
		},
	}
}

// isOver says whether the leaf is not valid and another is to be tried for, which
// strangers bring about once a minute at the most.
func (c *Certs) isOver(now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !now.Before(c.leaf.cert.NotBefore) && !now.After(c.leaf.cert.NotAfter) || now.Sub(c.tried).Abs() < time.Minute {
		return false
	}
	c.tried = now
	return true
}

// CA returns the CA's certificate as PEM.
func (c *Certs) CA() string { return string(certPEM(c.ca.cert)) }

// Fingerprint returns the SHA-256 of the CA's certificate as DER.
func (c *Certs) Fingerprint() [sha256.Size]byte { return sha256.Sum256(c.ca.cert.Raw) }

// sign makes a key and the certificate for it, signed by ca, or by itself where
// ca is nil.
func sign(ca *keyPair, template *x509.Certificate) (keyPair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return keyPair{}, err
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127)); err != nil {
		return keyPair{}, err
	}
	if ca == nil {
		ca = &keyPair{template, key}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca.cert, key.Public(), ca.key)
	if err != nil {
		return keyPair{}, err
	}
	cert, err := x509.ParseCertificate(der)
	return keyPair{cert, key}, err
}

const (
	certType = "CERTIFICATE"
	keyType  = "PRIVATE KEY"
)

func certPEM(cert *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: certType, Bytes: cert.Raw})
}

// save writes both into one file, so that there is never one without the other.
func (p keyPair) save(path string) error {
	der, err := x509.MarshalPKCS8PrivateKey(p.key)
	if err != nil {
		return err
	}
	return WriteSecret(path, append(certPEM(p.cert), pem.EncodeToMemory(&pem.Block{Type: keyType, Bytes: der})...))
}

// loadPair reads what save wrote. The error wraps [fs.ErrNotExist] where there is
// no file.
func loadPair(path string) (keyPair, error) {
	data, err := readSecret(path)
	if err != nil {
		return keyPair{}, err
	}
	pair, err := tls.X509KeyPair(data, data) // which checks that key and certificate belong together
	if err != nil {
		return keyPair{}, fmt.Errorf("%s: %w", path, err)
	}
	key, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok {
		return keyPair{}, fmt.Errorf("%s: a %T, want an ECDSA key", path, pair.PrivateKey)
	}
	return keyPair{pair.Leaf, key}, nil
}
