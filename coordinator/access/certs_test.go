package access

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// shake has a client that trusts that CA alone shake hands at a moment, and returns
// the leaf that it was shown.
func shake(t *testing.T, c *Certs, ca, name string, now time.Time) (*x509.Certificate, error) {
	t.Helper()
	ours, theirs := net.Pipe()
	defer ours.Close()
	defer theirs.Close()
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(ca)) {
		t.Fatal("no CA in the PEM")
	}
	client := tls.Client(ours, &tls.Config{
		RootCAs: pool, ServerName: name, MinVersion: tls.VersionTLS13, Time: func() time.Time { return now },
	})
	server := tls.Server(theirs, c.config(func() time.Time { return now }))
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Handshake() // the client says what was wrong
	}()
	err := client.Handshake()
	ours.Close()
	theirs.Close()
	<-served
	if err != nil {
		return nil, err
	}
	shown := client.ConnectionState().PeerCertificates
	if last := shown[len(shown)-1]; sha256.Sum256(last.Raw) != c.Fingerprint() {
		t.Error("the chain that is shown does not end in the CA")
	}
	return shown[0], nil
}

// TestTwoYears walks two years, a day at a time. On each the server shows a
// certificate that is good for a month at least, under one CA.
func TestTwoYears(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tls")
	now := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	hosts := []string{"192.0.2.7", "rig.example"}
	c, err := OpenCerts(dir, hosts, now)
	if err != nil {
		t.Fatal(err)
	}
	ca, leaves := c.CA(), map[string]bool{}
	for day := range 2 * 365 {
		now := now.AddDate(0, 0, day)
		renewed, err := c.Renew(now, nil)
		if err != nil {
			t.Fatal(err)
		}
		if day%100 == 50 { // a restart
			if c, err = OpenCerts(dir, hosts, now); err != nil {
				t.Fatal(err)
			}
		}
		leaf, err := shake(t, c, ca, ServerName, now)
		if err != nil {
			t.Fatalf("day %d: %v", day, err)
		}
		if left := leaf.NotAfter.Sub(now); left < leafRest || left > leafLife {
			t.Fatalf("day %d: valid for %v more", day, left)
		}
		if leaves[string(leaf.Raw)] == renewed && day > 0 {
			t.Fatalf("day %d: renewed %v, and the leaf was seen before: %v", day, renewed, !renewed)
		}
		leaves[string(leaf.Raw)] = true
	}
	if len(leaves) < 12 || len(leaves) > 13 {
		t.Errorf("%d leaves in two years, want one in 60 days", len(leaves))
	}
	if c.CA() != ca {
		t.Error("the CA is another one now")
	}
}

// TestNames is good for the coordinator's name wherever it is, for its hosts, and
// for no other.
func TestNames(t *testing.T) {
	now := time.Now()
	c, err := OpenCerts(filepath.Join(t.TempDir(), "tls"), []string{"192.0.2.7", "2001:db8::7", "rig", "-bad", "a..b", "x%y", ""}, now)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		ok   bool
	}{
		{ServerName, true}, {"localhost", true}, {"192.0.2.7", true}, {"2001:db8::7", true}, {"rig", true},
		{"192.0.2.8", false}, {"jbc", false}, {"rig.example", false},
	} {
		if _, err := shake(t, c, c.CA(), tt.name, now); (err == nil) != tt.ok {
			t.Errorf("as %s: %v, want ok %v", tt.name, err, tt.ok)
		}
	}
	other, err := OpenCerts(filepath.Join(t.TempDir(), "tls"), nil, now)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := shake(t, c, other.CA(), ServerName, now); err == nil {
		t.Error("good under another CA too")
	}
}

// TestRenew replaces a leaf exactly when it must be, clocks that were wrong included.
func TestRenew(t *testing.T) {
	made := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	day := 24 * time.Hour
	for _, tt := range []struct {
		name   string
		after  time.Duration // since the leaf was made
		hosts  []string
		expect bool
	}{
		{"at once", 0, []string{"192.0.2.7"}, false},
		{"a clock half an hour back", -30 * time.Minute, []string{"192.0.2.7"}, false},
		{"with 30 days left", 60 * day, []string{"192.0.2.7"}, false},
		{"with less", 60*day + time.Second, []string{"192.0.2.7"}, true},
		{"long over", 400 * day, []string{"192.0.2.7"}, true},
		{"with another address", 0, []string{"192.0.2.8"}, true},
		{"with a name more", 0, []string{"192.0.2.7", "rig"}, true},
		{"with a host that no certificate can name", 0, []string{"192.0.2.7", "fe80::1%eth0"}, false},
		{"with nothing new said", 0, nil, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := OpenCerts(filepath.Join(t.TempDir(), "tls"), []string{"192.0.2.7"}, made)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := c.Renew(made.Add(tt.after), tt.hosts); err != nil || got != tt.expect {
				t.Errorf("Renew = %v, %v, want %v", got, err, tt.expect)
			}
			if got, err := c.Renew(made.Add(tt.after), nil); err != nil || got {
				t.Errorf("and once more = %v, %v, want false", got, err)
			}
		})
	}
}

// TestSleptThroughRenewal shows a good leaf to whoever comes first after a machine was
// suspended for longer than the last one lasted.
func TestSleptThroughRenewal(t *testing.T) {
	now := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	c, err := OpenCerts(filepath.Join(t.TempDir(), "tls"), []string{"192.0.2.7"}, now)
	if err != nil {
		t.Fatal(err)
	}
	for _, asleep := range []time.Duration{leafLife + time.Hour, 3 * leafLife} {
		for _, name := range []string{ServerName, "192.0.2.7"} {
			if _, err := shake(t, c, c.CA(), name, now.Add(asleep)); err != nil {
				t.Errorf("after %v to %s: %v", asleep, name, err)
			}
		}
	}
}

// TestClockWasAhead starts with a leaf of next year, which nobody would take today,
// and replaces it.
func TestClockWasAhead(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tls")
	now := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	if _, err := OpenCerts(dir, nil, now); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenCerts(dir, nil, now.AddDate(1, 0, 0)); err != nil {
		t.Fatal(err)
	}
	c, err := OpenCerts(dir, nil, now)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := shake(t, c, c.CA(), ServerName, now); err != nil {
		t.Errorf("the clock is right again: %v", err)
	}
}

// TestCANearItsEnd still has a good leaf on the CA's last day, and none after it.
func TestCANearItsEnd(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tls")
	now := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	c, err := OpenCerts(dir, nil, now)
	if err != nil {
		t.Fatal(err)
	}
	last := now.Add(caLife - time.Hour)
	if renewed, err := c.Renew(last, nil); err != nil || !renewed {
		t.Fatalf("Renew = %v, %v", renewed, err)
	}
	if _, err := shake(t, c, c.CA(), ServerName, last); err != nil {
		t.Errorf("in its last hour: %v", err)
	}
	if renewed, err := c.Renew(last.Add(time.Minute), nil); err != nil || renewed {
		t.Errorf("Renew a minute later = %v, %v, want it left alone", renewed, err)
	}
	if _, err := OpenCerts(dir, nil, last.Add(2*time.Hour)); err == nil || !strings.Contains(err.Error(), "ran out on 2036-02-27") {
		t.Errorf("after it: %v", err)
	}
	if _, err := OpenCerts(dir, nil, now.Add(-2*time.Hour)); err == nil || !strings.Contains(err.Error(), "set the clock") {
		t.Errorf("before it: %v", err)
	}
}

// TestCertsRefused never makes a new CA where there was one, and reads none that
// others may have read.
func TestCertsRefused(t *testing.T) {
	now := time.Now()
	for _, tt := range []struct {
		name  string
		spoil func(t *testing.T, dir string) error
		want  string // empty: it goes on
	}{
		{"no CA", func(_ *testing.T, dir string) error { return os.Remove(filepath.Join(dir, caFile)) }, "ca.pem is missing: restore it"},
		{"an empty CA", func(_ *testing.T, dir string) error { return os.Truncate(filepath.Join(dir, caFile), 0) }, "ca.pem: tls: failed to find any PEM data"},
		{"half a CA", func(t *testing.T, dir string) error {
			data, err := os.ReadFile(filepath.Join(dir, caFile))
			if err != nil {
				t.Fatal(err)
			}
			cert, _, _ := strings.Cut(string(data), "-----BEGIN PRIVATE")
			return os.WriteFile(filepath.Join(dir, caFile), []byte(cert), 0o600)
		}, "ca.pem: tls: found a certificate rather than a key"},
		{"a CA that others can read", func(_ *testing.T, dir string) error {
			return os.Chmod(filepath.Join(dir, caFile), 0o640)
		}, "ca.pem can be read by others (mode 0640): chmod 600 it"},
		{"a leaf in the CA's place", func(_ *testing.T, dir string) error {
			return os.Rename(filepath.Join(dir, leafFile), filepath.Join(dir, caFile))
		}, "holds no CA certificate"},
		{"a file instead of a directory", func(_ *testing.T, dir string) error {
			if err := os.RemoveAll(dir); err != nil {
				return err
			}
			return os.WriteFile(dir, nil, 0o600)
		}, "not a directory"},
		{"no leaf", func(_ *testing.T, dir string) error { return os.Remove(filepath.Join(dir, leafFile)) }, ""},
		{"a broken leaf", func(_ *testing.T, dir string) error { return os.Truncate(filepath.Join(dir, leafFile), 100) }, ""},
		{"the leaf of another CA", func(t *testing.T, dir string) error {
			other := filepath.Join(t.TempDir(), "tls")
			if _, err := OpenCerts(other, nil, now); err != nil {
				return err
			}
			return os.Rename(filepath.Join(other, leafFile), filepath.Join(dir, leafFile))
		}, ""},
		{"a leaf that others can read", func(_ *testing.T, dir string) error {
			return os.Chmod(filepath.Join(dir, leafFile), 0o644)
		}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "tls")
			first, err := OpenCerts(dir, nil, now)
			if err != nil {
				t.Fatal(err)
			}
			if err := tt.spoil(t, dir); err != nil {
				t.Fatal(err)
			}
			c, err := OpenCerts(dir, nil, now)
			if tt.want != "" {
				if err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Fatalf("OpenCerts = %v, want %q", err, tt.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if _, err := shake(t, c, first.CA(), ServerName, now); err != nil {
				t.Errorf("under the first CA: %v", err)
			}
			checkModes(t, dir)
		})
	}
}

// TestCertModes lets nobody else read a key, at the first start and later.
func TestCertModes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tls")
	now := time.Now()
	c, err := OpenCerts(dir, nil, now)
	if err != nil {
		t.Fatal(err)
	}
	checkModes(t, dir)
	if _, err := c.Renew(now.Add(leafLife), nil); err != nil {
		t.Fatal(err)
	}
	checkModes(t, dir)
	if left, err := os.ReadDir(filepath.Dir(dir)); err != nil || len(left) != 1 {
		t.Errorf("beside it are %v, %v", left, err)
	}
}

func checkModes(t *testing.T, dir string) {
	t.Helper()
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%s: %v, %v, want mode 0700", dir, info.Mode(), err)
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 2 {
		t.Fatalf("files %v, %v, want two", files, err)
	}
	for _, f := range files {
		if info, err := f.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v, want mode 0600", f.Name(), info.Mode(), err)
		}
	}
}
