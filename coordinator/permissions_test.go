package coordinator

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/jbcnet/jbc/coordinator/access"
	"github.com/jbcnet/jbc/coordinator/protocol"
)

// The cast of the permission table: two coordinators, of which alpha is the one
// that issued the token, two workers, an observer, the owner and the token's holder.
const (
	alpha  = "alpha"
	beta   = "beta"
	worker = "w1"
	other  = "w2"
	seer   = "desk"
	owner  = "owner_1"
	joiner = "joiner"
)

var roles = map[string]protocol.Role{
	alpha: protocol.RoleCoordinator, beta: protocol.RoleCoordinator, worker: protocol.RoleWorker, other: protocol.RoleWorker,
	seer: protocol.RoleObserver, owner: protocol.RoleOwner, joiner: protocol.RoleJoiner,
}

var farmSubjects = protocol.NewSubjects("dev-1a2b3c4d")

// deed is something that somebody does: publish to a subject, or subscribe to it.
type deed struct {
	name      string
	who       string
	subscribe bool
	subject   string
}

func (d deed) String() string {
	verb := "publishes to"
	if d.subscribe {
		verb = "subscribes to"
	}
	return fmt.Sprintf("%s: %s %s %s", d.name, d.who, verb, d.subject)
}

// forbidden are what nobody may do.
func forbidden() []deed {
	s := farmSubjects
	elsewhere := protocol.NewSubjects("main-1a2b3c4d")
	pub := func(who, name, subject string) deed { return deed{name, who, false, subject} }
	sub := func(who, name, subject string) deed { return deed{name, who, true, subject} }
	return []deed{
		pub(worker, "a forged job or hold", s.Job(alpha)),
		pub(worker, "another worker's request", s.Ask(alpha, other)),
		pub(worker, "another worker's solution", s.Solved(other)),
		pub(worker, "a coordinator's solution", s.Solved(alpha)),
		pub(worker, "a block", s.Block(alpha)),
		pub(worker, "a transaction", s.Tx(alpha)),
		pub(worker, "an observer's question", s.Get(alpha)),
		pub(worker, "a coordinator's question", s.Sync(alpha)),
		pub(worker, "an enrolment", s.Enrol(alpha)),
		pub(worker, "an order of the owner", s.Admin(alpha)),
		pub(worker, "a reply to another worker", protocol.InboxPrefix(other)+".x.y"),
		pub(worker, "a reply to a coordinator", protocol.InboxPrefix(alpha)+".x.y"),
		pub(worker, "a reply to somebody without a name", "_INBOX.x"),
		pub(worker, "statistics of a service", "$SRV.STATS."+protocol.ServiceName),
		pub(worker, "a stream", "$JS.API.STREAM.CREATE.x"),
		pub(worker, "the server's system", "$SYS.REQ.SERVER.PING"),
		pub(worker, "another network's request", elsewhere.Ask(alpha, worker)),
		sub(worker, "everything", ">"),
		sub(worker, "everything of jbc", "jbc.>"),
		sub(worker, "everything of the network", "jbc.v1.dev-1a2b3c4d.*.*"),
		sub(worker, "the system", "$SYS.>"),
		sub(worker, "streams", "$JS.API.>"),
		sub(worker, "all replies", "_INBOX.>"),
		sub(worker, "replies a level up", "_INBOX.*.>"),
		sub(worker, "another worker's replies", protocol.InboxPrefix(other)+".>"),
		sub(worker, "all requests", s.AskAny(alpha)),
		sub(worker, "another worker's requests", s.Ask(alpha, other)),
		sub(worker, "its own requests, in the coordinator's place", s.Ask(alpha, worker)),
		sub(worker, "enrolments", s.Enrol(alpha)),
		sub(worker, "orders of the owner", s.Admin(alpha)),
		sub(worker, "observers' questions", s.Get(alpha)),
		sub(worker, "coordinators' questions", s.Sync(alpha)),
		sub(worker, "discovery, in a coordinator's place", protocol.PingSubject),
		sub(worker, "another network's jobs", elsewhere.Job(alpha)),

		pub(seer, "a job", s.Job(alpha)),
		pub(seer, "a block", s.Block(alpha)),
		pub(seer, "a solution", s.Solved(seer)),
		pub(seer, "a worker's request", s.Ask(alpha, seer)),
		pub(seer, "an order of the owner", s.Admin(alpha)),
		pub(seer, "an enrolment", s.Enrol(alpha)),
		pub(seer, "a coordinator's question", s.Sync(alpha)),
		pub(seer, "a reply", protocol.InboxPrefix(worker)+".x.y"),
		sub(seer, "everything", ">"),
		sub(seer, "all replies", "_INBOX.>"),
		sub(seer, "the owner's replies", protocol.InboxPrefix(owner)+".>"),
		sub(seer, "requests", s.AskAny(alpha)),
		sub(seer, "others' questions", s.Get("*")),
		sub(seer, "coordinators' questions", s.Sync("*")),

		pub(beta, "another coordinator's job", s.Job(alpha)),
		pub(beta, "another coordinator's block", s.Block(alpha)),
		pub(beta, "another coordinator's solution", s.Solved(alpha)),
		pub(beta, "a worker's request", s.Ask(alpha, beta)),
		pub(beta, "an order of the owner", s.Admin(alpha)),
		pub(beta, "an enrolment", s.Enrol(alpha)),
		sub(beta, "another coordinator's requests", s.AskAny(alpha)),
		sub(beta, "another coordinator's enrolments", s.Enrol(alpha)),
		sub(beta, "another coordinator's orders", s.Admin(alpha)),
		sub(beta, "another coordinator's questions", s.Get(alpha)),
		sub(beta, "what others ask another coordinator", s.Sync(alpha)),
		sub(beta, "what coordinators ask each other", s.Sync("*")),
		sub(beta, "all replies", "_INBOX.>"),
		sub(beta, "everything", ">"),
		pub(alpha, "another coordinator's job", s.Job(beta)),
		pub(alpha, "a solution", s.Solved(alpha)),
		sub(alpha, "a worker's replies", protocol.InboxPrefix(worker)+".>"),

		pub(joiner, "a worker's request", s.Ask(alpha, joiner)),
		pub(joiner, "a job", s.Job(alpha)),
		pub(joiner, "an order of the owner", s.Admin(alpha)),
		pub(joiner, "an observer's question", s.Get(alpha)),
		pub(joiner, "a coordinator's question", s.Sync(alpha)),
		pub(joiner, "a solution", s.Solved(joiner)),
		pub(joiner, "another coordinator's token", s.Enrol(beta)),
		pub(joiner, "discovery", protocol.PingSubject),
		sub(joiner, "jobs", s.Job("*")),
		sub(joiner, "others' enrolments", s.Enrol(alpha)),
		sub(joiner, "a worker's replies", protocol.InboxPrefix(worker)+".>"),
		sub(joiner, "everything", ">"),

		pub(owner, "a job", s.Job(alpha)),
		pub(owner, "an order to another coordinator", s.Admin(beta)),
		pub(owner, "a worker's request", s.Ask(alpha, worker)),
		pub(owner, "a coordinator's question", s.Sync(alpha)),
		sub(owner, "requests", s.AskAny(alpha)),
		sub(owner, "orders", s.Admin(alpha)),
		sub(owner, "everything", ">"),
	}
}

// needed are what somebody cannot do without, where a name is that of its inbox.
func needed(inboxOf func(who string) string) []deed {
	s := farmSubjects
	var all []deed
	add := func(who string, publish, subscribe []string) {
		for _, subject := range publish {
			all = append(all, deed{"needed", who, false, subject})
		}
		for _, subject := range append(subscribe, protocol.InboxPrefix(inboxOf(who))+".x.*") {
			all = append(all, deed{"needed", who, true, subject})
		}
	}
	add(worker, []string{s.Ask(alpha, worker), s.Ask(beta, worker), s.Solved(worker), protocol.PingSubject},
		[]string{s.Job(alpha), s.Job(beta), s.SolvedAny()})
	add(seer, []string{s.Get(alpha), s.Get(beta), protocol.PingSubject}, []string{s.SolvedAny(), s.Block("*"), s.Tx("*"), s.Block(alpha)})
	for _, name := range []string{alpha, beta} {
		add(name, []string{
			s.Job(name), s.Block(name), s.Tx(name), s.Get(beta), s.Sync(alpha), s.Sync(beta), protocol.PingSubject,
			protocol.InboxPrefix(worker) + ".x.y", "_INBOX.x",
		}, []string{
			s.AskAny(name), s.Get(name), s.Sync(name), s.Enrol(name), s.Admin(name), s.SolvedAny(), s.Block("*"), s.Tx("*"),
			"$SRV.PING", "$SRV.INFO.>", protocol.PingSubject + ".x",
		})
	}
	add(owner, []string{s.Admin(alpha), s.Get(alpha), s.Ask(alpha, owner), s.Solved(owner), protocol.PingSubject},
		[]string{s.Job(alpha), s.SolvedAny(), s.Block("*"), s.Tx("*")})
	add(joiner, []string{s.Enrol(alpha)}, nil)
	return all
}

// realm is a server with the cast on it.
type realm interface {
	// connect connects one of the cast, or with extra somebody of the same role and
	// name who may do that too.
	connect(t *testing.T, who string, extra *deed) *nats.Conn
	// stranger connects without credentials.
	stranger(t *testing.T) (*nats.Conn, error)
	// inboxOf returns the name of somebody's inbox.
	inboxOf(who string) string
	// all connects somebody who may do everything.
	all(t *testing.T) *nats.Conn
}

// TestPermissions has everybody try what is forbidden, and what is needed, on the
// embedded server and on one that somebody else runs. Everything forbidden is done
// once more by somebody who may: if that did not work, the refusal would mean nothing.
func TestPermissions(t *testing.T) {
	for name, start := range map[string]func(*testing.T) realm{"embedded": newEmbedded, "nats-server": newStandalone} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := start(t)
			all := r.all(t)
			if got := all.MaxPayload(); got != access.MaxPayload {
				t.Errorf("messages of up to %d bytes, want %d", got, access.MaxPayload)
			}
			conns := map[string]*nats.Conn{}
			as := func(who string) *nats.Conn {
				if conns[who] == nil {
					conns[who] = r.connect(t, who, nil)
				}
				return conns[who]
			}
			if conn, err := r.stranger(t); !errors.Is(err, nats.ErrAuthorization) {
				conn.Close()
				t.Errorf("somebody without a key: %v, want %v", err, nats.ErrAuthorization)
			}
			for _, d := range forbidden() {
				if done, err := d.try(t, as(d.who), all); done || !isViolation(err, d) {
					t.Errorf("%v: done %v, error %v, want a permission violation", d, done, err)
				}
				wide := r.connect(t, d.who, &d)
				if done, err := d.try(t, wide, all); !done || err != nil {
					t.Errorf("%v, by somebody who may: done %v, error %v", d, done, err)
				}
				wide.Close()
			}
			for _, d := range needed(r.inboxOf) {
				conn := r.connect(t, d.who, nil)
				if done, err := d.try(t, conn, all); !done || err != nil {
					t.Errorf("%v: done %v, error %v, want it done", d, done, err)
				}
				conn.Close()
			}
		})
	}
}

func isViolation(err error, d deed) bool {
	return errors.Is(err, nats.ErrPermissionViolation) && strings.Contains(err.Error(), `"`+d.subject+`"`)
}

var wildcards = strings.NewReplacer("*", "x", ">", "x.y")

// try does it, and says whether anything came of it and what the server said. all
// is on the other side.
func (d deed) try(t *testing.T, conn, all *nats.Conn) (done bool, err error) {
	t.Helper()
	from, to, subject := conn, all, d.subject
	if d.subscribe {
		from, to, subject = all, conn, wildcards.Replace(d.subject)
	}
	heard, err := to.SubscribeSync(d.subject)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = heard.Unsubscribe() }() // gone with its connection at the latest
	for _, step := range []func() error{
		func() error { return to.FlushTimeout(patience) },
		func() error { return from.PublishMsg(&nats.Msg{Subject: subject, Data: []byte("x")}) },
		func() error { return from.FlushTimeout(patience) },
		func() error { return to.FlushTimeout(patience) },
	} {
		if err := step(); err != nil {
			t.Fatalf("%v: %v", d, err)
		}
	}
	// What the server said and delivered came before its answer to the last flush.
	n, _, _ := heard.Pending()
	if last := conn.LastError(); last != nil && strings.Contains(last.Error(), `"`+d.subject+`"`) {
		err = last
	}
	return n > 0, err
}

// embedded is the broker inside a coordinator.
type embedded struct {
	broker *Broker
	certs  *access.Certs
	keys   map[string]nkeys.KeyPair
	joiner string // the id of its token
}

// newEmbedded starts a broker on which the cast has joined as machines do.
func newEmbedded(t *testing.T) realm {
	t.Helper()
	b := startSecureBroker(t)
	r := &embedded{broker: b.Broker, certs: b.certs, keys: map[string]nkeys.KeyPair{owner: b.owner}}
	for _, who := range []string{beta, worker, other, seer} {
		r.keys[who] = b.join(t, roles[who], who)
	}
	token := b.token(t, protocol.RoleWorker)
	r.keys[joiner], r.joiner = token, protocol.JoinerName(publicKey(t, token))
	key := newKey(t) // alpha is the coordinator in the broker's own process
	b.gate.admit(publicKey(t, key), access.Identity{Role: protocol.RoleCoordinator, Name: alpha})
	r.keys[alpha] = key
	return r
}

func (r *embedded) stranger(t *testing.T) (*nats.Conn, error) {
	t.Helper()
	return nats.Connect(r.broker.URL(), nats.NoReconnect(), nats.Secure(tlsOf(t, r.certs)))
}

func (r *embedded) inboxOf(who string) string {
	if who == joiner {
		return r.joiner
	}
	return who
}

func (r *embedded) connect(t *testing.T, who string, extra *deed) *nats.Conn {
	t.Helper()
	key := r.keys[who]
	if extra != nil {
		key = newKey(t)
		p := farmSubjects.Permissions(roles[who], r.inboxOf(who), alpha)
		widen(&p, extra)
		r.grant(t, key, who, p)
	}
	return dialSecure(t, r.broker, r.certs, key, who)
}

func widen(p *protocol.Permissions, d *deed) {
	if d.subscribe {
		p.Subscribe = append(p.Subscribe, d.subject)
	} else {
		p.Publish = append(p.Publish, d.subject)
	}
}

// grant lets the bearer of a key do exactly that.
func (r *embedded) grant(t *testing.T, key nkeys.KeyPair, name string, p protocol.Permissions) {
	t.Helper()
	g, special := r.broker.gate, protocol.Role(publicKey(t, key))
	g.admit(publicKey(t, key), access.Identity{Role: special, Name: name})
	g.mu.Lock()
	defer g.mu.Unlock()
	before := g.permissions
	g.permissions = func(role protocol.Role, name string) protocol.Permissions {
		if role == special {
			return p
		}
		return before(role, name)
	}
}

func (r *embedded) all(t *testing.T) *nats.Conn {
	t.Helper()
	key := newKey(t)
	r.grant(t, key, "all", protocol.Permissions{Publish: []string{">"}, Subscribe: []string{">"}})
	return dialSecure(t, r.broker, r.certs, key, "all")
}

// standalone is a nats-server process with the configuration that is printed for it.
type standalone struct {
	url  string
	keys map[string]nkeys.KeyPair
	wide map[deed]nkeys.KeyPair
}

// allMighty may do everything.
const allMighty = "all"

func newStandalone(t *testing.T) realm {
	t.Helper()
	r := &standalone{keys: map[string]nkeys.KeyPair{allMighty: newKey(t)}, wide: map[deed]nkeys.KeyPair{}}
	var users []access.ServerUser
	user := func(who string) nkeys.KeyPair {
		key := newKey(t)
		users = append(users, access.ServerUser{Role: roles[who], Name: who, PublicKey: publicKey(t, key), Home: alpha})
		return key
	}
	for who := range roles {
		r.keys[who] = user(who)
	}
	for _, d := range forbidden() {
		r.wide[d] = user(d.who)
	}
	config := access.ServerConfig(farmSubjects, users)
	for d, key := range r.wide {
		config = widenConfig(t, config, publicKey(t, key), d)
	}
	config = strings.Replace(config, "users = [\n", fmt.Sprintf("users = [\n    { nkey: %s }\n", publicKey(t, r.keys[allMighty])), 1)
	r.url = serveStandalone(t, config)
	return r
}

// widenConfig takes one permission out of the way, for the user with that key.
func widenConfig(t *testing.T, config, key string, d deed) string {
	t.Helper()
	head, rest, ok := strings.Cut(config, key)
	list := "publish: { allow: [\n"
	if d.subscribe {
		list = "subscribe: { allow: [\n"
	}
	before, after, found := strings.Cut(rest, list)
	if !ok || !found {
		t.Fatalf("no %q of %s in the configuration", list, key)
	}
	return head + key + before + list + fmt.Sprintf("%q\n", d.subject) + after
}

var listening = regexp.MustCompile(`Listening for client connections on (\S+)`)

// serveStandalone builds nats-server from its module, runs it with that
// configuration and returns its URL.
func serveStandalone(t *testing.T, config string) string {
	t.Helper()
	program, path := filepath.Join(t.TempDir(), "nats-server"), filepath.Join(t.TempDir(), "nats.conf")
	if out, err := exec.Command("go", "build", "-o", program, "github.com/nats-io/nats-server/v2").CombinedOutput(); err != nil {
		t.Fatalf("building nats-server: %v\n%s", err, out)
	}
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-a", "127.0.0.1", "-p", "-1", "-c", path)
	log, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	address, ended := make(chan string, 1), make(chan error, 1)
	go func() {
		var all []string
		for lines := bufio.NewScanner(log); lines.Scan(); {
			all = append(all, lines.Text())
			if m := listening.FindStringSubmatch(lines.Text()); m != nil {
				address <- m[1]
			}
		}
		ended <- fmt.Errorf("nats-server said\n%s", strings.Join(all, "\n"))
	}()
	stop := func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	select {
	case a := <-address:
		t.Cleanup(func() { stop(); <-ended })
		return "nats://" + a
	case err := <-ended:
		stop()
		t.Fatal(err)
	case <-time.After(patience):
		stop()
		t.Fatalf("nats-server does not listen after %v", patience)
	}
	return ""
}

func (r *standalone) connect(t *testing.T, who string, extra *deed) *nats.Conn {
	t.Helper()
	if extra != nil {
		return dialWith(t, r.url, r.wide[*extra], who)
	}
	return dialWith(t, r.url, r.keys[who], who)
}

func (r *standalone) stranger(*testing.T) (*nats.Conn, error) {
	return nats.Connect(r.url, nats.NoReconnect())
}

func (r *standalone) inboxOf(who string) string { return who }

func (r *standalone) all(t *testing.T) *nats.Conn {
	t.Helper()
	return dialWith(t, r.url, r.keys[allMighty], "all")
}

// secureBroker is an embedded server with credentials, and who knows them.
type secureBroker struct {
	*Broker
	keeper *access.Keeper
	certs  *access.Certs
	owner  nkeys.KeyPair
}

// newKey makes an nkey.
func newKey(t *testing.T) nkeys.KeyPair {
	t.Helper()
	key, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func publicKey(t *testing.T, key nkeys.KeyPair) string {
	t.Helper()
	public, err := key.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return public
}

// dialWith connects with a key, as a process of that name.
func dialWith(t *testing.T, url string, key nkeys.KeyPair, name string, opts ...nats.Option) *nats.Conn {
	t.Helper()
	conn, err := tryDial(t, url, key, name, opts...)
	if err != nil {
		t.Fatalf("connect as %s: %v", name, err)
	}
	t.Cleanup(conn.Close)
	return conn
}

func tryDial(t *testing.T, url string, key nkeys.KeyPair, name string, opts ...nats.Option) (*nats.Conn, error) {
	t.Helper()
	return nats.Connect(url, append([]nats.Option{
		nats.Name("jbc " + name), nats.Nkey(publicKey(t, key), key.Sign), nats.NoReconnect(), nats.Timeout(patience),
		nats.CustomInboxPrefix(protocol.InboxPrefix(name)),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}),
	}, opts...)...)
}

// tlsOf trusts one CA.
func tlsOf(t *testing.T, certs *access.Certs) *tls.Config {
	t.Helper()
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(certs.CA())) {
		t.Fatal("no CA")
	}
	return &tls.Config{RootCAs: pool, ServerName: access.ServerName, MinVersion: tls.VersionTLS13}
}

// dialSecure connects as a machine that joined does.
func dialSecure(t *testing.T, b *Broker, certs *access.Certs, key nkeys.KeyPair, name string) *nats.Conn {
	t.Helper()
	return dialWith(t, b.URL(), key, name, nats.Secure(tlsOf(t, certs)), nats.TLSHandshakeFirst())
}
