package coordinator

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/jbcnet/jbc/coordinator/access"
)

// meshLiar is a node whose key is trusted and that says what it likes.
type meshLiar struct {
	id, name string
	conn     net.Conn
	said     logLines // what it was told
}

func (l *meshLiar) info(id, name, ip string) string {
	return fmt.Sprintf(`INFO {"server_id":%q,"server_name":%q,"version":"2.15.2","proto":1,"headers":true,`+
		`"max_payload":1048576,"cluster":"jbc-dev-1a2b3c4d","host":"127.0.0.1","port":1,"ip":%q,"lnoc":true}`+"\r\n", id, name, ip)
}

// say says it, with a ping after it.
func (l *meshLiar) say(t *testing.T, format string, args ...any) {
	t.Helper()
	if _, err := fmt.Fprintf(l.conn, format+"PING\r\n", args...); err != nil {
		t.Fatal(err)
	}
}

// lie has a liar come to a node. The error says that it is not met.
func (n *meshNode) lie(t *testing.T, key nkeys.KeyPair, name string) (*meshLiar, error) {
	t.Helper()
	config, err := access.MeshTLS(key, func(string) bool { return true })
	if err != nil {
		t.Fatal(err)
	}
	conn, err := tls.Dial("tcp", n.address(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	l := &meshLiar{id: "N" + strings.Repeat("A", 55), name: name, conn: conn}
	in := bufio.NewReader(conn)
	hi, err := json.Marshal(hello{Network: "dev-1a2b3c4d", Server: l.id, Name: name, Port: 9})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := in.ReadString('\n'); err != nil {
		return nil, err
	}
	fmt.Fprintf(conn, "%s\n", hi)
	for range 2 { // whom it has met, and the server's INFO
		if _, err := in.ReadString('\n'); err != nil {
			return nil, err
		}
	}
	fmt.Fprint(conn, l.info(l.id, serverName(name), ""))
	go func() {
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				return
			}
			if _, _ = l.said.Write([]byte(line)); line == "PING\r\n" {
				fmt.Fprint(conn, "PONG\r\n")
			}
		}
	}()
	return l, nil
}

// TestMeshDialsNobodyElse has a trusted node tell the own server of another address:
// nobody is dialled there, in the clear and past what can be cut.
func TestMeshDialsNobodyElse(t *testing.T) {
	m := &meshTest{T: t, secure: true, trust: &meshTrust{}}
	a, key := m.node("a"), newKey(t)
	m.trust.set(publicKey(t, key), true)
	liar, err := a.lie(t, key, "liar")
	if err != nil {
		t.Fatal(err)
	}
	a.meets(t, "liar")
	elsewhere, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer elsewhere.Close()
	liar.say(t, "%s", liar.info("N"+strings.Repeat("B", 55), "jbc-liar2", "nats-route://"+elsewhere.Addr().String()+"/"))
	wait(t, "answer", func() bool { return strings.Contains(liar.said.String(), "PONG") })
	_ = elsewhere.(*net.TCPListener).SetDeadline(time.Now().Add(time.Second))
	if conn, err := elsewhere.Accept(); err == nil {
		conn.Close()
		t.Error("the server dialled by itself")
	}
	a.meets(t, "liar")
	if n := a.server.NumRoutes(); n != 1 {
		t.Errorf("the server has %d routes, want 1", n)
	}
	a.CutNode(publicKey(t, key))
	wait(t, "cut", func() bool { return a.server.NumRoutes() == 0 && len(a.Routes()) == 0 })
}

// TestMeshKeepsOwnersApart has a trusted node neither ask for tokens in an owner's
// place, nor hear owners and joiners.
func TestMeshKeepsOwnersApart(t *testing.T) {
	m := &meshTest{T: t, secure: true, trust: &meshTrust{}}
	a, key := m.node(alpha), newKey(t)
	m.trust.set(publicKey(t, key), true)
	liar, err := a.lie(t, key, "liar")
	if err != nil {
		t.Fatal(err)
	}
	a.meets(t, "liar")
	own := a.coordinator(t, alpha)
	asked := make(chan *nats.Msg, 16)
	for _, subject := range []string{farmSubjects.Admin(alpha), farmSubjects.Enrol(alpha), farmSubjects.Sync(alpha)} {
		if _, err := own.ChanSubscribe(subject, asked); err != nil {
			t.Fatal(err)
		}
	}
	if err := own.FlushTimeout(patience); err != nil {
		t.Fatal(err)
	}
	for _, subject := range []string{farmSubjects.Admin(alpha), farmSubjects.Enrol(alpha), farmSubjects.Sync(alpha)} {
		liar.say(t, "RMSG $G %s _INBOX.liar.1 2\r\n{}\r\n", subject)
	}
	select {
	case first := <-asked:
		if first.Subject != farmSubjects.Sync(alpha) {
			t.Errorf("it hears %s of another node", first.Subject)
		}
	case <-time.After(patience):
		t.Fatal("it hears nothing of another node")
	}
	// Subscriptions come in the order in which they were made.
	wait(t, "subscription", func() bool { return strings.Contains(liar.said.String(), "RS+ $G "+farmSubjects.Sync(alpha)) })
	for _, secret := range []string{"admin", "enrol"} {
		if strings.Contains(liar.said.String(), secret) {
			t.Errorf("another node is told of %s:\n%s", secret, liar.said.String())
		}
	}

	root := strings.TrimSuffix(farmSubjects.Admin(alpha), "admin."+alpha)
	liar.say(t, "RS+ $G %s>\r\nRS+ $G %s\r\n", root, farmSubjects.Admin(alpha))
	owner := dialSecure(t, a.Broker, a.secure.certs, a.secure.owner, "owner_1")
	hears := func(text string) {
		wait(t, text, func() bool {
			if err := own.Publish(farmSubjects.Block(alpha), []byte(text)); err != nil {
				t.Fatal(err)
			}
			return strings.Contains(liar.said.String(), text)
		})
	}
	hears("first block")
	if err := owner.Publish(farmSubjects.Admin(alpha), []byte("secret")); err != nil {
		t.Fatal(err)
	}
	if err := owner.FlushTimeout(patience); err != nil {
		t.Fatal(err)
	}
	hears("last block")
	if strings.Contains(liar.said.String(), "secret") {
		t.Errorf("another node hears the owner:\n%s", liar.said.String())
	}
}

// TestMeshLosesNobody has a node whose key is revoked come again: what stood before
// ends too, which nothing would cut otherwise.
func TestMeshLosesNobody(t *testing.T) {
	m := &meshTest{T: t, secure: true, trust: &meshTrust{}}
	var asked atomic.Int32
	a := m.nodeWith("a", func(mesh *Mesh) {
		mesh.Trusted = func(string) bool { return asked.Add(1) < 4 } // two handshakes and what follows the first
	})
	key := newKey(t)
	if _, err := a.lie(t, key, "liar"); err != nil {
		t.Fatal(err)
	}
	a.meets(t, "liar")
	a.mesh.mu.Lock()
	for _, p := range a.mesh.met {
		p.since = p.since.Add(-meetTime)
	}
	a.mesh.mu.Unlock()
	if _, err := a.lie(t, key, "liar"); err == nil {
		t.Error("it is met without being trusted")
	}
	wait(t, "end of the route", func() bool { return a.server.NumRoutes() == 0 && len(a.Routes()) == 0 })
}

// TestMeshNames meets a key under a name of its machine alone, whichever side dials.
func TestMeshNames(t *testing.T) {
	for _, tt := range []struct {
		name, machine string
		met           bool
	}{
		{"b", "b", true}, {"b_2", "b", true}, {"b", "c", false}, {"bc", "b", false}, {"b", "b_2", false}, {"_b", "", false},
	} {
		for _, dials := range []bool{false, true} {
			m := &meshTest{T: t, secure: true, trust: &meshTrust{}}
			var b *meshNode
			a := m.nodeWith("a", func(mesh *Mesh) { mesh.Name = func(string) string { return tt.machine } })
			if b = m.node(tt.name); dials {
				_ = b.SetNodes([]string{a.address()})
			} else {
				_ = a.SetNodes([]string{b.address()})
			}
			if tt.met {
				a.meets(t, tt.name)
				b.meets(t, "a")
			} else {
				for _, n := range []*meshNode{a, b} {
					wait(t, "refusal", func() bool { return strings.Contains(n.log.String(), errNotItsOwn.Error()) })
				}
				if strings.Contains(a.log.String(), "met a node") || strings.Contains(b.log.String(), "met a node") {
					t.Errorf("%s of machine %q is met", tt.name, tt.machine)
				}
			}
			a.Stop()
			b.Stop()
		}
	}
}
