//go:build linux

package farm

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jbcnet/jbc/chain"
)

const (
	// backTime is how soon a worker mines again that was stopped and goes on.
	backTime = 3 * time.Second
	// pathTime is how soon it does whose packets were lost and are passed on again:
	// a try to connect that was under way has to end first, after 2 s.
	pathTime = 4 * time.Second
)

// waits lets real time pass for the processes, all of which have to live.
func waits(t *testing.T, d time.Duration, all ...*process) {
	t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(pollTime) {
		for _, p := range all {
			if !p.running() {
				t.Fatalf("%s ended with %v", p.name, p.cmd.ProcessState)
			}
		}
	}
}

// wantBack waits until a worker was set to work again after a moment, no longer than
// within, and then until it has reported points of a job that it began since. It
// returns when it was set to work.
func wantBack(t *testing.T, o *observer, p *process, since time.Time, within time.Duration) time.Duration {
	t.Helper()
	before := o.lastReport(p.name).job
	var took time.Duration
	eventually(t, within, p.name+" mines again", func() bool {
		for _, l := range p.out.with("msg=job ") {
			if l.at.After(since) {
				took = l.at.Sub(since)
				return true
			}
		}
		return false
	})
	eventually(t, patience, p.name+" reports what it searched", func() bool {
		last := o.lastReport(p.name)
		return before.Before(last.job) && len(last.leases) > 0 && last.leases[0].Points > 0
	})
	return took
}

// TestStoppedWorker stops a worker as a closed lid does, while the other mines on, and
// lets it go on: it mines again in time, and nobody is told anything wrong.
func TestStoppedWorker(t *testing.T) {
	f := newFarm(t)
	o := f.observe(t, chain.Dev(), hooks{})
	c := f.coordinator(t)
	o.discovered(t)
	stays, sleeps := f.worker(t, "w1", 1), f.worker(t, "w2", 1, "--log-level", "debug")
	f.wantMining(t, o, time.Now())
	var worst time.Duration
	for range count(1, 3) {
		sleeps.signal(syscall.SIGSTOP)
		stopped, blocks := time.Now(), len(o.blocks())
		waits(t, time.Duration(count(6, 12))*time.Second, c, stays)
		if len(o.blocks()) == blocks {
			t.Error("no block was found while it was stopped")
		}
		woke := time.Now()
		sleeps.signal(syscall.SIGCONT)
		worst = max(worst, wantBack(t, o, sleeps, woke, backTime))
		if said := sleeps.out.with("was away"); len(said) == 0 || said[len(said)-1].at.Before(stopped) {
			t.Error("it did not notice that it was away")
		}
	}
	if st := o.status(); st == nil || len(st.Workers) != 2 {
		t.Errorf("the status is %+v, want both workers", st)
	}
	checkAnnounced(t, o, o.blocks())
	t.Logf("mining again at most %v after it went on", worst)
}

// silence is a path to the NATS server that can lose all packets without closing
// anything. Connections that were there by then stay dead.
type silence struct {
	listener net.Listener
	to       string
	mu       sync.Mutex
	lost     bool
	dead     chan struct{} // closed when the connections of the moment die
	conns    []net.Conn
	running  sync.WaitGroup
}

func newSilence(t *testing.T, to string) *silence {
	t.Helper()
	l, err := net.Listen("tcp", freePort(t))
	if err != nil {
		t.Fatal(err)
	}
	s := &silence{listener: l, to: to, dead: make(chan struct{})}
	s.running.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			s.carry(conn)
		}
	})
	t.Cleanup(func() {
		l.Close()
		s.mu.Lock()
		for _, conn := range s.conns {
			conn.Close()
		}
		s.mu.Unlock()
		s.running.Wait()
	})
	return s
}

// carry passes a connection on until it dies; one that is made while packets are lost
// is dead from the start.
func (s *silence) carry(from net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns = append(s.conns, from)
	if s.lost {
		return
	}
	to, err := net.Dial("tcp", s.to)
	if err != nil {
		from.Close()
		return
	}
	s.conns = append(s.conns, to)
	dead := s.dead
	pass := func(dst, src net.Conn) {
		buffer := make([]byte, 1<<16)
		for {
			n, err := src.Read(buffer)
			select {
			case <-dead: // it reads on, and nothing arrives
				if err != nil {
					return
				}
				continue
			default:
			}
			if _, failed := dst.Write(buffer[:n]); err != nil || failed != nil {
				dst.Close()
				_, _ = io.Copy(io.Discard, src)
				return
			}
		}
	}
	s.running.Go(func() { pass(to, from) })
	s.running.Go(func() { pass(from, to) })
}

// lose begins to lose all packets, or ends it.
func (s *silence) lose(lost bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lost = lost; lost {
		close(s.dead)
		s.dead = make(chan struct{})
	}
}

// TestSilentPath loses all packets between a worker and its server, with no word of
// it to either, and later passes them on: the worker is back in time.
func TestSilentPath(t *testing.T) {
	f := newFarm(t)
	o := f.observe(t, chain.Dev(), hooks{})
	c := f.coordinator(t)
	o.discovered(t)
	path := newSilence(t, f.host)
	stays := f.worker(t, "w1", 1)
	cut := start(t, "w2", f.command("worker", "--name", "w2", "--threads", "1",
		"--nats", "nats://"+path.listener.Addr().String(), "--log-level", "debug"))
	f.wantMining(t, o, time.Now())
	var worst time.Duration
	for range count(1, 5) {
		path.lose(true)
		lost := time.Now()
		eventually(t, pathTime, "it notices", func() bool {
			said := cut.out.with("level=WARN", "no connection to NATS")
			return len(said) > 0 && said[len(said)-1].at.After(lost)
		})
		waits(t, time.Duration(count(4, 12))*time.Second, c, stays, cut)
		path.lose(false)
		worst = max(worst, wantBack(t, o, cut, time.Now(), pathTime))
	}
	t.Logf("mining again at most %v after the path's return", worst)
}

// TestNewKeys has a coordinator come back with another key. The worker says once who
// answers and whom it wants, mines for nobody, and goes on when that one is back.
func TestNewKeys(t *testing.T) {
	f := newFarm(t)
	server := f.natsServer(t)
	o := f.observe(t, chain.Dev(), hooks{})
	run := func() *process {
		return start(t, "coordinator", f.command("coordinator", "--name", coordinatorName, "--nats", f.url))
	}
	c := run()
	o.connected(t)
	o.discovered(t)
	w := f.worker(t, "w1", 1, "--log-level", "debug")
	w.says(t, patience, "msg=joined")
	c.interrupt(t)
	var key string
	err := filepath.WalkDir(f.home, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Name() == "coordinator.nk" {
			key = path
		}
		return err
	})
	if err != nil || key == "" {
		t.Fatalf("no key under %s: %v", f.home, err)
	}
	if err := os.Rename(key, key+".kept"); err != nil {
		t.Fatal(err)
	}
	c = run()
	const says = "answers with another key"
	w.says(t, patience, "level=ERROR", says, "than the one pinned", "not mining for it", "join it again", "--key")
	blocks := len(o.blocks())
	waits(t, 3*time.Second, c, w, server) // more questions who is there
	if n := len(w.out.with(says)); n != 1 {
		t.Errorf("it says so %d times, want once:\n%s", n, w.out.text())
	}
	if n := len(o.blocks()); n != blocks {
		t.Errorf("%d blocks were found for the other key", n-blocks)
	}
	c.interrupt(t)
	if err := os.Rename(key+".kept", key); err != nil {
		t.Fatal(err)
	}
	back := time.Now()
	run()
	wantBack(t, o, w, back, patience)
}
