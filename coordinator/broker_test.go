package coordinator

import (
	"bufio"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/jbcnet/jbc/chain/store"
	"github.com/jbcnet/jbc/coordinator/access"
	"github.com/jbcnet/jbc/coordinator/protocol"
)

// startSecureBroker starts an embedded server with credentials on a free port.
func startSecureBroker(t *testing.T) *secureBroker {
	t.Helper()
	return startSecureBrokerWith(t, testLog(t))
}

func startSecureBrokerWith(t *testing.T, log *slog.Logger, settings ...func(*BrokerConfig)) *secureBroker {
	t.Helper()
	st, err := store.Open(store.Options{Dir: "node", Network: "dev-1a2b3c4d", FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	b := &secureBroker{owner: newKey(t)}
	if b.keeper, err = access.OpenKeeper(st); err != nil {
		t.Fatal(err)
	}
	if b.certs, err = access.OpenCerts(filepath.Join(t.TempDir(), "tls"), nil, time.Now()); err != nil {
		t.Fatal(err)
	}
	cfg := BrokerConfig{Listen: "127.0.0.1:0", Name: "test", Log: log, Secure: &Secure{
		TLS: b.certs.Config(), Keeper: b.keeper, Owner: publicKey(t, b.owner), Subjects: farmSubjects, Coordinator: alpha,
	}}
	for _, set := range settings {
		set(&cfg)
	}
	if b.Broker, err = StartBroker(cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Stop)
	return b
}

// token issues a token and returns its key.
func (b *secureBroker) token(t *testing.T, role protocol.Role) nkeys.KeyPair {
	t.Helper()
	issued, err := b.keeper.Issue(time.Now(), role, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	key, err := nkeys.FromSeed([]byte(issued.Seed))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// join trades a token for a machine's place, past the server, and returns the
// machine's key.
func (b *secureBroker) join(t *testing.T, role protocol.Role, name string) nkeys.KeyPair {
	t.Helper()
	machine := newKey(t)
	e := enrolWith(t, b.token(t, role), machine, role, name)
	if who, err := b.keeper.Enrol(time.Now(), e); err != nil || who.Name != name {
		t.Fatalf("enrol as %s: %+v, %v", name, who, err)
	}
	return machine
}

func enrolWith(t *testing.T, token, machine nkeys.KeyPair, role protocol.Role, name string) *protocol.Enrol {
	t.Helper()
	e := &protocol.Enrol{
		Ask: protocol.Ask{Kind: protocol.KindEnrol, ID: 7}, Role: role, Name: name,
		Key: publicKey(t, machine), Token: publicKey(t, token),
	}
	var err error
	if e.Proof, err = token.Sign(e.Proven()); err != nil {
		t.Fatal(err)
	}
	return e
}

// TestLogins lets in who proves to be somebody, under a name of its own, and
// nobody else.
func TestLogins(t *testing.T) {
	b := startSecureBroker(t)
	w1, w2 := b.join(t, protocol.RoleWorker, "w1"), b.join(t, protocol.RoleWorker, "w2")
	gone := b.join(t, protocol.RoleWorker, "gone")
	if _, err := b.keeper.Revoke(time.Now(), "gone"); err != nil {
		t.Fatal(err)
	}
	waiting, used, revoked := b.token(t, protocol.RoleWorker), b.token(t, protocol.RoleWorker), b.token(t, protocol.RoleWorker)
	if _, err := b.keeper.Enrol(time.Now(), enrolWith(t, used, newKey(t), protocol.RoleWorker, "w3")); err != nil {
		t.Fatal(err)
	}
	if _, err := b.keeper.Revoke(time.Now(), access.TokenID(publicKey(t, revoked))); err != nil {
		t.Fatal(err)
	}
	expiring, err := b.keeper.Issue(time.Now().Add(-time.Hour), protocol.RoleWorker, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	expired, err := nkeys.FromSeed([]byte(expiring.Seed))
	if err != nil {
		t.Fatal(err)
	}
	in, out := true, false
	secure := []nats.Option{nats.Secure(tlsOf(t, b.certs)), nats.TLSHandshakeFirst()}
	for _, tt := range []struct {
		name, process string
		key           nkeys.KeyPair
		opts          []nats.Option
		in            bool
	}{
		{"a machine", "w1", w1, secure, in},
		{"a process of a machine", "w1_4f", w1, secure, in},
		{"a machine whose client does not begin with TLS", "w1", w1, secure[:1], in},
		{"under another machine's name", "w2", w1, secure, out},
		{"under a name that begins like its own", "w10", w1, secure, out},
		{"under another's name after its own", "w1_.w2", w1, secure, out},
		{"under no name", "", w1, secure, out},
		{"under a wildcard", "*", w1, secure, out},
		{"a machine that was revoked", "gone", gone, secure, out},
		{"a key that nobody knows", "w1", newKey(t), secure, out},
		{"the owner", "owner_1", b.owner, secure, in},
		{"the owner as a machine", "w1", b.owner, secure, out},
		{"a token that waits", "x", waiting, secure, in},
		{"a token that was used", "x", used, secure, in},
		{"a token that was revoked", "x", revoked, secure, in},
		{"a token that ran out", "x", expired, secure, in},
		{"another's signature", "w1", twoFaced{w1, w2}, secure, out},
		{"no signature", "w1", twoFaced{w1, nil}, secure, out},
		{"without TLS", "w1", w1, nil, out},
		{"with TLS of old", "w1", w1, []nats.Option{nats.Secure(&tls.Config{
			RootCAs: tlsOf(t, b.certs).RootCAs, ServerName: access.ServerName, MaxVersion: tls.VersionTLS12,
		})}, out},
	} {
		conn, err := tryDial(t, b.URL(), tt.key, tt.process, tt.opts...)
		if (err == nil) != tt.in {
			t.Errorf("%s: %v, want in %v", tt.name, err, tt.in)
		}
		if err == nil {
			conn.Close()
		}
	}
	for name, opt := range map[string]nats.Option{"nothing": nil, "a password": nats.UserInfo("w1", "w1"), "a token of NATS": nats.Token("t")} {
		if conn, err := nats.Connect(b.URL(), append([]nats.Option{nats.Name("jbc w1"), opt}, secure...)...); !errors.Is(err, nats.ErrAuthorization) {
			conn.Close()
			t.Errorf("with %s: %v, want %v", name, err, nats.ErrAuthorization)
		}
	}
}

// twoFaced shows one key and signs with another, or not at all.
type twoFaced struct {
	nkeys.KeyPair
	signer nkeys.KeyPair
}

func (k twoFaced) Sign(data []byte) ([]byte, error) {
	if k.signer == nil {
		return nil, nil
	}
	return k.signer.Sign(data)
}

// TestCut ends the connections with a key or of a machine, and of nobody else.
func TestCut(t *testing.T) {
	b := startSecureBroker(t)
	w1, w2 := b.join(t, protocol.RoleWorker, "w1"), b.join(t, protocol.RoleWorker, "w2")
	dial := func(key nkeys.KeyPair, name string) *nats.Conn { return dialSecure(t, b.Broker, b.certs, key, name) }
	for _, tt := range []struct {
		name string
		cut  func()
		want string // who is left
	}{
		{"a key", func() { b.DisconnectKey(publicKey(t, w2)) }, "w1 w1_a"},
		{"nobody", func() { b.DisconnectKey("") }, "w1 w1_a w2 w2_a"},
		{"the name of a process", func() { b.Refuse("w1_a", time.Now().Add(time.Hour)) }, "w1 w1_a w2 w2_a"},
		{"a machine that is refused", func() { b.Refuse("w1", time.Now().Add(time.Hour)) }, "w2 w2_a"},
	} {
		conns := map[string]*nats.Conn{}
		for name, key := range map[string]nkeys.KeyPair{"w1": w1, "w1_a": w1, "w2": w2, "w2_a": w2} {
			if conn, err := tryDial(t, b.URL(), key, name, nats.Secure(tlsOf(t, b.certs)), nats.TLSHandshakeFirst()); err == nil {
				conns[name] = conn
			}
		}
		tt.cut()
		var left []string
		for name, conn := range conns {
			if conn.FlushTimeout(patience) == nil {
				left = append(left, name)
			}
		}
		slices.Sort(left)
		if got := strings.Join(left, " "); got != tt.want {
			t.Errorf("%s: %q are left, want %q", tt.name, got, tt.want)
		}
		for _, conn := range conns {
			conn.Close()
		}
	}
	for _, name := range []string{"w1", "w1_b"} { // whatever it calls its processes
		if _, err := tryDial(t, b.URL(), w1, name, nats.Secure(tlsOf(t, b.certs)), nats.TLSHandshakeFirst()); !errors.Is(err, nats.ErrAuthorization) {
			t.Errorf("the machine that is refused, as %s: %v, want %v", name, err, nats.ErrAuthorization)
		}
	}
	b.Refuse("w1", time.Now().Add(-time.Second))
	dial(w1, "w1_a")
}

// TestCutOpen cuts and refuses on a server without credentials too.
func TestCutOpen(t *testing.T) {
	b := startBroker(t)
	dial := func(name string) (*nats.Conn, error) {
		return nats.Connect(b.URL(), nats.Name("jbc "+name), nats.NoReconnect())
	}
	conns := map[string]*nats.Conn{}
	for _, name := range []string{"w1", "w2", "w3"} {
		conn, err := dial(name)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conns[name] = conn
	}
	b.Refuse("w2", time.Now().Add(time.Hour))
	for name, in := range map[string]bool{"w1": true, "w2": false, "w3": true} {
		if err := conns[name].FlushTimeout(patience); (err == nil) != in {
			t.Errorf("%s: %v, want connected %v", name, err, in)
		}
	}
	for name, in := range map[string]bool{"w1": true, "w2": false, "w3": true, "": true} {
		conn, err := dial(name)
		if (err == nil) != in {
			t.Errorf("%q again: %v, want in %v", name, err, in)
		}
		conn.Close()
	}
}

// TestRevokedWhileComing has a machine connect without pause while it is revoked:
// none of its connections is left, and none comes after.
func TestRevokedWhileComing(t *testing.T) {
	b := startSecureBroker(t)
	key := b.join(t, protocol.RoleWorker, "w1")
	config := tlsOf(t, b.certs)
	var coming sync.WaitGroup
	var mu sync.Mutex
	var conns []*nats.Conn
	refused, in := make(chan struct{}, 1), make(chan struct{}, 1)
	stop := make(chan struct{})
	for range 4 {
		coming.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				conn, err := tryDial(t, b.URL(), key, "w1", nats.Secure(config), nats.TLSHandshakeFirst())
				if err != nil {
					signal(refused)
					continue
				}
				signal(in)
				mu.Lock()
				conns = append(conns, conn)
				mu.Unlock()
			}
		})
	}
	<-in
	if _, err := b.keeper.Revoke(time.Now(), "w1"); err != nil {
		t.Fatal(err)
	}
	b.DisconnectKey(publicKey(t, key))
	<-refused
	close(stop)
	coming.Wait()
	for i, conn := range conns {
		if err := conn.FlushTimeout(patience); err == nil {
			t.Errorf("connection %d of %d still stands", i, len(conns))
		}
		conn.Close()
	}
	if n := b.Online(publicKey(t, key)); n != 0 {
		t.Errorf("%d are online", n)
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// TestJoiners has those who hold a token be few and leave soon.
func TestJoiners(t *testing.T) {
	b := startSecureBroker(t)
	secure := []nats.Option{nats.Secure(tlsOf(t, b.certs)), nats.TLSHandshakeFirst()}
	var (
		key   nkeys.KeyPair
		conns []*nats.Conn
	)
	for i := range maxJoiners {
		if i%maxOfToken == 0 {
			key = b.token(t, protocol.RoleWorker)
		}
		conns = append(conns, dialWith(t, b.URL(), key, "x", secure...))
		if i == maxOfToken-1 {
			if _, err := tryDial(t, b.URL(), key, "x", secure...); !errors.Is(err, nats.ErrAuthorization) {
				t.Errorf("one too many of a token: %v, want %v", err, nats.ErrAuthorization)
			}
		}
	}
	key = b.token(t, protocol.RoleWorker)
	if _, err := tryDial(t, b.URL(), key, "x", secure...); !errors.Is(err, nats.ErrAuthorization) {
		t.Errorf("one too many: %v, want %v", err, nats.ErrAuthorization)
	}
	dialSecure(t, b.Broker, b.certs, b.join(t, protocol.RoleWorker, "w1"), "w1") // others come in as ever
	conns[0].Close()
	b.gate.mu.Lock()
	b.gate.joinerTime = 100 * time.Millisecond
	b.gate.mu.Unlock()
	var last *nats.Conn
	wait(t, "a place", func() bool {
		conn, err := tryDial(t, b.URL(), key, "x", secure...)
		last = conn
		return err == nil
	})
	wait(t, "end of its time", last.IsClosed)
}

// wait polls until it is so.
func wait(t *testing.T, what string, so func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !so(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("no %s after %v", what, patience)
		}
	}
}

// TestSaysOnce lets no connection say twice who it is.
func TestSaysOnce(t *testing.T) {
	const again = "-ERR 'Authorization Violation'"
	open := startBroker(t)
	plain, err := net.Dial("tcp", strings.TrimPrefix(open.URL(), "nats://"))
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	c := newRawClient(t, plain)
	if first, second := c.connect("w1", nil), c.connect("w2", nil); first != "PONG" || second != again {
		t.Errorf("on an open server: %q, then %q, want PONG, then %q", first, second, again)
	}

	b := startSecureBroker(t)
	w1, w2 := b.join(t, protocol.RoleWorker, "w1"), b.join(t, protocol.RoleWorker, "w2")
	secure, err := tls.Dial("tcp", strings.TrimPrefix(b.URL(), "tls://"), tlsOf(t, b.certs))
	if err != nil {
		t.Fatal(err)
	}
	defer secure.Close()
	c = newRawClient(t, secure)
	if first, second := c.connect("w1", w1), c.connect("w2", w2); first != "PONG" || second != again {
		t.Errorf("with credentials: %q, then %q, want PONG, then %q", first, second, again)
	}
}

// rawClient speaks NATS by hand.
type rawClient struct {
	t     *testing.T
	conn  net.Conn
	in    *bufio.Reader
	nonce string
}

func newRawClient(t *testing.T, conn net.Conn) *rawClient {
	t.Helper()
	c := &rawClient{t: t, conn: conn, in: bufio.NewReader(conn)}
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	info, err := c.in.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	var fields struct {
		Nonce string `json:"nonce"`
	}
	if err := json.Unmarshal([]byte(strings.TrimPrefix(info, "INFO ")), &fields); err != nil {
		t.Fatalf("%q: %v", info, err)
	}
	c.nonce = fields.Nonce
	return c
}

// connect says who the client is, with a key that it may have, and returns what the
// server says to that.
func (c *rawClient) connect(name string, key nkeys.KeyPair) string {
	c.t.Helper()
	about := map[string]any{"name": "jbc " + name, "protocol": 1}
	if key != nil {
		sig, err := key.Sign([]byte(c.nonce))
		if err != nil {
			c.t.Fatal(err)
		}
		about["nkey"], about["sig"] = publicKey(c.t, key), base64.RawURLEncoding.EncodeToString(sig)
	}
	text, err := json.Marshal(about)
	if err != nil {
		c.t.Fatal(err)
	}
	if _, err := fmt.Fprintf(c.conn, "CONNECT %s\r\nPING\r\n", text); err != nil {
		c.t.Fatal(err)
	}
	for {
		line, err := c.in.ReadString('\n')
		if err != nil || strings.HasPrefix(line, "PONG") || strings.HasPrefix(line, "-ERR") {
			return strings.TrimSpace(line)
		}
	}
}

// TestStrangers has strangers open many connections that say nothing, or the
// wrong thing. A machine still comes in, and each of those that spoke left one line
// in the log, without what they signed.
func TestStrangers(t *testing.T) {
	var log logLines
	b := startSecureBrokerWith(t, slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	key := b.join(t, protocol.RoleWorker, "w1")
	address := strings.TrimPrefix(b.URL(), "tls://")
	for range 300 {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	const wrong = 50
	var sigs []string
	var mu sync.Mutex
	for range wrong {
		stranger := newKey(t)
		_, err := nats.Connect(b.URL(), nats.Name("jbc w1"), nats.NoReconnect(), nats.Secure(tlsOf(t, b.certs)), nats.TLSHandshakeFirst(),
			nats.Nkey(publicKey(t, stranger), func(nonce []byte) ([]byte, error) {
				sig, err := stranger.Sign(nonce)
				mu.Lock()
				sigs = append(sigs, base64.RawURLEncoding.EncodeToString(sig), string(nonce))
				mu.Unlock()
				return sig, err
			}))
		if !errors.Is(err, nats.ErrAuthorization) {
			t.Fatalf("a stranger: %v", err)
		}
	}
	began := time.Now()
	dialSecure(t, b.Broker, b.certs, key, "w1")
	t.Logf("a machine came in among strangers in %v", time.Since(began))
	text := log.String()
	if got := strings.Count(text, "refused a connection"); got != wrong {
		t.Errorf("%d lines of refusals, want %d", got, wrong)
	}
	if got := strings.Count(text, "uthenti"); got != 0 {
		t.Errorf("the server says so too:\n%s", text)
	}
	for _, sig := range sigs {
		if strings.Contains(text, sig) {
			t.Errorf("the log holds %q", sig)
		}
	}
}

// logLines collects what is logged.
type logLines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logLines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// TestDoorsClosed has no other protocol be spoken, and nothing listen elsewhere.
func TestDoorsClosed(t *testing.T) {
	for name, b := range map[string]*Broker{"open": startBroker(t), "secure": startSecureBroker(t).Broker} {
		v, err := b.server.Varz(nil)
		if err != nil {
			t.Fatal(err)
		}
		for door, port := range map[string]int{
			"routes": v.Cluster.Port, "gateways": v.Gateway.Port, "leaf nodes": v.LeafNode.Port, "MQTT": v.MQTT.Port,
			"websockets": v.Websocket.Port, "monitoring": v.HTTPPort, "monitoring with TLS": v.HTTPSPort,
		} {
			if port != 0 {
				t.Errorf("%s: %s listen on port %d", name, door, port)
			}
		}
		if b.server.JetStreamEnabled() {
			t.Errorf("%s: JetStream is on", name)
		}
		if system := b.server.SystemAccount(); name == "secure" && system != nil {
			t.Errorf("%s: there is a system account %v", name, system)
		}
	}
}

// TestListenTo never opens to strangers without credentials.
func TestListenTo(t *testing.T) {
	for _, tt := range []struct {
		listen string
		want   error
	}{
		{"0.0.0.0:0", ErrNotLoopback}, {":0", ErrNotLoopback}, {"[::]:0", ErrNotLoopback}, {"192.0.2.1:0", ErrNotLoopback},
		{"example.com:0", ErrNotLoopback}, {"127.0.0.1:0", nil}, {"localhost:0", nil}, {"127.9.9.9:0", nil},
	} {
		b, err := StartBroker(BrokerConfig{Listen: tt.listen, Name: "test", Log: testLog(t)})
		if !errors.Is(err, tt.want) || (err == nil) != (tt.want == nil) {
			t.Errorf("%s: %v, want %v", tt.listen, err, tt.want)
		}
		if err == nil {
			b.Stop()
		}
	}
}

// TestForgetsLogins does not keep who has gone.
func TestForgetsLogins(t *testing.T) {
	b := startBroker(t)
	stays, err := nats.Connect(b.URL(), nats.Name("jbc stays"))
	if err != nil {
		t.Fatal(err)
	}
	defer stays.Close()
	for range 3 * sweepLogins {
		conn, err := nats.Connect("nats://x", nats.InProcessServer(b.server), nats.Name("jbc goes"))
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
	}
	b.gate.mu.Lock()
	kept := len(b.gate.logins)
	b.gate.mu.Unlock()
	if kept > sweepLogins+1 {
		t.Errorf("%d logins are kept, of one that stands", kept)
	}
	b.Refuse("stays", time.Now().Add(time.Hour))
	wait(t, "disconnect", func() bool { return !stays.IsConnected() })
}
