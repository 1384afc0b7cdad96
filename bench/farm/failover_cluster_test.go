//go:build linux

package farm

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jbcnet/jbc/coordinator/protocol"
)

// TestClusterFailover runs two coordinators and four workers on a NATS cluster of three
// servers, one of which is killed again and again. Each process was told of one server
// or of all, and learns of the rest from the cluster. Every worker hashes on in time.
func TestClusterFailover(t *testing.T) {
	c := newCluster(t, 3)
	all := strings.Join([]string{c[0].url, c[1].url, c[2].url}, ",")
	m := &clusterFailover{cluster: c}
	hosts := here(t, "c1", "c2")
	for i, url := range []string{c[0].url, all} {
		n := &node{host: hosts[i], heard: newMemory()}
		n.words = []string{"coordinator", "--name", n.name, "--nats", url}
		n.start(t)
		n.observeAt(t, all, protocol.ConnectOptions("watch")...)
		eventually(t, patience, n.name+" answers", func() bool { return n.watch.status() != nil })
		m.nodes = append(m.nodes, n)
	}
	for i, url := range []string{c[0].url, c[1].url, c[2].url, all} {
		d := &digger{host: here(t, fmt.Sprintf("w%d", i+1))[0]}
		d.words = []string{"worker", "--log-level", "debug", "--threads", "1", "--name", d.name, "--nats", url, "--coordinator", hosts[i%2].name}
		d.start(t)
		m.diggers = append(m.diggers, d)
	}
	tries := count(1, 20)
	for i := range tries {
		m.try(t, i == 0)
	}
	t.Logf("a server killed -9 %d times, under %d processes; %d times a worker felt nothing, %d times it went on with another coordinator",
		tries, m.cut, m.spared, m.changed)
	t.Logf("from the kill to a job, for a worker that was cut off, or its coordinator: %s", m.took)
	if len(m.took) == 0 {
		t.Error("no worker felt anything")
	}
}

// clusterFailover is the script.
type clusterFailover struct {
	cluster []*clusterServer
	nodes   []*node
	diggers []*digger

	took    times // of workers that were cut off themselves, or their coordinators
	spared  int   // how often a worker was not
	cut     int   // processes that were cut off
	changed int   // how often a worker went on with another coordinator
}

// try kills one server that some process is connected to: at first the one that a
// coordinator was told of alone.
func (m *clusterFailover) try(t *testing.T, first bool) {
	t.Helper()
	whole(t, m.cluster)
	now, before := time.Now(), map[*digger]string{}
	for _, d := range m.diggers {
		_, before[d] = d.takesUp(t, now, "for somebody", anybody)
	}
	time.Sleep(rand.N(4 * time.Second))
	victim, cut := m.cluster[0], m.cluster[0].clients(t)
	for !first {
		victim = m.cluster[rand.N(len(m.cluster))]
		if cut = victim.clients(t); len(cut) > 0 {
			break
		}
	}
	killed := time.Now()
	victim.process.kill()
	m.cut += len(cut)
	ready := map[string]time.Time{} // when a coordinator can be reached
	for _, n := range m.nodes {
		ready[n.name] = reconnected(t, n.process, "connected to the NATS server", killed, cut)
	}
	for _, d := range m.diggers {
		from := reconnected(t, d.process, "connected to NATS", killed, cut)
		var at time.Time
		var of string
		eventually(t, patience, d.name+" is given work", func() bool {
			at, of = d.next(from, ready)
			return !at.IsZero()
		})
		took := at.Sub(killed)
		if !slices.Contains(cut, d.name) && !slices.Contains(cut, before[d]) {
			m.spared++
		} else {
			m.took = append(m.took, took)
		}
		if of != before[d] {
			m.changed++
		}
		if took > failoverTime {
			t.Errorf("%s is given work %v after a server's death, want at most %v", d.name, took, failoverTime)
		}
	}
	credit(t, m.nodes, m.diggers...)
	agree(t, patience, m.nodes, 0)
	victim.start(t)
}

func anybody(string) bool { return true }

// next returns the first job that the worker began after a moment, of a coordinator
// that was ready by then, as began does.
func (d *digger) next(from time.Time, ready map[string]time.Time) (at time.Time, of string) {
	for name, since := range ready {
		if since.Before(from) {
			since = from
		}
		began, _ := d.began(since, func(c string) bool { return c == name })
		if !began.IsZero() && (at.IsZero() || began.Before(at)) {
			at, of = began, name
		}
	}
	return at, of
}

// reconnected waits for a process to say that it is connected, if it was cut, and
// returns when that was, and otherwise the moment of the kill.
func reconnected(t *testing.T, p *process, says string, killed time.Time, cut []string) (at time.Time) {
	t.Helper()
	if !slices.Contains(cut, p.name) {
		return killed
	}
	eventually(t, patience, p.name+" is connected again", func() bool {
		for _, l := range p.out.with(says) {
			if l.at.After(killed) {
				at = l.at
				return true
			}
		}
		return false
	})
	return at
}

// clusterServer is a NATS server of a cluster, in a process of its own.
type clusterServer struct {
	*farm
	name    string
	monitor string // where it tells about itself
	config  string
	process *process
}

// newCluster starts as many servers that know each other.
func newCluster(t *testing.T, n int) (servers []*clusterServer) {
	t.Helper()
	var names, routes []string
	for i := range n {
		names, routes = append(names, fmt.Sprintf("n%d", i+1)), append(routes, freePort(t))
	}
	for i, name := range names {
		s := &clusterServer{farm: newFarm(t), name: name, monitor: freePort(t)}
		s.config = filepath.Join(s.home, "nats.conf")
		text := fmt.Sprintf("server_name: %q\nhttp: %q\ncluster {\n  name: farm\n  listen: %q\n  routes: [\"nats://%s\"]\n}\n",
			name, s.monitor, routes[i], strings.Join(routes, `", "nats://`))
		if err := os.WriteFile(s.config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		s.start(t)
		servers = append(servers, s)
	}
	whole(t, servers)
	return servers
}

// start starts the server, again with the same configuration.
func (s *clusterServer) start(t *testing.T) {
	t.Helper()
	s.process = s.natsServer(t, "JBC_FARM_NATS_CONFIG="+s.config)
}

// whole waits until each server has routes to all others.
func whole(t *testing.T, servers []*clusterServer) {
	t.Helper()
	for _, s := range servers {
		eventually(t, patience, s.name+" has routes to all others", func() bool {
			var r struct {
				Routes []struct {
					Name string `json:"remote_name"`
				} `json:"routes"`
			}
			s.ask(t, "routez", &r)
			met := map[string]bool{s.name: true}
			for _, route := range r.Routes {
				met[route.Name] = true
			}
			return len(met) == len(servers)
		})
	}
}

// clients returns which processes are connected to the server.
func (s *clusterServer) clients(t *testing.T) (names []string) {
	t.Helper()
	var r struct {
		Connections []struct {
			Name string `json:"name"`
		} `json:"connections"`
	}
	s.ask(t, "connz", &r)
	for _, c := range r.Connections {
		if name := strings.TrimPrefix(c.Name, "jbc "); name != "watch" {
			names = append(names, name)
		}
	}
	return names
}

// ask reads what the server tells about itself.
func (s *clusterServer) ask(t *testing.T, what string, into any) {
	t.Helper()
	reply, err := http.Get("http://" + s.monitor + "/" + what)
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Body.Close()
	if err := json.NewDecoder(reply.Body).Decode(into); err != nil {
		t.Fatalf("%s of %s: %v", what, s.name, err)
	}
}
