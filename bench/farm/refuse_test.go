//go:build linux

package farm

import (
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/chain/store"
)

// Exit statuses of jbc.
const (
	failed = 1
	misuse = 2
)

// nobody is a user that owns nothing.
const nobody = 65534

// TestRefusals gives a coordinator with a chain whatever can be wrong. Each gets its
// line and its hint, and in the end the chain is what it was.
func TestRefusals(t *testing.T) {
	t.Parallel()
	f := newFarm(t)
	o := f.observe(t, chain.Dev(), hooks{})
	mined := f.coordinator(t, "--mine")
	eventually(t, luck, "two blocks are announced", func() bool { return len(o.blocks()) >= 2 })
	o.discovered(t) // it takes a third of a second to answer to its name, longer than two blocks

	t.Run("while it runs", func(t *testing.T) {
		f.refuses(t, failed, "is in use by another process", "--data-dir", "coordinator", "--listen", freePort(t))
		other := &farm{home: t.TempDir(), host: f.host, url: f.url}
		other.refuses(t, failed, "address already in use", "--nats URL", "coordinator", "--listen", f.host)
		if _, err := os.Stat(filepath.Join(other.dataDir("dev"), "chain")); err != nil {
			t.Errorf("the other one's data: %v", err)
		}
		other.refuses(t, failed, "another coordinator has this name", "--name", "coordinator", "--name", coordinatorName, "--nats", f.url)
		f.refuses(t, failed, "no block at height 4000000000", "jbc status", "chain", "show", "4000000000", "--nats", f.url)
		f.refuses(t, misuse, `"xyz" is neither a height nor a block hash`, "usage: jbc chain show", "chain", "show", "xyz", "--nats", f.url)
	})
	mined.interrupt(t)
	announced := o.blocks()

	for _, test := range []struct {
		name, says, hint string
		status           int
		args             []string
	}{
		{"unknown network", `no network "nope"; there are dev, main, regtest`, "--network", misuse, []string{"--network", "nope"}},
		{"another network's data", `holds network "` + chain.Dev().ID() + `", not "` + chain.Main().ID() + `"`, "--data-dir", failed, []string{"--network", "main", "--data-dir", f.dataDir("dev")}},
		{"foreign address", `"bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq": not an address of this network: want network dev, as in jbcd1`, "--address", misuse, []string{"--address", "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq"}},
		{"no address", "not an address of this network", "--address", misuse, []string{"--address", "jbcd1qqqqq"}},
		{"advertise what only this machine can reach", "only this machine can connect", "--listen 0.0.0.0:4222", misuse, []string{"--advertise", "example.org"}},
		{"listen nowhere", "missing port in address", "HOST:PORT", misuse, []string{"--listen", "nonsense"}},
		{"port out of range", `port "70000", want 0 to 65535`, "HOST:PORT", misuse, []string{"--listen", "127.0.0.1:70000"}},
		{"listen and port", "--port and --listen are both given", "--port PORT is short", misuse, []string{"--port", "4222"}},
		{"name", `name "a.b" has the character '.'`, "--name", misuse, []string{"--name", "a.b"}},
		{"coinbase text", "want at most 32 bytes", "--data", misuse, []string{"--data", strings.Repeat("x", 33)}},
		{"kernel", `no kernel "avx9000"`, "jbc kernels", misuse, []string{"--kernel", "avx9000"}},
		{"threads", "-1 threads", "--threads", misuse, []string{"--threads", "-1"}},
		{"flag", "unknown flag: --mien", "--help", misuse, []string{"--mien"}},
		{"argument", "takes 0 argument(s), got 1", "usage", misuse, []string{"mine"}},
		{"log level", `no log level "loud"`, "--log-level", misuse, []string{"--log-level", "loud"}},
		{"credentials", "/nonexistent: no such file", "NATS_", misuse, []string{"--nats-creds", "/nonexistent"}},
		{"NATS address", "invalid port", "nats://HOST:4222", failed, []string{"--nats", "nats://somebody:secret@host:port"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			args := append([]string{"coordinator", "--listen", freePort(t)}, test.args...)
			said := f.refuses(t, test.status, test.says, test.hint, args...)
			if strings.Contains(said, "secret") {
				t.Errorf("a password was printed: %s", said)
			}
		})
	}
	t.Run("worker's flags", func(t *testing.T) {
		f.refuses(t, misuse, `"nonsense" is no public nkey`, "--help", "worker", "--key", "nonsense")
		f.refuses(t, misuse, `name "a.b"`, "--help", "worker", "--coordinator", "a.b")
	})
	t.Run("payout key that others can read", func(t *testing.T) {
		key := filepath.Join(f.dataDir("dev"), "payout.key")
		chmod(t, key, 0o644)
		defer chmod(t, key, 0o600)
		f.refuses(t, failed, "can be read by others (mode 0644): chmod 600 it", "", "coordinator", "--listen", freePort(t))
	})
	t.Run("credentials that are not whole", func(t *testing.T) {
		dir := filepath.Join(f.dataDir("dev"), "tls")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = os.RemoveAll(dir) }()
		f.refuses(t, failed, "ca.pem is missing: restore it", "listens on loopback only", "coordinator", "--listen", "0.0.0.0:0")
	})
	t.Run("newer format", func(t *testing.T) {
		newer := t.TempDir()
		if err := os.CopyFS(newer, os.DirFS(f.dataDir("dev"))); err != nil {
			t.Fatal(err)
		}
		setFormat(t, filepath.Join(newer, "chain"), 3)
		f.refuses(t, failed, "has format 3, and this program knows up to 2", "--data-dir", "coordinator", "--listen", freePort(t), "--data-dir", newer)
	})

	again := f.coordinator(t)
	again.says(t, patience, "msg=coordinator ", fmt.Sprintf("height=%d ", announced[len(announced)-1].height))
	o.discovered(t)
	checkAnnounced(t, o, announced)
}

// refuses runs jbc and wants it to end by itself with one line that contains says,
// and a hint; it returns what was printed.
func (f *farm) refuses(t *testing.T, status int, says, hint string, args ...string) string {
	t.Helper()
	return refuses(t, f.command(args...), status, says, hint)
}

func refuses(t *testing.T, cmd *exec.Cmd, status int, says, hint string) string {
	t.Helper()
	stdout, stderr, got := finish(t, cmd)
	wrong := func(what string) {
		t.Helper()
		t.Errorf("%v: %s; status %d, standard output %q, standard error:\n%s", cmd.Args[1:], what, got, stdout, stderr)
	}
	if got != status {
		wrong(fmt.Sprintf("want status %d", status))
	}
	if stdout != "" {
		wrong("want nothing on standard output")
	}
	all := lines(stderr)
	for len(all) > 0 && strings.HasPrefix(all[0], "time=") { // the log, up to there
		if strings.Contains(all[0], "level=ERROR") {
			wrong("an error was logged besides")
		}
		all = all[1:]
	}
	switch {
	case len(all) == 0 || len(all) > 2:
		wrong("want one line, and one hint")
	case !strings.HasPrefix(all[0], "jbc: ") || !strings.Contains(all[0], says):
		wrong(fmt.Sprintf("want a line with %q", says))
	case hint != "" && (len(all) < 2 || !strings.HasPrefix(all[1], "jbc: hint: ") || !strings.Contains(all[1], hint)):
		wrong(fmt.Sprintf("want a hint with %q", hint))
	}
	return stdout + stderr
}

// setFormat writes the record that says which format a store's directory has.
func setFormat(t *testing.T, dir string, format uint32) {
	t.Helper()
	s, err := store.Open(store.Options{Dir: dir, Network: chain.Dev().ID()})
	if err != nil {
		t.Fatal(err)
	}
	const meta = store.Space('m') // of the store itself
	b := s.NewBatch()
	b.Set(meta, []byte("format"), binary.BigEndian.AppendUint32(nil, format))
	pending, err := b.Apply()
	if err != nil {
		t.Fatal(err)
	}
	if err := pending.Wait(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestForeignDirectory runs as a user who may not write where the data is to be.
func TestForeignDirectory(t *testing.T) {
	t.Parallel()
	f := newFarm(t)
	owned := filepath.Join(f.home, "owned")
	locked := filepath.Join(f.home, "locked")
	chmod(t, filepath.Dir(f.home), 0o755) // the tester's alone otherwise
	for _, dir := range []string{owned, locked} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	chmod(t, owned, 0o555)
	chmod(t, locked, 0o000)
	for _, test := range []struct{ name, dir string }{
		{"not writable", owned},
		{"not to be entered", locked},
		{"not to be made", filepath.Join(owned, "new")},
	} {
		t.Run(test.name, func(t *testing.T) {
			cmd := f.command("coordinator", "--listen", freePort(t), "--data-dir", test.dir)
			if isRoot() { // whom no mode keeps out
				cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
			}
			refuses(t, cmd, failed, "permission denied", "--data-dir")
		})
	}
}

func chmod(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}
