//go:build linux

package farm

import (
	"testing"
	"time"
)

// TestLostMachine takes the machine of a coordinator off the network, of which nobody is
// told: three seconds of silence tell it. Its workers on other machines go on with
// another coordinator in time all the same, and the one that was lost with it goes on
// with it. When the link is back all have one tip again, and the workers return.
func TestLostMachine(t *testing.T) {
	hosts, apart := newHosts(t, 3)
	if !apart {
		t.Skip("the link of an address of loopback can't be taken down")
	}
	m := &failover{nodes: newMesh(t, hosts, true)}
	for i, name := range []string{"w1", "w2", "w3", "w4"} {
		m.diggers = append(m.diggers, m.nodes[0].digger(t, hosts[min(i, 2)], name))
	}
	tries := count(1, 10)
	for range tries {
		m.lose(t)
	}
	if st := m.nodes[0].watch.status(); st == nil || soaking() && st.Race.Reorgs == 0 { // once may be too short for a block of its own
		t.Errorf("the status of %s is %+v, want reorganisations: it mined alone", m.nodes[0].name, st)
	}
	t.Logf("a machine lost %d times, %d workers on others", tries, len(m.diggers)-1)
	t.Logf("from the link's death to a job of another coordinator: %s", m.moved)
	t.Logf("no hash was made in a move: %s", m.stood)
	t.Logf("from the link's return until it is in the mesh again: %s; all have one tip: %s", m.met, m.agreed)
	t.Logf("from the link's return until a worker is back with it: %s", m.back)
}

// lose takes the first node's machine off the network once. The first worker is on that
// machine too.
func (m *failover) lose(t *testing.T) {
	t.Helper()
	lost, others, inside, outside := m.nodes[0], m.nodes[1:], m.diggers[0], m.diggers[1:]
	with := func(coordinator string) bool { return coordinator == lost.name }
	m.begin(t)
	st := lost.watch.status()
	if st == nil {
		t.Fatalf("%s does not answer", lost.name)
	}
	down := time.Now()
	lost.link(t, false)
	for _, d := range outside {
		took, _ := d.takesUp(t, down, "for another", func(c string) bool { return !with(c) })
		m.moved, m.stood = append(m.moved, took), append(m.stood, d.stood(t))
		if took > failoverTime {
			t.Errorf("%s works for another %v after the link's death, want at most %v", d.name, took, failoverTime)
		}
	}
	credit(t, others, outside...)
	agree(t, patience, others, st.Height)
	inside.takesUp(t, time.Now(), "for "+lost.name+" still", with)
	if moves := inside.process.out.with("works for another coordinator"); len(moves) > 0 {
		t.Errorf("%s, on the machine that was lost, moved: %s", inside.name, moves[0].text)
	}

	up := time.Now()
	lost.link(t, true)
	lost.meets(t, m.nodes)
	m.met = append(m.met, time.Since(up))
	agree(t, patience, m.nodes, st.Height)
	m.agreed = append(m.agreed, time.Since(up))
	for _, d := range outside {
		took, _ := d.takesUp(t, up, "for "+lost.name+" again", with)
		m.back = append(m.back, took)
	}
	for _, d := range m.diggers {
		d.stop(t)
	}
}

// link takes the link of a host down, or up again. Nobody is told.
func (h *host) link(t *testing.T, up bool) {
	t.Helper()
	state := "down"
	if up {
		state = "up"
	}
	if err := ip("-n", h.space, "link", "set", "eth0", state); err != nil {
		t.Fatal(err)
	}
}
