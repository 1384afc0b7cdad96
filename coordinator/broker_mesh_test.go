package coordinator

import (
	"errors"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
)

// TestMeshPasses has three servers meet, of which the last knows the first alone,
// and what is said at each be heard at all others.
func TestMeshPasses(t *testing.T) {
	bothMeshes(t, func(m *meshTest) {
		a := m.node("a")
		b := m.node("b", a.address())
		b.meets(m.T, "a")
		c := m.node("c", a.address())
		a.meets(m.T, "b", "c")
		b.meets(m.T, "a", "c")
		c.meets(m.T, "a", "b")
		nodes := map[string]*meshNode{"a": a, "b": b, "c": c}
		conns := map[string]*nats.Conn{}
		for name, n := range nodes {
			conns[name] = n.coordinator(m.T, name)
		}
		for from := range nodes {
			for to := range nodes {
				crosses(m.T, conns[from], conns[to], farmSubjects.Block(from))
			}
		}
		for _, r := range a.Routes() {
			if r.Key != nodes[r.Name].key || r.Since.IsZero() || r.Address == "" {
				m.Errorf("route %+v, want key %q", r, nodes[r.Name].key)
			}
		}
		for name, n := range nodes {
			if v, err := n.server.Routez(nil); err != nil || v.NumRoutes != 2 {
				m.Errorf("the server of %s itself has %d routes, %v", name, v.NumRoutes, err)
			}
			if strings.Contains(n.log.String(), "onnect to route") {
				m.Errorf("the server of %s dials by itself", name)
			}
		}
	})
}

// TestMeshOutlivesFirst has the rest stay together without the one whose address
// everybody was given, and it come back to the same port.
func TestMeshOutlivesFirst(t *testing.T) {
	bothMeshes(t, func(m *meshTest) {
		a := m.node("a")
		port := a.address()
		b, c := m.node("b", port), m.node("c", port)
		b.meets(m.T, "a", "c")
		c.meets(m.T, "a", "b")
		a.Stop()
		b.meets(m.T, "c")
		crosses(m.T, b.coordinator(m.T, "b"), c.coordinator(m.T, "c"), farmSubjects.Block("b"))
		a = m.nodeWith("a", func(mesh *Mesh) { mesh.Listen = port })
		a.meets(m.T, "b", "c")
		crosses(m.T, a.coordinator(m.T, "a"), c.coordinator(m.T, "c2"), farmSubjects.Block("a"))
	})
}

// TestMeshTogether has servers come at the same time to one that is all they know:
// they meet each other too.
func TestMeshTogether(t *testing.T) {
	bothMeshes(t, func(m *meshTest) {
		names := []string{"b", "c", "d", "e"}
		a := m.node("a")
		nodes := map[string]*meshNode{}
		for _, name := range names {
			nodes[name] = m.node(name)
		}
		var together sync.WaitGroup
		for _, n := range nodes {
			together.Go(func() { _ = n.SetNodes([]string{a.address()}) })
		}
		together.Wait()
		a.meets(m.T, names...)
		for name, n := range nodes {
			n.meets(m.T, append([]string{"a"}, slices.DeleteFunc(slices.Clone(names), func(other string) bool { return other == name })...)...)
		}
	})
}

// TestMeshBothDial has two servers dial each other at once, again and again: they
// are joined by one route, which stays.
func TestMeshBothDial(t *testing.T) {
	bothMeshes(t, func(m *meshTest) {
		for range 5 {
			a := m.node("a")
			b := m.node("b")
			var both sync.WaitGroup
			both.Go(func() { _ = a.SetNodes([]string{b.address()}) })
			both.Go(func() { _ = b.SetNodes([]string{a.address()}) })
			both.Wait()
			a.meets(m.T, "b")
			b.meets(m.T, "a")
			crosses(m.T, a.coordinator(m.T, "a"), b.coordinator(m.T, "b"), farmSubjects.Block("a"))
			before := a.Routes()
			crosses(m.T, b.coordinator(m.T, "b"), a.coordinator(m.T, "a"), farmSubjects.Block("b"))
			if after := a.Routes(); !slices.Equal(before, after) {
				m.Errorf("routes %v became %v", before, after)
			}
			a.Stop()
			b.Stop()
		}
	})
}

// TestMeshKeepsRoles has what a role may do hold across routes.
func TestMeshKeepsRoles(t *testing.T) {
	m := &meshTest{T: t, secure: true, trust: &meshTrust{}}
	a := m.node("a")
	b := m.node("b", a.address())
	a.meets(t, "b")
	worker, beta := a.worker(t, "w1"), b.coordinator(t, "b")
	jobs, err := worker.SubscribeSync(farmSubjects.Job("*"))
	if err != nil {
		t.Fatal(err)
	}
	wait(t, "job", func() bool {
		if err := beta.Publish(farmSubjects.Job("b"), []byte("job")); err != nil {
			t.Fatal(err)
		}
		_, err := jobs.NextMsg(20 * time.Millisecond)
		return err == nil
	})

	asked, err := beta.SubscribeSync(farmSubjects.AskAny("b"))
	if err != nil {
		t.Fatal(err)
	}
	other := b.worker(t, "w2")
	forged, err := other.SubscribeSync(farmSubjects.Job("*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, conn := range []*nats.Conn{beta, other} {
		if err := conn.FlushTimeout(patience); err != nil {
			t.Fatal(err)
		}
	}
	answered := make(chan error, 1)
	go func() {
		msg, err := asked.NextMsg(patience)
		if err == nil {
			err = msg.Respond([]byte("yes"))
		}
		answered <- err
	}()
	wait(t, "answer across the route", func() bool {
		for _, forbidden := range []string{farmSubjects.Job("b"), farmSubjects.Job("a"), farmSubjects.Ask("b", "w2")} {
			if err := worker.Publish(forbidden, []byte("forged")); err != nil {
				t.Fatal(err)
			}
		}
		_, err := worker.Request(farmSubjects.Ask("b", "w1"), nil, 200*time.Millisecond)
		return err == nil
	})
	if err := <-answered; err != nil {
		t.Fatal(err)
	}
	for name, sub := range map[string]*nats.Subscription{"job": forged, "question": asked} {
		if msg, err := sub.NextMsg(50 * time.Millisecond); !errors.Is(err, nats.ErrTimeout) && string(msg.Data) == "forged" {
			t.Errorf("a forged %s came across", name)
		}
	}
}

// TestMeshPassesItsNetworkOnly has nothing else cross.
func TestMeshPassesItsNetworkOnly(t *testing.T) {
	m := &meshTest{T: t, trust: &meshTrust{}}
	a := m.node("a")
	b := m.node("b", a.address())
	a.meets(t, "b")
	from, to := a.worker(t, "w1"), b.worker(t, "w2")
	var subs []*nats.Subscription
	outside := []string{"other", "jbc.v1.dev-99999999.job.a", "jbc.v2.x", "$SYS.REQ.x", farmSubjects.Admin("b"), farmSubjects.Enrol("b")}
	for _, subject := range outside {
		sub, err := to.SubscribeSync(subject)
		if err != nil {
			t.Fatal(err)
		}
		subs = append(subs, sub)
	}
	for _, inside := range []string{farmSubjects.Job("a"), "_INBOX.w2.x", "$SRV.PING"} {
		crosses(t, from, to, inside)
	}
	for _, subject := range outside {
		if err := from.Publish(subject, nil); err != nil {
			t.Fatal(err)
		}
	}
	crosses(t, from, to, farmSubjects.Job("a")) // by when the others would have come
	for i, sub := range subs {
		if n, _, err := sub.Pending(); err != nil || n != 0 {
			t.Errorf("%d messages on %s, %v", n, outside[i], err)
		}
	}
}

// TestMeshDeadLink notices a link that passes nothing on any more without having
// been closed, and finds another way.
func TestMeshDeadLink(t *testing.T) {
	bothMeshes(t, func(m *meshTest) {
		a := m.node("a")
		link := newDeadLink(m.T, a.address())
		b := m.node("b", link.address)
		b.meets(m.T, "a")
		a.meets(m.T, "b")
		routes := map[*meshNode]Route{a: a.Routes()[0], b: b.Routes()[0]}
		link.set(true)
		began := time.Now()
		for n, route := range routes {
			if wait(m.T, "loss", func() bool { return !slices.Contains(n.Routes(), route) }); time.Since(began) > 3500*time.Millisecond {
				m.Errorf("noticed after %v", time.Since(began))
			}
		}
		b.meets(m.T, "a") // a was told where b is, past the link
		crosses(m.T, a.coordinator(m.T, "a"), b.coordinator(m.T, "b"), farmSubjects.Block("a"))
	})
}

// TestMeshSetNodes adds and drops nodes, and no client notices.
func TestMeshSetNodes(t *testing.T) {
	bothMeshes(t, func(m *meshTest) {
		a, b, c := m.node("a"), m.node("b"), m.node("c")
		client := a.worker(m.T, "w1")
		nobody := "127.0.0.1:1"
		for _, tt := range []struct {
			nodes   []string
			want    error
			met     []string
			targets int // c is heard of by b and dials itself
		}{
			{[]string{nobody}, nil, nil, 1},
			{nil, nil, nil, 0},
			{[]string{b.address(), nobody}, nil, []string{"b"}, 2},
			{[]string{b.address(), b.address()}, nil, []string{"b"}, 1},
			{[]string{b.address(), "example.com"}, errAny, []string{"b"}, 1},
			{[]string{b.address(), "127.0.0.1:0"}, errAny, []string{"b"}, 1},
			{[]string{c.address()}, nil, []string{"b", "c"}, 2},
			{nil, nil, []string{"b", "c"}, 2}, // they stand
		} {
			if err := a.SetNodes(tt.nodes); (err != nil) != (tt.want != nil) {
				m.Errorf("SetNodes(%q): %v, want %v", tt.nodes, err, tt.want)
			}
			a.meets(m.T, tt.met...)
			a.mesh.mu.Lock()
			targets := len(a.mesh.targets)
			a.mesh.mu.Unlock()
			if targets != tt.targets {
				m.Errorf("after SetNodes(%q): %d are dialled, want %d", tt.nodes, targets, tt.targets)
			}
		}
		if err := client.FlushTimeout(patience); err != nil || client.Stats().Reconnects != 0 {
			m.Errorf("the client was dropped: %v", err)
		}
		if !m.secure {
			if err := a.SetNodes([]string{"192.0.2.1:7222"}); !errors.Is(err, ErrNotLoopback) {
				m.Errorf("a node elsewhere: %v, want %v", err, ErrNotLoopback)
			}
		}
	})
}

// errAny stands for an error that has no name.
var errAny = errors.New("any")

// TestMeshEnds has nothing run when a server has stopped, whoever is met or about to
// be.
func TestMeshEnds(t *testing.T) {
	bothMeshes(t, func(m *meshTest) {
		stranger := func(address string) {
			conn, err := net.Dial("tcp", address)
			if err != nil {
				m.Fatal(err)
			}
			m.Cleanup(func() { conn.Close() })
		}
		before := meshGoroutines()
		a := m.node("a", "127.0.0.1:1")
		b := m.node("b", a.address())
		c := m.node("c", a.address())
		c.meets(m.T, "a", "b")
		stranger(a.address())
		began := time.Now()
		for _, n := range []*meshNode{a, b, c} {
			n.Stop()
		}
		if took := time.Since(began); took > meetTime {
			m.Errorf("it took %v to stop", took)
		}
		wait(m.T, "end of all that ran", func() bool { return meshGoroutines() <= before })
		if err := a.SetNodes([]string{b.address()}); err != nil {
			m.Errorf("SetNodes after the end: %v", err)
		}
		if n := meshGoroutines(); n > before {
			m.Errorf("%d goroutines, %d before", n, before)
		}
	})
}

// TestMeshListens says where a mesh may listen, and where it does.
func TestMeshListens(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, tt := range []struct {
		listen   string
		fallback bool
		nodes    []string
		want     string
	}{
		{"127.0.0.1:0", false, nil, ""},
		{taken.Addr().String(), true, nil, ""},
		{taken.Addr().String(), false, nil, "address already in use"},
		{"0.0.0.0:0", true, nil, ErrNotLoopback.Error()},
		{"127.0.0.1", true, nil, "missing port"},
		{"127.0.0.1:0", true, []string{"192.0.2.1:7222"}, ErrNotLoopback.Error()},
		{"127.0.0.1:0", true, []string{":7222"}, "want HOST:PORT"},
	} {
		b, err := StartBroker(BrokerConfig{Listen: "127.0.0.1:0", Name: "test", Log: testLog(t), Mesh: &Mesh{
			Listen: tt.listen, Fallback: tt.fallback, Network: "dev-1a2b3c4d", Nodes: tt.nodes,
		}})
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: %v, want %q", tt.listen, err, tt.want)
		}
		if err != nil {
			continue
		}
		if b.MeshPort() == 0 {
			t.Errorf("%s: no port", tt.listen)
		}
		if v, err := b.server.Varz(nil); err != nil || !IsLoopback(v.Cluster.Host) {
			t.Errorf("%s: the server takes routes at %s, %v", tt.listen, v.Cluster.Host, err)
		}
		b.Stop()
	}
	none := startBroker(t)
	if err := none.SetNodes(nil); !errors.Is(err, ErrNoMesh) || none.MeshPort() != 0 || none.Routes() != nil {
		t.Errorf("without a mesh: %v, port %d, routes %v", err, none.MeshPort(), none.Routes())
	}
	none.CutNode("x")
}

// TestMeshKeyIsNeeded refuses a secure mesh without one.
func TestMeshKeyIsNeeded(t *testing.T) {
	public, err := nkeys.FromPublicKey(publicKey(t, newKey(t)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := openMesh(Mesh{Listen: "127.0.0.1:0", Network: "dev-1a2b3c4d", Key: public}, "x", true, testLog(t)); !errors.Is(err, nkeys.ErrPublicKeyOnly) {
		t.Errorf("with a public key alone: %v, want %v", err, nkeys.ErrPublicKeyOnly)
	}
}
