//go:build linux

package farm

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/nats-io/nats.go"

	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/chain/store"
	"github.com/jbcnet/jbc/coordinator/protocol"
	"github.com/jbcnet/jbc/hashing"
)

// TestKilledInAcceptance kills a coordinator again and again while it takes in
// blocks as fast as they can be brought, one time in ten while it starts after
// that. Of what each kill leaves on the disk, everything that was acknowledged is
// in the chain, and what is unspent is what a second chain has that was told of
// the same blocks one by one.
func TestKilledInAcceptance(t *testing.T) {
	f := newFarm(t)
	k := &acceptanceKiller{farm: f, rng: rand.New(rand.NewPCG(7, 8))} // the plan repeats, the moments it meets do not
	k.replica = openReplica(t)
	kills := count(20, 1000)
	began := time.Now()
	for i := range kills {
		inRecovery := i%10 == 9
		ok := t.Run(fmt.Sprint(i), func(t *testing.T) {
			if inRecovery {
				k.killInRecovery(t)
			} else {
				k.killInAcceptance(t)
			}
			k.check(t, i%2 == 0)
		})
		if !ok {
			break
		}
	}
	if len(k.acknowledged) < kills/2 {
		t.Errorf("%d blocks were acknowledged before %d kills, want more", len(k.acknowledged), kills)
	}
	t.Logf("%d kills in %v: %d blocks acknowledged, all there; %d in the chain; %d kills met a block that was there and not acknowledged",
		kills, time.Since(began).Round(time.Second), len(k.acknowledged), k.replica.Tip().Height, k.silent)
}

// acceptanceKiller is the script.
type acceptanceKiller struct {
	farm    *farm
	rng     *rand.Rand
	replica *chain.Chain // of what was in the store after the last kill
	key     string       // the coordinator's
	hands   int
	startup time.Duration // from the last start of a coordinator to its first answer

	acknowledged []hashing.Hash
	silent       int
}

func openReplica(t *testing.T) *chain.Chain {
	t.Helper()
	st, err := store.Open(store.Options{Dir: "replica", Network: chain.Regtest().ID(), FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	c, err := chain.Open(st, chain.Regtest(), chain.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (k *acceptanceKiller) start(t *testing.T) *process {
	t.Helper()
	return k.farm.coordinator(t, "--network", chain.Regtest().Name)
}

// killInAcceptance brings blocks until the coordinator is gone: it is killed at any
// time from the moment that some are acknowledged.
func (k *acceptanceKiller) killInAcceptance(t *testing.T) {
	victim := k.start(t)
	h := k.join(t)
	k.startup = time.Since(victim.started)
	after, left := time.Duration(k.rng.Int64N(int64(15*time.Millisecond))), k.rng.IntN(4)
	var killer sync.WaitGroup
	defer killer.Wait()
	var last protocol.JobID
	for {
		job := h.nextOrGone(last, victim)
		if job == nil {
			return
		}
		last = job.JobID
		hash, code, err := h.bring(job, victim)
		if err != nil {
			if left >= 0 { // nobody has been sent to kill it
				t.Errorf("while the coordinator runs: %v", err)
			}
			return
		}
		if code != protocol.OK {
			t.Errorf("block %s: %v", hash, code)
			continue
		}
		k.acknowledged = append(k.acknowledged, hash)
		if left--; left == -1 {
			killer.Go(func() {
				time.Sleep(after)
				victim.kill()
			})
		}
	}
}

// killInRecovery kills the coordinator while it starts.
func (k *acceptanceKiller) killInRecovery(t *testing.T) {
	victim := k.start(t)
	time.Sleep(time.Duration(k.rng.Int64N(int64(k.startup))))
	victim.kill()
}

// join takes a slot as soon as there is a coordinator.
func (k *acceptanceKiller) join(t *testing.T) *hand {
	t.Helper()
	k.hands++
	name := fmt.Sprintf("h%d", k.hands)
	if k.key == "" {
		o := k.farm.observe(t, chain.Regtest(), hooks{})
		o.discovered(t)
		h := k.farm.hand(t, o, chain.Regtest().ID(), name)
		k.key = h.key
		return h
	}
	h := &hand{
		t: t, name: name, key: k.key, subjects: protocol.NewSubjects(chain.Regtest().ID()), nonces: map[protocol.JobID]uint32{},
	}
	eventually(t, patience, "the coordinator listens", func() (ok bool) {
		var err error
		h.conn, err = nats.Connect(k.farm.url, protocol.ConnectOptions(name)...)
		return err == nil && h.conn.IsConnected()
	})
	t.Cleanup(h.conn.Close)
	if _, err := h.conn.Subscribe(h.subjects.Job(coordinatorName), h.hear); err != nil {
		t.Fatal(err)
	}
	h.join()
	return h
}

// bring finds and brings a solution of a job. The error is that of a coordinator
// that does not answer, or ends before it does.
func (h *hand) bring(job *protocol.Job, c *process) (hash hashing.Hash, code protocol.Code, err error) {
	p, err := h.find(job, job.Target(), job.Target())
	if err != nil {
		return hash, code, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	go func() {
		select {
		case <-c.ended:
			cancel()
		case <-ctx.Done():
		}
	}()
	request := h.sealed(h.claim(protocol.KindSolution, p))
	answer, err := h.conn.RequestMsgWithContext(ctx, request)
	if err != nil {
		return hash, code, err
	}
	if err := protocol.Verify(h.key, protocol.ReplyTo(request), answer.Header.Get(protocol.SignatureHeader), answer.Data); err != nil {
		return hash, code, err
	}
	var reply protocol.ClaimReply
	err = protocol.Decode(answer.Data, &reply)
	header := job.Header(p.Point, p.Roll)
	return header.Hash(), reply.Code, err
}

// nextOrGone waits for a job after that one, nil where the coordinator ends first.
func (h *hand) nextOrGone(id protocol.JobID, c *process) (job *protocol.Job) {
	h.t.Helper()
	eventually(h.t, patience, "a job after "+id.String(), func() bool {
		job = h.current()
		return job != nil && id.Before(job.JobID) || !c.running()
	})
	if job == nil || !id.Before(job.JobID) {
		return nil
	}
	return job
}

// check opens what a kill left: the directory itself, so that recovery is ours, or a
// copy of it, so that it is left to the next coordinator.
func (k *acceptanceKiller) check(t *testing.T, itself bool) {
	t.Helper()
	dir := filepath.Join(k.farm.dataDir(chain.Regtest().Name), "chain")
	if _, err := os.Stat(dir); err != nil {
		t.Fatal(err)
	}
	if !itself {
		copied := filepath.Join(t.TempDir(), "chain")
		if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		dir = copied
	}
	st, err := store.Open(store.Options{Dir: dir, Network: chain.Regtest().ID()})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	c, err := chain.Open(st, chain.Regtest(), chain.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, hash := range k.acknowledged {
		if !c.IsMain(hash) {
			t.Errorf("block %s was acknowledged and is not on the main chain", hash)
		}
	}
	k.follow(t, c)
}

// follow tells the replica of the blocks that are new, and compares the two.
func (k *acceptanceKiller) follow(t *testing.T, c *chain.Chain) {
	t.Helper()
	if old := k.replica.Tip(); !c.IsMain(old.Hash) {
		t.Fatalf("block %s at height %d was there after an earlier kill", old.Hash, old.Height)
	}
	for height := k.replica.Tip().Height + 1; height <= c.Tip().Height; height++ {
		hash, _ := c.HashAtHeight(height)
		b, err := c.BlockByHash(hash)
		if err != nil {
			t.Fatalf("block %s at height %d: %v", hash, height, err)
		}
		if _, err := k.replica.Accept(b, time.Now().Add(24*time.Hour)); err != nil {
			t.Fatalf("block %s at height %d: %v", hash, height, err)
		}
	}
	if n := len(k.acknowledged); n == 0 || k.acknowledged[n-1] != c.Tip().Hash {
		k.silent++
	}
	got, err := c.UTXOStats(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	want, err := k.replica.UTXOStats(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if got != want {
		t.Errorf("unspent outputs %+v, a chain of the same blocks has %+v", got, want)
	}
}
