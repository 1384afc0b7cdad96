//go:build linux

package farm

import (
	"bytes"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/coordinator/access"
	"github.com/jbcnet/jbc/coordinator/protocol"
)

// TestSecrets runs everything as talkative as it can be and looks for keys and
// passwords in logs, command lines, answers and messages.
func TestSecrets(t *testing.T) {
	t.Parallel()
	const password = "pass-1f3a9c"
	f := newFarm(t)
	f.natsServer(t, "JBC_FARM_USER=farmer", "JBC_FARM_PASSWORD="+password)
	withPassword := "nats://farmer:" + password + "@" + f.host
	f.env = []string{"JBC_LOG_LEVEL=debug", "NATS_URL=" + withPassword}

	var mu sync.Mutex
	var wire bytes.Buffer
	f.url = withPassword
	o := f.observe(t, chain.Dev(), hooks{any: func(m *nats.Msg) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintf(&wire, "%s %s %v %s\n", m.Subject, m.Reply, m.Header, m.Data)
	}})
	o.connected(t)
	c := start(t, "coordinator", f.command("coordinator", "--mine", "--threads", "1", "--name", coordinatorName))
	f.env = []string{"JBC_LOG_LEVEL=debug", "JBC_NATS=nats://" + f.host, "NATS_USER=farmer", "NATS_PASSWORD=" + password}
	w := start(t, "w1", f.command("worker", "--threads", "1"))
	w.says(t, patience, `msg="block accepted"`)
	c.says(t, patience, "msg=block ")

	var shown strings.Builder
	for _, args := range [][]string{{"status"}, {"status", "--json"}, {"chain", "show", "1"}, {"chain", "show", "1", "--json"}} {
		stdout, stderr, status := f.run(t, args...)
		if status != 0 {
			t.Errorf("jbc %q ended with %d: %s", args, status, stderr)
		}
		shown.WriteString(stdout + stderr)
	}
	var commands strings.Builder
	for _, p := range []*process{c, w} {
		line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.cmd.Process.Pid))
		if err != nil {
			t.Fatal(err)
		}
		commands.Write(line)
	}
	w.interrupt(t)
	c.interrupt(t)

	secrets := map[string]string{"the NATS password": password}
	for _, name := range []string{"payout.key", "coordinator.nk"} {
		path := filepath.Join(f.dataDir("dev"), name)
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != 0o600 {
			t.Errorf("%s has mode %v, want 0600", name, info.Mode())
		}
		key, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if secrets[name] = strings.TrimSpace(string(key)); len(secrets[name]) < 40 {
			t.Errorf("%s holds %d characters", name, len(secrets[name]))
		}
	}
	mu.Lock()
	defer mu.Unlock()
	for place, text := range map[string]string{
		"the coordinator's log": c.out.text(), "the worker's log": w.out.text(), "an answer": shown.String(),
		"a command line": commands.String(), "a message": wire.String(),
	} {
		if len(text) < 20 {
			t.Errorf("%s: only %q was looked at", place, text)
		}
		for name, secret := range secrets {
			if at := strings.Index(text, secret); at >= 0 {
				t.Errorf("%s holds %s: ...%s...", place, name, text[max(0, at-80):at])
			}
		}
	}
	if len(c.out.with("level=DEBUG")) == 0 || len(w.out.with("level=DEBUG")) == 0 {
		t.Error("nothing was logged at level debug")
	}
	eventually(t, time.Second, "what was heard", func() bool { return wire.Len() > 1000 })
}

// TestSecretsOfJoining has machines join, as talkative as it can be, and looks for
// everything that lets somebody in: in logs, answers, process lists, environments
// and files that others can read.
func TestSecretsOfJoining(t *testing.T) {
	t.Parallel()
	hosts, _ := newHosts(t, 2)
	for _, h := range hosts {
		h.env = []string{"JBC_LOG_LEVEL=trace"}
	}
	// The line for other machines goes to standard output, and that to a terminal.
	terminal := filepath.Join(t.TempDir(), "terminal")
	c := &listening{host: hosts[0], port: "4222"}
	if c.space == "" {
		_, c.port, _ = net.SplitHostPort(freePort(t))
	}
	c.process = start(t, coordinatorName, c.on(c.shell(`exec "$0" "$@" >`+terminal,
		"coordinator", "--name", coordinatorName, "--listen", "0.0.0.0:"+c.port, "--advertise", c.address)))
	var line string
	eventually(t, patience, "the line for other machines", func() bool {
		text, _ := os.ReadFile(terminal)
		line = strings.TrimSpace(string(text))
		return strings.HasPrefix(line, "jbc join jbc1-")
	})

	joining := hosts[1].jbc("join", "--name", "h2")
	paste, err := joining.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	j := start(t, "join", joining)
	var seen strings.Builder
	seen.WriteString(processes(t))
	if _, err := io.WriteString(paste, line+"\n"); err != nil {
		t.Fatal(err)
	}
	seen.WriteString(processes(t))
	if err := paste.Close(); err != nil {
		t.Fatal(err)
	}
	j.wait(t, 0)
	w := start(t, "h2", hosts[1].jbc("worker", "--threads", "1"))
	w.says(t, patience, "msg=joined")

	stdout, stderr, status := finish(t, c.jbc("token", "new", "--role", "observer"))
	if status != 0 {
		t.Fatalf("jbc token new: status %d, %s", status, stderr)
	}
	second := strings.TrimSpace(stdout)
	var shown strings.Builder
	shown.WriteString(stderr)
	for _, args := range [][]string{{"status", "--json"}, {"token", "list"}, {"token", "list", "--json"}, {"token", "revoke", "h2"}} {
		stdout, stderr, status := finish(t, c.jbc(args...))
		if status != 0 {
			t.Errorf("jbc %q ended with %d: %s", args, status, stderr)
		}
		shown.WriteString(stdout + stderr)
	}
	w.says(t, patience, "refuses the credentials")
	refuses(t, hosts[1].joinWith(line), failed, "good once", "") // which leaves nothing behind either
	seen.WriteString(processes(t))
	w.interrupt(t)
	c.process.interrupt(t)

	secrets := map[string]string{"the first token": word(line), "the second token": word(second)}
	for name, text := range map[string]string{"the first token's seed": line, "the second token's seed": second} {
		token, err := protocol.ParseToken(word(text))
		if err != nil {
			t.Fatal(err)
		}
		secrets[name] = token.Seed
	}
	mine, joined := c.dataDir("dev"), filepath.Join(hosts[1].home, ".config", "jbc", "joined")
	for name, path := range map[string]string{"the machine's seed": filepath.Join(joined, "worker.json"), "the owner's seed": filepath.Join(mine, "owner.json")} {
		m, err := access.LoadMembership(path)
		if err != nil {
			t.Fatal(err)
		}
		secrets[name] = m.Seed
	}
	for _, path := range []string{"coordinator.nk", "payout.key"} {
		key, err := os.ReadFile(filepath.Join(mine, path))
		if err != nil {
			t.Fatal(err)
		}
		secrets[path] = strings.TrimSpace(string(key))
	}
	for name, key := range privateKeys(t, filepath.Join(mine, "tls")) {
		secrets[name] = key
	}
	if len(secrets) < 10 {
		t.Errorf("only these are looked for: %v", slices.Sorted(maps.Keys(secrets)))
	}
	places := map[string]string{
		"the coordinator's log": c.process.out.text(), "the worker's log": w.out.text(), "the joining machine's output": j.out.text(),
		"an answer": shown.String(), "a process": seen.String(),
	}
	for _, h := range hosts {
		readableByOthers(t, h.home, places)
	}
	for place, text := range places {
		for name, secret := range secrets {
			if len(secret) < 40 {
				t.Fatalf("%s has %d characters", name, len(secret))
			}
			if at := strings.Index(text, secret); at >= 0 {
				t.Errorf("%s holds %s: ...%s...", place, name, text[max(0, at-80):at])
			}
		}
	}
	if len(c.process.out.with("level=TRACE")) == 0 || len(w.out.with("level=DEBUG")) == 0 || seen.Len() < 500 {
		t.Errorf("little was looked at: %d characters of processes, and in the log\n%s", seen.Len(), c.process.out.text())
	}
}

// shell runs a line of sh with jbc as $0.
func (f *farm) shell(line string, args ...string) *exec.Cmd {
	cmd := f.command(args...)
	cmd.Args = append([]string{"sh", "-c", line, jbc}, args...)
	cmd.Path = "/bin/sh"
	return cmd
}

// processes returns the command lines and environments of all processes of this
// machine but this one.
func processes(t *testing.T) string {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err != nil || pid == os.Getpid() {
			continue
		}
		for _, file := range []string{"cmdline", "environ"} {
			text, _ := os.ReadFile(filepath.Join("/proc", e.Name(), file)) // it may have ended
			all.Write(text)
		}
	}
	return all.String()
}

// privateKeys returns what is secret in the PEM files of a directory.
func privateKeys(t *testing.T, dir string) map[string]string {
	t.Helper()
	keys := map[string]string{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
			if strings.Contains(block.Type, "PRIVATE KEY") {
				// The first line of a key is nothing but its form.
				keys["the key in "+e.Name()] = lines(string(pem.EncodeToMemory(block)))[2]
			}
		}
	}
	if len(keys) != 2 {
		t.Errorf("%d private keys in %s, want the CA's and the server's", len(keys), dir)
	}
	return keys
}

// readableByOthers adds to places what users other than a home's can read in it,
// the modes of directories aside.
func readableByOthers(t *testing.T, home string, places map[string]string) {
	t.Helper()
	err := filepath.WalkDir(home, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err != nil || info.Mode().Perm()&0o077 == 0 {
			return err
		}
		text, err := os.ReadFile(path)
		places[path] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
