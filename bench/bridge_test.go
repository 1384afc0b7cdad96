package bench

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/jbcnet/jbc/coordinator"
	"github.com/jbcnet/jbc/coordinator/protocol"
	"github.com/jbcnet/jbc/hashing"
)

// bridge passes messages between the NATS server of a coordinator and that of a
// worker: together they are a NATS server that does what it likes with them. It
// notes all that the coordinator says, and checks all that the worker does: every
// share and solution has to be of a job that the coordinator made, and none of one
// that the worker knows to be over.
type bridge struct {
	t        *testing.T
	rig      *rig
	key      string // the coordinator\'s public one
	subjects protocol.Subjects
	url      string // of the worker's server
	up, down *nats.Conn

	mu       sync.Mutex
	onWord   func(*nats.Msg) []*nats.Msg              // what comes of what the coordinator says to all; nil: it is passed on
	onAsk    func(*nats.Msg) []*nats.Msg              // what comes of what the worker says
	onReply  func(asked, reply *nats.Msg) []*nats.Msg // what comes of a reply
	asked    map[string]*nats.Msg                     // by the inbox of the reply
	inboxes  int
	words    []*nats.Msg // of the coordinator to all, in order
	jobs     map[protocol.JobID]*protocol.Job
	newest   *protocol.Job // that the worker was shown by broadcast
	shownAt  time.Time
	claimed  int // shares and solutions
	verdicts map[protocol.Code]int
}

// lateness is how long what the worker found before it was shown a job may take to
// come.
const lateness = 500 * time.Millisecond

func newBridge(t *testing.T, r *rig) *bridge {
	t.Helper()
	broker, err := coordinator.StartBroker(coordinator.BrokerConfig{Listen: "127.0.0.1:0", Name: "hostile", Log: quietLog()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(broker.Stop)
	b := &bridge{
		t: t, rig: r, key: r.coord.PublicKey(), subjects: protocol.NewSubjects(r.coord.Network()), url: broker.URL(),
		asked: map[string]*nats.Msg{}, jobs: map[protocol.JobID]*protocol.Job{}, verdicts: map[protocol.Code]int{},
	}
	b.up, b.down = b.dial(r.broker.URL()), b.dial(b.url)
	for _, s := range []struct {
		conn    *nats.Conn
		subject string
		handle  nats.MsgHandler
	}{
		{b.up, b.subjects.Job("*"), b.heardWord},
		{b.up, "_INBOX.hostile.*", b.heardReply},
		{b.down, b.subjects.Ask("*", "*"), b.heardAsk},
		{b.down, b.subjects.SolvedAny(), b.heardAsk},
		{b.down, protocol.PingSubject, b.heardAsk},
	} {
		if _, err := s.conn.Subscribe(s.subject, s.handle); err != nil {
			t.Fatal(err)
		}
		if err := s.conn.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

func (b *bridge) dial(url string) *nats.Conn {
	b.t.Helper()
	conn, err := nats.Connect(url, nats.MaxReconnects(-1))
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(conn.Close)
	return conn
}

// set changes what the bridge does. Nil is honest.
func (b *bridge) set(onWord, onAsk func(*nats.Msg) []*nats.Msg, onReply func(asked, reply *nats.Msg) []*nats.Msg) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.onWord, b.onAsk, b.onReply = onWord, onAsk, onReply
}

func nothing(*nats.Msg) []*nats.Msg { return nil }

func (b *bridge) heardWord(m *nats.Msg) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.words = append(b.words, m)
	b.noteJob(m.Data)
	if b.onWord == nil {
		b.pass(m)
		return
	}
	for _, out := range b.onWord(m) {
		b.pass(out)
	}
}

// noteJob notes the job in a broadcast or a reply.
func (b *bridge) noteJob(data []byte) {
	var job protocol.Job
	var reply protocol.CurrentReply
	switch {
	case protocol.Decode(data, &job) == nil:
		b.jobs[job.JobID] = &job
	case protocol.Decode(data, &reply) == nil && reply.Job != nil:
		b.jobs[reply.Job.JobID] = reply.Job
	}
}

// pass shows the worker a message to all. The caller holds b.mu.
func (b *bridge) pass(m *nats.Msg) {
	b.tell(m)
	var job protocol.Job
	genuine := protocol.Verify(b.key, protocol.ToWorkers, m.Header.Get(protocol.SignatureHeader), m.Data) == nil
	if genuine && protocol.Decode(m.Data, &job) == nil && (b.newest == nil || b.newest.Before(job.JobID)) {
		b.newest, b.shownAt = &job, time.Now()
	}
}

// tell publishes on the worker's server.
func (b *bridge) tell(m *nats.Msg) {
	if err := b.down.PublishMsg(&nats.Msg{Subject: m.Subject, Data: m.Data, Header: m.Header}); err != nil {
		b.t.Errorf("bridge: %v", err)
	}
}

func (b *bridge) heardAsk(m *nats.Msg) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if strings.HasPrefix(m.Subject, b.subjects.Solved("")) && protocol.LastToken(m.Subject) != workerName {
		return // the bridge's own forgery
	}
	b.check(m)
	if b.onAsk == nil {
		b.bring(m)
		return
	}
	for _, out := range b.onAsk(m) {
		b.bring(out)
	}
}

// bring passes a message of the worker's on to the coordinator.
func (b *bridge) bring(m *nats.Msg) {
	out := &nats.Msg{Subject: m.Subject, Data: m.Data, Header: m.Header}
	if m.Reply != "" {
		b.inboxes++
		out.Reply = fmt.Sprintf("_INBOX.hostile.%d", b.inboxes)
		b.asked[out.Reply] = m
	}
	if err := b.up.PublishMsg(out); err != nil {
		b.t.Errorf("bridge: %v", err)
	}
}

func (b *bridge) heardReply(m *nats.Msg) {
	b.mu.Lock()
	defer b.mu.Unlock()
	asked := b.asked[m.Subject]
	if asked == nil || asked.Reply == "" {
		return
	}
	b.noteJob(m.Data)
	reply := &nats.Msg{Subject: asked.Reply, Data: m.Data, Header: m.Header}
	if kind, _ := protocol.KindOf(m.Data); kind == protocol.KindSolution {
		var r protocol.Reply
		if protocol.Decode(m.Data, &r) == nil {
			b.verdicts[r.Code]++
		}
	}
	if b.onReply == nil {
		b.tell(reply)
		return
	}
	for _, out := range b.onReply(asked, reply) {
		b.tell(out)
	}
}

// check wants everything that the worker found to be of a genuine job that is not
// over by what it was shown.
func (b *bridge) check(m *nats.Msg) {
	var claim protocol.Claim
	var solved protocol.Solved
	var place protocol.Place
	switch {
	case protocol.Decode(m.Data, &solved) == nil:
		place = solved.Place
		if j := b.jobs[place.JobID]; j == nil || j.Header(place.Point, place.Roll) != solved.Header {
			b.t.Errorf("the worker published a solution of no job of its coordinator's: %s", m.Data)
		}
	case protocol.Decode(m.Data, &claim) == nil:
		place = claim.Place
		j := b.jobs[place.JobID]
		if j == nil {
			b.t.Errorf("the worker claims to have found something on a job that its coordinator never made: %s", m.Data)
		} else if shown := b.newest; claim.Kind == protocol.KindShare && shown != nil && time.Since(b.shownAt) > lateness &&
			j.Before(shown.JobID) && j.Prev != shown.Prev {
			b.t.Errorf("the worker found a share on job %s %v after it was shown job %s", j.JobID, time.Since(b.shownAt), shown.JobID)
		}
	default:
		return
	}
	b.claimed++
}

// state reads the bridge's notes.
func (b *bridge) state() (newest protocol.JobID, claimed int, words []*nats.Msg) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.newest != nil {
		newest = b.newest.JobID
	}
	return newest, b.claimed, append([]*nats.Msg(nil), b.words...)
}

// jobOf returns the job that a message tells, or nil.
func jobOf(m *nats.Msg) *protocol.Job {
	var job protocol.Job
	if protocol.Decode(m.Data, &job) != nil {
		return nil
	}
	return &job
}

// forgeSolution finds a header that meets a job's target, in a column of its own.
func forgeSolution(t *testing.T, j *protocol.Job, column uint32) *protocol.Solved {
	t.Helper()
	k, s := hashing.BestKernel(), j.Search(column, j.Target())
	hits := make([]hashing.Hit, hashing.MaxVersions)
	for first := uint64(0); first < protocol.ColumnPoints; first += 256 {
		if _, found := k.Scan(&s, uint32(first), 256, hits); found > 0 {
			p := protocol.Place{JobID: j.JobID, Point: protocol.Point(column)<<32 | protocol.Point(hits[0].Nonce), Roll: hits[0].Version}
			return &protocol.Solved{Kind: protocol.KindSolved, Coordinator: coordinatorName, Header: j.Header(p.Point, p.Roll), Place: p}
		}
	}
	t.Fatal("a column without a solution")
	return nil
}
