package main

import (
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/knadh/koanf/v2"
	"github.com/nats-io/nats.go"

	"github.com/jbcnet/jbc/coordinator/access"
	"github.com/jbcnet/jbc/coordinator/protocol"
)

// TestPlaceNeedsNoServer refuses, beside --join, what is for the embedded server, which
// is not started then.
func TestPlaceNeedsNoServer(t *testing.T) {
	seed, _, err := access.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	certs, err := access.OpenCerts(filepath.Join(t.TempDir(), "tls"), nil, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	_, key, err := access.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "coordinator.json")
	m := &access.Membership{
		Network: "dev-1a2b3c4d", Coordinator: "alpha", Key: key, Role: protocol.RoleCoordinator, Name: "beta",
		Addresses: []string{"192.0.2.7:4222"}, CA: certs.CA(), Seed: seed, Joined: time.Now().UTC().Truncate(time.Second),
	}
	if err := m.Save(path); err != nil {
		t.Fatal(err)
	}
	s := &shell{out: t.Output(), err: t.Output(), log: slog.New(slog.DiscardHandler), conf: koanf.New(".")}
	for _, tt := range []struct {
		name   string
		change func(*coordinatorFlags)
		want   string // in what is said to be wrong
	}{
		{"nothing else", func(*coordinatorFlags) {}, ""},
		{"--lan", func(f *coordinatorFlags) { f.lan, f.listen = true, "0.0.0.0:4222" }, "--lan"},
		{"--advertise", func(f *coordinatorFlags) { f.advertise = []string{"192.0.2.9"} }, "--advertise"},
		{"--mine", func(f *coordinatorFlags) { f.mine = true }, "--mine"},
		{"--mesh", func(f *coordinatorFlags) { f.mesh.listen = "127.0.0.1:6222" }, "--mesh"},
		{"--node", func(f *coordinatorFlags) { f.mesh.nodes = []string{"127.0.0.1:6222"} }, "--node"},
		{"a server of its own", func(f *coordinatorFlags) {
			f.place.own, f.listen, f.mine, f.advertise = true, "0.0.0.0:4222", true, []string{"192.0.2.9"}
		}, ""},
	} {
		f := &coordinatorFlags{network: "dev", listen: defaultListen, place: placeFlags{join: path}}
		tt.change(f)
		err := f.place.take(s, f)
		if err == nil {
			err = errors.Join(f.checkLAN(), f.checkMesh())
		}
		switch {
		case tt.want == "" && err != nil:
			t.Errorf("%s: %v", tt.name, err)
		case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "joined") && !strings.Contains(err.Error(), "--join")):
			t.Errorf("%s: %v, want a refusal that names it and --join", tt.name, err)
		}
	}
}

// TestMeshFlags refuses what makes no sense, by the flag's name.
func TestMeshFlags(t *testing.T) {
	for _, tt := range []struct {
		listen, mesh, node, nats, want string
	}{
		{defaultListen, "", "", "", ""},
		{defaultListen, "127.0.0.1:0", "127.0.0.1:6222", "", ""},
		{defaultListen, "off", "", "nats://elsewhere:4222", ""},
		{"0.0.0.0:4222", "0.0.0.0:6222", "", "", ""},
		{defaultListen, "6222", "", "", `--mesh "6222"`},
		{defaultListen, "127.0.0.1:http", "", "", `--mesh "127.0.0.1:http"`},
		{defaultListen, "0.0.0.0:6222", "", "", `--mesh "0.0.0.0:6222": not a loopback address`},
		{defaultListen, "", "localhost", "", `--node "localhost"`},
		{defaultListen, "", "127.0.0.1:0", "", `--node "127.0.0.1:0"`},
		{defaultListen, "", "192.0.2.7:6222", "", `--node "192.0.2.7:6222": not a loopback address`},
		{defaultListen, "off", "127.0.0.1:6222", "", "--mesh off"},
		{defaultListen, "", "127.0.0.1:6222", "nats://elsewhere:4222", "--nats"},
		{"0.0.0.0:4222", "", "127.0.0.1:6222", "", "--node"},
	} {
		f := &coordinatorFlags{listen: tt.listen, nats: natsFlags{url: tt.nats}, mesh: meshFlags{listen: tt.mesh}}
		if tt.node != "" {
			f.mesh.nodes = []string{tt.node}
		}
		err := f.checkMesh()
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("--listen %s --mesh %s --node %s: %v, want %q", tt.listen, tt.mesh, tt.node, err, tt.want)
		}
	}
}

// TestPatient pings a server of somebody else's less often than workers do.
func TestPatient(t *testing.T) {
	opts := nats.GetDefaultOptions()
	for _, o := range append(protocol.ConnectOptions("farm"), patient()...) {
		if err := o(&opts); err != nil {
			t.Fatal(err)
		}
	}
	if silence := opts.PingInterval * time.Duration(opts.MaxPingsOut); silence < 15*time.Second {
		t.Errorf("a server that is silent for %v is given up", silence)
	}
}
