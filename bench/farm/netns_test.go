//go:build linux

package farm

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
)

// host is a machine of a test: a network namespace with an address of its own on a
// bridge that all share, and a home. Where namespaces can't be had it is an address
// of loopback and a home.
type host struct {
	*farm
	name    string
	address string // where the others reach it
	space   string // the namespace, empty where there is none
}

// networks counts those of this process.
var networks atomic.Int32

// newHosts returns n machines on one network, and whether they are namespaces.
func newHosts(t *testing.T, n int) (hosts []*host, apart bool) {
	t.Helper()
	for i := range n {
		f := &farm{home: t.TempDir()}
		hosts = append(hosts, &host{farm: f, name: fmt.Sprintf("h%d", i+1), address: fmt.Sprintf("127.0.0.%d", 11+i)})
	}
	id := fmt.Sprintf("jbc%d-%d", os.Getpid(), networks.Add(1))
	if err := plugIn(t, hosts, id); err != nil {
		if os.Getenv("CI") != "" && errors.Is(err, exec.ErrNotFound) {
			t.Fatalf(".ci/run installs what this needs: %v", err)
		}
		t.Logf("processes on 127.0.0.x instead of network namespaces: %v", err)
		for _, h := range hosts {
			h.space = ""
		}
		return hosts, false
	}
	return hosts, true
}

// plugIn gives each host its namespace, and the bridge one too: nothing of this
// machine's own network is touched.
func plugIn(t *testing.T, hosts []*host, id string) error {
	if !isRoot() {
		return errors.New("they need root")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		return err
	}
	bridge := id + "sw"
	for _, space := range append([]string{bridge}, spaces(hosts, id)...) {
		if err := ip("netns", "add", space); err != nil {
			return err
		}
		t.Cleanup(func() { _ = ip("netns", "del", space) })
		if err := ip("-n", space, "link", "set", "lo", "up"); err != nil {
			return err
		}
	}
	steps := [][]string{
		{"-n", bridge, "link", "add", "br0", "type", "bridge", "mcast_snooping", "0"},
		{"-n", bridge, "link", "set", "br0", "up"},
	}
	for i, h := range hosts {
		h.space, h.address = id+h.name, fmt.Sprintf("10.77.0.%d", 1+i)
		port := fmt.Sprintf("p%d", i)
		steps = append(steps,
			[]string{"-n", h.space, "link", "add", "eth0", "type", "veth", "peer", "name", port, "netns", bridge},
			[]string{"-n", bridge, "link", "set", port, "master", "br0", "up"},
			[]string{"-n", h.space, "addr", "add", h.address + "/24", "dev", "eth0"},
			[]string{"-n", h.space, "link", "set", "eth0", "up"})
	}
	for _, step := range steps {
		if err := ip(step...); err != nil {
			return err
		}
	}
	return nil
}

func spaces(hosts []*host, id string) (names []string) {
	for _, h := range hosts {
		names = append(names, id+h.name)
	}
	return names
}

// ip runs ip(8).
func ip(args ...string) error {
	out, err := exec.Command("ip", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(out))
	}
	return nil
}

// move gives a host another address, as a lease that ran out does.
func (h *host) move(t *testing.T, address string) {
	t.Helper()
	for _, step := range [][]string{
		{"-n", h.space, "addr", "del", h.address + "/24", "dev", "eth0"},
		{"-n", h.space, "addr", "add", address + "/24", "dev", "eth0"},
	} {
		if err := ip(step...); err != nil {
			t.Fatal(err)
		}
	}
	h.address = address
}

// jbc returns jbc as it runs on the host.
func (h *host) jbc(args ...string) *exec.Cmd { return h.on(h.command(args...)) }

// on moves a command onto the host.
func (h *host) on(cmd *exec.Cmd) *exec.Cmd {
	if h.space == "" {
		return cmd
	}
	path, err := exec.LookPath("ip")
	if err != nil {
		cmd.Err = err
		return cmd
	}
	cmd.Args = append([]string{"ip", "netns", "exec", h.space}, append([]string{cmd.Path}, cmd.Args[1:]...)...)
	cmd.Path = path
	return cmd
}

// joinWith joins by what is pasted to its standard input.
func (h *host) joinWith(pasted string, args ...string) *exec.Cmd {
	cmd := h.jbc(append([]string{"join"}, args...)...)
	cmd.Stdin = strings.NewReader(pasted)
	return cmd
}
