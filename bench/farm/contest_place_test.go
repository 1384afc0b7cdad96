//go:build linux

package farm

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jbcnet/jbc/coordinator/protocol"
)

// crews are the threads of each coordinator's workers. They differ, so that equal counts
// are as wrong an expectation as any.
var crews = [][]int{{1, 4}, {1, 2}, {1, 1}}

// coordinator starts one that meets the others on loopback.
func (c *contest) coordinator(t *testing.T, f *farm, name string) *rival {
	t.Helper()
	host, routes := freePort(t), freePort(t)
	args := []string{"coordinator", "--network", c.network, "--name", name, "--listen", host, "--mesh", routes}
	if c.mesh == "" {
		c.mesh = routes
	} else {
		args = append(args, "--node", c.mesh)
	}
	r := &rival{name: name, dir: filepath.Join(f.home, name), url: "nats://" + host, jbc: f.command}
	r.status = []string{"status", "--json", "--nats", r.url, "--network", c.network, "--coordinator", name}
	r.process = start(t, name, f.command(append(args, "--data-dir", r.dir)...))
	c.rivals = append(c.rivals, r)
	return r
}

// onOneMachine has all of them as processes that meet on loopback.
func (c *contest) onOneMachine(t *testing.T, f *farm) {
	t.Helper()
	for i, crew := range crews {
		r := c.coordinator(t, f, fmt.Sprintf("c%d", i+1))
		for j, threads := range crew {
			w := fmt.Sprintf("%s-w%d", r.name, j+1)
			c.enter(w, threads, func() *exec.Cmd {
				return f.command("worker", "--nats", r.url, "--coordinator", r.name, "--name", w, "--threads", fmt.Sprint(threads))
			})
		}
	}
}

func (c *contest) enter(name string, threads int, command func() *exec.Cmd) {
	c.miners = append(c.miners, &contestant{name: name, threads: threads, command: command})
}

// onMachines has each of them on a machine of its own. All but the first coordinator
// know nothing but a token.
func (c *contest) onMachines(t *testing.T) {
	t.Helper()
	hosts, apart := newHosts(t, 9)
	t.Logf("network namespaces: %v", apart)
	next := func() *host {
		h := hosts[0]
		hosts = hosts[1:]
		return h
	}
	var first *rival
	for i, crew := range crews {
		h, name := next(), fmt.Sprintf("c%d", i+1)
		args := []string{"coordinator", "--network", c.network, "--name", name}
		if first != nil {
			c.join(t, first, h, name, protocol.RoleCoordinator)
			args = append(args, "--join", filepath.Join(h.home, ".config", "jbc", "joined", "coordinator.json"))
		}
		port := "4222"
		if !apart {
			port = portOf(freePort(t))
			args = append(args, "--advertise", h.address)
		}
		r := &rival{name: name, dir: h.dataDir(c.params.ID()), jbc: h.jbc, status: []string{"status", "--json", "--network", c.network, "--coordinator", name}}
		r.process = start(t, name, h.jbc(append(args, "--listen", "0.0.0.0:"+port)...))
		r.says(t, patience, "other machines can join")
		c.rivals = append(c.rivals, r)
		if first == nil {
			first = r
		}
		for _, threads := range crew {
			w := next()
			c.join(t, r, w, w.name, protocol.RoleWorker)
			c.enter(w.name+"_w", threads, func() *exec.Cmd { return w.jbc("worker", "--name", "w", "--threads", fmt.Sprint(threads)) })
		}
	}
}

func portOf(address string) string { return address[strings.LastIndexByte(address, ':')+1:] }

// join has a machine trade a token of a coordinator.
func (c *contest) join(t *testing.T, r *rival, h *host, name string, role protocol.Role) {
	t.Helper()
	line, errs, status := finish(t, r.jbc("token", "new", "--network", c.network, "--role", string(role)))
	if status != 0 {
		t.Fatalf("jbc token new: status %d: %s", status, errs)
	}
	if out, errs, status := finish(t, h.joinWith(line, "--name", name)); status != 0 {
		t.Fatalf("jbc join: status %d: %s%s", status, out, errs)
	}
}
