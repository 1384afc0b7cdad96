package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/jbcnet/jbc/coordinator/access"
	"github.com/jbcnet/jbc/coordinator/protocol"
)

// membership returns a place at a coordinator that is nowhere.
func membership(t *testing.T, role protocol.Role, name string) *access.Membership {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	seed, public, err := access.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	return &access.Membership{
		Network: "dev-1a2b3c4d", Coordinator: "farm", Key: public, Role: role, Name: name,
		Addresses: []string{name + ":1"}, CA: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), Seed: seed,
	}
}

// chosen runs a command with the flags of a route and returns the way that it
// would take.
func chosen(t *testing.T, home string, want wanted, environ, args []string) (*route, error) {
	t.Helper()
	s := &shell{out: t.Output(), err: t.Output(), environ: append([]string{
		"XDG_CONFIG_HOME=" + filepath.Join(home, "config"), "XDG_DATA_HOME=" + filepath.Join(home, "data"),
	}, environ...)}
	root := newRoot(s)
	var (
		f   routeFlags
		way *route
	)
	cmd := &cobra.Command{Use: "go", RunE: func(*cobra.Command, []string) (err error) {
		way, err = f.choose(s, want)
		return err
	}}
	f.add(cmd)
	root.AddCommand(cmd)
	root.SetArgs(append([]string{"go"}, args...))
	return way, root.ExecuteContext(t.Context())
}

// TestTheWayThatIsTaken: a server that is named, a join that is named, a join that
// is kept, the owner's file, this machine.
func TestTheWayThatIsTaken(t *testing.T) {
	named := filepath.Join(t.TempDir(), "named.json")
	if err := membership(t, protocol.RoleWorker, "named").Save(named); err != nil {
		t.Fatal(err)
	}
	desk := filepath.Join(t.TempDir(), "desk.json")
	if err := membership(t, protocol.RoleObserver, "desk").Save(desk); err != nil {
		t.Fatal(err)
	}
	const joinedWorker, joinedObserver = "config/jbc/joined/worker.json", "config/jbc/joined/observer.json"
	const ownsDev, ownsMain = "data/jbc/dev/owner.json", "data/jbc/main/owner.json"
	worker := wanted{roles: []protocol.Role{protocol.RoleWorker, protocol.RoleOwner}}
	observer := wanted{roles: []protocol.Role{protocol.RoleObserver, protocol.RoleOwner}}
	on := func(w wanted, network string) wanted { w.network = network; return w }
	in := func(w wanted, dataDir string) wanted { w.dataDir = dataDir; return w }

	for _, tt := range []struct {
		name    string
		kept    []string // files below the home, each a join of its own name
		want    wanted
		environ []string
		args    []string
		url     string // of the way, or
		says    string // the error
	}{
		{"nothing", nil, worker, nil, nil, "nats://127.0.0.1:4222", ""},
		{"a join", []string{joinedWorker}, worker, nil, nil, "tls://worker:1", ""},
		{"a join and an owner's file", []string{joinedWorker, ownsDev}, worker, nil, nil, "tls://worker:1", ""},
		{"an owner's file", []string{ownsDev}, worker, nil, nil, "tls://owner:1", ""},
		{"another role's join", []string{joinedObserver}, worker, nil, nil, "nats://127.0.0.1:4222", ""},
		{"an observer's", []string{joinedWorker, joinedObserver}, observer, nil, nil, "tls://observer:1", ""},
		{"a join that is named", []string{joinedWorker}, worker, nil, []string{"--join", named}, "tls://named:1", ""},
		{"a join that is named in the environment", []string{joinedWorker}, worker, []string{"JBC_JOIN=" + named}, nil, "tls://named:1", ""},
		{"a server", []string{joinedWorker, ownsDev}, worker, nil, []string{"--nats", "nats://n:1"}, "nats://n:1", ""},
		{"a server in the environment", []string{joinedWorker}, worker, []string{"NATS_URL=nats://n:1"}, nil, "nats://n:1", ""},
		{"a server with credentials", []string{joinedWorker}, worker, []string{"NATS_URL=nats://n:1", "NATS_USER=u", "NATS_PASSWORD=p"}, nil, "nats://n:1", ""},
		{"a server taken back", []string{joinedWorker}, worker, []string{"NATS_URL=nats://n:1"}, []string{"--nats", ""}, "tls://worker:1", ""},
		{"a network's owner's file", []string{ownsDev, ownsMain}, on(observer, "main"), nil, nil, "tls://owner:1", ""},
		{"by its id", []string{ownsDev}, on(observer, "dev-1a2b3c4d"), nil, nil, "tls://owner:1", ""},
		{"of a network that is not kept", []string{ownsDev}, on(observer, "main"), nil, nil, "nats://127.0.0.1:4222", ""},
		{"of a data directory", []string{ownsDev, ownsMain}, in(observer, "HOME/data/jbc/main"), nil, nil, "tls://owner:1", ""},

		{"both", nil, worker, nil, []string{"--nats", "nats://n:1", "--join", named}, "", "are both given"},
		{"of two networks", []string{ownsDev, ownsMain}, observer, nil, nil, "", "of several networks are kept here: dev, main"},
		{"credentials besides", []string{joinedWorker}, worker, []string{"NATS_USER=u"}, nil, "", "NATS_USER is given, and this machine joined dev-1a2b3c4d"},
		{"credentials besides one that is named", nil, worker, []string{"NATS_NKEY=/some/file"}, []string{"--join", named}, "", "--nats-nkey (NATS_NKEY) is given"},
		{"no such file", nil, worker, nil, []string{"--join", "/nowhere/a.json"}, "", "no join at /nowhere/a.json"},
		{"for another command", nil, worker, nil, []string{"--join", desk}, "", "is the join of an observer"},
		{"that others can read", []string{"0644:" + joinedWorker}, worker, nil, nil, "", "can be read by others (mode 0644): chmod 600 it"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			home := t.TempDir()
			for _, file := range tt.kept {
				file, open := strings.CutPrefix(file, "0644:")
				name := strings.TrimSuffix(filepath.Base(file), ".json")
				if err := membership(t, protocol.Role(name), name).Save(filepath.Join(home, file)); err != nil {
					t.Fatal(err)
				}
				if open {
					if err := os.Chmod(filepath.Join(home, file), 0o644); err != nil {
						t.Fatal(err)
					}
				}
			}
			tt.want.dataDir = strings.Replace(tt.want.dataDir, "HOME", home, 1)
			way, err := chosen(t, home, tt.want, tt.environ, tt.args)
			switch {
			case tt.says != "":
				if err == nil || !strings.Contains(err.Error(), tt.says) {
					t.Errorf("%+v, %v, want an error that says %q", way, err, tt.says)
				}
			case err != nil || way.url != tt.url:
				t.Errorf("%+v, %v, want %s", way, err, tt.url)
			case (way.member != nil) != strings.HasPrefix(tt.url, "tls://"):
				t.Errorf("%s with membership %v", way.url, way.member)
			}
		})
	}
}

func TestProcessNames(t *testing.T) {
	long := strings.Repeat("m", 24)
	joined := func(name string) *route { return &route{member: membership(t, protocol.RoleWorker, name)} }
	for _, tt := range []struct {
		way         *route
		given, want string // # stands for random digits
		says        string
	}{
		{&route{}, "", "host-####", ""},
		{&route{}, "w1", "w1", ""},
		{&route{}, "a b", "", "has the character ' '"},
		{joined("rig1"), "", "rig1_####", ""},
		{joined("rig1"), "rig1", "rig1", ""},
		{joined("rig1"), "rig1_gpu", "rig1_gpu", ""},
		{joined("rig1"), "gpu", "rig1_gpu", ""},
		{joined("rig1"), "rig12", "rig1_rig12", ""},
		{joined("rig1"), "a b", "", "has the character ' '"},
		{joined(long), "", long + "_####", ""},
		{joined(long), "1234567", long + "_1234567", ""},
		{joined(long), "12345678", "", "has 33 characters, want 1 to 32: this machine joined as " + long},
	} {
		got, err := tt.way.process(tt.given, "host")
		if tt.says != "" {
			if err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("process(%q) = %q, %v, want %q", tt.given, got, err, tt.says)
			}
			continue
		}
		start, random := strings.CutSuffix(tt.want, "####")
		if err != nil || !strings.HasPrefix(got, start) || len(got) != len(tt.want) || !random && got != tt.want {
			t.Errorf("process(%q) = %q, %v, want %q", tt.given, got, err, tt.want)
		}
	}
	if name, err := (&route{}).process("", strings.Repeat("h", 60)); err != nil || len(name) != 32 {
		t.Errorf("a long host name: %q, %v", name, err)
	}
}

// TestPins: what a membership says can't be said otherwise.
func TestPins(t *testing.T) {
	m := membership(t, protocol.RoleWorker, "rig1")
	all := pins{"dev-1a2b3c4d", "farm", m.Key}
	for _, tt := range []struct {
		given pins
		says  string
	}{
		{pins{}, ""}, {all, ""}, {pins{network: "dev"}, ""},
		{pins{network: "main"}, `--network "main" is given, and this machine joined "dev-1a2b3c4d"`},
		{pins{network: "dev-00000000"}, `--network "dev-00000000" is given`},
		{pins{coordinator: "barn"}, `--coordinator "barn" is given, and this machine joined "farm"`},
		{pins{key: m.Key[:55] + "1"}, "--key "},
	} {
		got, err := (&route{member: m, chosen: "x.json"}).pin(tt.given)
		if tt.says == "" && (err != nil || got != all) || tt.says != "" && (err == nil || !strings.Contains(err.Error(), tt.says)) {
			t.Errorf("pin(%+v) = %+v, %v, want %q", tt.given, got, err, tt.says)
		}
	}
	if got, err := (&route{}).pin(pins{network: "main"}); err != nil || got != (pins{network: "main"}) {
		t.Errorf("without a membership: %+v, %v", got, err)
	}
}

// TestInboxes go by the name of the key's file, where that can be a name.
func TestInboxes(t *testing.T) {
	for _, tt := range []struct {
		flags natsFlags
		want  string
	}{
		{natsFlags{}, ""},
		{natsFlags{nkey: "/keys/desk.nk"}, "desk"},
		{natsFlags{creds: "farm.creds"}, "farm"},
		{natsFlags{nkey: "/keys/two.words.nk"}, ""},
		{natsFlags{nkey: "/keys/.nk"}, ""},
	} {
		if got := tt.flags.inbox(); got != tt.want {
			t.Errorf("%+v: %q, want %q", tt.flags, got, tt.want)
		}
	}
}

// TestTableOfACommandNamedLikeAFlag is not taken for the flag.
func TestTableOfACommandNamedLikeAFlag(t *testing.T) {
	home := t.TempDir()
	config := filepath.Join(home, "c.toml")
	if err := os.WriteFile(config, []byte("[join]\nname = \"rig1\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	way, err := chosen(t, home, wanted{}, nil, []string{"--config", config})
	if err != nil || way.chosen != byDefault {
		t.Errorf("%+v, %v", way, err)
	}
}

func TestTraceLevel(t *testing.T) {
	var out strings.Builder
	log, err := newLogger(&out, "trace", true)
	if err != nil {
		t.Fatal(err)
	}
	log.Log(t.Context(), slog.LevelDebug-4, "a")
	log.Debug("b")
	if got := out.String(); !strings.Contains(got, "level=TRACE msg=a\n") || !strings.Contains(got, "level=DEBUG msg=b\n") {
		t.Errorf("%q", got)
	}
	quiet, err := newLogger(io.Discard, "debug", true)
	if err != nil || quiet.Enabled(t.Context(), levelTrace) {
		t.Errorf("debug lets trace pass: %v", err)
	}
}
