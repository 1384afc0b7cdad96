package coordinator

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/coordinator/protocol"
	"github.com/jbcnet/jbc/hashing"
)

// naiveLine is the naive account of a small job: who has each point, as the workers
// are told, and how often it was reported as searched.
type naiveLine struct {
	t     *testing.T
	owner []*naiveWorker
	done  []int
}

// naiveWorker is a worker as it sees itself.
type naiveWorker struct {
	name   string
	slot   uint32
	gone   bool // its slot was taken away or left
	asleep bool
	heard  time.Time
	leases map[uint64]*naiveLease
}

type naiveLease struct {
	first, n, done uint64
	deadline       time.Time
}

// TestFarmLendsNothingTwice has workers join, work, fall asleep, wake, die and
// leave, on a job so small that it is worked off: at no time do two of them have
// the same point, what one says is taken back is taken back, and in the end every
// point was searched.
func TestFarmLendsNothingTwice(t *testing.T) {
	templates := newTemplates(t)
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 5))
		size := 1 + rng.Uint64N(30_000)
		now := testStart
		f := newFarm("alpha", chain.Regtest(), 1, nil)
		started, _ := f.Start(now, templates.On("A", 1e12, now))
		f.Book(now, started)
		started.ledger = newLedger(0, size)
		l := &naiveLine{t: t, owner: make([]*naiveWorker, size), done: make([]int, size)}
		var workers []*naiveWorker
		for step := range 400 {
			now = now.Add(time.Duration(rng.Int64N(int64(800 * time.Millisecond))))
			l.tick(f, now, workers)
			var w *naiveWorker
			if len(workers) > 0 {
				w = workers[rng.IntN(len(workers))]
			}
			switch n := rng.IntN(20); {
			case w == nil || n == 0 && len(workers) < 40:
				workers = append(workers, l.join(f, now, fmt.Sprintf("w%d", step), rng.Float64()*3000))
			case n == 1:
				w.asleep = !w.asleep
			case n == 2 && !w.asleep:
				l.report(f, now, rng, w, protocol.KindLeave)
			case !w.asleep:
				l.report(f, now, rng, w, protocol.KindProgress)
			}
		}
		// The others die, and one works off what is left.
		now = now.Add(time.Minute)
		l.tick(f, now, workers)
		last := l.join(f, now, "last", 1e6)
		for len(last.leases) > 0 {
			l.work(f, now, last)
		}
		for p, times := range l.done {
			if times == 0 {
				t.Fatalf("seed %d: point %d of %d was never searched", seed, p, size)
			}
		}
		if j := f.jobs.Current(); j.ledger.searched < size || len(f.roster.slots) != 1 {
			t.Fatalf("seed %d: %d of %d searched, %d slots", seed, j.ledger.searched, size, len(f.roster.slots))
		}
	}
}

// tick lets time pass for the farm, and for what each worker believes.
func (l *naiveLine) tick(f *farm, now time.Time, workers []*naiveWorker) {
	f.Tick(now)
	for _, w := range workers {
		for id, loan := range w.leases {
			if !loan.deadline.After(now) {
				l.back(w, id)
			}
		}
		if now.Sub(w.heard) >= 10*time.Second {
			w.gone = true
		}
	}
}

// back frees what a worker has not searched of a lease.
func (l *naiveLine) back(w *naiveWorker, id uint64) {
	loan := w.leases[id]
	for p := loan.first + loan.done; p < loan.first+loan.n; p++ {
		if l.owner[p] != w {
			l.t.Fatalf("point %d is not %s's", p, w.name)
		}
		l.owner[p] = nil
	}
	delete(w.leases, id)
}

func (l *naiveLine) join(f *farm, now time.Time, name string, hs float64) *naiveWorker {
	l.t.Helper()
	reply := f.Join(now, protocol.Join{Ask: protocol.Ask{Kind: protocol.KindJoin}, Name: name, DeclaredHS: hs, Exchange: make(protocol.Bytes, 32)}, agreedWith(name))
	if err := reply.Validate(); err != nil || reply.Code != protocol.OK {
		l.t.Fatalf("%s joins: %v, %v", name, reply.Code, err)
	}
	w := &naiveWorker{name: name, slot: reply.Slot, heard: now, leases: map[uint64]*naiveLease{}}
	l.lend(w, now, reply.Leases)
	return w
}

// lend notes what a worker was lent: points that nobody has and nobody searched.
func (l *naiveLine) lend(w *naiveWorker, now time.Time, granted []protocol.Lease) {
	l.t.Helper()
	for _, g := range granted {
		for p := uint64(g.First); p < uint64(g.First)+g.Points; p++ {
			if l.owner[p] != nil || l.done[p] > 0 {
				l.t.Fatalf("point %d is lent to %s while %v has it, searched %d times", p, w.name, l.owner[p], l.done[p])
			}
			l.owner[p] = w
		}
		w.leases[g.ID] = &naiveLease{first: uint64(g.First), n: g.Points, deadline: now.Add(2750 * time.Millisecond)}
	}
}

// report says how far a worker is with some of its leases, wants more at times,
// and names leases that it lost long ago.
func (l *naiveLine) report(f *farm, now time.Time, rng *rand.Rand, w *naiveWorker, kind string) {
	l.t.Helper()
	ask := protocol.Progress{
		Ask:     protocol.Ask{Kind: kind},
		Sitting: protocol.Sitting{JobID: f.jobs.Current().JobID, Slot: w.slot},
		Want:    rng.Uint64N(3) * rng.Uint64N(3000),
	}
	lost := uint64(1_000_000)
	ask.Leases = append(ask.Leases, protocol.Done{ID: lost, Points: 1})
	for id, loan := range w.leases {
		if rng.IntN(4) > 0 {
			ask.Leases = append(ask.Leases, protocol.Done{ID: id, Points: loan.done + rng.Uint64N(loan.n-loan.done+1)})
		}
	}
	reply := f.Progress(now, signed(w.name), &ask)
	if w.gone {
		if reply.Code != protocol.UnknownSlot {
			l.t.Fatalf("%s, gone, reports: %v, want %v", w.name, reply.Code, protocol.UnknownSlot)
		}
		return
	}
	if err := reply.Validate(); err != nil || reply.Code != protocol.OK {
		l.t.Fatalf("%s reports: %v, %v", w.name, reply.Code, err)
	}
	if !slices.Equal(reply.Gone, []uint64{lost}) {
		l.t.Fatalf("%s reports: gone are %v, want %v", w.name, reply.Gone, lost)
	}
	w.heard = now
	for _, d := range ask.Leases[1:] {
		l.advance(w, d, now)
	}
	if kind == protocol.KindLeave {
		for id := range w.leases {
			l.back(w, id)
		}
		w.gone = true
	}
	l.lend(w, now, reply.Leases)
}

func (l *naiveLine) advance(w *naiveWorker, d protocol.Done, now time.Time) {
	loan := w.leases[d.ID]
	for ; loan.done < d.Points; loan.done++ {
		l.done[loan.first+loan.done]++
		l.owner[loan.first+loan.done] = nil
	}
	loan.deadline = now.Add(2750 * time.Millisecond)
	if loan.done == loan.n {
		delete(w.leases, d.ID)
	}
}

// work has a worker search all it has and ask for more.
func (l *naiveLine) work(f *farm, now time.Time, w *naiveWorker) {
	l.t.Helper()
	ask := protocol.Progress{
		Ask:     protocol.Ask{Kind: protocol.KindProgress},
		Sitting: protocol.Sitting{JobID: f.jobs.Current().JobID, Slot: w.slot}, Want: 1 << 40,
	}
	for id, loan := range w.leases {
		ask.Leases = append(ask.Leases, protocol.Done{ID: id, Points: loan.n})
	}
	reply := f.Progress(now, signed(w.name), &ask)
	if reply.Code != protocol.OK || len(reply.Gone) > 0 {
		l.t.Fatalf("%s reports: %v, gone %v", w.name, reply.Code, reply.Gone)
	}
	for _, d := range ask.Leases {
		l.advance(w, d, now)
	}
	l.lend(w, now, reply.Leases)
}

// shareWorld is a farm and the naive account of what its claims are worth.
type shareWorld struct {
	t    *testing.T
	rng  *rand.Rand
	now  time.Time
	farm *farm
	pool []protocol.Place // finds: shares, some of them solutions

	lent     map[protocol.JobID]map[uint32][]protocol.Lease // all that a slot was ever told
	live     map[protocol.JobID]bool                        // its parent is the tip
	counted  map[hashing.Header]bool                        // counts as a share, or will
	accepted map[hashing.Header]bool                        // a block
	given    map[hashing.Header]bool                        // a block that a slot was credited with
	worth    map[uint32]*worth
}

// worth is what a slot must have at the end.
type worth struct{ shares, blocks, refused uint64 }

// TestCreditIsGivenOnce sends shares and solutions in any order: by their finders,
// again, by others that were lent the same points and by others that were not,
// under wrong MACs and terms, on jobs that are over. What is credited is what the
// naive account says: each header once, to somebody who may have found it; and
// nothing counts against a worker but what it did wrong.
func TestCreditIsGivenOnce(t *testing.T) {
	templates := newTemplates(t)
	for seed := range uint64(10) {
		w := &shareWorld{
			t: t, rng: rand.New(rand.NewPCG(seed, 6)), now: testStart, farm: newFarm("alpha", chain.Regtest(), 1, nil),
			lent: map[protocol.JobID]map[uint32][]protocol.Lease{}, live: map[protocol.JobID]bool{},
			counted: map[hashing.Header]bool{}, accepted: map[hashing.Header]bool{}, given: map[hashing.Header]bool{},
			worth: map[uint32]*worth{},
		}
		for i := range 4 {
			w.join(fmt.Sprintf("w%d", i))
		}
		w.start(templates, "A")
		for range 600 {
			switch n := w.rng.IntN(60); {
			case n == 0:
				w.start(templates, string('A'+rune(w.rng.IntN(26))))
			case n == 1:
				w.start(templates, "same")
			case n < 10:
				w.lease()
			case n < 45:
				w.share()
			default:
				w.solution()
			}
		}
		w.compare(seed)
	}
}

func (w *shareWorld) join(name string) {
	w.t.Helper()
	reply := w.farm.Join(w.now, protocol.Join{Name: name, DeclaredHS: 1000}, agreedWith(name))
	if reply.Code != protocol.OK {
		w.t.Fatal(reply.Code)
	}
	w.worth[reply.Slot] = &worth{}
}

// start begins a job and finds what there is to find in the slots' columns and in
// the first that is leased. The parent "same" is that of the job before.
func (w *shareWorld) start(templates *templates, parent string) {
	w.t.Helper()
	template := templates.On(parent, 6000, w.now)
	if last := w.farm.jobs.Current(); parent == "same" {
		template.Prev = last.Prev
	} else if last != nil && last.Prev != template.Prev {
		clear(w.live)
	}
	started, _ := w.farm.Start(w.now, template)
	w.farm.Book(w.now, started)
	w.live[started.JobID] = true
	w.lent[started.JobID] = map[uint32][]protocol.Lease{}
	share := termsFor(1, 1000, started.Rolls)
	for _, column := range []uint32{0, 1, 2, 3, 1 << 24} {
		at := protocol.Point(column) << 32
		for range 4 {
			p := find(w.t, &started.Job, at, share.Target(&started.Job), hashing.Target{})
			w.pool = append(w.pool, p)
			at = p.Point + 1
		}
	}
}

// lease lends a slot points, and lets what others had run out at times, so that
// the same points come to several.
func (w *shareWorld) lease() {
	if w.rng.IntN(3) == 0 {
		for number := range w.worth { // all are heard, and none reports its leases
			w.farm.roster.slots[number].heard = w.now
		}
		w.now = w.now.Add(3 * time.Second)
		w.farm.Tick(w.now)
	}
	slot := uint32(w.rng.IntN(len(w.worth)))
	j := w.farm.jobs.Current()
	reply := w.farm.Progress(w.now, signed(w.farm.roster.slots[slot].worker.Name), &protocol.Progress{
		Ask: protocol.Ask{Kind: protocol.KindLease}, Sitting: protocol.Sitting{JobID: j.JobID, Slot: slot}, Want: 1000,
	})
	w.lent[j.JobID][slot] = append(w.lent[j.JobID][slot], reply.Leases...)
}

// mayFind says whether a slot was ever told to search a point.
func (w *shareWorld) mayFind(slot uint32, p protocol.Place) bool {
	if uint64(p.Point)>>32 == uint64(slot) {
		return true
	}
	return slices.ContainsFunc(w.lent[p.JobID][slot], func(l protocol.Lease) bool {
		return p.Point >= l.First && uint64(p.Point) < uint64(l.First)+l.Points
	})
}

// claim is a random find by a random slot, and what is wrong with it.
func (w *shareWorld) claim(kind string) (worker string, c *protocol.Claim, j *job) {
	p := w.pool[w.rng.IntN(len(w.pool))]
	if w.rng.IntN(2) == 0 { // most are of the last jobs
		p = w.pool[len(w.pool)-1-w.rng.IntN(20)]
	}
	slot := uint32(w.rng.IntN(len(w.worth)))
	worker = w.farm.roster.slots[slot].worker.Name
	c = &protocol.Claim{Ask: protocol.Ask{Kind: kind}, Place: p, Slot: slot, Terms: 1}
	return worker, c, w.farm.jobs.Find(p.JobID)
}

func (w *shareWorld) share() {
	w.t.Helper()
	worker, c, j := w.claim(protocol.KindShare)
	want, faults := protocol.OK, uint64(0)
	switch w.rng.IntN(12) {
	case 0:
		c.Terms, want, faults = 7, protocol.UnknownTerms, 1
	case 1:
		c.Point ^= 1 // 1 in 2000 is a share by chance
		want, faults = protocol.HighHash, 1
	}
	from := signed(worker)
	if want == protocol.OK && w.rng.IntN(12) == 0 {
		from, want = forged(worker), protocol.BadMAC
	}
	var header hashing.Header
	if j != nil {
		header = j.Header(c.Point, c.Roll)
	}
	switch {
	case j == nil:
		want, faults = protocol.UnknownJob, 0
	case want != protocol.OK:
	case !w.live[c.JobID]:
		want = protocol.Stale
	case !w.mayFind(c.Slot, c.Place):
		want, faults = protocol.NotLeased, 1
	case w.counted[header]:
		want = protocol.Known
	default:
		w.counted[header] = true
		w.worth[c.Slot].shares++
	}
	w.worth[c.Slot].refused += faults
	if _, err := w.farm.Share(w.now, from, c); protocol.CodeOf(err) != want {
		w.t.Fatalf("share %+v of %s: %v, want %v", c, worker, protocol.CodeOf(err), want)
	}
}

func (w *shareWorld) solution() {
	w.t.Helper()
	worker, c, j := w.claim(protocol.KindSolution)
	found, header, err := w.farm.Solution(c.Place)
	want := protocol.OK
	if j == nil {
		want = protocol.UnknownJob
	} else if !j.Target().MetBy(header.Hash()) {
		want = protocol.HighHash
	}
	if protocol.CodeOf(err) != want {
		w.t.Fatalf("solution %+v: %v, want %v", c.Place, protocol.CodeOf(err), want)
	}
	if err != nil {
		return
	}
	share := false
	if !w.accepted[header] {
		w.accepted[header] = true
		share = w.live[c.JobID] && !w.counted[header]
	}
	w.farm.Accepted(found, header.Hash())
	if share {
		w.counted[header] = true
	}
	if w.rng.IntN(3) == 0 {
		return // its finder died, or claims it later
	}
	before := *w.slotWorth(c.Slot)
	w.farm.CreditSolution(w.now, signed(worker), c)
	after := *w.slotWorth(c.Slot)
	switch {
	case w.given[header]:
		if after != before {
			w.t.Fatalf("block %x is credited twice", header.Hash())
		}
	case after.blocks > before.blocks:
		w.given[header] = true
		w.worth[c.Slot].blocks++
		w.worth[c.Slot].shares += after.shares - before.shares
		if w.live[c.JobID] && !w.mayFind(c.Slot, c.Place) {
			w.t.Fatalf("slot %d is credited with a block at %+v, where it had nothing to search", c.Slot, c.Place)
		}
	case w.mayFind(c.Slot, c.Place):
		w.t.Fatalf("slot %d is not credited with its block at %+v", c.Slot, c.Place)
	}
}

func (w *shareWorld) slotWorth(number uint32) *worth {
	s := w.farm.roster.slots[number]
	return &worth{s.shares, s.blocks, s.refused}
}

// compare has the sums agree: no header counts twice, and what counts for nobody
// is a solution that nobody claimed.
func (w *shareWorld) compare(seed uint64) {
	w.t.Helper()
	var sum worth
	for number, want := range w.worth {
		if got := *w.slotWorth(number); got != *want {
			w.t.Errorf("seed %d: slot %d has %+v, want %+v", seed, number, got, *want)
		}
		sum.shares += want.shares
		sum.blocks += want.blocks
	}
	unclaimed := uint64(0)
	for header := range w.accepted {
		if !w.given[header] {
			unclaimed++
		}
	}
	if distinct := uint64(len(w.counted)); sum.shares > distinct || sum.shares+unclaimed < distinct {
		w.t.Errorf("seed %d: %d shares are credited of %d distinct headers, %d blocks unclaimed", seed, sum.shares, distinct, unclaimed)
	}
	if sum.blocks != uint64(len(w.given)) {
		w.t.Errorf("seed %d: %d blocks are credited of %d", seed, sum.blocks, len(w.given))
	}
	if sum.shares < 25 || sum.blocks < 5 {
		w.t.Errorf("seed %d: %+v is too little to mean anything", seed, sum)
	}
}
