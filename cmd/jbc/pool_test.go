package main

import (
	"context"
	"encoding/pem"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/jbcnet/jbc/coordinator/access"
	"github.com/jbcnet/jbc/coordinator/protocol"
	"github.com/jbcnet/jbc/worker"
)

// nodeOf returns the record of a node that is nowhere, unsigned.
func nodeOf(t *testing.T, name string, addresses ...string) protocol.Node {
	t.Helper()
	_, public, err := access.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode([]byte(membership(t, protocol.RoleWorker, name).CA))
	return protocol.Node{Network: "dev-1a2b3c4d", Name: name, Key: public, CA: block.Bytes, Addresses: addresses}
}

// poolOf returns the pool of a membership that is kept, and where that is.
func poolOf(t *testing.T, role protocol.Role) (p *pool, path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "joined.json")
	m := membership(t, role, "rig")
	m.Addresses = []string{"127.0.0.1:1", "127.0.0.1:2"}
	if err := m.Save(path); err != nil {
		t.Fatal(err)
	}
	return newPool(testLog(t), &route{member: m, chosen: path}), path
}

func testLog(t *testing.T) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// connects gives the pool a connection that finds no server.
func (p *pool) connects(t *testing.T) *nats.Conn {
	t.Helper()
	conn, err := nats.Connect(p.member.URL(), append(protocol.ConnectOptions("rig"), p.options()...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	p.serve(conn)
	return conn
}

// ended is a context that has ended: what must be done by then is.
func ended() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

func idle() worker.Stats { return worker.Stats{State: worker.Offline} }

// connServers returns the servers of a connection, sorted: it goes through them.
func connServers(conn *nats.Conn) (urls []string) {
	for _, s := range conn.ServerPool() {
		urls = append(urls, s.URL.String())
	}
	slices.Sort(urls)
	return urls
}

// TestNodesOfAPool says which servers a connection may turn to, and what is kept, once
// two nodes are vouched for.
func TestNodesOfAPool(t *testing.T) {
	for _, tt := range []struct {
		role protocol.Role
		want []string
		kept int
	}{
		{protocol.RoleWorker, []string{"tls://127.0.0.1:1", "tls://127.0.0.1:3", "tls://127.0.0.1:5", "tls://127.0.0.1:2", "tls://127.0.0.1:4"}, 2},
		{protocol.RoleOwner, []string{"tls://127.0.0.1:1", "tls://127.0.0.1:2"}, 0}, // which no other server knows
	} {
		t.Run(string(tt.role), func(t *testing.T) {
			p, path := poolOf(t, tt.role)
			conn := p.connects(t)
			p.takeNodes([]protocol.Node{nodeOf(t, "beta", "127.0.0.1:3", "127.0.0.1:4"), nodeOf(t, "farm", "127.0.0.1:9"), nodeOf(t, "gamma", "127.0.0.1:5")})
			p.run(ended(), "rig", idle)
			if tt.role == protocol.RoleOwner {
				slices.Sort(p.set) // as the connection had them, which tries one after the other
			}
			if !slices.Equal(p.set, tt.want) {
				t.Errorf("servers %q, want %q", p.set, tt.want)
			}
			if got, want := connServers(conn), slices.Sorted(slices.Values(tt.want)); !slices.Equal(got, want) {
				t.Errorf("the connection has %q, want %q", got, want)
			}
			m, err := access.LoadMembership(path)
			if err != nil {
				t.Fatal(err)
			}
			if len(m.Others) != tt.kept || len(p.known()) != tt.kept {
				t.Errorf("kept %d others, known %d, want %d", len(m.Others), len(p.known()), tt.kept)
			}
		})
	}
}

// TestPoolOnTheLAN tries what the local network knows of the coordinator before the
// second addresses of anybody.
func TestPoolOnTheLAN(t *testing.T) {
	p, _ := poolOf(t, protocol.RoleWorker)
	p.connects(t)
	p.takeNodes([]protocol.Node{nodeOf(t, "beta", "127.0.0.1:3", "127.0.0.1:4")})
	if !p.takeLAN("tls://127.0.0.1:7") || p.takeLAN("tls://127.0.0.1:7") {
		t.Error("told twice, or never")
	}
	want := []string{"tls://127.0.0.1:1", "tls://127.0.0.1:7", "tls://127.0.0.1:3", "tls://127.0.0.1:2", "tls://127.0.0.1:4"}
	if !slices.Equal(p.set, want) {
		t.Errorf("servers %q, want %q", p.set, want)
	}
}

// TestKeepLatest keeps the last list of nodes, also when the run ends at once.
func TestKeepLatest(t *testing.T) {
	p, path := poolOf(t, protocol.RoleWorker)
	for _, name := range []string{"beta", "gamma", "delta"} {
		p.takeNodes([]protocol.Node{nodeOf(t, name, "127.0.0.1:3")})
	}
	p.run(ended(), "rig", idle)
	m, err := access.LoadMembership(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Others) != 1 || m.Others[0].Name != "delta" {
		t.Errorf("kept %+v", m.Others)
	}
}

// TestTakeNodesWaitsForNoDisk returns while somebody else has the file, and keeps the
// nodes as soon as they let go.
func TestTakeNodesWaitsForNoDisk(t *testing.T) {
	p, path := poolOf(t, protocol.RoleWorker)
	unlock, err := lockJoined(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { p.run(ctx, "rig", idle) })
	p.takeNodes([]protocol.Node{nodeOf(t, "beta", "127.0.0.1:3")})
	p.takeNodes([]protocol.Node{nodeOf(t, "gamma", "127.0.0.1:3")})
	if m, err := access.LoadMembership(path); err != nil || len(m.Others) > 0 {
		t.Errorf("written while it was locked: %+v, %v", m, err)
	}
	unlock()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		m, err := access.LoadMembership(path)
		if err == nil && len(m.Others) == 1 && m.Others[0].Name == "gamma" {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("kept %+v, %v", m, err)
		}
	}
	cancel()
	running.Wait()
}

// TestKeepLeavesANewJoin never puts an old join back, whenever the new one is made.
func TestKeepLeavesANewJoin(t *testing.T) {
	p, path := poolOf(t, protocol.RoleWorker)
	var saving sync.WaitGroup
	defer saving.Wait()
	for range 50 {
		ctx, cancel := context.WithCancel(t.Context())
		joined := membership(t, protocol.RoleWorker, "rig")
		p.takeNodes([]protocol.Node{nodeOf(t, "beta", "127.0.0.1:3")})
		saving.Go(func() { p.keep(ctx) })
		if err := saveJoined(joined, path); err != nil {
			t.Fatal(err)
		}
		cancel()
		saving.Wait()
		m, err := access.LoadMembership(path)
		if err != nil {
			t.Fatal(err)
		}
		if m.Seed != joined.Seed || len(m.Others) > 0 {
			t.Fatalf("the join before is back, or has its others: %+v", m.Others)
		}
		if err := p.member.Save(path); err != nil {
			t.Fatal(err)
		}
	}
	if files, err := os.ReadDir(filepath.Dir(path)); err != nil || len(files) != 1 {
		t.Errorf("left are %v, %v, want the join alone", files, err)
	}
}
