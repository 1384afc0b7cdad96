package coordinator

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/chain/store"
	"github.com/jbcnet/jbc/coordinator/protocol"
	"github.com/jbcnet/jbc/hashing"
)

func contextWithTimeout(t *testing.T, d time.Duration) (context.Context, context.CancelCauseFunc) {
	t.Helper()
	timed, stop := context.WithTimeout(context.Background(), d)
	t.Cleanup(stop)
	return context.WithCancelCause(timed)
}

// TestRestart has a worker find a solution while nobody is there to take it: the
// next start of the coordinator does, in a new epoch.
func TestRestart(t *testing.T) {
	broker := startBroker(t)
	first := startNode(t, nodeConfig{url: broker.URL()})
	h := newHand(first, broker.URL(), "w1")
	job := h.work()
	answered := h.solve(job)
	if answer := h.bring(answered); answer.Code != protocol.OK {
		t.Fatal(answer.Code)
	}
	job = first.current(t)
	pending := h.solve(job)
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}

	second := startNode(t, first.cfg)
	h.node = second
	if answer := h.bring(pending); answer.Code != protocol.OK || answer.Height != 2 || answer.Hash != hashOf(job, pending) {
		t.Fatalf("the solution of epoch 1: %+v", answer)
	}
	// One that the first had answered is known to the second.
	if answer := h.bring(answered); answer.Code != protocol.Known || answer.Height != 1 {
		t.Errorf("a solution that was answered before: %+v", answer)
	}
	// Everything else of the old epoch is not.
	var reply protocol.ClaimReply
	h.ask(h.claim(protocol.KindShare, pending), &reply)
	if reply.Code != protocol.UnknownSlot {
		t.Errorf("a share of epoch 1: %v, want %v", reply.Code, protocol.UnknownSlot)
	}
	var progress protocol.ProgressReply
	h.ask(&protocol.Progress{Ask: h.head(protocol.KindProgress), Sitting: protocol.Sitting{JobID: job.JobID, Slot: h.seat.Slot}}, &progress)
	if progress.Code != protocol.UnknownSlot {
		t.Errorf("progress of epoch 1: %v, want %v", progress.Code, protocol.UnknownSlot)
	}
	if h.join(); h.seat.Epoch != 2 {
		t.Errorf("epoch %d, want 2", h.seat.Epoch)
	}
	next := second.current(t)
	if next.Epoch != 2 || next.Number != 1 || next.Prev != hashOf(job, pending) {
		t.Errorf("job %s on %s, want 2.1 on %s", next.JobID, next.Prev, hashOf(job, pending))
	}
	if st := h.status(); st.Height != 2 || st.Blocks != 1 || st.Key != second.PublicKey() || second.PublicKey() != first.PublicKey() {
		t.Errorf("status %+v", st)
	}
}

// TestSettling gives the workers a moment to bring what they found before the
// restart, and then goes on without.
func TestSettling(t *testing.T) {
	broker := startBroker(t)
	first := startNode(t, nodeConfig{url: broker.URL()})
	h := newHand(first, broker.URL(), "w1")
	job := h.work()
	pending := h.solve(job)
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name  string
		bring bool
	}{{"nobody brings anything", false}, {"a worker brings a solution", true}} {
		n := openNode(t, first.cfg)
		now := time.Now()
		if err := n.begin(now); err != nil {
			t.Fatal(err)
		}
		if n.farm.hold == nil || n.farm.jobs.Current() != nil {
			t.Fatalf("%s: a job, or no hold, right after the restart", tt.name)
		}
		if err := n.farm.hold.Validate(); err != nil {
			t.Error(err)
		}
		reply := n.farm.Join(now, protocol.Join{Name: "w1"}, agreedWith("w1"))
		if reply.Hold == nil || reply.Hold.Reason != "waiting for solutions found before the restart" || reply.Job != nil {
			t.Errorf("%s: joined with job %v, hold %+v", tt.name, reply.Job, reply.Hold)
		}
		last := now.Add(settleTime - 2*time.Millisecond)
		if _, err := n.tick(last); err != nil || n.farm.jobs.Current() != nil {
			t.Errorf("%s: a job before the time, %v", tt.name, err)
		}
		if tt.bring {
			n.mu.Lock()
			s, err := n.solve(last, pending, "w1")
			n.mu.Unlock()
			if err != nil || s.known {
				t.Fatalf("%s: %+v, %v", tt.name, s, err)
			}
			if err := s.stored(); err != nil {
				t.Fatal(err)
			}
		} else if _, err := n.tick(now.Add(settleTime)); err != nil {
			t.Fatal(err)
		}
		j := n.farm.jobs.Current()
		if n.farm.hold != nil || j == nil || j.Kind != protocol.KindJob || j.Prev != n.chain.Tip().Hash {
			t.Errorf("%s: no job on the tip after the hold", tt.name)
		}
		n.conn.Close()
		if err := n.store.Close(); err != nil {
			t.Fatal(err)
		}
	}
	// On an empty chain, or one whose jobs were all on another parent, there is
	// nothing to wait for.
	fresh := openNode(t, nodeConfig{url: broker.URL()})
	if err := fresh.begin(time.Now()); err != nil || fresh.farm.hold != nil {
		t.Errorf("a first start: hold %v, %v", fresh.farm.hold, err)
	}
	fresh.conn.Close()
	if err := fresh.store.Close(); err != nil {
		t.Error(err)
	}
}

// TestKeptJobs restarts ten times: epochs grow, no more than 16 jobs are kept, and
// the directory does not fill up with old ones.
func TestKeptJobs(t *testing.T) {
	broker := startBroker(t)
	cfg := nodeConfig{url: broker.URL(), dir: t.TempDir()}
	now := time.Now()
	for epoch := uint64(1); epoch <= 10; epoch++ {
		n := openNode(t, cfg)
		if err := n.begin(now); err != nil {
			t.Fatal(err)
		}
		if n.farm.jobs.epoch != epoch {
			t.Fatalf("epoch %d, want %d", n.farm.jobs.epoch, epoch)
		}
		n.mu.Lock()
		for range 3 {
			if err := n.advance(now); err != nil {
				t.Fatal(err)
			}
		}
		n.mu.Unlock()
		files, err := os.ReadDir(n.cfg.jobs)
		if err != nil {
			t.Fatal(err)
		}
		if want := min(16, 3*int(epoch)); len(files) != want || len(n.farm.jobs.kept) != want {
			t.Errorf("epoch %d: %d files, %d jobs kept, want %d", epoch, len(files), len(n.farm.jobs.kept), want)
		}
		n.conn.Close()
		if err := n.store.Close(); err != nil {
			t.Fatal(err)
		}
		cfg = n.cfg
	}
}

// TestUnreadableJobs leaves out files that can't be read, a half-written one among
// them, and goes on.
func TestUnreadableJobs(t *testing.T) {
	broker := startBroker(t)
	first := startNode(t, nodeConfig{url: broker.URL()})
	h := newHand(first, broker.URL(), "w1")
	job := h.work()
	p := h.solve(job)
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	n := openNode(t, first.cfg)
	for i, value := range []string{"", "{}", "null", `{"job":` + jsonOf(t, job) + `,"template":"AAAA"}`, `{"job":{"rolls":3}}`, "\xff"} {
		path := filepath.Join(n.cfg.jobs, fmt.Sprintf("%016x-%016x", 0, i))
		if err := os.WriteFile(path, []byte(value), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := n.begin(time.Now()); err != nil {
		t.Fatal(err)
	}
	if len(n.farm.jobs.kept) != 1 {
		t.Errorf("%d jobs, want 1", len(n.farm.jobs.kept))
	}
	if _, err := n.solve(time.Now(), p, "w1"); err != nil {
		t.Errorf("the one that can be read: %v", err)
	}
	n.conn.Close()
	if err := n.store.Close(); err != nil {
		t.Error(err)
	}
}

// TestStoreFails has the disk fail or fill up while blocks are mined: Run ends with
// what the store says, and whatever was acknowledged is there afterwards, even if
// the power goes too.
func TestStoreFails(t *testing.T) {
	for _, tt := range []struct {
		name   string
		breaks func(*testDisk)
		is     func(error) bool
	}{
		{"a fault", (*testDisk).fail, func(err error) bool { return errors.As(err, new(*store.FailedError)) }},
		{"a full disk", (*testDisk).fill, func(err error) bool { return errors.As(err, new(*store.SpaceError)) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			disk := newTestDisk()
			broker := startBroker(t)
			n := launchNode(t, nodeConfig{url: broker.URL(), fs: disk, dir: "node"})
			<-n.Ready()
			h := newHand(n, broker.URL(), "w1")
			job := h.work()
			var acknowledged []hashing.Hash
			for range 3 {
				p := h.solve(job)
				if answer := h.bring(p); answer.Code != protocol.OK {
					t.Fatal(answer.Code)
				}
				acknowledged = append(acknowledged, hashOf(job, p))
				job = n.current(t)
			}
			lost := h.solve(job)
			tt.breaks(disk)
			h.send(h.subjects.Ask("alpha", "w1"), protocol.Encode(h.claim(protocol.KindSolution, lost)))
			if err := n.ended(); !tt.is(err) {
				t.Errorf("Run = %v, want the store's error", err)
			}
			// It has ended: nothing more is said, and this was not acknowledged.
			for _, msg := range h.heard() {
				switch msg.Subject {
				case h.inbox:
					var reply protocol.ClaimReply
					decode(t, msg, &reply)
					if reply.Code == protocol.OK || reply.Code == protocol.Known {
						t.Errorf("acknowledged after the disk had failed: %+v", reply)
					}
				case h.subjects.Block("alpha"):
					var block protocol.BlockAnnounced
					decode(t, msg, &block)
					if block.Hash == hashOf(job, lost) {
						t.Errorf("announced after the disk had failed: %+v", block)
					}
				}
			}
			cfg := n.cfg
			cfg.fs = disk.afterPowerLoss()
			reopened(t, cfg, func(c *chain.Chain) {
				for _, hash := range acknowledged {
					if !c.IsMain(hash) {
						t.Errorf("block %s was acknowledged and is gone", hash)
					}
				}
			})
			// With a new disk the worker's solution is taken, in the next epoch.
			next := startNode(t, cfg)
			h.node = next
			if answer := h.bring(lost); answer.Code != protocol.OK && answer.Code != protocol.Known {
				t.Errorf("the same solution after the restart: %v (%s)", answer.Code, answer.Detail)
			}
		})
	}
}

// heard returns what has arrived so far, and all that was sent before.
func (h *hand) heard() []*nats.Msg {
	h.t.Helper()
	if err := h.conn.Flush(); err != nil {
		h.t.Fatal(err)
	}
	var all []*nats.Msg
	for {
		select {
		case msg := <-h.in:
			all = append(all, msg)
		default:
			return all
		}
	}
}

// TestServerAway starts a coordinator before its NATS server: it waits, and serves
// when the server comes.
func TestServerAway(t *testing.T) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	if err := free.Close(); err != nil {
		t.Fatal(err)
	}
	n := startNode(t, nodeConfig{url: "nats://" + address})
	for n.farmJobs() == 0 { // it makes jobs meanwhile, for nobody
		select {
		case err := <-n.done:
			t.Fatalf("Run = %v while the server is away", err)
		case <-time.After(time.Millisecond):
		}
	}
	broker, err := StartBroker(BrokerConfig{Listen: address, Name: "test", Log: testLog(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(broker.Stop)
	waitFound(t, n, broker.URL(), 1)
	h := newHand(n, broker.URL(), "w1")
	job := h.work()
	if answer := h.bring(h.solve(job)); answer.Code != protocol.OK {
		t.Fatal(answer.Code)
	}
	// The server goes and comes back: the work of the moment is said again.
	was := n.current(t)
	broker.Stop()
	again, err := StartBroker(BrokerConfig{Listen: address, Name: "test", Log: testLog(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(again.Stop)
	waitFound(t, n, again.URL(), 1)
	h = newHand(n, again.URL(), "w2")
	if job := h.work(); job.JobID != was.JobID {
		t.Errorf("after the server came back the job is %s, want %s", job.JobID, was.JobID)
	}
	if answer := h.bring(h.solve(was)); answer.Code != protocol.OK {
		t.Errorf("solution after the server came back: %v", answer.Code)
	}
}

func (n *node) farmJobs() uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.farm.jobs.number
}
