package coordinator

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/jbcnet/jbc/coordinator/access"
	"github.com/jbcnet/jbc/coordinator/protocol"
)

// lodge is a coordinator that lets machines join.
type lodge struct {
	*node
	t      *testing.T
	broker *Broker
	certs  *access.Certs
	owner  nkeys.KeyPair
}

func startLodge(t *testing.T) *lodge {
	t.Helper()
	return startLodgeWith(t, nil)
}

func startLodgeWith(t *testing.T, log *slog.Logger) *lodge {
	t.Helper()
	l := &lodge{t: t, owner: newKey(t)}
	var err error
	if l.certs, err = access.OpenCerts(t.TempDir()+"/tls", nil, time.Now()); err != nil {
		t.Fatal(err)
	}
	refuse := func(worker string, until time.Time) { l.broker.Refuse(worker, until) }
	l.node = startNode(t, nodeConfig{log: log, refuse: refuse, access: func(n *node) *Access {
		keeper, err := access.OpenKeeper(n.store, "alpha", OwnerName)
		if err != nil {
			t.Fatal(err)
		}
		l.broker, err = StartBroker(BrokerConfig{Listen: "127.0.0.1:0", Name: "alpha", Log: testLog(t), Secure: &Secure{
			TLS: l.certs.Config(), Keeper: keeper, Owner: publicKey(t, l.owner),
			Subjects: protocol.NewSubjects(n.cfg.params.ID()), Coordinator: "alpha",
		}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(l.broker.Stop)
		return &Access{
			Keeper: keeper, Certs: l.certs, Broker: l.broker, Addresses: func() []string { return []string{"192.0.2.7:4222"} },
			Hosts: func() []string { return nil },
		}
	}})
	return l
}

func (l *lodge) dial(key nkeys.KeyPair, name string) *nats.Conn {
	l.t.Helper()
	return dialSecure(l.t, l.broker, l.certs, key, name)
}

// ask asks on a subject, checks that the coordinator signed the answer to that very
// question, and reads it.
func (l *lodge) ask(conn *nats.Conn, subject string, ask, reply protocol.Message) {
	l.t.Helper()
	l.askBytes(conn, subject, protocol.Encode(ask), reply)
}

func (l *lodge) askBytes(conn *nats.Conn, subject string, ask []byte, reply protocol.Message) {
	l.t.Helper()
	request := &nats.Msg{Subject: subject, Data: ask}
	msg, err := conn.RequestMsg(request, patience)
	if err != nil {
		l.t.Fatalf("%s: %v", subject, err)
	}
	if err := protocol.Verify(l.PublicKey(), protocol.ReplyTo(request), msg.Header.Get(protocol.SignatureHeader), msg.Data); err != nil {
		l.t.Fatal(err)
	}
	if err := protocol.Decode(msg.Data, reply); err != nil {
		l.t.Fatal(err)
	}
}

func (l *lodge) admin(ask *protocol.TokenAsk) *protocol.TokenReply {
	l.t.Helper()
	ask.ID = 9
	reply := new(protocol.TokenReply)
	l.ask(l.dial(l.owner, "owner_1"), l.subjects.Admin("alpha"), ask, reply)
	if reply.ID != 9 || reply.Kind != ask.Kind {
		l.t.Errorf("%s is answered as %s %v", ask.Kind, reply.Kind, reply.ID)
	}
	return reply
}

func (l *lodge) newToken(role protocol.Role) *protocol.Token {
	l.t.Helper()
	reply := l.admin(&protocol.TokenAsk{Ask: protocol.Ask{Kind: protocol.KindTokenNew}, Role: role, TTLMS: 60_000})
	if reply.Code != protocol.OK {
		l.t.Fatalf("token: %v (%s)", reply.Code, reply.Detail)
	}
	token, err := protocol.ParseToken(reply.Token)
	if err != nil {
		l.t.Fatal(err)
	}
	return token
}

// enrol trades a token.
func (l *lodge) enrol(token *protocol.Token, machine nkeys.KeyPair, name string) *protocol.EnrolReply {
	l.t.Helper()
	key, err := nkeys.FromSeed([]byte(token.Seed))
	if err != nil {
		l.t.Fatal(err)
	}
	conn := l.dial(key, protocol.JoinerName(publicKey(l.t, key)))
	defer conn.Close()
	reply := new(protocol.EnrolReply)
	l.ask(conn, l.subjects.Enrol("alpha"), enrolWith(l.t, key, machine, token.Role, name), reply)
	return reply
}

// TestJoining goes the whole way: a token, a machine that trades it, works, is
// listed, revoked, cut off at once and refused.
func TestJoining(t *testing.T) {
	l := startLodge(t)
	token := l.newToken(protocol.RoleWorker)
	want := protocol.Token{
		Network: l.Network(), Coordinator: "alpha", Key: l.PublicKey(), Addresses: []string{"192.0.2.7:4222"},
		CA: l.certs.Fingerprint(), Role: protocol.RoleWorker, Expires: token.Expires, Seed: token.Seed,
	}
	if text, err := token.Text(); err != nil {
		t.Fatal(err)
	} else if wanted, err := want.Text(); err != nil || text != wanted {
		t.Errorf("token %+v, want %+v (%v)", token, want, err)
	}
	machine := newKey(t)
	for range 2 { // the second time as if the reply had been lost
		reply := l.enrol(token, machine, "rig")
		if reply.Code != protocol.OK || reply.Name != "rig" || reply.Role != protocol.RoleWorker || reply.CA != l.certs.CA() || strings.Join(reply.Addresses, " ") != "192.0.2.7:4222" {
			t.Fatalf("reply %+v", reply)
		}
	}
	if reply := l.enrol(token, newKey(t), "rig"); reply.Code != protocol.TokenUsed {
		t.Errorf("by another machine: %v (%s), want %v", reply.Code, reply.Detail, protocol.TokenUsed)
	}
	if reply := l.enrol(l.newToken(protocol.RoleObserver), newKey(t), "rig"); reply.Code != protocol.OK || reply.Name != "rig-2" || reply.Role != protocol.RoleObserver {
		t.Errorf("a second of that name: %+v", reply)
	}

	member := l.dial(machine, "rig_1")
	job, err := member.SubscribeSync(l.subjects.Job("alpha"))
	if err != nil {
		t.Fatal(err)
	}
	if err := member.Flush(); err != nil {
		t.Fatal(err)
	}
	l.mu.Lock()
	l.republish()
	l.mu.Unlock()
	if _, err := job.NextMsg(patience); err != nil {
		t.Errorf("it hears no job: %v", err)
	}
	list := l.admin(&protocol.TokenAsk{Ask: protocol.Ask{Kind: protocol.KindTokenList}})
	if len(list.Entries) != 4 || list.After != "" {
		t.Errorf("list %+v, want two tokens and two machines", list)
	}
	for _, e := range list.Entries {
		if online := e.Name == "rig"; e.Online > 0 != online {
			t.Errorf("%+v: want online %v", e, online)
		}
	}

	gone := l.admin(&protocol.TokenAsk{Ask: protocol.Ask{Kind: protocol.KindTokenRevoke}, What: "rig"})
	if gone.Code != protocol.OK || len(gone.Entries) != 1 || gone.Entries[0].Key != publicKey(t, machine) || gone.Entries[0].State != "revoked" {
		t.Errorf("revoke %+v", gone)
	}
	wait(t, "disconnect", member.IsClosed)
	if _, err := tryDial(t, l.broker.URL(), machine, "rig_1", nats.Secure(tlsOf(t, l.certs)), nats.TLSHandshakeFirst()); !errors.Is(err, nats.ErrAuthorization) {
		t.Errorf("again: %v, want %v", err, nats.ErrAuthorization)
	}
	if reply := l.enrol(token, machine, "rig"); reply.Code != protocol.TokenRevoked {
		t.Errorf("by its token again: %v, want %v", reply.Code, protocol.TokenRevoked)
	}
}

// TestAdmitRefuses answers what is wrong with its code.
func TestAdmitRefuses(t *testing.T) {
	l := startLodge(t)
	enrolSubject, adminSubject := l.subjects.Enrol("alpha"), l.subjects.Admin("alpha")
	token, err := nkeys.FromSeed([]byte(l.newToken(protocol.RoleWorker).Seed))
	if err != nil {
		t.Fatal(err)
	}
	machine := newKey(t)
	enrol := func(change func(*protocol.Enrol)) []byte {
		e := enrolWith(t, token, machine, protocol.RoleWorker, "rig")
		change(e)
		return protocol.Encode(e)
	}
	admin := func(ask protocol.TokenAsk) []byte { return protocol.Encode(&ask) }
	kind := func(kind string) protocol.Ask { return protocol.Ask{Kind: kind, ID: 7} }
	joining, owning := l.dial(token, protocol.JoinerName(publicKey(t, token))), l.dial(l.owner, "owner_1")
	for _, tt := range []struct {
		name    string
		subject string
		ask     []byte
		want    protocol.Code
	}{
		{"no JSON", enrolSubject, []byte("x"), protocol.Malformed},
		{"an order of the owner", enrolSubject, admin(protocol.TokenAsk{Ask: kind(protocol.KindTokenList)}), protocol.Malformed},
		{"too long", enrolSubject, []byte(`{"kind":"enrol","x":"` + strings.Repeat("x", maxAdmit) + `"}`), protocol.Oversized},
		{"another token", enrolSubject, enrol(func(e *protocol.Enrol) { e.Token = publicKey(t, newKey(t)) }), protocol.NoToken},
		{"another key than was proven", enrolSubject, enrol(func(e *protocol.Enrol) { e.Key = publicKey(t, newKey(t)) }), protocol.NoToken},
		{"another name than was proven", enrolSubject, enrol(func(e *protocol.Enrol) { e.Name = "w2" }), protocol.NoToken},
		{"a name for two", enrolSubject, enrol(func(e *protocol.Enrol) { e.Name = "w_2" }), protocol.Malformed},
		{"the owner's role", enrolSubject, enrol(func(e *protocol.Enrol) { e.Role = protocol.RoleOwner }), protocol.Malformed},
		{"another role", enrolSubject, protocol.Encode(enrolWith(t, token, machine, protocol.RoleObserver, "rig")), protocol.WrongRole},

		{"no JSON", adminSubject, []byte("x"), protocol.Malformed},
		{"no such kind", adminSubject, admin(protocol.TokenAsk{Ask: kind("token-steal")}), protocol.Malformed},
		{"a token for ever", adminSubject, admin(protocol.TokenAsk{Ask: kind(protocol.KindTokenNew), Role: protocol.RoleWorker, TTLMS: 1 << 40}), protocol.Malformed},
		{"a token for an owner", adminSubject, admin(protocol.TokenAsk{Ask: kind(protocol.KindTokenNew), Role: protocol.RoleOwner, TTLMS: 1000}), protocol.Malformed},
		{"revoke nobody", adminSubject, admin(protocol.TokenAsk{Ask: kind(protocol.KindTokenRevoke), What: "nobody"}), protocol.NotFound},
		{"revoke nothing", adminSubject, admin(protocol.TokenAsk{Ask: kind(protocol.KindTokenRevoke)}), protocol.NotFound},
	} {
		conn := joining
		if tt.subject == adminSubject {
			conn = owning
		}
		reply := new(protocol.Reply)
		l.askBytes(conn, tt.subject, tt.ask, reply)
		if reply.Code != tt.want || reply.Detail == "" {
			t.Errorf("%s on %s: %v (%s), want %v", tt.name, tt.subject, reply.Code, reply.Detail, tt.want)
		}
	}
	if entries, _ := l.Coordinator.cfg.Access.Keeper.List(time.Now(), ""); len(entries) != 1 || entries[0].State != "waiting" {
		t.Errorf("after all that: %+v, want one token that waits", entries)
	}
}

// TestNoAccess says where credentials come from when they are not the coordinator's.
func TestNoAccess(t *testing.T) {
	broker := startBroker(t)
	n := startNode(t, nodeConfig{url: broker.URL()})
	l := &lodge{node: n, t: t}
	conn, err := nats.Connect(broker.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	token := newKey(t)
	for subject, ask := range map[string]protocol.Message{
		n.subjects.Admin("alpha"): &protocol.TokenAsk{Ask: protocol.Ask{Kind: protocol.KindTokenList, ID: 7}},
		n.subjects.Enrol("alpha"): enrolWith(t, token, newKey(t), protocol.RoleWorker, "rig"),
	} {
		reply := new(protocol.Reply)
		l.ask(conn, subject, ask, reply)
		if reply.Code != protocol.Unavailable || !strings.Contains(reply.Detail, "jbc nats-config") || reply.ID != 7 {
			t.Errorf("%s: %+v, want %v and where to look", subject, reply, protocol.Unavailable)
		}
	}
	if _, err := n.NewToken(time.Now(), protocol.RoleWorker, time.Hour); !errors.Is(err, ErrNoAccess) || !errors.Is(err, protocol.Unavailable) {
		t.Errorf("NewToken = %v, want %v", err, ErrNoAccess)
	}
}

// TestBadAddresses goes on where its addresses are too long for a token, or there are
// none just now.
func TestBadAddresses(t *testing.T) {
	long := make([]string, protocol.MaxAddresses)
	for i := range long {
		long[i] = strings.Repeat("a.", 120) + "example:4222"
	}
	for name, addresses := range map[string][]string{"too long": long, "none": nil} {
		l := startLodge(t)
		l.Coordinator.cfg.Access.Addresses = func() []string { return addresses }
		for range 2 {
			reply := l.admin(&protocol.TokenAsk{Ask: protocol.Ask{Kind: protocol.KindTokenNew}, Role: protocol.RoleWorker, TTLMS: 1000})
			if reply.Code != protocol.Unavailable || !strings.Contains(reply.Detail, "address") {
				t.Errorf("%s: token: %v (%s), want %v and why", name, reply.Code, reply.Detail, protocol.Unavailable)
			}
		}
		if list := l.admin(&protocol.TokenAsk{Ask: protocol.Ask{Kind: protocol.KindTokenList}}); len(list.Entries) != 0 {
			t.Errorf("%s: tokens that nobody has: %+v", name, list.Entries)
		}
	}
}

// TestEnrolsAreBounded tries a token that was used again and again: so many attempts
// are answered, and one of them is told to the log. Attempts that prove nothing take
// nothing away from it.
func TestEnrolsAreBounded(t *testing.T) {
	var log logLines
	l := startLodgeWith(t, slog.New(slog.NewTextHandler(&log, nil)))
	token, machine := l.newToken(protocol.RoleWorker), newKey(t)
	key, err := nkeys.FromSeed([]byte(token.Seed))
	if err != nil {
		t.Fatal(err)
	}
	conn := l.dial(key, protocol.JoinerName(publicKey(t, key)))
	inbox, err := conn.SubscribeSync(conn.NewInbox())
	if err != nil {
		t.Fatal(err)
	}
	subject := l.subjects.Enrol("alpha")
	send := func(e *protocol.Enrol) {
		if err := conn.PublishRequest(subject, inbox.Subject, protocol.Encode(e)); err != nil {
			t.Fatal(err)
		}
	}
	unproven := enrolWith(t, key, newKey(t), protocol.RoleWorker, "thief")
	unproven.Name = "other"
	for range 10 {
		send(unproven)
	}
	if reply := l.enrol(token, machine, "rig"); reply.Code != protocol.OK {
		t.Fatalf("after attempts without proof: %v", reply.Code)
	}
	const tries = 100
	for range tries {
		send(enrolWith(t, key, newKey(t), protocol.RoleWorker, "thief"))
	}
	answers := map[protocol.Code]int{}
	for {
		msg, err := inbox.NextMsg(time.Second)
		if err != nil {
			break
		}
		var reply protocol.EnrolReply
		if err := protocol.Decode(msg.Data, &reply); err != nil {
			t.Fatal(err)
		}
		answers[reply.Code]++
	}
	if n := answers[protocol.TokenUsed]; n < enrolBurst-1 || n > enrolBurst+5 {
		t.Errorf("of %d attempts %d are answered, want about %d", tries, n, enrolBurst-1)
	}
	if n := strings.Count(log.String(), "a token was refused"); n != 2 { // with proof and without
		t.Errorf("%d lines of refused tokens, want 2", n)
	}
	l.admin(&protocol.TokenAsk{Ask: protocol.Ask{Kind: protocol.KindTokenRevoke}, What: "rig"})
	if !strings.Contains(log.String(), "machine revoked\" machine=rig") || strings.Contains(log.String(), `=""`) {
		t.Errorf("the log says\n%s", log.String())
	}
}
