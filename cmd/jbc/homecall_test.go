package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/jbcnet/jbc/chain/store"
	"github.com/jbcnet/jbc/coordinator"
	"github.com/jbcnet/jbc/coordinator/access"
	"github.com/jbcnet/jbc/coordinator/protocol"
	"github.com/jbcnet/jbc/worker"
)

// farmServer is the server of a coordinator that does nothing but tell who it is.
type farmServer struct {
	name, key, address string
	broker             *coordinator.Broker
	certs              *access.Certs
	keeper             *access.Keeper
}

// startFarmServer starts one, of which nothing is heard yet.
func startFarmServer(t *testing.T, name string) *farmServer {
	t.Helper()
	const network = "dev-1a2b3c4d"
	st, err := store.Open(store.Options{Dir: "node", Network: network, FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	s := &farmServer{name: name}
	if s.keeper, err = access.OpenKeeper(st); err != nil {
		t.Fatal(err)
	}
	if s.certs, err = access.OpenCerts(filepath.Join(t.TempDir(), "tls"), nil, time.Now()); err != nil {
		t.Fatal(err)
	}
	_, owner, err := access.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	if _, s.key, err = access.NewKey(); err != nil {
		t.Fatal(err)
	}
	s.broker, err = coordinator.StartBroker(coordinator.BrokerConfig{
		Listen: "127.0.0.1:0", Name: name, Log: slog.New(slog.DiscardHandler), Secure: &coordinator.Secure{
			TLS: s.certs.Config(), Keeper: s.keeper, Owner: owner, Subjects: protocol.NewSubjects(network), Coordinator: name,
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.broker.Stop)
	s.address = net.JoinHostPort("127.0.0.1", strconv.Itoa(s.broker.Port()))
	return s
}

// admit has the server know the machine with that seed as rig.
func (s *farmServer) admit(t *testing.T, seed string) {
	t.Helper()
	issued, err := s.keeper.Issue(time.Now(), protocol.RoleWorker, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	token, err := nkeys.FromSeed([]byte(issued.Seed))
	if err != nil {
		t.Fatal(err)
	}
	e := &protocol.Enrol{Ask: protocol.Ask{Kind: protocol.KindEnrol, ID: 7}, Role: protocol.RoleWorker, Name: "rig"}
	if e.Key, err = access.PublicKey(seed); err != nil {
		t.Fatal(err)
	}
	if e.Token, err = token.PublicKey(); err != nil {
		t.Fatal(err)
	}
	if e.Proof, err = token.Sign(e.Proven()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.keeper.Enrol(time.Now(), e); err != nil {
		t.Fatal(err)
	}
}

// tells has a coordinator answer discovery at the server.
func (s *farmServer) tells(t *testing.T, name, key string) {
	t.Helper()
	opts, err := s.broker.Options(protocol.RoleCoordinator, name)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := nats.Connect("nats://"+s.address, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	answer, err := json.Marshal(map[string]any{"metadata": map[string]string{
		protocol.MetaNetwork: "dev-1a2b3c4d", protocol.MetaName: name, protocol.MetaKey: key,
	}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Subscribe(protocol.PingSubject, func(m *nats.Msg) { _ = m.Respond(answer) }); err != nil {
		t.Fatal(err)
	}
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
}

// TestCallHome has a machine that joined alpha at the server of beta, without a route
// between the two.
func TestCallHome(t *testing.T) {
	away := func() worker.Stats {
		return worker.Stats{State: worker.Mining, Coordinator: "beta", Preferred: "alpha"}
	}
	for _, tt := range []struct {
		name   string
		change func(t *testing.T, alpha *farmServer, m *access.Membership)
		stats  func() worker.Stats
		home   bool
	}{
		{name: "alpha is at its server", home: true, change: func(t *testing.T, alpha *farmServer, m *access.Membership) {
			alpha.admit(t, m.Seed)
			alpha.tells(t, "alpha", alpha.key)
		}},
		{name: "alpha is at its server, and the worker has no coordinator", home: true, stats: idle, change: func(t *testing.T, alpha *farmServer, m *access.Membership) {
			alpha.admit(t, m.Seed)
			alpha.tells(t, "alpha", alpha.key)
		}},
		{name: "alpha is met by the mesh", change: func(t *testing.T, alpha *farmServer, m *access.Membership) {
			alpha.admit(t, m.Seed)
			alpha.tells(t, "alpha", alpha.key)
		}, stats: func() worker.Stats {
			return worker.Stats{State: worker.Mining, Coordinator: "alpha", Preferred: "alpha"}
		}},
		{name: "alpha is not at its server", change: func(t *testing.T, alpha *farmServer, m *access.Membership) {
			alpha.admit(t, m.Seed)
		}},
		{name: "somebody else is at its server", change: func(t *testing.T, alpha *farmServer, m *access.Membership) {
			alpha.admit(t, m.Seed)
			alpha.tells(t, "gamma", alpha.key)
		}},
		{name: "alpha has another key", change: func(t *testing.T, alpha *farmServer, m *access.Membership) {
			alpha.admit(t, m.Seed)
			_, other, err := access.NewKey()
			if err != nil {
				t.Fatal(err)
			}
			alpha.tells(t, "alpha", other)
		}},
		{name: "alpha does not let it in", change: func(t *testing.T, alpha *farmServer, _ *access.Membership) {
			alpha.tells(t, "alpha", alpha.key)
		}},
		{name: "the server of another that is trusted is where alpha was", change: func(t *testing.T, alpha *farmServer, m *access.Membership) {
			gamma := startFarmServer(t, "gamma")
			gamma.admit(t, m.Seed)
			gamma.tells(t, "alpha", alpha.key)
			m.Addresses = []string{gamma.address}
			m.Others = append(m.Others, access.Other{Name: "gamma", Key: gamma.key, CA: gamma.certs.CA(), Addresses: []string{gamma.address}})
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			alpha, beta := startFarmServer(t, "alpha"), startFarmServer(t, "beta")
			seed, _, err := access.NewKey()
			if err != nil {
				t.Fatal(err)
			}
			m := &access.Membership{
				Network: "dev-1a2b3c4d", Coordinator: "alpha", Key: alpha.key, Role: protocol.RoleWorker, Name: "rig", Seed: seed,
				Addresses: []string{"127.0.0.1:1", alpha.address}, CA: alpha.certs.CA(),
				Others: []access.Other{{Name: "beta", Key: beta.key, CA: beta.certs.CA(), Addresses: []string{beta.address}}},
			}
			beta.admit(t, seed)
			tt.change(t, alpha, m)
			p := newPool(testLog(t), &route{member: m, chosen: filepath.Join(t.TempDir(), "rig.json")})
			opts, err := m.Options("rig_1")
			if err != nil {
				t.Fatal(err)
			}
			conn, err := dial("tls://"+beta.address, "rig_1", p.log, append(opts, p.options()...))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(conn.Close)
			p.serve(conn)
			if got := conn.ConnectedUrl(); got != "tls://"+beta.address {
				t.Fatalf("connected to %q", got)
			}
			if tt.stats == nil {
				tt.stats = away
			}
			p.call(t.Context(), "rig_1", tt.stats)
			if !tt.home {
				if got, n := conn.ConnectedUrl(), conn.Stats().Reconnects; got != "tls://"+beta.address || n > 0 {
					t.Errorf("connected to %q after %d reconnections", got, n)
				}
				return
			}
			if p.set[0] != "tls://"+alpha.address {
				t.Errorf("turns to %s first", p.set[0])
			}
			for deadline := time.Now().Add(10 * time.Second); conn.ConnectedUrl() != "tls://"+alpha.address; time.Sleep(time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatalf("connected to %q", conn.ConnectedUrl())
				}
			}
			if n := conn.Stats().Reconnects; n != 1 {
				t.Errorf("%d reconnections", n)
			}
			p.call(t.Context(), "rig_1", tt.stats)
			p.takeNodes(nil) // beta was shut out
			if got, n := conn.ConnectedUrl(), conn.Stats().Reconnects; got != "tls://"+alpha.address || n != 1 {
				t.Errorf("connected to %q after %d reconnections", got, n)
			}
		})
	}
}

// TestPoolKeepsItsServer has the server that a connection is at stay in the pool when
// its node is vouched for no more: where the connection is would be unknown.
func TestPoolKeepsItsServer(t *testing.T) {
	beta := startFarmServer(t, "beta")
	p, _ := poolOf(t, protocol.RoleWorker)
	beta.admit(t, p.member.Seed)
	p.member.Others = []access.Other{{Name: "beta", Key: beta.key, CA: beta.certs.CA(), Addresses: []string{beta.address}}}
	opts, err := p.member.Options("rig_1")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := dial("tls://"+beta.address, "rig_1", p.log, append(opts, p.options()...))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	p.serve(conn)
	p.takeNodes([]protocol.Node{nodeOf(t, "gamma", "127.0.0.1:5")})
	if got := conn.ConnectedUrl(); got != "tls://"+beta.address || !p.astray() {
		t.Errorf("connected to %q, astray: %v", got, p.astray())
	}
}

// TestCallHomeEnds does not wait for a server that accepts and says nothing.
func TestCallHomeEnds(t *testing.T) {
	beta := startFarmServer(t, "beta")
	p, _ := poolOf(t, protocol.RoleWorker)
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	p.member.Addresses = []string{silent.Addr().String()}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		if conn, err := silent.Accept(); err == nil {
			defer conn.Close()
			_, _ = conn.Read(make([]byte, 1<<16)) // the caller waits for the answer
			cancel()
			_, _ = conn.Read(make([]byte, 1)) // until the caller hangs up
		}
	}()
	beta.admit(t, p.member.Seed)
	began := time.Now()
	if url, ok := p.findHome(ctx, "rig_1"); ok {
		t.Errorf("home at %s", url)
	}
	if took := time.Since(began); took > callTime*3/4 {
		t.Errorf("ended after %v", took)
	}
}
