package coordinator

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jbcnet/jbc/coordinator/access"
)

// TestMeshTrust meets nobody unless both trust each other.
func TestMeshTrust(t *testing.T) {
	for _, tt := range []struct {
		name             string
		dialler, listens bool // trusts the other
	}{{"both", true, true}, {"the one that dials", true, false}, {"the one that listens", false, true}, {"nobody", false, false}} {
		t.Run(tt.name, func(t *testing.T) {
			m := &meshTest{T: t, secure: true, trust: &meshTrust{}}
			listens := m.nodeWith("a", func(mesh *Mesh) { mesh.Trusted = func(string) bool { return tt.listens } })
			dialler := m.nodeWith("b", func(mesh *Mesh) {
				mesh.Trusted, mesh.Nodes = func(string) bool { return tt.dialler }, []string{listens.address()}
			})
			if tt.dialler && tt.listens {
				dialler.meets(t, "a")
				return
			}
			wait(t, "refusal", func() bool { return strings.Contains(dialler.log.String(), "met nobody") })
			reason := dialler.log
			if tt.dialler {
				reason = listens.log
			}
			wait(t, "reason", func() bool { return strings.Contains(reason.String(), access.ErrStranger.Error()) })
			if tt.dialler {
				wait(t, "warning", func() bool {
					return strings.Contains(dialler.log.String(), "level=WARN msg=\"a coordinator does not trust this one")
				})
			} else if strings.Contains(dialler.log.String(), "level=WARN") {
				t.Errorf("warned:\n%s", dialler.log)
			}
			if a, b := listens.Routes(), dialler.Routes(); len(a)+len(b) != 0 {
				t.Errorf("routes %v and %v", a, b)
			}
		})
	}
}

// TestMeshRevokedMeanwhile has a key not be trusted any more once the handshake has
// ended, when there is nothing to cut yet.
func TestMeshRevokedMeanwhile(t *testing.T) {
	for _, dials := range []bool{true, false} {
		m := &meshTest{T: t, secure: true, trust: &meshTrust{}}
		var asked atomic.Int32
		a := m.nodeWith("a", func(mesh *Mesh) {
			mesh.Trusted = func(string) bool { return asked.Add(1)%2 == 1 } // at the handshake, not after
		})
		if b := m.node("b"); dials {
			_ = a.SetNodes([]string{b.address()})
		} else {
			_ = b.SetNodes([]string{a.address()})
		}
		wait(t, "second question", func() bool { return asked.Load() >= 2 })
		wait(t, "refusal", func() bool { return strings.Contains(a.log.String(), access.ErrStranger.Error()) })
		if strings.Contains(a.log.String(), "met a node") {
			t.Errorf("dials %v: it was met:\n%s", dials, a.log)
		}
	}
}

// TestMeshMeetsNoOther keeps out whoever is not of this mesh, for a reason that is
// told at level debug alone, but for a name that is used twice.
func TestMeshMeetsNoOther(t *testing.T) {
	bothMeshes(t, func(m *meshTest) {
		a := m.node("a")
		for _, tt := range []struct {
			name, want string
			set        func(*Mesh)
		}{
			{"b", errNetwork.Error(), func(mesh *Mesh) { mesh.Network = "dev-99999999" }},
			{"a", errSameName.Error(), func(*Mesh) {}},
		} {
			n := m.nodeWith(tt.name, func(mesh *Mesh) { tt.set(mesh); mesh.Nodes = []string{a.address()} })
			wait(m.T, "refusal", func() bool { return strings.Contains(n.log.String(), tt.want) })
			if tt.name == "a" {
				wait(m.T, "warning", func() bool { return strings.Contains(a.log.String(), "choose another --name") })
			}
			if len(a.Routes())+len(n.Routes()) != 0 {
				m.Errorf("%s: routes %v and %v", tt.want, a.Routes(), n.Routes())
			}
			n.Stop()
			for _, log := range []*logLines{n.log, a.log} {
				if got, want := strings.Count(log.String(), "level=WARN"), strings.Count(tt.name, "a"); got != want {
					m.Errorf("%s: %d warnings, want %d:\n%s", tt.want, got, want, log)
				}
			}
		}
		self := m.node("self")
		if err := self.SetNodes([]string{self.address()}); err != nil {
			m.Fatal(err)
		}
		wait(m.T, "refusal", func() bool { return strings.Contains(self.log.String(), errSelf.Error()) })
		if len(self.Routes()) != 0 || strings.Contains(self.log.String(), "level=WARN") {
			m.Errorf("it met itself:\n%s", self.log)
		}
	})
}

// TestMeshStrangers has the port be hit by whatever there is, and a node still come
// in beside them.
func TestMeshStrangers(t *testing.T) {
	bothMeshes(t, func(m *meshTest) {
		a := m.node("a")
		dial := func() net.Conn {
			conn, err := net.Dial("tcp", a.address())
			if err != nil {
				m.Fatal(err)
			}
			m.Cleanup(func() { conn.Close() })
			return conn
		}
		began := time.Now()
		var silent []net.Conn
		for range maxMeetingOfHost - 2 { // a scanner, room left for two
			silent = append(silent, dial())
		}
		closedBy := func(conn net.Conn, what string) {
			conn.SetReadDeadline(time.Now().Add(patience))
			if _, err := io.Copy(io.Discard, conn); isTimeout(err) {
				m.Errorf("%s: still connected", what)
			}
		}
		long := strings.Repeat("x", 2*maxHello)
		for _, garbage := range []string{
			"GET / HTTP/1.1\r\n\r\n", "\n", "{}\n", "null\n", `{"network":"dev-1a2b3c4d","server":"","name":"x"}` + "\n", long,
			`CONNECT {"name":"x","cluster":"jbc-dev-1a2b3c4d"}` + "\r\nPING\r\n", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + long,
		} {
			conn := dial()
			conn.Write([]byte(garbage))
			closedBy(conn, fmt.Sprintf("%.20q", garbage))
		}
		if m.secure {
			for name, config := range map[string]*tls.Config{
				"no certificate": {InsecureSkipVerify: true, NextProtos: []string{"jbc-mesh"}},
				"TLS of old":     {InsecureSkipVerify: true, NextProtos: []string{"jbc-mesh"}, MaxVersion: tls.VersionTLS12},
			} {
				conn := tls.Client(dial(), config)
				_ = conn.Handshake()
				if _, err := conn.Read(make([]byte, 1)); err == nil {
					m.Errorf("%s: it is talked to", name)
				}
			}
		}
		b := m.node("b", a.address())
		b.meets(m.T, "a")
		for _, conn := range silent {
			closedBy(conn, "one that says nothing")
		}
		if took := time.Since(began); took > 10*time.Second { // 2 s each, those that spoke one after another
			m.Errorf("they were let stand for %v", took)
		}
		if strings.Contains(a.log.String(), "level=WARN") || strings.Contains(a.log.String(), "level=ERROR") {
			m.Errorf("the log is loud:\n%s", a.log)
		}
		if n := strings.Count(a.log.String(), "refused a route"); n != 1 {
			m.Errorf("%d lines of refusals of one host, want 1", n)
		}
	})
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// TestMeshInnerPort lets nobody past the credentials, where the server takes routes
// from its own process.
func TestMeshInnerPort(t *testing.T) {
	bothMeshes(t, func(m *meshTest) {
		a := m.node("a")
		for _, opening := range []string{
			`CONNECT {"name":"X","cluster":"jbc-dev-1a2b3c4d","user":"route","pass":""}` + "\r\n", "",
		} {
			conn, err := net.Dial("tcp", a.mesh.inner)
			if err != nil {
				m.Fatal(err)
			}
			defer conn.Close()
			fmt.Fprintf(conn, "%sINFO {\"server_id\":\"X\",\"server_name\":\"jbc-x\",\"cluster\":\"jbc-dev-1a2b3c4d\"}\r\nPING\r\n", opening)
			conn.SetReadDeadline(time.Now().Add(patience))
			said, err := io.ReadAll(conn)
			if isTimeout(err) || strings.Contains(string(said), "PONG") {
				m.Errorf("after %.10q it is let stand: %q", opening, said)
			}
			if v, err := a.server.Routez(nil); err != nil || v.NumRoutes != 0 {
				m.Errorf("after %.10q: %d routes, %v", opening, v.NumRoutes, err)
			}
		}
	})
}

// TestMeshCut cuts the route of a node that is revoked within a second, whichever
// side dialled, lets it in no more, and leaves the others.
func TestMeshCut(t *testing.T) {
	for _, dials := range []string{"the one that cuts", "the one that is cut"} {
		t.Run(dials, func(t *testing.T) {
			m := &meshTest{T: t, secure: true, trust: &meshTrust{}}
			own := &meshTrust{} // of a alone
			var a, gone *meshNode
			trusting := func(mesh *Mesh) { mesh.Trusted = func(key string) bool { return m.trust.has(key) && !own.has(key) } }
			a = m.nodeWith("a", trusting)
			stays := m.node("stays", a.address())
			if gone = m.node("gone"); dials == "the one that cuts" {
				_ = a.SetNodes([]string{gone.address()})
			} else {
				_ = gone.SetNodes([]string{a.address()})
			}
			a.meets(t, "gone", "stays")
			stays.meets(t, "a", "gone")
			before := stays.Routes()[0]

			began := time.Now()
			own.set(gone.key, true)
			a.CutNode(gone.key)
			wait(t, "cut", func() bool { return slices.Equal(a.metNames(), []string{"stays"}) })
			wait(t, "end of the route", func() bool { return !slices.Contains(gone.metNames(), "a") })
			if took := time.Since(began); took > time.Second {
				t.Errorf("cut after %v", took)
			}
			wait(t, "refusal", func() bool { return strings.Contains(a.log.String(), access.ErrStranger.Error()) })
			if dials == "the one that is cut" {
				wait(t, "warning", func() bool { return strings.Contains(gone.log.String(), "does not trust this one") })
			}
			wait(t, "route of the server's less", func() bool { v, err := a.server.Routez(nil); return err == nil && v.NumRoutes == 1 })
			if got := a.metNames(); !slices.Equal(got, []string{"stays"}) {
				t.Errorf("after it came again: %q", got)
			}
			if after := stays.Routes()[0]; after != before {
				t.Errorf("the route of another changed from %+v to %+v", before, after)
			}
			own.set(gone.key, false)
			a.meets(t, "gone", "stays")
		})
	}
}
