package coordinator

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/coordinator/access"
	"github.com/jbcnet/jbc/coordinator/protocol"
)

// member is a coordinator of a mesh, on one server with the others.
type member struct {
	*node
	keeper *access.Keeper
	mesh   nkeys.KeyPair
	conn   *nats.Conn // of whoever asks it

	mu      sync.Mutex
	nodes   []string // the others, as it was told last
	revoked []string // coordinators, by key
}

// memberConfig says how to start one.
type memberConfig struct {
	broker *Broker
	name   string
	dir    string        // empty: a new one
	key    nkeys.KeyPair // nil: a new one
	mesh   nkeys.KeyPair // nil: founds a mesh
	joined []protocol.Machine
	open   bool // no book of machines
	log    *slog.Logger
	keeper func(*access.Keeper)
}

func startMember(t *testing.T, cfg memberConfig) *member {
	t.Helper()
	m := &member{mesh: cfg.mesh}
	if cfg.key == nil {
		cfg.key = newKey(t)
	}
	if m.mesh == nil {
		m.mesh = cfg.key
	}
	mesh := &NodeConfig{
		Where: func() (addresses, routes []string) {
			return []string{cfg.name + ".example:4222"}, []string{cfg.name + ".example:6222"}
		},
		Mesh: cfg.mesh, Secure: !cfg.open,
		NodesChanged: func(nodes []protocol.Node) {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.nodes = nil
			for _, n := range nodes {
				m.nodes = append(m.nodes, n.Name)
			}
		},
		Revoked: func(key string) {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.revoked = append(m.revoked, key)
		},
	}
	admits := func(n *node) *Access {
		var err error
		if m.keeper, err = access.OpenKeeper(n.store, cfg.name, OwnerName); err != nil {
			t.Fatal(err)
		}
		self := protocol.Machine{Key: publicKey(t, m.mesh), Name: cfg.name, Role: protocol.RoleCoordinator, Home: cfg.name, Joined: time.Now().Unix()}
		if err := m.keeper.Found(time.Now(), self, cfg.joined...); err != nil {
			t.Fatal(err)
		}
		if cfg.keeper != nil {
			cfg.keeper(m.keeper)
		}
		certs, err := access.OpenCerts(t.TempDir()+"/tls", nil, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		return &Access{Keeper: m.keeper, Certs: certs, Broker: cfg.broker, Addresses: func() []string { return []string{cfg.name + ".example:4222"} }, Hosts: func() []string { return nil }}
	}
	if cfg.open {
		admits = nil
	}
	url := cfg.broker.URL()
	if cfg.broker.secure {
		url = "" // in this process
	}
	m.node = startNode(t, nodeConfig{url: url, name: cfg.name, dir: cfg.dir, key: cfg.key, access: admits, mesh: mesh, log: cfg.log})
	if !cfg.broker.secure {
		var err error
		if m.conn, err = nats.Connect(cfg.broker.URL()); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(m.conn.Close)
	}
	return m
}

// asked returns the answer of the member's coordinator to somebody's question.
func (m *member) asked(subject string, question, reply protocol.Message) {
	m.t.Helper()
	msg, err := m.conn.Request(subject, protocol.Encode(question), patience)
	if err != nil {
		m.t.Fatal(err)
	}
	decode(m.t, msg, reply)
}

// lets lets a machine join, which it returns as others are to know it, and the reply.
func (m *member) lets(key nkeys.KeyPair, role protocol.Role, name string) *protocol.EnrolReply {
	m.t.Helper()
	issued, err := m.keeper.Issue(time.Now(), role, time.Hour)
	if err != nil {
		m.t.Fatal(err)
	}
	token, err := nkeys.FromSeed([]byte(issued.Seed))
	if err != nil {
		m.t.Fatal(err)
	}
	reply := new(protocol.EnrolReply)
	m.asked(m.subjects.Enrol(m.node.cfg.name), enrolWith(m.t, token, key, role, name), reply)
	if reply.Code != protocol.OK {
		m.t.Fatalf("enrol: %v (%s)", reply.Code, reply.Detail)
	}
	return reply
}

// revokes revokes what goes by a name.
func (m *member) revokes(what string) {
	m.t.Helper()
	reply := new(protocol.TokenReply)
	m.asked(m.subjects.Admin(m.node.cfg.name), &protocol.TokenAsk{Ask: protocol.Ask{Kind: protocol.KindTokenRevoke, ID: 1}, What: what}, reply)
	if reply.Code != protocol.OK {
		m.t.Fatalf("revoke %s: %v (%s)", what, reply.Code, reply.Detail)
	}
}

// asMachine is what a coordinator that joins this one has to know of it.
func (m *member) asMachine() protocol.Machine {
	m.t.Helper()
	name := m.node.cfg.name
	return protocol.Machine{Key: publicKey(m.t, m.mesh), Name: name, Role: protocol.RoleCoordinator, Home: name, Joined: time.Now().Unix()}
}

// others is whom it was told of.
func (m *member) others() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return strings.Join(m.nodes, " ")
}

func (m *member) wasRevoked(key string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Contains(m.revoked, key)
}

// join starts a coordinator with a token of another.
func join(t *testing.T, at *member, broker *Broker, name string) *member {
	t.Helper()
	key := newKey(t)
	reply := at.lets(key, protocol.RoleCoordinator, name)
	if want := publicKey(t, at.mesh); reply.Mesh != want || len(reply.Routes) == 0 || reply.Routes[0] != at.node.cfg.name+".example:6222" {
		t.Fatalf("told mesh key %s and routes %v, want %s and its own first", reply.Mesh, reply.Routes, want)
	}
	return startMember(t, memberConfig{broker: broker, name: reply.Name, mesh: key, joined: []protocol.Machine{at.asMachine()}})
}

// atOnce is how long news may take on a busy machine: nobody waited to look around.
const atOnce = lookAroundTime - time.Second

// TestMachinesSpread has three coordinators, of which the third knows the second
// alone, learn of each other and of every machine, and of each revocation at once.
func TestMachinesSpread(t *testing.T) {
	broker := startBroker(t)
	alpha := startMember(t, memberConfig{broker: broker, name: "alpha"})
	beta := join(t, alpha, broker, "beta")
	gamma := join(t, beta, broker, "gamma")
	for _, m := range []*member{alpha, beta, gamma} {
		want := strings.TrimSpace(strings.ReplaceAll(" alpha beta gamma ", " "+m.node.cfg.name+" ", " "))
		until(t, fmt.Sprintf("%s knows %s", m.node.cfg.name, want), func() bool { return m.others() == want })
		if nodes := m.Nodes(); len(nodes) != 3 || nodes[0].Name != m.node.cfg.name {
			t.Errorf("%s lists %d nodes, of which the first is %s", m.node.cfg.name, len(nodes), nodes[0].Name)
		}
	}
	rig := newKey(t)
	start := time.Now()
	alpha.lets(rig, protocol.RoleWorker, "rig")
	until(t, "gamma knows a machine of alpha", func() bool {
		who, in := gamma.keeper.Who(publicKey(t, rig))
		return in && who.Name == "rig" && who.Role == protocol.RoleWorker
	})
	if took := time.Since(start); took > atOnce {
		t.Errorf("known after %v, want it at once", took)
	}
	until(t, "beta does too", func() bool { _, in := beta.keeper.Who(publicKey(t, rig)); return in })
	if reply := beta.lets(newKey(t), protocol.RoleWorker, "rig"); reply.Name != "rig-2" {
		t.Errorf("another of that name at beta is %q, want rig-2", reply.Name)
	}
	start = time.Now()
	gamma.revokes("rig")
	for _, m := range []*member{alpha, beta, gamma} {
		until(t, m.node.cfg.name+" knows the revocation", func() bool { _, in := m.keeper.Who(publicKey(t, rig)); return !in })
	}
	if took := time.Since(start); took > atOnce {
		t.Errorf("revoked everywhere after %v, want it at once", took)
	}
	start = time.Now()
	alpha.revokes("beta")
	key := publicKey(t, beta.mesh)
	for m, left := range map[*member]string{alpha: "gamma", gamma: "alpha"} {
		until(t, m.node.cfg.name+" cuts beta", func() bool {
			return m.wasRevoked(key) && !m.keeper.IsCoordinator(key) && m.others() == left
		})
	}
	if took := time.Since(start); took > atOnce {
		t.Errorf("cut everywhere after %v, want it at once", took)
	}
	until(t, "beta knows that it was revoked", func() bool { return !beta.keeper.IsCoordinator(key) })
	if beta.wasRevoked(key) {
		t.Error("beta cuts itself")
	}
	if alpha.keeper.IsCoordinator(publicKey(t, gamma.mesh)) != true {
		t.Error("gamma, which joined at beta, went with it")
	}
}

// TestNodesSurviveARestart remembers nodes, and says nothing older than it said.
func TestNodesSurviveARestart(t *testing.T) {
	broker, dir, key := startBroker(t), t.TempDir(), newKey(t)
	alpha := startMember(t, memberConfig{broker: broker, name: "alpha", dir: dir, key: key})
	beta := join(t, alpha, broker, "beta")
	until(t, "both know each other", func() bool { return alpha.others() == "beta" && beta.others() == "alpha" })
	before := alpha.Nodes()
	for _, m := range []*member{beta, alpha} {
		if err := m.stop(); err != nil {
			t.Fatal(err)
		}
	}
	again := startMember(t, memberConfig{broker: broker, name: "alpha", dir: dir, key: key})
	if got := again.Nodes(); jsonOf(t, got) != jsonOf(t, before) || again.others() != "beta" {
		t.Errorf("after a restart %s, told of %q\nwant %s", jsonOf(t, got), again.others(), jsonOf(t, before))
	}
	again.revokes("beta")
	until(t, "beta is forgotten", func() bool { return again.others() == "" })
	if err := again.stop(); err != nil {
		t.Fatal(err)
	}
	again = startMember(t, memberConfig{broker: broker, name: "alpha", dir: dir, key: key})
	if got := again.Nodes(); len(got) != 1 {
		t.Errorf("after another restart %s", jsonOf(t, got))
	}
	now := time.UnixMilli(before[0].Said)
	for _, tt := range []struct {
		name    string
		after   time.Duration
		atLeast int64
		change  func(*protocol.Node)
		said    int64 // after the last, 0 for the same
	}{
		{"as it was", 0, -1, func(*protocol.Node) {}, 0},
		{"a day later", restateTime, -1, func(*protocol.Node) {}, restateTime.Milliseconds()},
		{"heard later than it knows", 0, 5000, func(*protocol.Node) {}, 5001},
		{"another address", 0, -1, func(n *protocol.Node) { n.Addresses = nil }, 1},
		{"another route, by a clock that was set back", -time.Hour, -1, func(n *protocol.Node) { n.Routes = nil }, 1},
		{"heard at the end of time", 0, protocol.MaxSaid, func(*protocol.Node) {}, 0},
	} {
		last := before[0]
		tt.change(&last)
		atLeast := last.Said + tt.atLeast
		if tt.atLeast == protocol.MaxSaid {
			atLeast = protocol.MaxSaid
		}
		own, news, err := again.Coordinator.node.restated(now.Add(tt.after), again.Coordinator.node.book.own, last, atLeast)
		if err != nil || own.Said != last.Said+tt.said || news != (tt.said > 0) || news && own.Check() != nil {
			t.Errorf("%s: said %d ms after, %v, %v, want %d", tt.name, own.Said-last.Said, news, err, tt.said)
		}
	}
}

// TestOpenMesh proves nothing to each other where there is nothing to keep anybody
// out, and tells of no machines.
func TestOpenMesh(t *testing.T) {
	broker := startBroker(t)
	alpha := startMember(t, memberConfig{broker: broker, name: "alpha", open: true})
	beta := startMember(t, memberConfig{broker: broker, name: "beta", open: true})
	until(t, "both know each other", func() bool { return alpha.others() == "beta" && beta.others() == "alpha" })
	reply := new(protocol.MachinesReply)
	alpha.asked(alpha.subjects.Sync("alpha"), &protocol.AskMachines{Ask: protocol.Ask{Kind: protocol.KindMachines, ID: 1}}, reply)
	if reply.Code != protocol.Unavailable {
		t.Errorf("machines of an open mesh: %v, want %v", reply.Code, protocol.Unavailable)
	}
	plain := startNode(t, nodeConfig{url: broker.URL(), name: "plain"})
	nodes := new(protocol.NodesReply)
	alpha.asked(alpha.subjects.Ask("plain", "w1"), &protocol.AskNodes{Ask: protocol.Ask{Kind: protocol.KindNodes, ID: 1}}, nodes)
	if nodes.Code != protocol.OK || len(nodes.Nodes) != 0 || plain.Nodes() != nil {
		t.Errorf("nodes of a coordinator in no mesh: %+v", nodes)
	}
}

// TestWorkersAskForNodes tells a worker of all nodes, signed, and not too often.
func TestWorkersAskForNodes(t *testing.T) {
	broker := startBroker(t)
	alpha := startMember(t, memberConfig{broker: broker, name: "alpha", open: true})
	startMember(t, memberConfig{broker: broker, name: "beta", open: true})
	until(t, "alpha knows beta", func() bool { return alpha.others() == "beta" })
	h := newHand(alpha.node, broker.URL(), "w1")
	var reply protocol.NodesReply
	h.ask(&protocol.AskNodes{Ask: h.head(protocol.KindNodes)}, &reply)
	if len(reply.Nodes) != 2 || reply.Nodes[0].Name != "alpha" || reply.Nodes[1].Name != "beta" || reply.After != "" {
		t.Fatalf("nodes %+v", reply)
	}
	for i := range reply.Nodes {
		if err := reply.Nodes[i].Check(); err != nil {
			t.Error(err)
		}
	}
	h.ask(&protocol.AskNodes{Ask: h.head(protocol.KindNodes), After: "a.b"}, &reply)
	if reply.Code != protocol.Malformed {
		t.Errorf("after no name: %v, want %v", reply.Code, protocol.Malformed)
	}
	l := newLimits(ofProcess)
	l.Admit(testStart, "w")
	allowed := 0
	for range 100 {
		if l.AdmitKind(testStart, "w", protocol.KindNodes) {
			allowed++
		}
	}
	if allowed != nodeStart {
		t.Errorf("%d questions at once are answered, want %d", allowed, nodeStart)
	}
}

// TestCutElsewhere revokes a machine at another coordinator than the one whose server
// it is connected to: it is cut off there, and not let in again.
func TestCutElsewhere(t *testing.T) {
	b := startSecureBroker(t)
	alpha := startMember(t, memberConfig{broker: b.Broker, name: "alpha", keeper: func(k *access.Keeper) {
		b.gate.secure.Keeper, b.gate.secure.Subjects = k, protocol.NewSubjects(chain.Regtest().ID())
	}})
	key := newKey(t)
	if _, err := alpha.keeper.Merge(time.Now(), "zero", []protocol.Machine{{
		Key: publicKey(t, key), Name: "beta", Role: protocol.RoleCoordinator, Home: "zero", Joined: time.Now().Unix(),
	}}); err != nil {
		t.Fatal(err)
	}
	beta := startMember(t, memberConfig{broker: b.Broker, name: "beta", mesh: key, joined: []protocol.Machine{alpha.asMachine()}})
	rig := newKey(t)
	if _, err := alpha.keeper.Merge(time.Now(), "zero", []protocol.Machine{{
		Key: publicKey(t, rig), Name: "rig", Role: protocol.RoleWorker, Home: "zero", Joined: time.Now().Unix(),
	}}); err != nil {
		t.Fatal(err)
	}
	conn := dialSecure(t, b.Broker, b.certs, rig, "rig_1")
	until(t, "beta knows it", func() bool { _, in := beta.keeper.Who(publicKey(t, rig)); return in })
	if !conn.IsConnected() {
		t.Fatal("cut off before")
	}
	if _, err := beta.keeper.Revoke(time.Now(), "rig"); err != nil { // without what beta does to its own server, which is alpha's here
		t.Fatal(err)
	}
	beta.tellBook()
	until(t, "it is cut off at alpha", func() bool { return !conn.IsConnected() })
	if _, err := tryDial(t, b.URL(), rig, "rig_1", nats.Secure(tlsOf(t, b.certs)), nats.TLSHandshakeFirst()); !errors.Is(err, nats.ErrAuthorization) {
		t.Errorf("again: %v, want %v", err, nats.ErrAuthorization)
	}
}

// TestTwoOfAName lets in the one that joined first, when two coordinators that were
// cut apart meet again, and cuts off the other.
func TestTwoOfAName(t *testing.T) {
	broker := startBroker(t)
	alpha := startMember(t, memberConfig{broker: broker, name: "alpha"})
	first, second, fifth := newKey(t), newKey(t), newKey(t)
	merge := func(m *member, key nkeys.KeyPair, role protocol.Role, joined int64) {
		t.Helper()
		if _, err := m.takeMachines(time.Now(), "test", []protocol.Machine{{
			Key: publicKey(t, key), Name: "rig", Role: role, Home: "beta", Joined: joined,
		}}); err != nil {
			t.Fatal(err)
		}
	}
	in := func(key nkeys.KeyPair) bool { _, ok := alpha.keeper.Who(publicKey(t, key)); return ok }
	merge(alpha, second, protocol.RoleCoordinator, 20)
	if !in(second) || !alpha.keeper.IsCoordinator(publicKey(t, second)) {
		t.Fatal("the only one is not let in")
	}
	merge(alpha, fifth, protocol.RoleWorker, 50)
	merge(alpha, first, protocol.RoleWorker, 10)
	if !in(first) || in(second) || in(fifth) || alpha.keeper.IsCoordinator(publicKey(t, second)) {
		t.Errorf("first %v, second %v, fifth %v", in(first), in(second), in(fifth))
	}
	if !alpha.wasRevoked(publicKey(t, second)) {
		t.Error("the coordinator whose name is another's is not cut off")
	}
}
