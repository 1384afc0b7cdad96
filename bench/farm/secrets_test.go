//go:build linux

package farm

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/jbcnet/jbc/chain"
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
