package coordinator

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/coordinator/protocol"
	"github.com/jbcnet/jbc/hashing"
)

// TestMinesBlocks goes the whole way, twice: join, lease, hash, solution, block.
func TestMinesBlocks(t *testing.T) {
	broker := startBroker(t)
	n := startNode(t, nodeConfig{url: broker.URL()})
	h := newHand(n, broker.URL(), "w1")
	job := h.work()
	if job.Prev != n.chain.Params().Genesis.Hash() || job.Height != 1 {
		t.Errorf("the first job is at height %d on %s", job.Height, job.Prev)
	}
	if h.seat.Epoch != 1 || len(h.seat.Leases) == 0 {
		t.Errorf("joined with %+v", h.seat)
	}
	var hashes []hashing.Hash
	for height := uint32(1); height <= 2; height++ {
		p := h.solve(job)
		header := job.Header(p.Point, p.Roll)
		h.announce(h.solvedOf(job, p))
		answer := h.bring(p)
		// The broadcast may be heard first: then the request is Known, as good as OK.
		if answer.Code != protocol.OK && answer.Code != protocol.Known {
			t.Fatalf("solution: %v (%s)", answer.Code, answer.Detail)
		}
		if answer.Hash != header.Hash() || answer.Height != height || answer.Kind != protocol.KindSolution {
			t.Errorf("answer %+v, want block %s at height %d", answer, header.Hash(), height)
		}
		hashes = append(hashes, header.Hash())
		job = n.current(t)
		if job.Prev != header.Hash() || job.Height != height+1 || job.Kind != protocol.KindJob {
			t.Fatalf("the next job is %s %s at height %d on %s", job.Kind, job.JobID, job.Height, job.Prev)
		}
	}
	st := h.status()
	if st.Height != 2 || st.Tip != hashes[1] || st.Blocks != 2 || st.Stale != 0 || st.Holding {
		t.Errorf("status %+v", st)
	}
	if len(st.Workers) != 1 || st.Workers[0].Blocks != 2 || st.Workers[0].Shares != 2 {
		t.Errorf("workers %+v, want one with 2 blocks", st.Workers)
	}
	if err := n.stop(); err != nil {
		t.Fatalf("Run = %v", err)
	}
	reopened(t, n.cfg, func(c *chain.Chain) {
		if tip := c.Tip(); tip.Hash != hashes[1] || tip.Height != 2 {
			t.Errorf("after opening again the tip is %s at %d, want %s at 2", tip.Hash, tip.Height, hashes[1])
		}
	})
}

// current returns the job of the moment.
func (n *node) current(t *testing.T) *protocol.Job {
	t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	j := n.farm.jobs.Current()
	if j == nil || n.farm.hold != nil {
		t.Fatal("no job")
	}
	wire := j.Job
	return &wire
}

// TestTheNextJobComesFirst has the disk stall: the farm goes on at once, and
// nothing is acknowledged or announced before the disk has it.
func TestTheNextJobComesFirst(t *testing.T) {
	disk := newTestDisk()
	broker := startBroker(t)
	n := startNode(t, nodeConfig{url: broker.URL(), fs: disk, dir: "node"})
	h := newHand(n, broker.URL(), "w1")
	job := h.work()
	p := h.solve(job)
	header := job.Header(p.Point, p.Roll)

	goOn := disk.stall()
	t.Cleanup(goOn)
	claim := h.claim(protocol.KindSolution, p)
	h.send(h.subjects.Ask("alpha", "w1"), protocol.Encode(claim))
	if next := h.nextJob(); next.Prev != header.Hash() {
		t.Fatalf("the next job is on %s, want %s", next.Prev, header.Hash())
	}
	// Others are served meanwhile, and nothing else is said, however often we ask.
	for range 50 {
		var reply protocol.StatusReply
		get := &protocol.Get{Ask: h.head(protocol.KindStatus)}
		h.send(h.subjects.Get("alpha"), protocol.Encode(get))
		msg := h.any()
		if msg.Subject != h.inbox || protocol.Decode(msg.Data, &reply) != nil || reply.ID != get.ID {
			t.Fatalf("before the block is on the disk: %s on %s", msg.Data, msg.Subject)
		}
		if reply.Status.Height != 1 {
			t.Fatalf("height %d, want 1", reply.Status.Height)
		}
	}
	goOn()
	var answer protocol.ClaimReply
	var block protocol.BlockAnnounced
	for answer.ID == 0 || block.Height == 0 {
		switch msg := h.any(); msg.Subject {
		case h.inbox:
			decode(t, msg, &answer)
		case h.subjects.Block("alpha"):
			decode(t, msg, &block)
		}
		// From the first word on the block survives a power loss.
		cfg := n.cfg
		cfg.fs = disk.afterPowerLoss()
		reopened(t, cfg, func(c *chain.Chain) {
			if !c.IsMain(header.Hash()) {
				t.Error("the block was acknowledged and is lost with the power")
			}
		})
	}
	if answer.ID != claim.ID || answer.Code != protocol.OK || answer.Hash != header.Hash() || answer.Height != 1 {
		t.Errorf("answer %+v", answer)
	}
	if block.Hash != header.Hash() || block.Height != 1 || block.Header != header || block.Coordinator != "alpha" {
		t.Errorf("announced %+v", block)
	}
}

// TestSolutionOfADeadWorker takes a solution that is only ever broadcast.
func TestSolutionOfADeadWorker(t *testing.T) {
	broker := startBroker(t)
	n := startNode(t, nodeConfig{url: broker.URL()})
	h := newHand(n, broker.URL(), "w1")
	job := h.work()
	p := h.solve(job)
	header := job.Header(p.Point, p.Roll)
	h.announce(h.solvedOf(job, p))
	if next := h.nextJob(); next.Prev != header.Hash() {
		t.Errorf("the next job is on %s, want %s", next.Prev, header.Hash())
	}
	if block := h.nextBlock(); block.Hash != header.Hash() || block.Height != 1 {
		t.Errorf("announced %+v", block)
	}
	// It was not dead after all: its request is answered, and it is credited, once.
	for range 2 {
		if answer := h.bring(p); answer.Code != protocol.Known || answer.Hash != header.Hash() || answer.Height != 1 {
			t.Errorf("answer %+v, want %v", answer, protocol.Known)
		}
	}
	if st := h.status(); st.Blocks != 1 || st.Workers[0].Blocks != 1 || st.Workers[0].Shares != 1 || len(st.Refused) != 0 {
		t.Errorf("status %+v", st)
	}
}

// TestLateSolution becomes a side block, and is acknowledged as any other.
func TestLateSolution(t *testing.T) {
	broker := startBroker(t)
	n := startNode(t, nodeConfig{url: broker.URL()})
	h := newHand(n, broker.URL(), "w1")
	job := h.work()
	first := h.solve(job)
	late := h.solveFrom(job, first.Point.Nonce()+1)
	if answer := h.bring(first); answer.Code != protocol.OK {
		t.Fatalf("solution: %v", answer.Code)
	}
	tip := n.chain.Tip().Hash
	header := job.Header(late.Point, late.Roll)
	if answer := h.bring(late); answer.Code != protocol.OK || answer.Hash != header.Hash() || answer.Height != 1 {
		t.Errorf("late solution: %+v", answer)
	}
	if n.chain.Tip().Hash != tip {
		t.Error("the late solution became the tip")
	}
	if e, ok := n.chain.Lookup(header.Hash()); !ok || e.Main {
		t.Errorf("late block: known %v, main %v, want a side block", ok, e.Main)
	}
	if st := h.status(); st.Stale != 1 || st.Blocks != 1 || st.Workers[0].Shares != 1 {
		t.Errorf("status: stale %d, blocks %d, shares %d, want 1, 1, 1", st.Stale, st.Blocks, st.Workers[0].Shares)
	}
	// No slot is needed: a worker of another epoch, or one never seen, is heard too.
	stranger := newHand(n, broker.URL(), "stranger")
	stranger.secret = make([]byte, 32)
	next := stranger.nextOrCurrent()
	if answer := stranger.bring(stranger.solve(next)); answer.Code != protocol.OK {
		t.Errorf("solution of a stranger: %v", answer.Code)
	}
	if st := h.status(); st.Height != 2 || st.Workers[0].Blocks != 2 {
		t.Errorf("status: height %d, worker's blocks %d, want 2, 2", st.Height, st.Workers[0].Blocks)
	}
}

func (h *hand) nextOrCurrent() *protocol.Job { return h.node.current(h.t) }

// TestFalseSolutions has somebody publish what would stop the farm and is no
// solution: the coordinator says so, signed, and what stops nobody is only counted.
func TestFalseSolutions(t *testing.T) {
	broker := startBroker(t)
	n := startNode(t, nodeConfig{url: broker.URL(), unlimited: true})
	h := newHand(n, broker.URL(), "w1")
	job := h.work()
	good, dud := h.solve(job), h.dud(job)
	valid := job.Header(good.Point, good.Roll)

	unknown := good
	unknown.Number += 7
	elsewhere := good
	elsewhere.Roll = (good.Roll + 1) % job.Rolls
	for !job.Target().MetBy(hashOf(job, elsewhere)) { // a solution itself, but of another header
		elsewhere.Point++
	}
	early, late, wrongBits, wrongPrev := valid, valid, valid, valid
	early.SetTime(job.MinTime - 1)
	late.SetTime(job.MaxTime + 1)
	wrongBits.SetBits(0x207ffffe)
	wrongPrev.SetPrev(hashing.Hash{1})

	quiet := []*protocol.Solved{ // nobody stops for these
		{Kind: protocol.KindSolved, Coordinator: "alpha", Header: job.Header(dud.Point, dud.Roll), Place: dud},
		{Kind: protocol.KindSolved, Coordinator: "alpha", Header: remined(early, job), Place: dud},
		{Kind: protocol.KindSolved, Coordinator: "alpha", Header: remined(late, job), Place: dud},
		{Kind: protocol.KindSolved, Coordinator: "alpha", Header: remined(wrongBits, job), Place: dud},
		{Kind: protocol.KindSolved, Coordinator: "alpha", Header: remined(wrongPrev, job), Place: dud},
	}
	others := &protocol.Solved{Kind: protocol.KindSolved, Coordinator: "beta", Header: valid, Place: dud} // its own coordinator will say
	for _, tt := range []struct {
		name string
		s    *protocol.Solved
		want protocol.Code
	}{
		{"a header of a job that is not known", &protocol.Solved{Kind: protocol.KindSolved, Coordinator: "alpha", Header: valid, Place: unknown}, protocol.UnknownJob},
		{"a place that is above the target", &protocol.Solved{Kind: protocol.KindSolved, Coordinator: "alpha", Header: valid, Place: dud}, protocol.HighHash},
		{"the header of another place", &protocol.Solved{Kind: protocol.KindSolved, Coordinator: "alpha", Header: valid, Place: elsewhere}, protocol.Malformed},
	} {
		before := h.status()
		for _, s := range append(quiet, others) {
			h.announce(s)
		}
		h.announce(tt.s)
		var rejected protocol.Rejected
		h.nextKind(protocol.KindRejected, &rejected) // the first is that of the last: the others were no cause
		want := protocol.Rejected{
			Kind: protocol.KindRejected, Coordinator: "alpha", Epoch: job.Epoch, Hash: valid.Hash(), Prev: job.Prev, Code: tt.want,
		}
		if rejected != want {
			t.Errorf("%s: %+v, want %+v", tt.name, rejected, want)
		}
		after := h.status()
		counted := uint64(0)
		for code, n := range after.Refused {
			counted += n - before.Refused[code]
		}
		if counted != uint64(len(quiet)+1) || after.Refused[tt.want] == before.Refused[tt.want] {
			t.Errorf("%s: %d refused, want %d", tt.name, counted, len(quiet)+1)
		}
		if after.Height != 0 || after.Job != before.Job {
			t.Errorf("%s: height %d, job %s, want 0, %s", tt.name, after.Height, after.Job, before.Job)
		}
	}
	// Bytes that are no message.
	if err := h.conn.Publish(h.subjects.Solved("w1"), []byte("boo")); err != nil {
		t.Fatal(err)
	}
	// And the solution itself is taken after all that.
	h.announce(h.solvedOf(job, good))
	if block := h.nextBlock(); block.Hash != valid.Hash() {
		t.Errorf("block %s, want %s", block.Hash, valid.Hash())
	}
}

func hashOf(j *protocol.Job, p protocol.Place) hashing.Hash {
	h := j.Header(p.Point, p.Roll)
	return h.Hash()
}

// remined gives a header a nonce that meets the job's target.
func remined(h hashing.Header, j *protocol.Job) hashing.Header {
	for !j.Target().MetBy(h.Hash()) {
		h.SetNonce(h.Nonce() + 1)
	}
	return h
}

// TestShares sends shares over the wire: the codes that the farm gives arrive.
func TestShares(t *testing.T) {
	broker := startBroker(t)
	n := startNode(t, nodeConfig{url: broker.URL()})
	h, other := newHand(n, broker.URL(), "w1"), newHand(n, broker.URL(), "w2")
	job := h.work()
	other.join()
	p := h.solve(job) // on regtest a share is a solution: it is sent as a share
	for _, tt := range []struct {
		name  string
		from  *hand
		alter func(*protocol.Claim)
		want  protocol.Code
	}{
		{"unknown terms", h, func(c *protocol.Claim) { c.Terms++ }, protocol.UnknownTerms},
		{"unknown job", h, func(c *protocol.Claim) { c.Number = 99 }, protocol.UnknownJob},
		{"another's slot", h, func(c *protocol.Claim) { c.Slot = other.seat.Slot }, protocol.UnknownSlot},
		{"another's point", other, nil, protocol.NotLeased},
		{"a good one", h, nil, protocol.OK},
		{"the same again", h, nil, protocol.Known},
	} {
		c := tt.from.claim(protocol.KindShare, p)
		if tt.alter != nil {
			tt.alter(c)
		}
		var reply protocol.ClaimReply
		tt.from.ask(c, &reply)
		if reply.Code != tt.want || reply.ID != c.ID || reply.Kind != protocol.KindShare {
			t.Errorf("%s: %+v, want %v", tt.name, reply.Reply, tt.want)
		}
	}
	st := h.status()
	for _, code := range []protocol.Code{protocol.UnknownTerms, protocol.UnknownJob, protocol.UnknownSlot, protocol.NotLeased, protocol.Known} {
		if st.Refused[code] != 1 {
			t.Errorf("%v is counted %d times, want once", code, st.Refused[code])
		}
	}
	if w := st.Workers[h.seat.Slot]; w.Shares != 1 || w.Refused != 1 {
		t.Errorf("w1 has %d shares, %d refused, want 1, 1", w.Shares, w.Refused)
	}
}

// TestForgedRequests has somebody speak for a slot without its secret, about
// everything that a slot speaks about: nothing comes of it.
func TestForgedRequests(t *testing.T) {
	broker := startBroker(t)
	n := startNode(t, nodeConfig{url: broker.URL()})
	h, other := newHand(n, broker.URL(), "w1"), newHand(n, broker.URL(), "w2")
	job := h.work()
	other.join()
	ask, p := h.subjects.Ask("alpha", "w1"), h.solve(job)
	sit := protocol.Sitting{JobID: job.JobID, Slot: h.seat.Slot}
	done := []protocol.Done{{ID: h.seat.Leases[0].ID, Points: 1000}}
	before := jsonOf(t, h.status().Workers[0].Leases)
	heard := func() time.Time {
		n.mu.Lock()
		defer n.mu.Unlock()
		return n.farm.roster.slots[h.seat.Slot].heard
	}
	last, forgeries := heard(), uint64(0)
	for _, m := range []protocol.Message{
		&protocol.Current{Ask: h.head(protocol.KindCurrent), Sitting: sit},
		&protocol.Progress{Ask: h.head(protocol.KindLease), Sitting: sit, Want: 1},
		&protocol.Progress{Ask: h.head(protocol.KindProgress), Sitting: sit, Leases: done},
		&protocol.Progress{Ask: h.head(protocol.KindLeave), Sitting: sit, Leases: done},
		h.claim(protocol.KindShare, p),
	} {
		for name, secret := range map[string][]byte{"no": nil, "another slot's": other.secret} {
			h.sendSealed(ask, protocol.Encode(m), secret)
			var reply protocol.Reply
			decode(t, h.next(h.inbox), &reply)
			if reply.Code != protocol.BadMAC {
				t.Errorf("%s under %s secret: %v, want %v", reply.Kind, name, reply.Code, protocol.BadMAC)
			}
			forgeries++
		}
	}
	if !heard().Equal(last) {
		t.Error("a forged request counts as a word from the worker")
	}
	st := h.status()
	if w := st.Workers[0]; st.Refused[protocol.BadMAC] != forgeries || w.Refused != 0 || w.Shares != 0 || jsonOf(t, w.Leases) != before {
		t.Errorf("%d refused, w1 %+v, want %d and its leases %s", st.Refused[protocol.BadMAC], w, forgeries, before)
	}
	// A solution stands for itself, but is credited to nobody.
	h.sendSealed(ask, protocol.Encode(h.claim(protocol.KindSolution, p)), other.secret)
	var block protocol.ClaimReply
	if decode(t, h.next(h.inbox), &block); block.Code != protocol.OK || block.Height != 1 {
		t.Errorf("a solution that anybody brings: %+v", block)
	}
	if w := h.status().Workers[0]; w.Blocks != 0 || w.Shares != 0 {
		t.Errorf("w1 is credited with %d blocks, %d shares that it did not claim", w.Blocks, w.Shares)
	}
	if answer := h.bring(p); answer.Code != protocol.Known {
		t.Errorf("its own claim: %+v", answer)
	}
	if w := h.status().Workers[0]; w.Blocks != 1 || w.Shares != 1 {
		t.Errorf("w1 is credited with %d blocks, %d shares, want both", w.Blocks, w.Shares)
	}
}

// TestJoiningTwice makes two secrets, even of one public value.
func TestJoiningTwice(t *testing.T) {
	broker := startBroker(t)
	n := startNode(t, nodeConfig{url: broker.URL()})
	h := newHand(n, broker.URL(), "w1")
	own, err := protocol.NewExchange()
	if err != nil {
		t.Fatal(err)
	}
	var secrets [][]byte
	for range 2 {
		h.ask(&protocol.Join{Ask: h.head(protocol.KindJoin), Name: "w1", Exchange: own.Public()}, &h.seat)
		secret, err := own.WorkerSecret(h.seat.Exchange)
		if err != nil {
			t.Fatal(err)
		}
		secrets = append(secrets, secret)
	}
	if bytes.Equal(secrets[0], secrets[1]) {
		t.Error("two slots have one secret")
	}
}

// TestLeasesPassOn has one worker leave: the other gets what it did not search.
func TestLeasesPassOn(t *testing.T) {
	broker := startBroker(t)
	n := startNode(t, nodeConfig{url: broker.URL()})
	h, other := newHand(n, broker.URL(), "w1"), newHand(n, broker.URL(), "w2")
	job := h.work()
	other.join()
	lease := h.seat.Leases[0]
	sit := func(of *hand) protocol.Sitting { return protocol.Sitting{JobID: job.JobID, Slot: of.seat.Slot} }
	var left protocol.ProgressReply
	h.ask(&protocol.Progress{
		Ask: h.head(protocol.KindLeave), Sitting: sit(h), Leases: []protocol.Done{{ID: lease.ID, Points: 1000}},
	}, &left)
	if left.Code != protocol.OK {
		t.Fatalf("leave: %v", left.Code)
	}
	var got protocol.ProgressReply
	other.ask(&protocol.Progress{Ask: other.head(protocol.KindLease), Sitting: sit(other), Want: lease.Points}, &got)
	if len(got.Leases) == 0 || got.Leases[0].First != lease.First+1000 || got.Leases[0].Points != lease.Points-1000 {
		t.Errorf("leases %+v, want the rest of %+v first", got.Leases, lease)
	}
	var current protocol.CurrentReply
	h.ask(&protocol.Current{Ask: h.head(protocol.KindCurrent), Sitting: sit(h)}, &current)
	if current.Code != protocol.UnknownSlot {
		t.Errorf("after leaving: %v, want %v", current.Code, protocol.UnknownSlot)
	}
	other.ask(&protocol.Current{Ask: other.head(protocol.KindCurrent), Sitting: sit(other)}, &current)
	if current.Job == nil || current.Job.JobID != job.JobID || len(current.Leases) != 1+len(got.Leases) {
		t.Errorf("current: %+v", current)
	}
}

// TestNew refuses what a coordinator can't be made of.
func TestNew(t *testing.T) {
	broker := startBroker(t)
	n := startNode(t, nodeConfig{url: broker.URL()})
	for _, tt := range []struct {
		name   string
		change func(*Config)
	}{
		{"no name", func(c *Config) { c.Name = "" }},
		{"a name with a dot", func(c *Config) { c.Name = "a.b" }},
	} {
		cfg := n.Coordinator.cfg
		tt.change(&cfg)
		if _, err := New(cfg); err == nil {
			t.Errorf("%s: New takes it", tt.name)
		}
	}
}

// TestRunEnds well whatever ended its context.
func TestRunEnds(t *testing.T) {
	broker := startBroker(t)
	n := openNode(t, nodeConfig{url: broker.URL()})
	ctx, cancel := contextWithTimeout(t, time.Millisecond)
	defer cancel(nil)
	n.done = make(chan error, 1)
	n.cancel = func() { cancel(nil) }
	n.done <- n.Run(ctx)
	if err := n.ended(); err != nil {
		t.Errorf("Run = %v after its time was over, want nil", err)
	}

	n = openNode(t, nodeConfig{url: broker.URL()})
	ctx, cancel = contextWithTimeout(t, time.Hour)
	n.cancel = func() { cancel(nil) }
	go func() {
		<-n.Ready()
		cancel(errors.New("enough"))
	}()
	n.done = make(chan error, 1)
	n.done <- n.Run(ctx)
	if err := n.ended(); err != nil {
		t.Errorf("Run = %v after its context was cancelled for a reason, want nil", err)
	}
}
