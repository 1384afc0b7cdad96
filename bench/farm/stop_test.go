//go:build linux

package farm

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/jbcnet/jbc/coordinator/protocol"
	"github.com/jbcnet/jbc/hashing"
)

const (
	// stopExcess is how much longer than a bare message a solution may take to stop the
	// workers of all coordinators, 99 times of 100.
	stopExcess = 5 * time.Millisecond
	// solveHashes is what a solution costs the finder, who hashes while nobody waits.
	solveHashes = 1 << 16
)

// TestStopsEverybody has two coordinators in a mesh, each with three workers in processes
// of their own, and publishes solutions of the one's jobs and the other's in turn: it
// measures from just before that to the end of the last scan of all six. The control, in
// turn with it in the same processes and under the same solutions, with all that the
// coordinators do about them, is a bare message that sets a flag.
func TestStopsEverybody(t *testing.T) {
	f := newFarm(t)
	c := newContest(t, f, solveHashes, "--spacing", "1h")
	for _, name := range []string{"c1", "c2"} {
		c.coordinator(t, f, name)
	}
	c.meet(t)
	s := newStops(t, c)
	for range count(1, 10) {
		s.turn(t, "mine", count(20, 100))
		s.turn(t, "control", count(20, 100))
	}
	stops, controls := percentilesOf(s.took["mine"]), percentilesOf(s.took["control"])
	t.Logf("%d solutions, from published to the last of six workers stopped: half within %v, 99 %% within %v, the slowest %v; bare messages: %v, %v, %v",
		len(s.took["mine"]), stops[0], stops[1], stops[2], controls[0], controls[1], controls[2])
	asked := len(s.stoppers) * len(s.took["mine"])
	t.Logf("%d of %d times a worker's next job was there before the solution was judged", s.missed, asked)
	if s.missed > asked/2 {
		t.Errorf("the next job stopped workers %d times of %d: the solutions did not", s.missed, asked)
	}
	for _, r := range c.rivals {
		st := r.ask(t)
		if st == nil {
			t.Fatalf("%s does not answer", r.name)
		}
		r.tell(t, st)
		if st.Blocks == 0 || st.Race.Followed.Count == 0 || st.Height != s.height {
			t.Errorf("%s is on height %d with %d blocks of its own, having followed %d; want some of each and height %d",
				r.name, st.Height, st.Blocks, st.Race.Followed.Count, s.height)
		}
	}
	if soaking() && stops[1] > controls[1]+stopExcess {
		t.Errorf("99 %% of the stops took up to %v, bare messages %v: want at most %v more", stops[1], controls[1], stopExcess)
	}
}

// percentilesOf returns the median, the 99th percentile and the slowest.
func percentilesOf(took []time.Duration) (p [3]time.Duration) {
	slices.Sort(took)
	for i, at := range []int{(len(took)+1)/2 - 1, (len(took)*99+99)/100 - 1, len(took) - 1} {
		p[i] = took[at].Round(10 * time.Microsecond)
	}
	return p
}

// stops measures how long solutions take to stop workers.
type stops struct {
	contest  *contest
	subjects protocol.Subjects
	finders  []*solver
	stoppers []*stopper
	height   uint32                     // of the last block
	took     map[string][]time.Duration // by what was stopped
	missed   int                        // stops of a worker by its next job
}

// solver is a worker of a coordinator that finds solutions when it is told to.
type solver struct {
	coordinator string
	conn        *nats.Conn
	jobs        chan *nats.Msg
	job         protocol.Job
	heard       time.Time
}

const solverName = "solver"

func newStops(t *testing.T, c *contest) *stops {
	t.Helper()
	s := &stops{contest: c, subjects: protocol.NewSubjects(c.params.ID()), took: map[string][]time.Duration{}}
	for _, r := range c.rivals {
		conn, err := nats.Connect(r.url, protocol.ConnectOptions(solverName)...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(conn.Close)
		v := &solver{coordinator: r.name, conn: conn, jobs: make(chan *nats.Msg, 64)}
		if _, err := conn.ChanSubscribe(s.subjects.Job(r.name), v.jobs); err != nil {
			t.Fatal(err)
		}
		if err := conn.FlushTimeout(patience); err != nil {
			t.Fatal(err)
		}
		v.join(t, s.subjects)
		s.finders = append(s.finders, v)
		for i := range 3 {
			s.stoppers = append(s.stoppers, startStopper(t, stopperConfig{
				URL: r.url, Network: c.params.ID(), Coordinator: r.name, Name: fmt.Sprintf("%s-w%d", r.name, i+1), Threads: 1,
			}))
		}
	}
	return s
}

// all has every process do something and returns what each answers.
func (s *stops) all(t *testing.T, o stopOrder) (answers []stopAnswer) {
	t.Helper()
	for _, w := range s.stoppers {
		w.order(t, o)
	}
	for _, w := range s.stoppers {
		answers = append(answers, w.answer(t))
	}
	return answers
}

// turn publishes n solutions while all processes do that.
func (s *stops) turn(t *testing.T, what string, n int) {
	t.Helper()
	s.all(t, stopOrder{Do: what})
	for i := range n {
		v := s.finders[i%len(s.finders)]
		header, place := v.solve(t)
		s.all(t, stopOrder{Do: "arm", Height: s.height + 1})
		// So that all of them hash, and not always at the same place of a slice.
		pause := time.NewTimer(2*time.Millisecond + rand.N(3*time.Millisecond))
		<-pause.C
		began := time.Now()
		v.publish(t, s.subjects, header, place)
		s.follow(t, header.Hash())
		var last int64
		for i, a := range s.all(t, stopOrder{Do: "stopped"}) {
			if a.At == 0 {
				s.missed++
				a.At = s.finderOf(s.stoppers[i].coordinator).heard.UnixNano()
			}
			last = max(last, a.At)
		}
		s.took[what] = append(s.took[what], time.Duration(last-began.UnixNano()))
	}
}

func (s *stops) finderOf(coordinator string) *solver {
	return s.finders[slices.IndexFunc(s.finders, func(v *solver) bool { return v.coordinator == coordinator })]
}

// follow waits for both coordinators' jobs on a block.
func (s *stops) follow(t *testing.T, tip hashing.Hash) {
	t.Helper()
	s.height++
	for _, v := range s.finders {
		v.next(t, tip)
	}
}

// join asks for a slot, which brings the first job. The slot is left alone: a solution
// is worth what it is.
func (v *solver) join(t *testing.T, subjects protocol.Subjects) {
	t.Helper()
	own, err := protocol.NewExchange()
	if err != nil {
		t.Fatal(err)
	}
	join := protocol.Join{
		Ask:  protocol.Ask{Kind: protocol.KindJoin, ID: 1},
		Name: solverName, Threads: 1, DeclaredHS: 1, Exchange: own.Public(),
	}
	eventually(t, patience, v.coordinator+" has a job", func() bool {
		var seat protocol.JoinReply
		m, err := v.conn.Request(subjects.Ask(v.coordinator, solverName), protocol.Encode(&join), time.Second)
		if err != nil || protocol.Decode(m.Data, &seat) != nil || seat.Job == nil {
			return false
		}
		v.job = *seat.Job
		return true
	})
}

// next waits for the coordinator's job on a block.
func (v *solver) next(t *testing.T, tip hashing.Hash) {
	t.Helper()
	late := time.NewTimer(patience)
	defer late.Stop()
	for {
		select {
		case m := <-v.jobs:
			var job protocol.Job
			if protocol.Decode(m.Data, &job) == nil && job.Prev == tip { // else a hold, or a job that is over
				v.job, v.heard = job, time.Now()
				return
			}
		case <-late.C:
			t.Fatalf("%s has no job on %s within %v", v.coordinator, tip, patience)
		}
	}
}

// solverColumn is one that no slot has.
const solverColumn = 1 << 22

// solve finds a solution of the job.
func (v *solver) solve(t *testing.T) (hashing.Header, protocol.Place) {
	t.Helper()
	search := v.job.Search(solverColumn, v.job.Target())
	kernel := hashing.BestKernel()
	hits := make([]hashing.Hit, hashing.MaxVersions)
	const batch = 256
	for first := uint64(0); first < protocol.ColumnPoints; first += batch {
		if _, found := kernel.Scan(&search, uint32(first), batch, hits); found > 0 {
			p := protocol.Place{JobID: v.job.JobID, Point: solverColumn<<32 | protocol.Point(hits[0].Nonce), Roll: hits[0].Version}
			return v.job.Header(p.Point, p.Roll), p
		}
	}
	t.Fatalf("no solution of job %s", v.job.JobID)
	return hashing.Header{}, protocol.Place{}
}

// publish tells everybody, as a worker does.
func (v *solver) publish(t *testing.T, subjects protocol.Subjects, header hashing.Header, place protocol.Place) {
	t.Helper()
	solved := protocol.Solved{Kind: protocol.KindSolved, Coordinator: v.coordinator, Header: header, Place: place}
	if err := v.conn.Publish(subjects.Solved(solverName), protocol.Encode(&solved)); err != nil {
		t.Fatal(err)
	}
}
