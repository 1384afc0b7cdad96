//go:build linux

package farm

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nkeys"

	"github.com/jbcnet/jbc/coordinator/protocol"
)

// firstPaste is how long a second machine may take from the pasted line to mining.
const firstPaste = 15 * time.Second

// listening is a coordinator that other machines can join.
type listening struct {
	*host
	process *process
	port    string
}

// listen starts a coordinator on h that the others reach.
func (h *host) listen(t *testing.T, args ...string) *listening {
	t.Helper()
	l := &listening{host: h, port: "4222"}
	if h.space == "" {
		_, l.port, _ = net.SplitHostPort(freePort(t))
	}
	l.start(t, args...)
	return l
}

// start starts the coordinator, again with the same words.
func (l *listening) start(t *testing.T, args ...string) {
	t.Helper()
	all := []string{"coordinator", "--name", coordinatorName, "--listen", "0.0.0.0:" + l.port}
	if l.space == "" {
		all = append(all, "--advertise", l.address)
	}
	l.process = start(t, coordinatorName, l.jbc(append(all, args...)...))
}

// line waits for the line that the coordinator prints for other machines.
func (l *listening) line(t *testing.T) string {
	t.Helper()
	var line string
	eventually(t, patience, "the line for other machines", func() bool {
		for _, said := range lines(l.process.out.text()) {
			if strings.HasPrefix(said, "jbc join jbc1-") {
				line = said
			}
		}
		return line != ""
	})
	return line
}

// token makes one more token and returns the line that is printed with it.
func (l *listening) token(t *testing.T, args ...string) string {
	t.Helper()
	stdout, stderr, status := finish(t, l.jbc(append([]string{"token", "new"}, args...)...))
	if status != 0 || len(lines(stdout)) != 1 || !strings.HasPrefix(stdout, "jbc join jbc1-") {
		t.Fatalf("jbc token new %v: status %d, %q, %s", args, status, stdout, stderr)
	}
	return strings.TrimSpace(stdout)
}

// word returns the token of a line.
func word(line string) string { return line[strings.LastIndexByte(line, ' ')+1:] }

// forge changes the token of a line.
func forge(t *testing.T, line string, change func(token *protocol.Token)) string {
	t.Helper()
	token, err := protocol.ParseToken(word(line))
	if err != nil {
		t.Fatal(err)
	}
	change(token)
	text, err := token.Text()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// status asks for the coordinator's, as its owner does; nil while it does not answer.
func (l *listening) status(t *testing.T) *protocol.Status {
	t.Helper()
	stdout, _, status := finish(t, l.jbc("status", "--json"))
	if status != 0 {
		return nil
	}
	var st protocol.Status
	if err := json.Unmarshal([]byte(stdout), &st); err != nil {
		t.Fatalf("jbc status --json: %v: %s", err, stdout)
	}
	return &st
}

// mining waits until the coordinator has credited something new to each of the
// machines, and returns when that was seen.
func (l *listening) mining(t *testing.T, within time.Duration, machines ...string) time.Time {
	t.Helper()
	var before map[string]uint64 // what was credited when it was asked first
	eventually(t, within, fmt.Sprintf("%v mine", machines), func() bool {
		st := l.status(t)
		if st == nil {
			return false
		}
		credited, mine := map[string]uint64{}, map[string]bool{}
		for _, w := range st.Workers {
			machine, _, _ := strings.Cut(w.Name, "_")
			credited[w.Name] = w.Shares + w.Blocks
			// Not more than before, but something else: a new slot counts from nothing.
			mine[machine] = before != nil && credited[w.Name] > 0 && credited[w.Name] != before[w.Name]
		}
		if before == nil {
			before = credited
		}
		for _, machine := range machines {
			if !mine[machine] {
				return false
			}
		}
		return true
	})
	return time.Now()
}

// TestThreeMachines has a coordinator on one machine and workers on two others,
// which know nothing but the lines that were printed for them.
func TestThreeMachines(t *testing.T) {
	hosts, apart := newHosts(t, 3)
	t.Logf("network namespaces: %v", apart)
	c := hosts[0].listen(t)
	line := c.line(t)

	h2, h3 := hosts[1], hosts[2]
	pasted := time.Now()
	// The line as it stands, as somebody runs it who does not think of process lists.
	stdout, stderr, status := finish(t, h2.jbc(append(strings.Fields(line)[1:], "--name", "h2")...))
	if status != 0 || !strings.HasPrefix(stdout, "joined dev-") || !strings.Contains(stdout, " as h2: jbc worker --threads ") || len(lines(stdout)) != 1 {
		t.Fatalf("jbc join: status %d, %q, %s", status, stdout, stderr)
	}
	w2 := start(t, "h2", h2.jbc("worker", "--threads", "1"))
	w2.says(t, patience, "msg=joined")
	took := c.mining(t, firstPaste, "h2").Sub(pasted)
	t.Logf("the second machine mined %v after the line was pasted", took)
	if took > firstPaste {
		t.Errorf("it took %v, want at most %v", took, firstPaste)
	}

	stdout, stderr, status = finish(t, h3.joinWith(c.token(t)+"\n", "--name", "h3"))
	if status != 0 || !strings.Contains(stdout, " as h3: jbc worker") {
		t.Fatalf("jbc join from standard input: status %d, %q, %s", status, stdout, stderr)
	}
	w3 := start(t, "h3", h3.jbc("worker", "--threads", "1", "--name", "second"))
	for _, w := range []*process{w2, w3} {
		w.says(t, time.Minute, `msg="block accepted"`)
	}
	names := map[string]bool{}
	for _, w := range c.status(t).Workers {
		names[w.Name] = true
	}
	if len(names) != 2 || !names["h3_second"] {
		t.Errorf("the workers are called %v, want h2_ with random digits and h3_second", names)
	}

	t.Run("refused", func(t *testing.T) { refuseTokens(t, c, h3, line) })
	t.Run("listed", func(t *testing.T) { listTokens(t, c) })
	t.Run("a worker asks for the status", func(t *testing.T) {
		refuses(t, h3.jbc("status"), failed, "joined as a worker, which may not ask for that", "jbc token new --role observer")
	})
	t.Run("an observer", func(t *testing.T) { joinObserver(t, c, h3) })
	if apart {
		changeAddress(t, c, h2, w2)
	} else {
		t.Log("addresses of loopback can't be changed: not tried")
	}

	c.process.interrupt(t)
	c.start(t)
	c.process.says(t, patience, "other machines can join")
	c.mining(t, time.Minute, "h2", "h3")
	if said := c.process.out.text(); strings.Contains(said, "jbc1-") {
		t.Error("a token was printed though machines have joined")
	}

	if stdout, stderr, status := finish(t, c.jbc("token", "revoke", "h3")); status != 0 || !strings.Contains(stdout, "revoked") {
		t.Fatalf("jbc token revoke: status %d, %q, %s", status, stdout, stderr)
	}
	w3.says(t, patience, "the NATS server refuses the credentials", "has to join again")
	c.mining(t, patience, "h2")
	changeKeys(t, c, w2)

	w2.interrupt(t)
	stdout, stderr, status = finish(t, h2.joinWith(c.token(t), "--name", "h2"))
	if status != 0 || len(lines(stdout)) != 2 || !strings.Contains(stdout, "instead of dev-") {
		t.Fatalf("jbc join: status %d, %q, %s", status, stdout, stderr)
	}
	start(t, "h2", h2.jbc("worker", "--threads", "1"))
	machine := strings.TrimSpace(stdout[strings.Index(stdout, " as ")+4 : strings.Index(stdout, ":")])
	c.mining(t, patience, machine)
}

// changeAddress has a machine come back from another address.
func changeAddress(t *testing.T, c *listening, h *host, w *process) {
	t.Helper()
	h.move(t, "10.77.0.202")
	moved := time.Now()
	w.says(t, patience, "no connection to NATS")
	w.says(t, patience, "connected to NATS")
	t.Logf("back %v after the address changed", time.Since(moved))
	c.mining(t, patience, "h2")
}

// changeKeys starts the coordinator on other keys, as if its machine had been set up
// anew. The worker does not mine for it, and says why, once.
func changeKeys(t *testing.T, c *listening, w *process) {
	t.Helper()
	c.process.interrupt(t)
	for _, name := range []string{"tls", "coordinator.nk"} {
		if err := os.RemoveAll(filepath.Join(c.dataDir("dev"), name)); err != nil {
			t.Fatal(err)
		}
	}
	c.start(t)
	c.process.says(t, patience, "other machines can join")
	w.says(t, patience, "the NATS server can't be trusted", "not from the CA that is trusted here", "join again with a new token")
	if st := c.status(t); st == nil || len(st.Workers) != 0 {
		t.Errorf("the status is %+v, want no workers", st)
	}
	if n := len(w.out.with("can't be trusted")); n != 1 {
		t.Errorf("it said %d times that the server can't be trusted, want once", n)
	}
}

// refuseTokens tries tokens that are no good, on a machine that has joined, whose
// place stays what it was.
func refuseTokens(t *testing.T, c *listening, h *host, used string) {
	saved := filepath.Join(h.home, ".config", "jbc", "joined", "worker.json")
	before, err := os.ReadFile(saved)
	if err != nil {
		t.Fatal(err)
	}
	good, strange := c.token(t), c.token(t)
	revoked := c.token(t, "--role", "observer")
	token, err := protocol.ParseToken(word(revoked))
	if err != nil {
		t.Fatal(err)
	}
	seed, err := nkeys.FromSeed([]byte(token.Seed))
	if err != nil {
		t.Fatal(err)
	}
	public, err := seed.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	if _, stderr, status := finish(t, c.jbc("token", "revoke", protocol.JoinerName(public))); status != 0 {
		t.Fatalf("jbc token revoke: status %d, %s", status, stderr)
	}
	short := c.token(t, "--for", "1s")
	shortToken, err := protocol.ParseToken(word(short))
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, patience, "the token runs out", func() bool { return time.Now().After(shortToken.Expires.Add(time.Second)) })
	other, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	otherSeed, err := other.Seed()
	if err != nil {
		t.Fatal(err)
	}
	closed := net.JoinHostPort(c.address, "1")
	for _, test := range []struct {
		name, pasted string
		status       int
		says, hint   string
	}{
		{"used", used, failed, "had this token from another machine already, and it is good once", "jbc token new"},
		{"expired", short, failed, "says that this token ran out at ", "jbc token new"},
		{"revoked", revoked, failed, "has revoked this token", "jbc token new"},
		{"for another role", forge(t, good, func(t *protocol.Token) { t.Role = protocol.RoleObserver }), failed, "issued this token for another role", "jbc token new"},
		{"made up", forge(t, good, func(t *protocol.Token) { t.Seed = string(otherSeed) }), failed, "does not know this token", "jbc token new"},
		{"of something else", forge(t, good, func(t *protocol.Token) { t.CA[0] ^= 1 }), failed, "something else answers at " + net.JoinHostPort(c.address, c.port), "jbc token new"},
		{"to nowhere", forge(t, good, func(t *protocol.Token) { t.Addresses = []string{closed} }), failed, "is at none of: " + closed + " (connection refused)", "--advertise"},
		{"of another coordinator's key", forge(t, strange, func(t *protocol.Token) { t.Key = public }), failed, "not signed by the pinned coordinator key", ""},
		{"cut off", good[:len(good)-7], misuse, "not a whole token: characters are missing or wrong", "from jbc1- to its end"},
		{"nothing", "", misuse, "want one that starts with jbc1-", "jbc token new"},
	} {
		t.Run(test.name, func(t *testing.T) {
			said := refuses(t, h.joinWith(test.pasted, "--name", "thief"), test.status, test.says, test.hint)
			if text := word(test.pasted); len(text) > 20 && strings.Contains(said, text) {
				t.Errorf("the token was printed: %s", said)
			}
		})
	}
	after, err := os.ReadFile(saved)
	if err != nil || string(after) != string(before) {
		t.Errorf("the worker's place has changed: %v", err)
	}
	// One address that is dead does no harm, nor did the attempts.
	pasted := forge(t, good, func(t *protocol.Token) { t.Addresses = append([]string{closed}, t.Addresses...) })
	spare := &host{farm: &farm{home: t.TempDir()}, name: "spare", space: h.space}
	if stdout, stderr, status := finish(t, spare.joinWith(pasted, "--name", "spare")); status != 0 {
		t.Errorf("the good token: status %d, %q, %s", status, stdout, stderr)
	}
}

// listTokens wants the list to say what happened.
func listTokens(t *testing.T, c *listening) {
	stdout, stderr, status := finish(t, c.jbc("token", "list", "--json"))
	if status != 0 {
		t.Fatalf("jbc token list: status %d, %s", status, stderr)
	}
	var entries []protocol.AccessStatus
	if err := json.Unmarshal([]byte(stdout), &entries); err != nil {
		t.Fatal(err)
	}
	states := map[string]int{}
	online := map[string]int{}
	for _, e := range entries {
		states[e.State]++
		if e.Name != "" {
			online[e.Name] = e.Online
		}
	}
	if states["joined"] != 5 || states["used"] != 4 || states["expired"] != 1 || states["revoked"] != 1 {
		t.Errorf("the states are %v, want 5 joined with the coordinator, 4 used, 1 expired, 1 revoked", states)
	}
	if online["h2"] != 1 || online["h3"] != 1 || online["spare"] != 0 {
		t.Errorf("online are %v, want h2 and h3 once", online)
	}
	stdout, _, _ = finish(t, c.jbc("token", "list"))
	for _, want := range []string{"ID OR NAME", "h2 ", "worker", "joined", "revoked"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("the table has no %q:\n%s", want, stdout)
		}
	}
}

// joinObserver has a machine that is a worker become an observer too.
func joinObserver(t *testing.T, c *listening, h *host) {
	stdout, stderr, status := finish(t, h.joinWith(c.token(t, "--role", "observer"), "--name", "desk"))
	if status != 0 || !strings.Contains(stdout, " as desk: jbc status\n") {
		t.Fatalf("jbc join: status %d, %q, %s", status, stdout, stderr)
	}
	for _, args := range [][]string{{"status"}, {"chain", "show", "1"}} {
		if stdout, stderr, status := finish(t, h.jbc(args...)); status != 0 || stdout == "" {
			t.Errorf("jbc %v: status %d, %q, %s", args, status, stdout, stderr)
		}
	}
	refuses(t, h.jbc("token", "list"), failed, "no coordinator of this user listens to other machines", "jbc coordinator --listen")
	refuses(t, h.jbc("status", "--network", "main"), misuse, `--network "main" is given, and this machine joined "dev-`, "--join")
}

// TestLostReply repeats a join whose reply was lost: the machine's key is the same,
// and so it is let in.
func TestLostReply(t *testing.T) {
	t.Parallel()
	hosts, _ := newHosts(t, 2)
	c := hosts[0].listen(t)
	line := c.line(t)
	h := hosts[1]
	// The reply is lost between the coordinator and the file: there is a directory
	// where that is to be.
	saved := filepath.Join(h.home, ".config", "jbc", "joined", "worker.json")
	if err := os.MkdirAll(filepath.Join(saved, "in-the-way"), 0o700); err != nil {
		t.Fatal(err)
	}
	refuses(t, h.joinWith(line, "--name", "h2"), failed, "the join can't be kept", "run the same command again")
	if err := os.RemoveAll(saved); err != nil {
		t.Fatal(err)
	}
	other := &host{farm: &farm{home: t.TempDir()}, space: h.space}
	refuses(t, other.joinWith(line, "--name", "h3"), failed, "good once", "jbc token new")
	if stdout, stderr, status := finish(t, h.joinWith(line, "--name", "h2")); status != 0 {
		t.Fatalf("the second time: status %d, %q, %s", status, stdout, stderr)
	}
	entries, err := os.ReadDir(filepath.Dir(saved))
	if err != nil || len(entries) != 1 {
		t.Errorf("left are %v, %v, want worker.json alone", entries, err)
	}
	refuses(t, h.joinWith(line, "--name", "h2"), failed, "good once", "jbc token new")
	w := start(t, "h2", h.jbc("worker", "--threads", "1"))
	w.says(t, patience, "msg=joined")
}

// TestLAN moves a coordinator to another address while a worker mines for it. The
// local network knows where it is.
func TestLAN(t *testing.T) {
	t.Parallel()
	hosts, apart := newHosts(t, 2)
	if !apart {
		t.Skip("the network of this machine is not ours to change")
	}
	c := hosts[0].listen(t, "--lan")
	h := hosts[1]
	refuses(t, h.jbc("worker", "--lan", "--threads", "1"), failed, "the local network knows: "+coordinatorName+" of dev-", "jbc token new")
	if _, stderr, status := finish(t, h.joinWith(c.line(t))); status != 0 {
		t.Fatalf("jbc join: status %d, %s", status, stderr)
	}
	w := start(t, "h2", h.jbc("worker", "--lan", "--threads", "1"))
	w.says(t, patience, "msg=joined")
	c.move(t, "10.77.0.111")
	moved := time.Now()
	w.says(t, time.Minute, "knows the coordinator at another address", "address=10.77.0.111:4222")
	w.says(t, time.Minute, `msg="connected to NATS"`)
	t.Logf("found again %v after the coordinator's address changed", time.Since(moved))

	w.interrupt(t)
	again := start(t, "h2", h.jbc("worker", "--lan", "--threads", "1"))
	again.says(t, time.Minute, "msg=joined")
}

// TestOwnNATSServer runs a farm on a stand-alone server with the users that jbc
// nats-config printed.
func TestOwnNATSServer(t *testing.T) {
	t.Parallel()
	f := newFarm(t)
	config, stderr, status := f.run(t, "nats-config", "--coordinator", coordinatorName, "--worker", "rig1,rig2", "--observer", "desk", "--keys", "keys")
	if status != 0 {
		t.Fatalf("jbc nats-config: status %d, %s", status, stderr)
	}
	path := filepath.Join(f.home, "farm.conf")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	key := func(name string) string { return filepath.Join(f.home, "keys", name+".nk") }
	for _, name := range []string{coordinatorName, "rig1", "rig2", "desk"} {
		if info, err := os.Stat(key(name)); err != nil || info.Mode() != 0o600 {
			t.Errorf("%s's key: %v, %v, want mode 0600", name, info, err)
		}
	}
	f.natsServer(t, "JBC_FARM_NATS_CONFIG="+path)
	f.env = []string{"NATS_URL=" + f.url}
	c := start(t, coordinatorName, f.command("coordinator", "--name", coordinatorName, "--nats-nkey", key(coordinatorName)))
	w := start(t, "rig1", f.command("worker", "--name", "rig1", "--nats-nkey", key("rig1"), "--threads", "1"))
	w.says(t, patience, "msg=joined")
	w.says(t, time.Minute, `msg="block accepted"`)
	var st protocol.Status
	stdout, stderr, status := f.run(t, "status", "--json", "--nats-nkey", key("desk"))
	if err := json.Unmarshal([]byte(stdout), &st); status != 0 || err != nil || len(st.Workers) != 1 || st.Workers[0].Name != "rig1" {
		t.Errorf("jbc status: status %d, %v, %s %s", status, err, stdout, stderr)
	}
	for _, p := range []*process{c, w} {
		if n := len(p.out.with("trouble with NATS")); n != 0 {
			t.Errorf("%s may not do %d things that it tried:\n%s", p.name, n, p.out.text())
		}
	}
	// A worker under another's name is heard by nobody, and says why.
	thief := start(t, "rig2 as rig1", f.command("worker", "--name", "rig1", "--nats-nkey", key("rig2"), "--threads", "1"))
	thief.says(t, patience, "level=WARN", "trouble with NATS", "ermissions ")
	f.refuses(t, failed, "no coordinator of this user listens to other machines", "jbc nats-config", "token", "new")
	w.interrupt(t)
	c.interrupt(t)
}
