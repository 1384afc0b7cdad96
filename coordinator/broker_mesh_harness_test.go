package coordinator

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/jbcnet/jbc/coordinator/protocol"
)

// meshTrust is who is trusted by the servers of a test.
type meshTrust struct {
	mu   sync.Mutex
	keys map[string]bool
}

func (k *meshTrust) set(key string, trusted bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.keys == nil {
		k.keys = map[string]bool{}
	}
	k.keys[key] = trusted
}

func (k *meshTrust) has(key string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.keys[key]
}

// meshNode is a server of a mesh. secure is nil where there are no credentials.
type meshNode struct {
	*Broker
	secure *secureBroker
	key    string // its public mesh key
	log    *logLines
}

// meshTest starts servers that trust each other.
type meshTest struct {
	*testing.T
	secure bool
	trust  *meshTrust
}

// bothMeshes runs a test with credentials and without.
func bothMeshes(t *testing.T, test func(m *meshTest)) {
	for name, secure := range map[string]bool{"open": false, "secure": true} {
		t.Run(name, func(t *testing.T) { test(&meshTest{T: t, secure: secure, trust: &meshTrust{}}) })
	}
}

// node starts a server that dials others.
func (m *meshTest) node(name string, nodes ...string) *meshNode {
	m.Helper()
	return m.nodeWith(name, func(mesh *Mesh) { mesh.Nodes = nodes })
}

func (m *meshTest) nodeWith(name string, set func(*Mesh)) *meshNode {
	m.Helper()
	n := &meshNode{log: &logLines{}}
	mesh := &Mesh{Listen: "127.0.0.1:0", Network: "dev-1a2b3c4d"}
	if m.secure {
		key := newKey(m.T)
		n.key = publicKey(m.T, key)
		m.trust.set(n.key, true)
		mesh.Key, mesh.Trusted = key, m.trust.has
	}
	set(mesh)
	log := slog.New(slog.NewTextHandler(io.MultiWriter(n.log, testWriter{m.T}), &slog.HandlerOptions{Level: slog.LevelDebug}))
	settings := func(cfg *BrokerConfig) { cfg.Name, cfg.Mesh = name, mesh }
	if m.secure {
		n.secure = startSecureBrokerWith(m.T, log, settings)
		n.Broker = n.secure.Broker
		return n
	}
	cfg := BrokerConfig{Listen: "127.0.0.1:0", Log: log}
	settings(&cfg)
	var err error
	if n.Broker, err = StartBroker(cfg); err != nil {
		m.Fatal(err)
	}
	m.Cleanup(n.Stop)
	return n
}

func (n *meshNode) address() string { return fmt.Sprintf("127.0.0.1:%d", n.MeshPort()) }

// coordinator connects as a coordinator of that name does to its own server.
func (n *meshNode) coordinator(t *testing.T, name string) *nats.Conn {
	t.Helper()
	opts, err := n.Options(protocol.RoleCoordinator, name)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := nats.Connect("nats://embedded", append(opts, nats.NoReconnect())...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	return conn
}

// worker connects as a worker of that name.
func (n *meshNode) worker(t *testing.T, name string) *nats.Conn {
	t.Helper()
	if n.secure != nil {
		return dialSecure(t, n.Broker, n.secure.certs, n.secure.join(t, protocol.RoleWorker, name), name)
	}
	conn, err := nats.Connect(n.URL(), nats.Name("jbc "+name), nats.NoReconnect())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	return conn
}

// meets waits until a server has met these, and nobody else.
func (n *meshNode) meets(t *testing.T, names ...string) {
	t.Helper()
	wait(t, "meeting of "+strings.Join(names, ", "), func() bool { return slices.Equal(n.metNames(), names) })
}

func (n *meshNode) metNames() (names []string) {
	for _, r := range n.Routes() {
		names = append(names, r.Name)
	}
	return names
}

// crosses waits until what is published on a connection is heard on another: what
// is subscribed to is passed on after the meeting.
func crosses(t *testing.T, from, to *nats.Conn, subject string) {
	t.Helper()
	sub, err := to.SubscribeSync(subject)
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Unsubscribe()
	if err := to.FlushTimeout(patience); err != nil {
		t.Fatal(err)
	}
	wait(t, "message on "+subject, func() bool {
		if err := from.Publish(subject, []byte("x")); err != nil {
			t.Fatal(err)
		}
		_, err := sub.NextMsg(20 * time.Millisecond)
		return err == nil
	})
}

// deadLink passes on what is said to an address until it is dead.
type deadLink struct {
	address string
	mu      sync.Mutex
	alive   *sync.Cond
	dead    bool
}

func newDeadLink(t *testing.T, to string) *deadLink {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &deadLink{address: listener.Addr().String()}
	l.alive = sync.NewCond(&l.mu)
	var running sync.WaitGroup
	var conns []net.Conn
	pass := func(to, from net.Conn) {
		buffer := make([]byte, 4096)
		for {
			n, err := from.Read(buffer)
			l.mu.Lock()
			for l.dead {
				l.alive.Wait()
			}
			l.mu.Unlock()
			if err != nil {
				to.Close()
				return
			}
			to.Write(buffer[:n])
		}
	}
	running.Go(func() {
		for {
			from, err := listener.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", to)
			if err != nil {
				from.Close()
				continue
			}
			l.mu.Lock()
			conns = append(conns, from, out)
			l.mu.Unlock()
			running.Go(func() { pass(out, from) })
			running.Go(func() { pass(from, out) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		l.set(false)
		l.mu.Lock()
		for _, conn := range conns {
			conn.Close()
		}
		l.mu.Unlock()
		running.Wait()
	})
	return l
}

func (l *deadLink) set(dead bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dead = dead
	l.alive.Broadcast()
}

// meshGoroutines counts those of meshes and of embedded servers.
func meshGoroutines() int {
	stacks := make([]byte, 4<<20)
	text := string(stacks[:runtime.Stack(stacks, true)])
	return strings.Count(text, "(*mesh).") + strings.Count(text, "nats-server/v2/server.")
}
