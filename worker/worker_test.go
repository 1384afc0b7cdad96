package worker

import (
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nkeys"

	"github.com/jbcnet/jbc/coordinator/protocol"
	"github.com/jbcnet/jbc/hashing"
)

func isMining(s Stats) bool { return s.State == Mining }

func onJob(number uint64) func(Stats) bool {
	return func(s Stats) bool { return s.Job.Number == number && s.State == Mining }
}

// sharesIn returns what the plain kernel finds in a lease, as places.
func sharesIn(job *protocol.Job, l protocol.Lease, bits hashing.Bits) []protocol.Place {
	target, _ := bits.Target()
	var places []protocol.Place
	hits := make([]hashing.Hit, 100)
	for i := range l.Points {
		p := l.First + protocol.Point(i)
		s := job.Search(p.Column(), target)
		_, found := hashing.Kernels()[0].Scan(&s, p.Nonce(), 1, hits)
		for _, h := range hits[:found] {
			places = append(places, protocol.Place{JobID: job.JobID, Point: p, Roll: h.Version})
		}
	}
	return places
}

func comparePlaces(a, b protocol.Place) int {
	if a.Point != b.Point {
		if a.Point < b.Point {
			return -1
		}
		return 1
	}
	return a.Roll - b.Roll
}

// collect waits for n shares of a job.
func (c *lookalike) collect(t *testing.T, job *protocol.Job, n int) []protocol.Place {
	t.Helper()
	var places []protocol.Place
	for len(places) < n {
		claim := get(t, "share", c.claims)
		if claim.Kind != protocol.KindShare {
			t.Fatalf("claim of kind %s, want share", claim.Kind)
		}
		if claim.JobID == job.JobID {
			places = append(places, claim.Place)
		}
	}
	slices.SortFunc(places, comparePlaces)
	return places
}

func TestSearchesEveryPointOfItsLeases(t *testing.T) {
	ns := newNATS(t, 0)
	c := newLookalike(t, ns.ClientURL(), "c1")
	first := c.job
	// The second lease crosses from one column to the next.
	more := protocol.Lease{ID: 7, First: 9<<32 - 100, Points: 200, ExpiresMS: 60000}
	c.grant = []protocol.Lease{more}
	w := startWorker(t, ns.ClientURL(), nil)
	get(t, "join", c.joins)

	want := slices.Concat(sharesIn(first, c.terms.Home(testSlot), easyBits), sharesIn(first, more, easyBits))
	slices.SortFunc(want, comparePlaces)
	if got := c.collect(t, first, len(want)); !slices.Equal(got, want) {
		t.Errorf("shares %v, plain Go finds %v", got, want)
	}

	done := map[uint64]uint64{}
	for done[0] != homeSize || done[7] != 200 {
		for _, d := range get(t, "report", c.reports).Leases {
			done[d.ID] = d.Points
		}
	}

	// A broadcast job is started on at once, in the home lease.
	second := c.newJob(2, 2, hardBits)
	c.publishJob(second)
	want = sharesIn(second, c.terms.Home(testSlot), easyBits)
	if got := c.collect(t, second, len(want)); !slices.Equal(got, want) {
		t.Errorf("shares of the broadcast job %v, plain Go finds %v", got, want)
	}
	s := w.until("all shares accepted", func(s Stats) bool { return s.SharesAccepted >= uint64(len(want)) })
	if extra := len(c.claims); extra > 0 {
		t.Errorf("%d shares too many", extra)
	}
	if len(c.joins) > 0 || s.SharesRefused > 0 || s.WrongHits > 0 {
		t.Errorf("joined again %d times, %d shares refused, %d wrong hits; want none", len(c.joins), s.SharesRefused, s.WrongHits)
	}
}

func TestIgnoresWhatItsCoordinatorDidNotSign(t *testing.T) {
	ns := newNATS(t, 0)
	c := newLookalike(t, ns.ClientURL(), "c1")
	w := startWorker(t, ns.ClientURL(), nil)
	w.until("mining", isMining)

	other, _ := nkeys.CreateUser()
	c.tell(c.newJob(5, 5, hardBits), other) // another's key
	subject := protocol.NewSubjects(testNetwork).Job("c1")
	bare := c.signed(subject, protocol.ToWorkers, c.newJob(6, 6, hardBits), c.key)
	bare.Header = nil // none at all
	if err := c.conn.PublishMsg(bare); err != nil {
		t.Fatal(err)
	}
	moved := c.signed(subject, protocol.ToWorkers, c.newJob(7, 7, hardBits), c.key)
	moved.Data = protocol.Encode(c.newJob(8, 8, hardBits)) // the right key's, of another message
	if err := c.conn.PublishMsg(moved); err != nil {
		t.Fatal(err)
	}
	s := w.until("ignoring three", func(s Stats) bool { return s.Ignored == 3 })
	if s.Job.Number != 1 {
		t.Errorf("on job %s, want still 1.1", s.Job)
	}
	c.publishJob(c.newJob(3, 3, hardBits))
	w.until("on job 3", onJob(3))
	c.tell(c.newJob(2, 2, hardBits), c.key) // older
	c.tell(c.newJob(3, 9, hardBits), c.key) // repeated number
	c.publishJob(c.newJob(4, 4, hardBits))
	if s := w.until("on job 4", onJob(4)); s.Ignored != 3 || len(c.joins) != 1 {
		t.Errorf("ignored %d, joins %d; want 3 and 1", s.Ignored, len(c.joins))
	}
}

// bigHome makes the slot's home leases last.
func (c *lookalike) bigHome() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.terms.HomePoints = protocol.ColumnPoints
	c.terms.ShareBits = hardBits
}

// solve finds a header that meets bits on the parent of job, elsewhere than a
// worker under test looks.
func solve(t testing.TB, job *protocol.Job) *protocol.Solved {
	t.Helper()
	s := job.Search(1<<20, job.Target())
	hits := make([]hashing.Hit, 100)
	for first := uint32(0); ; first += 1000 {
		if _, found := hashing.BestKernel().Scan(&s, first, 1000, hits); found > 0 {
			p := protocol.Point(1<<20)<<32 | protocol.Point(hits[0].Nonce)
			return &protocol.Solved{
				Kind: protocol.KindSolved, Coordinator: job.Coordinator, Header: job.Header(p, hits[0].Version),
				Place: protocol.Place{JobID: job.JobID, Point: p, Roll: hits[0].Version},
			}
		}
	}
}

func (c *lookalike) announce(s *protocol.Solved) {
	c.t.Helper()
	if err := c.conn.Publish(protocol.NewSubjects(testNetwork).Solved("w2"), protocol.Encode(s)); err != nil {
		c.t.Fatal(err)
	}
}

// quietKernel hashes, but never finds anything, so that a test decides when a
// block is found.
func quietKernel() hashing.Kernel {
	k := hashing.BestKernel()
	scan := k.Scan
	k.Scan = func(s *hashing.Search, first uint32, n int, hits []hashing.Hit) (int, int) {
		quiet := *s
		quiet.Target = hashing.Target{}
		return scan(&quiet, first, n, hits)
	}
	return k
}

// gatedKernel finds nothing until the gate is closed.
func gatedKernel(gate <-chan struct{}) hashing.Kernel {
	k := hashing.BestKernel()
	scan, quiet := k.Scan, quietKernel().Scan
	k.Scan = func(s *hashing.Search, first uint32, n int, hits []hashing.Hit) (int, int) {
		select {
		case <-gate:
			return scan(s, first, n, hits)
		default:
			return quiet(s, first, n, hits)
		}
	}
	return k
}

func TestStopsForASolutionAndGoesOn(t *testing.T) {
	ns := newNATS(t, 0)
	c := newLookalike(t, ns.ClientURL(), "c1")
	c.bigHome()
	w := startWorker(t, ns.ClientURL(), func(cfg *Config) { cfg.Kernel = quietKernel() })
	w.until("mining", isMining)

	bits := hashing.TargetForHashes(1000).Bits()
	for i := byte(2); i < 8; i++ {
		c.publishJob(c.newJob(uint64(i), i, bits))
		s := w.until("mining the job", func(s Stats) bool { return onJob(uint64(i))(s) })
		solved := solve(t, c.job)

		bogus := *solved
		bogus.Header.SetNonce(bogus.Header.Nonce() + 1) // misses the target, almost surely
		c.announce(&bogus)
		sent := time.Now()
		c.announce(solved)
		stopped := w.until("stopped", func(s Stats) bool { return s.State == Stopped && !s.LastStop.Parked.IsZero() })
		if stopped.LastStop.Count != s.LastStop.Count+1 || stopped.LastStop.By != solved.Header.Hash() {
			t.Fatalf("stop %+v after %+v, want one more by %s", stopped.LastStop, s.LastStop, solved.Header.Hash())
		}
		took := stopped.LastStop.Parked.Sub(sent)
		t.Logf("published to stopped: %v, decided to stopped %v", took, stopped.LastStop.Parked.Sub(stopped.LastStop.Decided))
		if took > 500*time.Millisecond {
			t.Errorf("took %v from the message to the last thread", took)
		}
	}

	// The coordinator says it was none: all go on, and another stops nobody.
	solved := solve(t, c.job)
	c.tell(&protocol.Rejected{
		Kind: protocol.KindRejected, Coordinator: "c1", Epoch: 1, Hash: solved.Header.Hash(),
		Prev: c.job.Prev, Code: protocol.InvalidBlock,
	}, c.key)
	before := w.until("going on", isMining)
	w.until("hashing", func(s Stats) bool { return s.Hashes > before.Hashes })

	c.tell(&protocol.Hold{Kind: protocol.KindHold, Coordinator: "c1", JobID: c.job.JobID, Prev: c.job.Prev}, c.key)
	w.until("holding", func(s Stats) bool { return s.State == Holding })
	c.publishJob(c.newJob(20, 20, bits))
	w.until("on job 20", onJob(20))
}
