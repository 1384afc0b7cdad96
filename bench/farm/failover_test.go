//go:build linux

package farm

import (
	"math/rand/v2"
	"testing"
	"time"
)

// failoverTime is how soon a worker hashes for another after the death of its
// coordinator, or of a server between them.
const failoverTime = 5 * time.Second

// TestFailover kills the coordinator that all workers prefer and whose address alone
// they were given. Each goes on with another in time. The dead one is started again
// with the same words, is in the mesh again and has the tip of the others, and the
// workers return to it.
func TestFailover(t *testing.T) {
	for _, tt := range []struct {
		name   string
		secure bool
	}{{"secure", true}, {"open", false}} {
		t.Run(tt.name, func(t *testing.T) {
			m := &failover{nodes: newMesh(t, here(t, "a", "b", "c"), tt.secure)}
			for _, name := range []string{"w1", "w2", "w3", "w4"} {
				m.diggers = append(m.diggers, m.nodes[0].digger(t, m.nodes[0].host, name))
			}
			tries := count(1, 20)
			for range tries {
				m.try(t)
			}
			_, tip := agree(t, patience, m.nodes, 0)
			t.Logf("killed -9 %d times with %d workers; one tip at height %d", tries, len(m.diggers), tip.Height)
			t.Logf("from the kill to a job of another: %s", m.moved)
			t.Logf("no hash was made in a move: %s", m.stood)
			t.Logf("from its start until it is in the mesh again: %s; has the tip of the others: %s", m.met, m.agreed)
			t.Logf("from its start until a worker is back with it: %s", m.back)
		})
	}
}

// failover is the script.
type failover struct {
	nodes   []*node // the first is killed
	diggers []*digger

	moved, stood, met, agreed, back times
}

// try kills the first node once. The workers are new each time: one that was left by
// its coordinator a minute ago takes its time to return.
func (m *failover) try(t *testing.T) {
	t.Helper()
	victim, others := m.nodes[0], m.nodes[1:]
	with := func(coordinator string) bool { return coordinator == victim.name }
	m.begin(t)
	time.Sleep(rand.N(4 * time.Second)) // blocks, shares and reports all come within that
	st := victim.watch.status()
	if st == nil {
		t.Fatalf("%s does not answer", victim.name)
	}
	killed := time.Now()
	victim.process.kill()
	served := map[string][]*digger{}
	for _, d := range m.diggers {
		took, of := d.takesUp(t, killed, "for another", func(c string) bool { return !with(c) })
		if took > failoverTime {
			t.Errorf("%s works for another %v after its coordinator's death, want at most %v", d.name, took, failoverTime)
		}
		m.moved, m.stood = append(m.moved, took), append(m.stood, d.stood(t))
		served[of] = append(served[of], d)
	}
	for _, n := range others {
		credit(t, []*node{n}, served[n.name]...)
		delete(served, n.name)
	}
	if len(served) > 0 {
		t.Errorf("workers serve %v", served)
	}
	_, alone := agree(t, patience, others, st.Height)

	victim.start(t)
	came := victim.process.started
	victim.meets(t, m.nodes)
	m.met = append(m.met, time.Since(came))
	agree(t, patience, m.nodes, alone.Height-1)
	m.agreed = append(m.agreed, time.Since(came))
	for _, d := range m.diggers {
		took, _ := d.takesUp(t, came, "for "+victim.name+" again", with)
		m.back = append(m.back, took)
	}
	credit(t, m.nodes[:1], m.diggers...)
	for _, d := range m.diggers {
		d.stop(t)
	}
}

// begin starts the workers and waits until each works for the first node and knows of
// the others.
func (m *failover) begin(t *testing.T) {
	t.Helper()
	began := time.Now()
	for _, d := range m.diggers {
		d.startAfresh(t)
	}
	for _, d := range m.diggers {
		d.takesUp(t, began, "for "+m.nodes[0].name, func(c string) bool { return c == m.nodes[0].name })
		d.process.says(t, patience, "msg=nodes ", "vouched=3")
	}
}

// stood returns how long no hash was made in the worker's last move, by its log.
func (d *digger) stood(t *testing.T) time.Duration {
	t.Helper()
	moves := d.process.out.with("works for another coordinator")
	if len(moves) == 0 {
		t.Fatalf("%s did not move", d.name)
	}
	took, err := time.ParseDuration(field(moves[len(moves)-1], "stood"))
	if err != nil {
		t.Fatal(err)
	}
	return took
}
