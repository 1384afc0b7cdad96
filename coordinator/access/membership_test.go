package access

import (
	"crypto/tls"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jbcnet/jbc/coordinator/protocol"
)

// testMembership is of a machine that joined alpha, whose certificates those are.
func testMembership(t *testing.T, c *Certs) *Membership {
	t.Helper()
	seed, _, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	return &Membership{
		Network: "regtest-1a2b3c4d", Coordinator: "alpha", Key: publicOf(t, "alpha"), Role: protocol.RoleWorker, Name: "rig",
		Addresses: []string{"192.0.2.7:4222", "192.0.2.8:4222"}, CA: c.CA(), Seed: seed, Joined: time.Unix(1_000_000, 0).UTC(),
	}
}

func testCerts(t *testing.T) *Certs {
	t.Helper()
	c, err := OpenCerts(filepath.Join(t.TempDir(), "tls"), nil, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// otherOf returns what is kept of a node with those certificates.
func otherOf(t *testing.T, c *Certs, name string, addresses ...string) Other {
	t.Helper()
	o, ok := OtherOf(&protocol.Node{Name: name, Key: publicOf(t, name), CA: c.ca.cert.Raw, Addresses: addresses})
	if !ok || o.CA != c.CA() {
		t.Fatalf("%v, CA %q, want %q", ok, o.CA, c.CA())
	}
	return o
}

// TestMembershipOthers keeps other coordinators, connects to them after its own, and
// trusts the CA of each and no other.
func TestMembershipOthers(t *testing.T) {
	alpha, beta, stranger := testCerts(t), testCerts(t), testCerts(t)
	m := testMembership(t, alpha)
	m.Mesh, m.Routes = publicOf(t, "mesh"), []string{"192.0.2.7:6222"}
	m.Others = []Other{otherOf(t, beta, "beta", "192.0.2.9:4222", "192.0.2.7:4222"), otherOf(t, beta, "gamma", "192.0.2.10:4222")}
	path := filepath.Join(t.TempDir(), "membership")
	if err := m.Save(path); err != nil {
		t.Fatal(err)
	}
	m, want := loadAgain(t, path), m
	if !reflect.DeepEqual(m, want) {
		t.Errorf("loaded %+v, want %+v", m, want)
	}
	if got, want := m.URL(), "tls://192.0.2.7:4222,tls://192.0.2.9:4222,tls://192.0.2.10:4222,tls://192.0.2.8:4222"; got != want {
		t.Errorf("URL = %s, want %s", got, want)
	}
	config, err := m.tls()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name    string
		certs   *Certs
		trusted bool
	}{{"its coordinator", alpha, true}, {"another that was vouched for", beta, true}, {"a stranger", stranger, false}} {
		if err := meet(config, tt.certs); (err == nil) != tt.trusted {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// TestInTurns has whoever is away tried once before the next is.
func TestInTurns(t *testing.T) {
	for _, tt := range []struct {
		name  string
		lists [][]string
		want  []string
	}{
		{"none", nil, nil},
		{"one", [][]string{{"a1", "a2", "a1"}}, []string{"a1", "a2"}},
		{"several", [][]string{{"a1", "a2", "a3"}, nil, {"b1"}, {"c1", "c2"}}, []string{"a1", "b1", "c1", "a2", "c2", "a3"}},
		{"the same of two", [][]string{{"a1", "a2"}, {"a2", "a1", "b3"}}, []string{"a1", "a2", "b3"}},
	} {
		if got := InTurns(tt.lists...); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func loadAgain(t *testing.T, path string) *Membership {
	t.Helper()
	m, err := LoadMembership(path)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// meet has a client with that configuration shake hands with a server.
func meet(config *tls.Config, with *Certs) error {
	ours, theirs := net.Pipe()
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = tls.Server(theirs, with.Config()).Handshake() // the client says what was wrong
	}()
	err := tls.Client(ours, config).Handshake()
	ours.Close()
	<-served
	return err
}

// TestOldMembership reads and writes a file of the earliest version as it was.
func TestOldMembership(t *testing.T) {
	path := filepath.Join(t.TempDir(), "membership")
	if err := testMembership(t, testCerts(t)).Save(path); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, field := range []string{"mesh", "routes", "others"} {
		if strings.Contains(string(data), `"`+field+`"`) {
			t.Errorf("the file names %s: %s", field, data)
		}
	}
	if m := loadAgain(t, path); len(m.URLs()) != 2 || m.Others != nil {
		t.Errorf("read as %+v", m)
	}
}

// TestMembershipRefuses changes one thing at a time.
func TestMembershipRefuses(t *testing.T) {
	certs := testCerts(t)
	for _, tt := range []struct {
		name   string
		change func(*Membership)
		want   string
	}{
		{"as it is", func(*Membership) {}, ""},
		{"64 others", func(m *Membership) {
			for len(m.Others) < maxOthers {
				m.Others = append(m.Others, m.Others[0])
			}
		}, ""},
		{"65 others", func(m *Membership) {
			for len(m.Others) <= maxOthers {
				m.Others = append(m.Others, m.Others[0])
			}
		}, "65 other coordinators, at most 64"},
		{"a mesh key that is none", func(m *Membership) { m.Mesh = "U" }, `mesh key "U"`},
		{"17 routes", func(m *Membership) { m.Routes = make([]string, protocol.MaxRoutes+1) }, "17 routes, at most 16"},
		{"a route without a port", func(m *Membership) { m.Routes = []string{"192.0.2.7"} }, "route: address"},
		{"an other without a name", func(m *Membership) { m.Others[0].Name = "" }, `other coordinator name ""`},
		{"an other without a key", func(m *Membership) { m.Others[0].Key = "" }, `other coordinator beta: key ""`},
		{"an other without a CA", func(m *Membership) { m.Others[0].CA = "" }, "other coordinator beta: no CA certificate"},
		{"an other with a long CA", func(m *Membership) { m.Others[0].CA += strings.Repeat("\n", maxPEM) }, "other coordinator beta: no CA certificate in"},
		{"an other at no address", func(m *Membership) { m.Others[0].Addresses = nil }, "beta: 0 addresses, want 1 to 8"},
		{"an other at 9 addresses", func(m *Membership) { m.Others[0].Addresses = make([]string, 9) }, "beta: 9 addresses, want 1 to 8"},
		{"an other at a URL", func(m *Membership) { m.Others[0].Addresses[0] = "tls://x:1,y:2" }, "beta: address"},
		{"no CA of its own", func(m *Membership) { m.CA = "" }, "no CA certificate"},
	} {
		m := testMembership(t, certs)
		m.Others = []Other{otherOf(t, certs, "beta", "192.0.2.9:4222")}
		tt.change(m)
		path := filepath.Join(t.TempDir(), "membership")
		if err := m.Save(path); tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: %v, want %q in it", tt.name, err, tt.want)
		}
	}
	for _, n := range []protocol.Node{{Name: "x", CA: []byte{1}}, {Name: "x", Addresses: []string{"192.0.2.9:4222"}}} {
		if o, ok := OtherOf(&n); ok {
			t.Errorf("a node that no machine can connect to is kept as %+v", o)
		}
	}
}
