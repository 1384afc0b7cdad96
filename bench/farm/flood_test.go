//go:build linux

package farm

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/coordinator/protocol"
	"github.com/jbcnet/jbc/hashing"
)

// TestFlood has a worker with a slot of its own send thousands of solutions and
// shares that are bogus, stale, repeated or stolen, beside an honest worker, and
// all it recorded once more after the coordinator was killed. Nobody stops for
// them, no block is theirs, nothing counts twice, the one who sent them is dropped
// and shown, and the honest one notices nothing.
func TestFlood(t *testing.T) {
	f := newFarm(t)
	record := &record{}
	o := f.observe(t, chain.Dev(), hooks{any: record.hear})
	c := f.coordinator(t)
	o.connected(t)
	o.discovered(t)
	honest := f.worker(t, "honest", 1, "--log-level", "debug", "--kernel", "stdlib") // whatever this machine has: a fast one has shares outlive their jobs
	eventually(t, luck, "the honest worker finds blocks", func() bool { return len(o.blocks()) >= 2 })
	calm := record.rateAfter(count(0, 65))

	a := f.hand(t, o, chain.Dev().ID(), "attacker")
	a.stay()
	true1 := a.earn(5)
	before := worker(o.statusNow(t), "attacker")
	if before == nil || before.Shares != true1 || before.Blocks != 0 || before.Refused != 0 {
		t.Fatalf("the attacker's true shares: %+v, want %d", before, true1)
	}
	a.repeat(o, record, count(500, 10_000))
	if w := worker(o.statusNow(t), "attacker"); w == nil || w.Shares != true1 || w.Blocks != 0 {
		t.Errorf("after its repetitions the attacker has %+v, want %d shares and no block", w, true1)
	}
	record.check(t, o, honest)
	began := time.Now()
	sent := a.flood(record, count(2000, 10_000))
	st := o.statusNow(t)
	t.Logf("%d messages in %v; refused %v", sent, time.Since(began).Round(time.Millisecond), st.Refused)
	eventually(t, patience, "the attacker is dropped", func() bool { return isDropped(o.statusNow(t), "attacker") })
	checkDropped(t, f, o.statusNow(t))
	if n := a.flood(record, 500); n == 0 {
		t.Log("the server lets the attacker send nothing more")
	}
	if harried := record.rateAfter(count(0, 65)); soaking() {
		t.Logf("the honest worker's rate: %.3f MH/s before, %.3f beside the flood", calm/1e6, harried/1e6)
		if harried < 0.95*calm {
			t.Errorf("the honest worker's rate falls from %.3f to %.3f MH/s, over 5 %%", calm/1e6, harried/1e6)
		}
	}
	nextBlock(t, o)
	record.check(t, o, honest)

	// Killed, it knows neither its shares nor who was dropped.
	c.kill()
	c = f.coordinator(t)
	eventually(t, patience, "the honest worker is back", func() bool { return worker(o.status(), "honest") != nil })
	o.connected(t)
	o.discovered(t)
	blocks := len(o.blocks())
	if !a.conn.IsConnected() {
		eventually(t, patience, "the attacker is connected", a.conn.IsConnected)
	}
	a.join()
	for _, m := range record.sentBy("attacker") {
		a.send(m.Data, m.Header.Get(protocol.MACHeader), m.Subject)
	}
	for _, m := range record.sentBy("honest") { // stolen
		a.send(m.Data, m.Header.Get(protocol.MACHeader), a.subjects.Ask(coordinatorName, "attacker"))
	}
	nextBlock(t, o)
	if w := worker(o.statusNow(t), "attacker"); w != nil && (w.Shares != 0 || w.Blocks != 0) {
		t.Errorf("replayed after a restart: %+v, want nothing counted", w)
	}
	record.check(t, o, honest)
	if len(o.blocks()) <= blocks {
		t.Error("no block since the restart")
	}
	if !c.running() || !honest.running() {
		t.Error("a process ended")
	}
}

// nextBlock waits for one more block.
func nextBlock(t *testing.T, o *observer) {
	t.Helper()
	had := len(o.blocks())
	eventually(t, luck, "one more block", func() bool { return len(o.blocks()) > had })
}

// statusNow returns the coordinator's status.
func (o *observer) statusNow(t *testing.T) (st *protocol.Status) {
	t.Helper()
	eventually(t, patience, "the coordinator tells its status", func() bool {
		st = o.status()
		return st != nil
	})
	return st
}

func worker(st *protocol.Status, name string) *protocol.WorkerStatus {
	if st == nil {
		return nil
	}
	for i := range st.Workers {
		if st.Workers[i].Name == name {
			return &st.Workers[i]
		}
	}
	return nil
}

func isDropped(st *protocol.Status, name string) bool {
	return slices.ContainsFunc(st.Dropped, func(d protocol.DroppedStatus) bool { return d.Name == name })
}

// checkDropped wants the attacker, and nobody else, shown as dropped.
func checkDropped(t *testing.T, f *farm, st *protocol.Status) {
	t.Helper()
	if len(st.Dropped) != 1 || st.Dropped[0].Name != "attacker" || len(st.Dropped[0].Reasons) == 0 {
		t.Errorf("dropped %+v, want the attacker alone", st.Dropped)
	}
	if worker(st, "attacker") != nil || worker(st, "honest") == nil {
		t.Errorf("workers %+v, want the honest one alone", st.Workers)
	}
	out, errs, status := f.run(t, "status", "--nats", f.url)
	if status != 0 || !strings.Contains(out, "dropped      attacker until ") || !strings.Contains(out, "(202)") {
		t.Errorf("jbc status ended with %d and says\n%s%s", status, out, errs)
	}
}

// earn finds true shares, sends each and returns how many counted.
func (h *hand) earn(n int) (counted uint64) {
	h.t.Helper()
	for counted < uint64(n) {
		job := h.current()
		p, err := h.find(job, h.seat.Terms.Target(job), job.Target())
		if err != nil {
			h.t.Fatal(err)
		}
		var reply protocol.ClaimReply
		if err := h.request(h.claim(protocol.KindShare, p), &reply); err != nil {
			h.t.Fatal(err)
		}
		switch reply.Code {
		case protocol.OK:
			counted++
		case protocol.Stale: // a block came meanwhile
		default:
			h.t.Fatal(reply.Code)
		}
	}
	return counted
}

// send sends what may have been somebody else's, to be answered to nobody's inbox.
func (h *hand) send(data []byte, mac, subject string) bool {
	m := &nats.Msg{Subject: subject, Data: data, Header: nats.Header{}, Reply: protocol.InboxPrefix(h.name) + ".flood"}
	if mac != "" {
		m.Header.Set(protocol.MACHeader, mac)
	}
	return h.conn.PublishMsg(m) == nil
}

// repeat sends n messages that were sent before, by the hand itself and by others,
// no faster than they are read: claims, which have to be refused every one, and
// solutions, of which nothing has to follow.
func (h *hand) repeat(o *observer, r *record, n int) {
	h.t.Helper()
	rng := rand.New(rand.NewPCG(3, 4))
	before := refusals(o.statusNow(h.t))
	asks := uint64(0)
	tick := time.NewTicker(4 * time.Millisecond)
	defer tick.Stop()
	for i := range n {
		<-tick.C
		switch i % 3 {
		case 0:
			if old := r.anySolved(rng); old != nil {
				_ = h.conn.Publish(h.subjects.Solved(h.name), old)
			}
			continue
		case 1:
			own := r.sentBy(h.name)
			m := own[rng.IntN(min(len(own), 5))]
			h.send(m.Data, m.Header.Get(protocol.MACHeader), m.Subject)
		case 2:
			theirs := r.sentBy("honest")
			m := theirs[rng.IntN(len(theirs))]
			h.send(m.Data, m.Header.Get(protocol.MACHeader), h.subjects.Ask(coordinatorName, h.name))
			if kind, _ := protocol.KindOf(m.Data); kind == protocol.KindSolution {
				continue // whoever brings a block that is known is told so: no refusal
			}
		}
		asks++
	}
	var got uint64
	eventually(h.t, patience, "all repetitions are refused", func() bool {
		st := o.statusNow(h.t)
		got = refusals(st) - before
		return got >= asks
	})
	// A job that is older than the last 16 is not known any more: in a long run
	// repeated solutions are refused for that too.
	if st := o.statusNow(h.t); got > asks && !soaking() || got > uint64(n) || len(st.Dropped) != 0 {
		h.t.Errorf("%d of %d repetitions are refused (%v), dropped %v", got, asks, st.Refused, st.Dropped)
	}
}

// refusals is how much was refused for what repetitions are.
func refusals(st *protocol.Status) uint64 {
	return st.Refused[protocol.Known] + st.Refused[protocol.Stale] + st.Refused[protocol.UnknownSlot] + st.Refused[protocol.UnknownJob]
}

// flood sends n messages of every bad kind in turn and returns how many left.
func (h *hand) flood(r *record, n int) (sent int) {
	h.t.Helper()
	rng := rand.New(rand.NewPCG(1, 2))
	ask := h.subjects.Ask(coordinatorName, h.name)
	for i := range n {
		job := h.current()
		bogus := protocol.Place{JobID: job.JobID, Point: protocol.Point(h.seat.Slot)<<32 | protocol.Point(rng.Uint32())}
		ok := false
		seal := func(m protocol.Message) { s := h.sealed(m); ok = h.send(s.Data, s.Header.Get(protocol.MACHeader), ask) }
		solved := func(s *protocol.Solved) { ok = h.conn.Publish(h.subjects.Solved(h.name), protocol.Encode(s)) == nil }
		switch i % 8 {
		case 0: // a bogus solution
			seal(h.claim(protocol.KindSolution, bogus))
		case 1: // the same to everybody
			solved(&protocol.Solved{Kind: protocol.KindSolved, Coordinator: coordinatorName, Header: job.Header(bogus.Point, 0), Place: bogus})
		case 2: // somebody's solution again, to everybody
			if old := r.anySolved(rng); old != nil {
				ok = h.conn.Publish(h.subjects.Solved(h.name), old) == nil
			}
		case 3: // a true header under a bogus place
			if old := r.anySolved(rng); old != nil {
				var s protocol.Solved
				_ = json.Unmarshal(old, &s)
				s.Place = bogus
				solved(&s)
			}
		case 4: // a bogus share
			seal(h.claim(protocol.KindShare, bogus))
		case 5: // an own share again
			if own := r.sentBy(h.name); len(own) > 0 {
				m := own[rng.IntN(min(len(own), 5))]
				ok = h.send(m.Data, m.Header.Get(protocol.MACHeader), ask)
			}
		case 6: // somebody's claim
			if theirs := r.sentBy("honest"); len(theirs) > 0 {
				m := theirs[rng.IntN(len(theirs))]
				ok = h.send(m.Data, m.Header.Get(protocol.MACHeader), ask)
			}
		case 7: // no message at all
			ok = h.send([]byte("{"), "", ask)
		}
		if ok {
			sent++
		}
	}
	_ = h.conn.FlushTimeout(time.Second) // the server may have cut it
	return sent
}

// record is what an onlooker can record of claims and solutions, to send it again,
// and to count what they are worth.
type record struct {
	mu     sync.Mutex
	claims []*nats.Msg
	others int        // of the claims are not the honest worker's
	solved []([]byte) // of the honest worker
	rate   float64    // that the honest worker last reported
}

// maxRecorded bounds what is recorded of everybody but the honest worker.
const maxRecorded = 2000

func (r *record) hear(m *nats.Msg) {
	kind, err := protocol.KindOf(m.Data)
	if err != nil {
		return
	}
	name := protocol.LastToken(m.Subject)
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case kind == protocol.KindProgress && name == "honest":
		var p protocol.Progress
		if json.Unmarshal(m.Data, &p) == nil && p.RateHS > 0 {
			r.rate = p.RateHS
		}
	case strings.Contains(m.Subject, ".ask.") && (kind == protocol.KindShare || kind == protocol.KindSolution):
		if name == "honest" { // all of them count
			r.claims = append(r.claims, m)
		} else if r.others < maxRecorded {
			r.others++
			r.claims = append(r.claims, m)
		}
	case strings.Contains(m.Subject, ".solved.") && name == "honest":
		r.solved = append(r.solved, m.Data)
	}
}

// rateAfter returns the rate that the honest worker reports after that many seconds:
// a mean over the last minute.
func (r *record) rateAfter(seconds int) float64 {
	time.Sleep(time.Duration(seconds) * time.Second) // what is measured
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.rate
}

func (r *record) sentBy(name string) (out []*nats.Msg) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range r.claims {
		if strings.HasSuffix(m.Subject, "."+name) {
			out = append(out, m)
		}
	}
	return out
}

func (r *record) anySolved(rng *rand.Rand) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.solved) == 0 {
		return nil
	}
	return r.solved[rng.IntN(len(r.solved))]
}

// check wants every block to be one that the honest worker found, announced once,
// and it never to have stopped for the attacker.
func (r *record) check(t *testing.T, o *observer, honest *process) {
	t.Helper()
	found := map[hashing.Hash]bool{}
	for _, s := range o.found() {
		if s.publisher == "honest" {
			found[s.hash] = true
		}
	}
	announced := map[hashing.Hash]bool{}
	for _, b := range o.blocks() {
		if !found[b.hash] {
			t.Errorf("block %d %s is not the honest worker's", b.height, b.hash)
		}
		if announced[b.hash] {
			t.Errorf("block %d %s was announced twice", b.height, b.hash)
		}
		announced[b.hash] = true
	}
	if stops := honest.out.with(`msg="stopped, the job is solved"`, "by=attacker"); len(stops) > 0 {
		t.Errorf("the honest worker stopped %d times for the attacker: %s", len(stops), stops[0].text)
	}
	if refused := honest.out.with(`msg="block refused"`); len(refused) > 0 {
		t.Errorf("the honest worker's block was refused: %s", refused[0].text)
	}
	if w := worker(o.statusNow(t), "honest"); w == nil || w.Refused != 0 || w.Blocks > uint64(len(found)) {
		t.Errorf("the honest worker's status %+v, it found %d blocks", w, len(found))
	} else {
		shares := map[protocol.Place]bool{}
		for _, m := range r.sentBy("honest") {
			var c protocol.Claim
			if json.Unmarshal(m.Data, &c) == nil {
				shares[c.Place] = true
			}
		}
		if w.Shares > uint64(len(shares)) {
			t.Errorf("%d shares count for the honest worker, which sent %d places", w.Shares, len(shares))
		}
	}
}
