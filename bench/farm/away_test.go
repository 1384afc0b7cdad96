//go:build linux

package farm

import (
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jbcnet/jbc/chain"
)

// refuser takes connections and closes them, which is how a client can be seen to
// try again.
type refuser struct {
	listener net.Listener
	tries    atomic.Int64
	ended    chan struct{}
}

func (f *farm) refuseAll(t *testing.T) *refuser {
	t.Helper()
	l, err := net.Listen("tcp", f.host)
	if err != nil {
		t.Fatal(err)
	}
	r := &refuser{listener: l, ended: make(chan struct{})}
	go func() {
		defer close(r.ended)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			r.tries.Add(1)
			conn.Close()
		}
	}()
	t.Cleanup(r.stop)
	return r
}

func (r *refuser) stop() {
	r.listener.Close()
	<-r.ended
}

// TestServerAway starts a coordinator and a worker long before their NATS server.
// Each says so once, keeps trying, and goes on by itself. Then the server is killed
// and comes back, which is no different.
func TestServerAway(t *testing.T) {
	f := newFarm(t)
	r := f.refuseAll(t)
	c := start(t, "coordinator", f.command("coordinator", "--name", coordinatorName, "--nats", f.url))
	workers := []*process{f.worker(t, "w1", 1), f.worker(t, "w2", 1)}
	eventually(t, patience, "they keep trying", func() bool { return r.tries.Load() >= 20 })
	waiting := map[*process]string{c: "the NATS server is away", workers[0]: "no connection to NATS", workers[1]: "no connection to NATS"}
	for p, says := range waiting {
		p.says(t, patience, says)
		if n := len(p.out.with("level=WARN")) + len(p.out.with("level=ERROR")); n != 1 {
			t.Errorf("%s gave %d warnings while the server was away, want one:\n%s", p.name, n, p.out.text())
		}
	}
	r.stop()

	o := f.observe(t, chain.Dev(), hooks{})
	server := f.natsServer(t)
	came := time.Now()
	o.connected(t)
	for _, p := range workers {
		p.says(t, patience, `msg="connected to NATS"`)
	}
	f.wantMining(t, o, time.Now())
	t.Logf("mining %v after the server came", time.Since(came))

	var worst time.Duration
	for i := range count(2, 20) {
		server.kill()
		for _, p := range append(workers, c) {
			n := 1 + i
			if p == c {
				n = i // its first wait was another line
			}
			eventually(t, patience, p.name+" notices", func() bool { return len(p.out.with("level=WARN", "NATS")) > n })
		}
		server = f.natsServer(t)
		came := time.Now()
		o.connected(t)
		f.wantMining(t, o, came)
		worst = max(worst, time.Since(came))
	}
	for _, p := range append(workers, c) {
		if !p.running() {
			t.Errorf("%s ended with %v", p.name, p.cmd.ProcessState)
		}
	}
	st := o.status()
	if st == nil || len(st.Workers) != 2 || st.Job.Epoch != 1 {
		t.Errorf("the status is %+v, want both workers in epoch 1", st)
	}
	for _, w := range workers {
		if n := len(w.out.with("msg=joined")); n != 1 {
			t.Logf("%s joined %d times", w.name, n)
		}
	}
	checkAnnounced(t, o, o.blocks())
	t.Logf("the server was killed %d times; both workers were heard mining again within %v of its return", count(2, 20), worst)
}

// TestRefusedCredentials gives a coordinator and a worker a password that their
// server does not know. Each says so once, with what to check, writes nothing beside
// its log, and goes on by itself when the server knows it.
func TestRefusedCredentials(t *testing.T) {
	f := newFarm(t)
	server := f.natsServer(t, "JBC_FARM_USER=farmer", "JBC_FARM_PASSWORD=yesterday's")
	f.env = []string{"NATS_URL=" + f.url, "NATS_USER=farmer", "NATS_PASSWORD=today's"}
	c := start(t, "coordinator", f.command("coordinator", "--name", coordinatorName))
	w := start(t, "w1", f.command("worker", "--name", "w1", "--threads", "1"))
	for _, p := range []*process{c, w} {
		p.says(t, patience, "level=WARN", "NATS_USER and NATS_PASSWORD")
	}
	if _, stderr, status := f.run(t, "status"); status != 1 || !strings.Contains(stderr, "hint: check NATS_CREDS") {
		t.Errorf("jbc status ended with %d, want 1, and a hint: %s", status, stderr)
	}
	eventually(t, patience, "they keep trying", func() bool { return len(server.out.with("authentication error")) >= 16 })
	server.kill()
	f.natsServer(t, "JBC_FARM_USER=farmer", "JBC_FARM_PASSWORD=today's")
	w.says(t, patience, "msg=joined")
	c.says(t, patience, "msg=block ")
	for _, p := range []*process{c, w} {
		if n := len(p.out.with("NATS_PASSWORD")); n != 1 {
			t.Errorf("%s says %d times that it is refused, want once:\n%s", p.name, n, p.out.text())
		}
		for _, line := range lines(p.out.text()) {
			if !strings.HasPrefix(line, "time=") {
				t.Errorf("%s writes past its log: %q", p.name, line)
			}
		}
	}
}

// wantMining waits until both workers have reported searched points since then, and
// a block is announced.
func (f *farm) wantMining(t *testing.T, o *observer, since time.Time) {
	t.Helper()
	for _, name := range []string{"w1", "w2"} {
		eventually(t, patience, name+" reports what it searched", func() bool {
			for _, r := range o.reportsOf(name) {
				if r.at.After(since) && len(r.leases) > 0 && r.leases[0].Points > 0 {
					return true
				}
			}
			return false
		})
	}
	eventually(t, luck, "a block is announced", func() bool {
		all := o.blocks()
		return len(all) > 0 && all[len(all)-1].at.After(since)
	})
}
