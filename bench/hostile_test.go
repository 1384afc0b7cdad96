package bench

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/coordinator/protocol"
	"github.com/jbcnet/jbc/hashing"
	"github.com/jbcnet/jbc/worker"
)

const (
	workerName = "w1"
	// hostilePatience is for what must happen and has no promise of its own.
	hostilePatience = 30 * time.Second
)

func quietLog() *slog.Logger { return slog.New(slog.DiscardHandler) }

// victim is a worker on the bridge's server.
type victim struct {
	*worker.Worker
	t *testing.T
}

// newVictim starts a worker that has pinned the coordinator's key, and watches that
// the job it is on is always one that the coordinator made, and never an older one
// than before.
func newVictim(t *testing.T, b *bridge, k hashing.Kernel) *victim {
	t.Helper()
	conn, err := nats.Connect(b.url, protocol.ConnectOptions(workerName)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	w, err := worker.New(worker.Config{
		Conn: conn, Name: workerName, Kernel: k, Threads: 1, Log: quietLog(),
		Network: b.rig.coord.Network(), Coordinator: coordinatorName, Key: b.rig.coord.PublicKey(),
	})
	if err != nil {
		t.Fatal(err)
	}
	restore := leaveRoom(1)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := w.Run(ctx); err != nil {
			t.Errorf("worker: %v", err)
		}
	})
	running.Go(func() {
		var last protocol.JobID
		for ctx.Err() == nil {
			now := w.Stats().Job
			b.mu.Lock()
			known := b.jobs[now] != nil
			b.mu.Unlock()
			if now != last && (now.Before(last) || !known) {
				t.Errorf("the worker is on job %s after %s, made by its coordinator: %v", now, last, known)
			}
			last = now
			_ = pause(ctx, time.Millisecond)
		}
	})
	t.Cleanup(func() { cancel(); running.Wait(); restore() })
	return &victim{w, t}
}

// until waits for the worker to be as it should.
func (v *victim) until(what string, as func(worker.Stats) bool) worker.Stats {
	v.t.Helper()
	for deadline := time.Now().Add(hostilePatience); ; {
		s := v.Stats()
		if as(s) {
			return s
		}
		if time.Now().After(deadline) {
			v.t.Fatalf("not %s after %v: %+v", what, hostilePatience, s)
		}
		_ = pause(v.t.Context(), time.Millisecond)
	}
}

func mining(s worker.Stats) bool { return s.State == worker.Mining }

// newHostileRig starts a coordinator of params whose test ends it.
func newHostileRig(t *testing.T, params *chain.Params) *rig {
	t.Helper()
	r, err := newRig(t.Context(), params)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.close(); err != nil {
			t.Errorf("coordinator: %v", err)
		}
	})
	return r
}

// signed makes a message as the owner of key would sign it.
func signed(t *testing.T, subject string, key nkeys.KeyPair, class protocol.Class, payload []byte) *nats.Msg {
	t.Helper()
	signer, err := protocol.NewSigner(key)
	if err != nil {
		t.Fatal(err)
	}
	return &nats.Msg{Subject: subject, Data: payload, Header: nats.Header{protocol.SignatureHeader: []string{signer.Sign(class, payload)}}}
}

func newStranger(t *testing.T) nkeys.KeyPair {
	t.Helper()
	key, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// attack shows the worker messages and waits until it has judged them: a last one,
// which it ignores, comes after them. It returns how many it ignored.
func (b *bridge) attack(v *victim, messages ...*nats.Msg) (ignored uint64) {
	b.t.Helper()
	before := v.Stats().Ignored
	b.mu.Lock()
	for _, m := range messages {
		b.pass(m)
	}
	last := &nats.Msg{Subject: b.subjects.Job(coordinatorName), Data: []byte("the end")}
	b.tell(last)
	b.mu.Unlock()
	// What is ignored comes one by one; the last is there when no more comes.
	for seen := uint64(0); ; {
		s := v.until("done with it", func(s worker.Stats) bool { return s.Ignored > before })
		if s.Ignored == seen {
			return seen - before - 1
		}
		seen = s.Ignored
		_ = pause(b.t.Context(), 20*time.Millisecond)
	}
}

// TestHostileServerMisdirectsNobody has a NATS server forge what the coordinator
// says, replay it, those words from before its restart too, and deliver it twice and
// in the wrong order. The worker stays on the newest genuine job that it was shown.
func TestHostileServerMisdirectsNobody(t *testing.T) {
	params := chain.Bitcoin() // a difficulty that the slowest kernel does not meet in the time
	params.Spacing = time.Second
	r := newHostileRig(t, params)
	b := newBridge(t, r)
	v := newVictim(t, b, hashing.Kernels()[0])
	v.until("on a third job", func(s worker.Stats) bool { return mining(s) && s.Job.Epoch == 1 && s.Job.Number >= 3 })

	r.stop()
	r.ended.Wait()
	r.conn.Close()
	ch, err := chain.Open(r.store, params, chain.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.run(t.Context(), params, ch); err != nil {
		t.Fatal(err)
	}
	v.until("on a third job of the next epoch", func(s worker.Stats) bool { return mining(s) && s.Job.Epoch == 2 && s.Job.Number >= 3 })

	// From now on the server lets nothing pass by itself.
	b.set(nothing, nothing, nil)
	subject, stranger := b.subjects.Job(coordinatorName), newStranger(t)
	shown, _, words := b.state()
	v.until("on the newest job", func(s worker.Stats) bool { return s.Job == shown })
	b.mu.Lock()
	newest := *b.newest
	b.mu.Unlock()
	next := newest
	next.Number, next.Prev, next.Height = next.Number+1, hashing.Hash{1}, next.Height+1
	job := protocol.Encode(&next)
	hold := protocol.Encode(&protocol.Hold{Kind: protocol.KindHold, Coordinator: coordinatorName, JobID: newest.JobID, Prev: newest.Prev})
	genuine := words[len(words)-1].Header
	for _, tt := range []struct {
		name string
		m    *nats.Msg
	}{
		{"a job under the server's own key", signed(t, subject, stranger, protocol.ToWorkers, job)},
		{"a hold under the server's own key", signed(t, subject, stranger, protocol.ToWorkers, hold)},
		{"a job under the signature of another", &nats.Msg{Subject: subject, Data: job, Header: genuine}},
		{"a hold under the signature of a job", &nats.Msg{Subject: subject, Data: hold, Header: genuine}},
		{"a job that the coordinator signed as an announcement", signed(t, subject, r.key, protocol.ToAll, job)},
		{"a job that it signed as a reply to an observer", signed(t, subject, r.key, protocol.ReplyTo(&nats.Msg{}), job)},
		{"a job that it signed as a reply to a worker", signed(t, subject, r.key, protocol.ReplyTo(&nats.Msg{}), job)},
		{"a job without a signature", &nats.Msg{Subject: subject, Data: job}},
	} {
		if n := b.attack(v, tt.m); n != 1 {
			t.Errorf("%s: %d messages ignored, want it ignored", tt.name, n)
		}
		if s := v.Stats(); s.Job != shown || s.State == worker.Holding {
			t.Errorf("%s: on job %s, %s, want still %s", tt.name, s.Job, s.State, shown)
		}
	}
	// All that was ever said, again, in both orders: genuine words, all of them over.
	epochs := map[uint64]int{}
	var replays []*nats.Msg
	for _, m := range words {
		if j := jobOf(m); j != nil && !shown.Before(j.JobID) {
			epochs[j.Epoch]++
			replays = append([]*nats.Msg{m}, append(replays, m)...)
		} else if kind, _ := protocol.KindOf(m.Data); kind == protocol.KindHold {
			epochs[0]++
			replays = append([]*nats.Msg{m}, append(replays, m)...)
		}
	}
	if epochs[0] < 1 || epochs[1] < 2 || epochs[2] < 2 {
		t.Fatalf("too little was said to be replayed: %v", epochs)
	}
	for _, m := range replays {
		if n := b.attack(v, m); n != 0 {
			t.Errorf("a replay was ignored for its signature, want it judged by its age: %s", m.Data)
		}
		if s := v.Stats(); s.Job != shown || s.State == worker.Holding || s.State == worker.Joining {
			t.Errorf("on job %s, %s, want still %s, after the replay of %s", s.Job, s.State, shown, m.Data)
		}
	}

	// Three jobs on, delivered in the wrong order and more than once.
	var later []*nats.Msg
	for deadline := time.Now().Add(hostilePatience); len(later) < 3; _ = pause(t.Context(), time.Millisecond) {
		_, _, words = b.state()
		later = nil
		for _, m := range words {
			if j := jobOf(m); j != nil && shown.Before(j.JobID) {
				later = append(later, m)
			}
		}
		if time.Now().After(deadline) {
			t.Fatal("the coordinator makes no jobs")
		}
	}
	b.attack(v, later[2], later[0], later[2], later[1], later[0], later[1], later[2])
	if s, j := v.Stats(), jobOf(later[0]); s.Job == j.JobID || s.Job == jobOf(later[1]).JobID {
		t.Errorf("on job %s, want none of those that were overtaken", s.Job)
	}

	// The attack ends.
	b.set(nil, nil, nil)
	_, claimed, _ := b.state()
	accepted := v.Stats().SharesAccepted
	v.until("mining as ever", func(s worker.Stats) bool {
		return mining(s) && jobOf(later[2]).JobID.Before(s.Job) && s.SharesAccepted > accepted
	})
	if _, now, _ := b.state(); now == claimed {
		t.Error("nothing that it found was checked")
	}
	if s := v.Stats(); s.SharesRefused > 0 || s.BlocksFound > 0 {
		t.Errorf("%d shares refused, %d blocks found, want none", s.SharesRefused, s.BlocksFound)
	}
}

// TestHostileServerAgreesOnNoSecret has the server put itself between a worker and
// its coordinator when they agree on a secret.
func TestHostileServerAgreesOnNoSecret(t *testing.T) {
	params := chain.Bitcoin()
	r := newHostileRig(t, params)
	b := newBridge(t, r)
	own, err := protocol.NewExchange()
	if err != nil {
		t.Fatal(err)
	}
	stranger := newStranger(t)
	var first *nats.Msg
	change := func(m *nats.Msg, exchange, yours protocol.Bytes) []byte {
		var reply protocol.JoinReply
		if err := protocol.Decode(m.Data, &reply); err != nil {
			t.Error(err)
		}
		reply.Exchange = exchange
		if yours != nil {
			reply.Yours = yours
		}
		return protocol.Encode(&reply)
	}
	attacks := []struct {
		name  string
		forge func(asked, reply *nats.Msg) *nats.Msg
	}{
		{"its own value under the coordinator's signature", func(_, reply *nats.Msg) *nats.Msg {
			first = reply
			return &nats.Msg{Data: change(reply, own.Public(), nil), Header: reply.Header}
		}},
		{"its own value under its own key", func(asked, reply *nats.Msg) *nats.Msg {
			return signed(t, "", stranger, protocol.ReplyTo(asked), change(reply, own.Public(), nil))
		}},
		{"the reply to an earlier join", func(_, _ *nats.Msg) *nats.Msg { return first }},
		{"the reply to a join of its own in the worker's name", func(asked, _ *nats.Msg) *nats.Msg {
			var join protocol.Join
			if err := protocol.Decode(asked.Data, &join); err != nil {
				t.Error(err)
			}
			join.Exchange = own.Public()
			reply, err := b.up.Request(asked.Subject, protocol.Encode(&join), hostilePatience)
			if err != nil {
				t.Error(err)
				return first
			}
			return reply
		}},
		{"the coordinator's word with another's value in it", func(asked, reply *nats.Msg) *nats.Msg {
			// Not even a coordinator that mixes two workers up gets past the echo.
			return signed(t, "", r.key, protocol.ReplyTo(asked), change(reply, own.Public(), own.Public()))
		}},
	}
	tried := make(chan int, 100)
	n := 0
	b.set(nil, nil, func(asked, reply *nats.Msg) []*nats.Msg {
		if kind, _ := protocol.KindOf(asked.Data); kind != protocol.KindJoin || n == len(attacks) {
			return []*nats.Msg{reply}
		}
		forged := attacks[n].forge(asked, reply)
		n++
		tried <- n
		return []*nats.Msg{{Subject: asked.Reply, Data: forged.Data, Header: forged.Header}}
	})
	v := newVictim(t, b, hashing.Kernels()[0])
	for i, tt := range attacks {
		select {
		case <-tried:
		case <-time.After(hostilePatience):
			t.Fatalf("%s: the worker does not join", tt.name)
		}
		s := v.until("ignoring it", func(s worker.Stats) bool { return s.Ignored >= uint64(i+1) })
		if s.State != worker.Joining {
			t.Errorf("%s: it is %s, want still %s", tt.name, s.State, worker.Joining)
		}
	}
	v.until("mining", mining)
	accepted := v.Stats().SharesAccepted
	v.until("credited with a share", func(s worker.Stats) bool { return s.SharesAccepted > accepted })
}

// TestHostileServerSwapsVerdicts has the server drop every verdict on a solution and
// bring the coordinator's genuine refusal of another request of the same number
// instead. No solution is lost: each is sent until it is accepted.
func TestHostileServerSwapsVerdicts(t *testing.T) {
	params, err := easyNetwork(23)
	if err != nil {
		t.Fatal(err)
	}
	r := newHostileRig(t, params)
	b := newBridge(t, r)
	v := newVictim(t, b, hashing.BestKernel())
	v.until("credited with a block", func(s worker.Stats) bool { return s.BlocksAccepted >= 1 })

	swapped := map[protocol.Code]int{}
	b.set(nil, nil, func(asked, reply *nats.Msg) []*nats.Msg {
		var claim protocol.Claim
		if protocol.Decode(asked.Data, &claim) != nil {
			return []*nats.Msg{reply}
		}
		if claim.Kind == protocol.KindShare {
			return nil
		}
		claim.Point ^= 1 << 20
		if len(swapped) > 0 {
			claim.Number += 1000
		}
		refusal, err := b.up.Request(asked.Subject, protocol.Encode(&claim), hostilePatience)
		var code protocol.Reply
		if err != nil || protocol.Decode(refusal.Data, &code) != nil || code.ID != claim.ID {
			t.Errorf("no refusal to swap: %v", err)
			return nil
		}
		swapped[code.Code]++
		return []*nats.Msg{{Subject: asked.Reply, Data: refusal.Data, Header: refusal.Header}}
	})
	before := v.Stats()
	s := v.until("without a verdict", func(s worker.Stats) bool {
		return s.BlocksFound >= before.BlocksFound+2 && s.Ignored >= before.Ignored+4
	})
	if s.BlocksRefused > 0 || s.BlocksAccepted > before.BlocksFound {
		t.Errorf("%d blocks refused, %d accepted, want none by the server's word", s.BlocksRefused, s.BlocksAccepted)
	}
	b.set(nil, nil, nil)
	s = v.until("credited with every block", func(s worker.Stats) bool {
		return s.BlocksAccepted == s.BlocksFound && s.BlocksFound > before.BlocksFound+2
	})
	if s.BlocksRefused > 0 {
		t.Errorf("%d blocks refused", s.BlocksRefused)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if swapped[protocol.HighHash] == 0 || swapped[protocol.UnknownJob] == 0 {
		t.Errorf("swapped %v, want refusals of two sorts", swapped)
	}
	if got := b.verdicts[protocol.OK] + b.verdicts[protocol.Known]; got == 0 {
		t.Errorf("verdicts %v", b.verdicts)
	}
}

// TestHostileServerForgesSolutions has the server publish solutions that it found
// and keeps from the coordinator, and rejections that nobody gave. They stop the
// worker once a parent, for 2 s; nothing but the coordinator's word shortens that.
func TestHostileServerForgesSolutions(t *testing.T) {
	params, err := easyNetwork(16)
	if err != nil {
		t.Fatal(err)
	}
	const patience = 2 * time.Second // of a spacing of an hour
	r := newHostileRig(t, params)
	b := newBridge(t, r)
	v := newVictim(t, b, silent(hashing.BestKernel()))
	v.until("mining", mining)
	forge := func(s *protocol.Solved) {
		t.Helper()
		if err := b.down.Publish(b.subjects.Solved("mallory"), protocol.Encode(s)); err != nil {
			t.Fatal(err)
		}
	}
	current := func() *protocol.Job {
		id := v.Stats().Job
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.jobs[id]
	}
	reject := func(s *protocol.Solved, epoch uint64) []byte {
		return protocol.Encode(&protocol.Rejected{
			Kind: protocol.KindRejected, Coordinator: coordinatorName, Epoch: epoch,
			Hash: s.Header.Hash(), Prev: s.Header.Prev(), Code: protocol.HighHash,
		})
	}
	subject, stranger := b.subjects.Job(coordinatorName), newStranger(t)

	job := current()
	first, second := forgeSolution(t, job, 1<<20), forgeSolution(t, job, 1<<20+1)
	forge(first)
	stopped := v.until("stopped", func(s worker.Stats) bool { return s.LastStop.Count == 1 })
	b.attack(v,
		signed(t, subject, stranger, protocol.ToWorkers, reject(first, job.Epoch)),
		signed(t, subject, r.key, protocol.ReplyTo(&nats.Msg{}), reject(first, job.Epoch)),
		signed(t, subject, r.key, protocol.ToWorkers, reject(second, job.Epoch)), // another's
		signed(t, subject, r.key, protocol.ToWorkers, reject(first, job.Epoch+1)),
	)
	if s := v.Stats(); s.State != worker.Stopped {
		t.Errorf("a rejection that is none makes it %s %v after it stopped", s.State, time.Since(stopped.LastStop.Decided))
	}
	v.until("mining again", mining)
	if took := time.Since(stopped.LastStop.Decided); took < patience || took > patience+time.Second {
		t.Errorf("it stood still for %v, want %v", took, patience)
	}
	for range 100 {
		forge(first)
		forge(second)
	}
	third := forgeSolution(t, job, 1<<20+2)
	forge(third)
	for deadline := time.Now().Add(500 * time.Millisecond); time.Now().Before(deadline); _ = pause(t.Context(), time.Millisecond) {
		if s := v.Stats(); s.State != worker.Mining || s.LastStop.Count != 1 {
			t.Fatalf("it is %s, stopped %d times on one parent, want once", s.State, s.LastStop.Count)
		}
	}

	// The coordinator gets the solution after all: the next job comes.
	if err := b.up.Publish(b.subjects.Solved("mallory"), protocol.Encode(first)); err != nil {
		t.Fatal(err)
	}
	v.until("on the next job", func(s worker.Stats) bool { return mining(s) && s.Height == job.Height+1 })

	// On that parent a solution stops it again. The coordinator hears it with a place
	// that is not its header's, and says so: the worker goes on at once.
	job = current()
	fourth := forgeSolution(t, job, 1<<20)
	wrong := *fourth
	wrong.Point++
	forge(fourth)
	stopped = v.until("stopped on the next parent", func(s worker.Stats) bool { return s.LastStop.Count == 2 })
	if err := b.up.Publish(b.subjects.Solved("mallory"), protocol.Encode(&wrong)); err != nil {
		t.Fatal(err)
	}
	v.until("mining by the coordinator's word", mining)
	if took := time.Since(stopped.LastStop.Decided); took > patience/2 {
		t.Errorf("it took %v to go on after the coordinator's rejection", took)
	}

	// A genuine rejection of the last epoch, or of another parent, is no use later.
	_, _, words := b.state()
	var rejection *nats.Msg
	for _, m := range words {
		if kind, _ := protocol.KindOf(m.Data); kind == protocol.KindRejected {
			rejection = m
		}
	}
	if err := b.up.Publish(b.subjects.Solved("mallory"), protocol.Encode(fourth)); err != nil {
		t.Fatal(err)
	}
	v.until("on the third job", func(s worker.Stats) bool { return mining(s) && s.Height == job.Height+1 })
	forge(forgeSolution(t, current(), 1<<20))
	v.until("stopped on the third parent", func(s worker.Stats) bool { return s.LastStop.Count == 3 })
	b.attack(v, rejection)
	if s := v.Stats(); s.State != worker.Stopped {
		t.Errorf("a replayed rejection makes it %s", s.State)
	}
}
