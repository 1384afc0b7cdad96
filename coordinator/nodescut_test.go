package coordinator

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/jbcnet/jbc/chain/store"
	"github.com/jbcnet/jbc/coordinator/protocol"
)

// TestLearnedCoordinatorsAreLogged says once of each coordinator who told of it.
func TestLearnedCoordinatorsAreLogged(t *testing.T) {
	var log bytes.Buffer
	alpha := startMember(t, memberConfig{broker: startBroker(t), name: "alpha", log: slog.New(slog.NewTextHandler(&log, nil))})
	told := func(name string, role protocol.Role, joined int64) protocol.Machine {
		return protocol.Machine{Key: publicKey(t, labelKey(t, name)), Name: name, Role: role, Home: "zero", Joined: joined}
	}
	for _, machines := range [][]protocol.Machine{
		{told("beta", protocol.RoleCoordinator, 20), told("rig", protocol.RoleWorker, 20)},
		{told("beta", protocol.RoleCoordinator, 20)},
		{told("beta", protocol.RoleCoordinator, 10)}, // news, but not its name
	} {
		if _, err := alpha.takeMachines(time.Now(), "gamma", machines); err != nil {
			t.Fatal(err)
		}
	}
	if err := alpha.stop(); err != nil {
		t.Fatal(err)
	}
	var lines []string
	for line := range strings.Lines(log.String()) {
		if strings.Contains(line, "coordinator learned of") {
			lines = append(lines, line)
		}
	}
	want := fmt.Sprintf(`level=INFO msg="coordinator learned of" machine=beta home=zero key=%s "heard from"=gamma`, publicKey(t, labelKey(t, "beta")))
	if len(lines) != 1 || !strings.Contains(lines[0], want) {
		t.Errorf("logged %q, want once %s", lines, want)
	}
}

// TestNodesOfOneKeyOnDisk keeps one record of each key on the disk too, also where
// several of them came at once.
func TestNodesOfOneKeyOnDisk(t *testing.T) {
	broker, dir, key := startBroker(t), t.TempDir(), newKey(t)
	alpha := startMember(t, memberConfig{broker: broker, name: "alpha", dir: dir, key: key, open: true})
	now := time.Now()
	var told []protocol.Node
	for i := range 5 {
		told = append(told, saidAt(t, fmt.Sprint("beta_", i), "beta", now.Sub(testStart)+time.Duration(i)*time.Second))
	}
	for _, part := range [][]protocol.Node{told[:3], told[3:], told[:2]} {
		if _, err := alpha.takeNodes(now, "gamma", part); err != nil {
			t.Fatal(err)
		}
	}
	check := func(step string) {
		t.Helper()
		var written []string
		if err := alpha.store.Iterate(store.Coordinator, []byte(nodeKeys), func(key, _ []byte) error {
			written = append(written, string(key[len(nodeKeys):]))
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(written, " "); got != "alpha beta_4" || alpha.others() != "beta_4" {
			t.Errorf("%s: %s are on the disk, told of %s, want alpha and beta_4", step, got, alpha.others())
		}
	}
	check("told")
	alpha.Coordinator.node.changing.Lock()
	err := alpha.writeNodes([]knownNode{{Node: told[0], Heard: now.UnixMilli()}}, nil) // as an earlier version kept it
	alpha.Coordinator.node.changing.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	if err := alpha.stop(); err != nil {
		t.Fatal(err)
	}
	alpha = startMember(t, memberConfig{broker: broker, name: "alpha", dir: dir, key: key, open: true})
	check("after a restart")
}
