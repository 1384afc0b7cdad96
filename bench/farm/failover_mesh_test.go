//go:build linux

package farm

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"golang.org/x/sys/unix"

	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/coordinator/access"
	"github.com/jbcnet/jbc/coordinator/protocol"
	"github.com/jbcnet/jbc/hashing"
)

// node is a coordinator of a mesh in a process of its own.
type node struct {
	*host
	words   []string // what starts it, the first time and again
	listen  string   // where clients connect
	secure  bool
	process *process
	watch   *observer // on its server, as its owner
	heard   *memory
}

// memory is what was announced, by who announced it.
type memory struct {
	mu     sync.Mutex
	blocks map[string]map[hashing.Hash]bool
}

func newMemory() *memory { return &memory{blocks: map[string]map[hashing.Hash]bool{}} }

// here returns hosts on this machine's loopback that go by these names.
func here(t *testing.T, names ...string) (hosts []*host) {
	t.Helper()
	for _, name := range names {
		hosts = append(hosts, &host{farm: &farm{home: t.TempDir()}, name: name, address: "127.0.0.1"})
	}
	return hosts
}

// newMesh starts a coordinator on each host. The first one founds the mesh; the others
// are told of that one alone, by a token or where there are no credentials by its
// address.
func newMesh(t *testing.T, hosts []*host, secure bool) (nodes []*node) {
	t.Helper()
	heard := newMemory()
	founded := freePort(t) // where the first one's server meets others, without credentials
	for i, h := range hosts {
		n := &node{host: h, secure: secure, heard: heard, listen: freePort(t)}
		if h.space != "" {
			n.listen = "0.0.0.0:4222"
		}
		n.words = []string{"coordinator", "--log-level", "debug", "--listen", n.listen, "--name", h.name}
		if h.space != "" {
			n.words = append(n.words, "--advertise", h.address) // it is started while its link is down, too
		}
		switch {
		case secure && i == 0:
			n.words = append(n.words, "--secure")
		case secure:
			nodes[0].admit(t, h, "coordinator")
			n.words = append(n.words, "--join", h.joined("coordinator"))
		case i == 0:
			n.words = append(n.words, "--mesh", founded)
		default:
			n.words = append(n.words, "--mesh", freePort(t), "--node", founded)
		}
		n.start(t)
		n.observe(t)
		eventually(t, patience, n.name+" answers", func() bool { return n.watch.status() != nil })
		nodes = append(nodes, n)
	}
	for _, n := range nodes {
		n.meets(t, nodes)
	}
	return nodes
}

// start starts the coordinator, again with the same words.
func (n *node) start(t *testing.T) {
	t.Helper()
	n.process = start(t, n.name, n.jbc(n.words...))
}

// admit has a host join by a token of the node, in a role.
func (n *node) admit(t *testing.T, h *host, role string) {
	t.Helper()
	stdout, stderr, status := finish(t, n.jbc("token", "new", "--role", role))
	if status != 0 {
		t.Fatalf("jbc token new: status %d: %s", status, stderr)
	}
	if _, stderr, status := finish(t, h.joinWith(stdout, "--name", h.name)); status != 0 {
		t.Fatalf("jbc join: status %d: %s", status, stderr)
	}
}

// joined is the file of a host's place in a mesh.
func (h *host) joined(role string) string {
	return filepath.Join(h.home, ".config", "jbc", "joined", role+".json")
}

// observe listens to the node's server, whoever is killed, and comes back with it.
func (n *node) observe(t *testing.T) {
	t.Helper()
	const process = "owner_watch"
	opts := append(protocol.ConnectOptions(process), nats.CustomReconnectDelay(func(int) time.Duration { return 5 * time.Millisecond }))
	_, port, _ := net.SplitHostPort(n.listen)
	url := "nats://127.0.0.1:" + port
	if n.secure {
		var owner *access.Membership
		eventually(t, patience, n.name+" has an owner", func() (ok bool) {
			var err error
			owner, err = access.LoadMembership(filepath.Join(n.dataDir("dev"), "owner.json"))
			return err == nil
		})
		own, err := owner.Options(process)
		if err != nil {
			t.Fatal(err)
		}
		url, opts = owner.URL(), append(opts, own...)
	}
	if n.space != "" {
		opts = append(opts, nats.SetCustomDialer(inSpace(n.space)))
	}
	n.observeAt(t, url, opts...)
}

// observeAt listens at a server.
func (n *node) observeAt(t *testing.T, url string, opts ...nats.Option) {
	t.Helper()
	conn, err := nats.Connect(url, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	n.watch = &observer{
		conn: conn, subjects: protocol.NewSubjects(chain.Dev().ID()), coordinator: n.name,
		asked: map[string]ask{}, hooks: hooks{any: n.note}, next: 1,
	}
	if _, err := conn.Subscribe(n.watch.subjects.Block("*"), n.watch.hear); err != nil {
		t.Fatal(err)
	}
	n.watch.connected(t)
}

// note remembers a block that somebody announced.
func (n *node) note(m *nats.Msg) {
	var b protocol.BlockAnnounced
	if protocol.Decode(m.Data, &b) != nil {
		return
	}
	n.heard.mu.Lock()
	defer n.heard.mu.Unlock()
	by := protocol.LastToken(m.Subject)
	if n.heard.blocks[by] == nil {
		n.heard.blocks[by] = map[hashing.Hash]bool{}
	}
	n.heard.blocks[by][b.Hash] = true
}

// of returns the blocks that a coordinator was heard to announce.
func (m *memory) of(coordinator string) (all []hashing.Hash) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for hash := range m.blocks[coordinator] {
		all = append(all, hash)
	}
	return all
}

// inSpace dials from a network namespace: a socket belongs to the namespace of the
// thread that makes it.
type inSpace string

// Dial implements [nats.CustomDialer].
func (space inSpace) Dial(network, address string) (net.Conn, error) {
	runtime.LockOSThread()
	own, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		runtime.UnlockOSThread()
		return nil, err
	}
	defer own.Close()
	other, err := os.Open("/run/netns/" + string(space))
	if err == nil {
		defer other.Close()
		err = unix.Setns(int(other.Fd()), unix.CLONE_NEWNET)
	}
	if err != nil {
		runtime.UnlockOSThread()
		return nil, err
	}
	conn, err := net.DialTimeout(network, address, 2*time.Second)
	if unix.Setns(int(own.Fd()), unix.CLONE_NEWNET) == nil {
		runtime.UnlockOSThread() // otherwise the thread ends with the goroutine
	}
	return conn, err
}

// meets waits until all nodes answer discovery on the server of this one, and returns
// how long that took.
func (n *node) meets(t *testing.T, nodes []*node) time.Duration {
	t.Helper()
	began := time.Now()
	eventually(t, patience, n.name+" is in the mesh", func() bool {
		found, err := protocol.Discover(t.Context(), n.watch.conn, 100*time.Millisecond)
		if err != nil {
			return false
		}
		names := map[string]bool{}
		for _, f := range found {
			names[f.Name] = true
		}
		return !slices.ContainsFunc(nodes, func(n *node) bool { return !names[n.name] })
	})
	return time.Since(began)
}

// agree waits until the nodes have one tip, higher than a height, and returns how long
// that took and the tip.
func agree(t *testing.T, within time.Duration, nodes []*node, above uint32) (took time.Duration, tip *protocol.Status) {
	t.Helper()
	began := time.Now()
	var names []string
	for _, n := range nodes {
		names = append(names, n.name)
	}
	var last string
	ok := poll(within, func() bool {
		tip, last = nil, ""
		one := true
		for _, n := range nodes {
			st := n.watch.status()
			if st == nil {
				last += " " + n.name + " does not answer"
				one = false
				continue
			}
			last += fmt.Sprintf(" %s %d %s", n.name, st.Height, st.Tip)
			one = one && st.Height > above && (tip == nil || tip.Tip == st.Tip)
			tip = st
		}
		return one
	})
	if !ok {
		t.Fatalf("not within %v: %v have one tip above height %d, but%s", within, names, above, last)
	}
	return time.Since(began), tip
}

// poll says whether something came true in time.
func poll(within time.Duration, ok func() bool) bool {
	for deadline := time.Now().Add(within); !ok(); time.Sleep(pollTime) {
		if time.Now().After(deadline) {
			return false
		}
	}
	return true
}
