package coordinator

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/coordinator/protocol"
	"github.com/jbcnet/jbc/hashing"
)

// TestFarmHistories replays the histories in testdata/farm. Jobs are on parents A,
// B, ...; shares and solutions are found by hashing. Run with -rewrite to write
// what happens now, and review it as a diff.
func TestFarmHistories(t *testing.T) {
	datadriven.Walk(t, "testdata/farm", func(t *testing.T, path string) {
		h := &farmHistory{templates: newTemplates(t), now: testStart, slots: map[string]uint32{}, finds: map[string]protocol.Place{}}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			h.templates.t = t
			return h.run(script{t, d})
		})
	})
}

type farmHistory struct {
	templates *templates
	now       time.Time
	farm      *farm
	slots     map[string]uint32         // what each worker takes for its slot
	finds     map[string]protocol.Place // by name
}

func (h *farmHistory) run(s script) string {
	commands := map[string]func(script) string{
		"farm": h.begin, "job": h.job, "hold": h.hold, "pass": h.pass, "restart": h.restart,
		"join": h.join, "current": h.current, "progress": h.progress, "lease": h.progress, "leave": h.progress,
		"find": h.find, "share": h.share, "shares": h.shares, "solution": h.solution, "credit": h.credit, "status": h.status,
	}
	run, ok := commands[s.d.Cmd]
	if !ok {
		s.t.Fatalf("%s: no command %q", s.d.Pos, s.d.Cmd)
	}
	return run(s)
}

// farm [spacing=DURATION] [rolling=no]: epoch 1 begins.
func (h *farmHistory) begin(s script) string {
	params := chain.Regtest()
	params.Spacing = s.duration(s.text("spacing", "30s"))
	params.VersionRolling = s.text("rolling", "yes") == "yes"
	h.farm = newFarm("alpha", params, 1, nil)
	return line("rolls %d", h.farm.rolls)
}

// restart: a new epoch begins with the jobs of the one before, as the store has them.
func (h *farmHistory) restart(script) string {
	kept := h.farm.jobs.kept
	params := chain.Regtest()
	params.Spacing = h.farm.spacing
	h.farm = newFarm("alpha", params, h.farm.jobs.epoch+1, nil)
	for _, j := range kept {
		h.farm.jobs.kept = append(h.farm.jobs.kept, restoredJob(j.Job, j.template))
	}
	return line("epoch %d, %d jobs can still be solved", h.farm.jobs.epoch, len(kept))
}

// job PARENT [hashes=N]: a template of a block that takes N hashes.
func (h *farmHistory) job(s script) string {
	template := h.templates.On(s.word(0), s.rate("hashes", 1e6), h.now)
	started, dropped := h.farm.Start(h.now, template)
	h.farm.Book(h.now, started)
	out := []string{fmt.Sprintf("%s %s on %s, due in %v", started.Kind, started.JobID, s.word(0), h.farm.Due().Sub(h.now))}
	for _, live := range h.farm.roster.Live(h.now) {
		for _, l := range started.ledger.LeasesOf(live.number) {
			out = append(out, fmt.Sprintf("%s: lease %d %s", live.worker.Name, l.id, points(l.interval.first, l.interval.n)))
		}
	}
	for _, old := range dropped {
		out = append(out, fmt.Sprintf("%s can't be solved any more", old.JobID))
	}
	return lines(out)
}

// hold PARENT DURATION
func (h *farmHistory) hold(s script) string {
	hold := h.farm.Hold(h.now, parentHash(s.word(0)), h.now.Add(s.duration(s.word(1))), "too early")
	if err := hold.Validate(); err != nil {
		s.t.Errorf("%s: %v", s.d.Pos, err)
	}
	return line("hold after %s, due in %v", hold.JobID, h.farm.Due().Sub(h.now))
}

// pass DURATION
func (h *farmHistory) pass(s script) string {
	h.now = h.now.Add(s.duration(s.word(0)))
	expired, silent := h.farm.Tick(h.now)
	var out []string
	for _, l := range expired {
		out = append(out, fmt.Sprintf("expired: slot %d lease %d %s", l.slot, l.id, points(l.rest().first, l.rest().n)))
	}
	for _, gone := range silent {
		out = append(out, fmt.Sprintf("silent: slot %d %s", gone.number, gone.worker.Name))
	}
	return lines(out)
}

// join WORKER [hs=RATE]
func (h *farmHistory) join(s script) string {
	worker := protocol.Join{Ask: protocol.Ask{Kind: protocol.KindJoin, ID: 1}, Name: s.word(0), DeclaredHS: s.rate("hs", 1000), Exchange: make(protocol.Bytes, 32)}
	reply := h.farm.Join(h.now, worker, agreedWith(s.word(0)))
	if reply.Code != protocol.OK {
		return refused(reply.Reply)
	}
	h.check(s, &reply)
	h.slots[s.word(0)] = reply.Slot
	out := []string{fmt.Sprintf("slot %d of epoch %d, %s", reply.Slot, reply.Epoch, terms(reply.Terms))}
	return lines(append(out, work(reply.Job, reply.Hold, reply.Leases)...))
}

// current WORKER [slot=N] [epoch=N] [job=E.N] [mac=wrong]
func (h *farmHistory) current(s script) string {
	ask := protocol.Current{Ask: protocol.Ask{Kind: protocol.KindCurrent, ID: 1}, Sitting: h.sitting(s)}
	reply := h.farm.Current(h.now, sending(s), &ask)
	if reply.Code != protocol.OK {
		return refused(reply.Reply)
	}
	h.check(s, &reply)
	return lines(work(reply.Job, reply.Hold, reply.Leases))
}

// progress WORKER [done=(LEASE:POINTS, ...)] [want=N] [slot=N] [epoch=N] [job=E.N]
// [mac=wrong], and lease and leave likewise
func (h *farmHistory) progress(s script) string {
	ask := protocol.Progress{Ask: protocol.Ask{Kind: s.d.Cmd, ID: 1}, Sitting: h.sitting(s), Want: s.number("want", 0)}
	if done, ok := s.d.Arg("done"); ok {
		for _, text := range done.Vals {
			var d protocol.Done
			if _, err := fmt.Sscanf(text, "%d:%d", &d.ID, &d.Points); err != nil {
				s.t.Fatalf("%s: done %q: %v", s.d.Pos, text, err)
			}
			ask.Leases = append(ask.Leases, d)
		}
	}
	reply := h.farm.Progress(h.now, sending(s), &ask)
	if reply.Code != protocol.OK {
		return refused(reply.Reply)
	}
	h.check(s, &reply)
	out := []string{terms(reply.Terms)}
	if reply.Current != ask.JobID && reply.Current != (protocol.JobID{}) {
		out = append(out, fmt.Sprintf("the job of the moment is %s", reply.Current))
	}
	for _, id := range reply.Gone {
		out = append(out, fmt.Sprintf("gone: lease %d", id))
	}
	return lines(append(out, leases(reply.Leases)...))
}

// find NAME [job=E.N] [column=N] [nonce=N] [is=share|solution|dud]: the first place
// from there on that is what is looked for and nothing better.
func (h *farmHistory) find(s script) string {
	j := h.farm.jobs.Find(h.jobID(s))
	if j == nil {
		s.t.Fatalf("%s: no job %s", s.d.Pos, h.jobID(s))
	}
	share := termsFor(1, s.rate("hs", 1000), j.Rolls)
	target, harder := share.Target(&j.Job), j.Target()
	switch s.text("is", "share") {
	case "solution":
		target, harder = harder, hashing.Target{}
	case "dud":
		target, harder = hashing.MaxTarget, target
	}
	from := protocol.Point(s.number("column", 0)<<32 | s.number("nonce", 0))
	p := find(s.t, &j.Job, from, target, harder)
	h.finds[s.word(0)] = p
	return line("column %d nonce %d roll %d", p.Point.Column(), p.Point.Nonce(), p.Roll)
}

// share WORKER FIND [slot=N] [terms=N] [epoch=N] [roll=N] [job=E.N] [mac=wrong]
func (h *farmHistory) share(s script) string {
	before := h.tally()
	hash, err := h.farm.Share(h.now, sending(s), h.claim(s, protocol.KindShare))
	if err == nil && hash.IsZero() {
		s.t.Errorf("%s: a share without a hash", s.d.Pos)
	}
	return verdict(err) + h.changes(before)
}

// shares WORKER N [hs=RATE]: finds and sends the next N shares of a worker's own
// column.
func (h *farmHistory) shares(s script) string {
	var n int
	if _, err := fmt.Sscan(s.word(1), &n); err != nil {
		s.t.Fatalf("%s: %v", s.d.Pos, err)
	}
	j := h.farm.jobs.Current()
	member := h.farm.roster.slots[h.slots[s.word(0)]]
	target := member.terms.Target(&j.Job)
	at := protocol.Point(h.slots[s.word(0)])<<32 | 1<<20 // where no find of a history looks
	verdicts := map[string]int{}
	for range n {
		p := find(s.t, &j.Job, at, target, hashing.Target{})
		at = p.Point + 1
		c := protocol.Claim{Ask: protocol.Ask{Kind: protocol.KindShare}, Place: p, Slot: h.slots[s.word(0)], Terms: member.terms.Number}
		_, err := h.farm.Share(h.now, sending(s), &c)
		verdicts[verdict(err)]++
	}
	var out []string
	for v, n := range verdicts {
		out = append(out, fmt.Sprintf("%d %s", n, strings.TrimSpace(v)))
	}
	slices.Sort(out)
	return lines(out)
}

// solution FIND [roll=N] [job=E.N]: the chain takes its block, whoever sent it.
func (h *farmHistory) solution(s script) string {
	p := h.finds[s.word(0)]
	p.Roll = int(s.number("roll", uint64(p.Roll)))
	if s.has("job") {
		p.JobID = h.jobID(s)
	}
	j, header, err := h.farm.Solution(p)
	if err != nil {
		return verdict(err)
	}
	cancels := h.farm.Cancels(header)
	h.farm.Accepted(j, header.Hash())
	return line("ok, of %s, cancels: %v", j.JobID, cancels)
}

// credit WORKER FIND ...: the finder's claim comes, after the chain took the block.
func (h *farmHistory) credit(s script) string {
	before := h.tally()
	h.farm.CreditSolution(h.now, sending(s), h.claim(s, protocol.KindSolution))
	if changes := h.changes(before); changes != "" {
		return changes
	}
	return lines(nil)
}

// status: what counts for and against each worker, and why things were refused.
func (h *farmHistory) status(s script) string {
	var out []string
	for _, w := range h.farm.roster.sorted(func(*slot) bool { return true }) {
		st := h.farm.workerStatus(h.now, w)
		text := fmt.Sprintf("slot %d %s: shares %d blocks %d refused %d", st.Slot, st.Name, st.Shares, st.Blocks, st.Refused)
		for _, l := range st.Leases {
			text += fmt.Sprintf(", lease %d %d of %d", l.ID, l.Done, l.Points)
		}
		out = append(out, text)
	}
	return lines(out)
}

// tally is what counts for and against the workers.
func (h *farmHistory) tally() map[string][3]uint64 {
	out := map[string][3]uint64{}
	for _, s := range h.farm.roster.slots {
		out[fmt.Sprintf("%s (slot %d)", s.worker.Name, s.number)] = [3]uint64{s.shares, s.blocks, s.refused}
	}
	return out
}

// changes says what has been counted since before.
func (h *farmHistory) changes(before map[string][3]uint64) string {
	var out []string
	for who, after := range h.tally() {
		for i, what := range []string{"shares", "blocks", "refused"} {
			if d := after[i] - before[who][i]; d != 0 {
				out = append(out, fmt.Sprintf("%s: %s +%d\n", who, what, d))
			}
		}
	}
	slices.Sort(out)
	return strings.Join(out, "")
}

// claim makes the claim of a command.
func (h *farmHistory) claim(s script, kind string) *protocol.Claim {
	p, ok := h.finds[s.word(1)]
	if !ok {
		s.t.Fatalf("%s: nothing found by the name %s", s.d.Pos, s.word(1))
	}
	p.Roll = int(s.number("roll", uint64(p.Roll)))
	if s.has("job") {
		p.JobID = h.jobID(s)
	}
	return &protocol.Claim{
		Ask: protocol.Ask{Kind: kind, ID: 1}, Place: p,
		Slot: uint32(s.number("slot", uint64(h.slots[s.word(0)]))), Terms: s.number("terms", 1),
	}
}

// sending is the worker of a command, or with mac=wrong somebody in its name.
func sending(s script) sender {
	if s.text("mac", "") == "wrong" {
		return forged(s.word(0))
	}
	return signed(s.word(0))
}

func (h *farmHistory) sitting(s script) protocol.Sitting {
	at := protocol.Sitting{JobID: h.jobID(s), Slot: uint32(s.number("slot", uint64(h.slots[s.word(0)])))}
	at.Epoch = s.number("epoch", at.Epoch)
	return at
}

// jobID returns the job that a command names, or that of the moment.
func (h *farmHistory) jobID(s script) (id protocol.JobID) {
	id.Epoch = h.farm.jobs.epoch
	if j := h.farm.jobs.Current(); j != nil {
		id = j.JobID
	}
	if text := s.text("job", ""); text != "" {
		if _, err := fmt.Sscanf(text, "%d.%d", &id.Epoch, &id.Number); err != nil {
			s.t.Fatalf("%s: job %q: %v", s.d.Pos, text, err)
		}
	}
	return id
}

// check sees that a worker would take a reply.
func (h *farmHistory) check(s script, m protocol.Message) {
	s.t.Helper()
	if err := m.Validate(); err != nil {
		s.t.Errorf("%s: a reply that no worker takes: %v", s.d.Pos, err)
	}
}

func work(j *protocol.Job, hold *protocol.Hold, lent []protocol.Lease) []string {
	switch {
	case j != nil:
		return append([]string{j.Kind + " " + j.JobID.String()}, leases(lent)...)
	case hold != nil:
		return []string{"hold: " + hold.Reason}
	}
	return []string{"no work yet"}
}

func leases(lent []protocol.Lease) (out []string) {
	for _, l := range lent {
		out = append(out, fmt.Sprintf("lease %d %s", l.ID, points(uint64(l.First), l.Points)))
	}
	return out
}

func terms(t protocol.Terms) string {
	target, _ := t.ShareBits.Target()
	return fmt.Sprintf("terms %d: a share in %.0f hashes, home %d", t.Number, target.Hashes(), t.HomePoints)
}

// points writes an interval as its column and its first and last nonce.
func points(first, n uint64) string {
	p := protocol.Point(first)
	return fmt.Sprintf("column %d [%d,%d)", p.Column(), p.Nonce(), uint64(p.Nonce())+n)
}

func refused(r protocol.Reply) string { return line("%d %v", r.Code, r.Code) }

func verdict(err error) string {
	code := protocol.CodeOf(err)
	return line("%d %v", code, code)
}
