//go:build linux

package farm

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/jbcnet/jbc/coordinator/protocol"
	"github.com/jbcnet/jbc/hashing"
)

// hand is a worker played by hand: it has a slot, knows the job of the moment, and
// sends what a test wants sent, true or not.
type hand struct {
	t        *testing.T
	name     string
	key      string // the coordinator's
	conn     *nats.Conn
	subjects protocol.Subjects
	nonces   map[protocol.JobID]uint32 // where the next find is looked for

	mu     sync.Mutex
	seat   protocol.JoinReply
	secret []byte
	id     protocol.Point
	job    *protocol.Job
	all    []*protocol.Job
}

// hand connects a worker to the farm's coordinator and joins.
func (f *farm) hand(t *testing.T, o *observer, network, name string) *hand {
	t.Helper()
	found, err := protocol.Discover(t.Context(), o.conn, time.Second)
	if err != nil || len(found) != 1 {
		t.Fatalf("found %v, %v", found, err)
	}
	conn, err := nats.Connect(f.url, protocol.ConnectOptions(name)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	h := &hand{
		t: t, name: name, key: found[0].Key, conn: conn, subjects: protocol.NewSubjects(network),
		nonces: map[protocol.JobID]uint32{},
	}
	if _, err := conn.Subscribe(h.subjects.Job(coordinatorName), h.hear); err != nil {
		t.Fatal(err)
	}
	if err := conn.FlushTimeout(patience); err != nil {
		t.Fatal(err)
	}
	h.join()
	return h
}

func (h *hand) hear(m *nats.Msg) {
	var job protocol.Job
	if protocol.Verify(h.key, protocol.ToWorkers, m.Header.Get(protocol.SignatureHeader), m.Data) == nil && protocol.Decode(m.Data, &job) == nil {
		h.take(&job)
	}
}

func (h *hand) take(job *protocol.Job) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.job == nil || h.job.Before(job.JobID) {
		h.job = job
		h.all = append(h.all, job)
	}
}

// current returns the job of the moment as far as it is heard of.
func (h *hand) current() *protocol.Job {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.job
}

// after waits for a job that comes after that one.
func (h *hand) after(id protocol.JobID) (job *protocol.Job) {
	h.t.Helper()
	eventually(h.t, patience, "a job after "+id.String(), func() bool {
		job = h.current()
		return job != nil && id.Before(job.JobID)
	})
	return job
}

// join takes a slot, trying until there is one.
func (h *hand) join() {
	h.t.Helper()
	own, err := protocol.NewExchange()
	if err != nil {
		h.t.Fatal(err)
	}
	h.mu.Lock()
	h.secret = nil
	h.mu.Unlock()
	eventually(h.t, patience, h.name+" joins", func() bool {
		join := protocol.Join{Ask: h.ask(protocol.KindJoin), Name: h.name, Threads: 1, DeclaredHS: 1000, Host: "by-hand", Exchange: own.Public()}
		var seat protocol.JoinReply
		if h.request(&join, &seat) != nil || seat.Code != protocol.OK {
			return false
		}
		secret, err := own.WorkerSecret(seat.Exchange)
		if err != nil {
			h.t.Fatal(err)
		}
		h.mu.Lock()
		h.seat, h.secret = seat, secret
		h.mu.Unlock()
		return true
	})
	if h.seat.Job != nil {
		h.take(h.seat.Job)
	}
}

func (h *hand) ask(kind string) protocol.Ask {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.id++
	return protocol.Ask{Kind: kind, ID: h.id}
}

// sealed makes a request of a message.
func (h *hand) sealed(m protocol.Message) *nats.Msg {
	msg := &nats.Msg{Subject: h.subjects.Ask(coordinatorName, h.name), Data: protocol.Encode(m)}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.secret != nil {
		protocol.Seal(msg, h.secret)
	}
	return msg
}

// request asks and reads the answer, refusals included.
func (h *hand) request(m, reply protocol.Message) error {
	request := h.sealed(m)
	answer, err := h.conn.RequestMsg(request, 5*time.Second)
	if err != nil {
		return err
	}
	if err := protocol.Verify(h.key, protocol.ReplyTo(request), answer.Header.Get(protocol.SignatureHeader), answer.Data); err != nil {
		return err
	}
	return protocol.Decode(answer.Data, reply)
}

// stay keeps the slot until the test ends.
func (h *hand) stay() {
	stop, ended := make(chan struct{}), make(chan struct{})
	h.t.Cleanup(func() { close(stop); <-ended })
	go func() {
		defer close(ended)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				p := protocol.Progress{Ask: h.ask(protocol.KindProgress)}
				h.mu.Lock()
				if h.job != nil {
					p.Sitting = protocol.Sitting{JobID: h.job.JobID, Slot: h.seat.Slot}
				}
				h.mu.Unlock()
				_ = h.conn.PublishMsg(h.sealed(&p)) // what is lost comes again
			}
		}
	}()
}

// errNoFind says that a column holds nothing of the kind.
var errNoFind = errors.New("nothing found in a whole column")

// find returns the next place in the hand's own column whose hash meets target but,
// where that is not the same, not better.
func (h *hand) find(job *protocol.Job, target, better hashing.Target) (protocol.Place, error) {
	s := job.Search(h.seat.Slot, target)
	k := hashing.BestKernel()
	hits := make([]hashing.Hit, 4096)
	const batch = 256
	for first := uint64(h.nonces[job.JobID]); first+batch < protocol.ColumnPoints; first += batch {
		_, found := k.Scan(&s, uint32(first), batch, hits)
		for _, hit := range hits[:found] {
			p := protocol.Place{JobID: job.JobID, Point: protocol.Point(h.seat.Slot)<<32 | protocol.Point(hit.Nonce), Roll: hit.Version}
			header := job.Header(p.Point, p.Roll)
			if better != target && better.MetBy(header.Hash()) {
				continue
			}
			h.nonces[job.JobID] = uint32(first) + batch
			return p, nil
		}
	}
	return protocol.Place{}, errNoFind
}

// claim is a share or a solution under the hand's slot.
func (h *hand) claim(kind string, p protocol.Place) *protocol.Claim {
	return &protocol.Claim{Ask: h.ask(kind), Place: p, Slot: h.seat.Slot, Terms: h.seat.Terms.Number}
}

// solve finds and brings a solution of a job, without a word to the others, and
// returns when it was sent.
func (h *hand) solve(job *protocol.Job) (sent time.Time, err error) {
	p, err := h.find(job, job.Target(), job.Target())
	if err != nil {
		return sent, err
	}
	var reply protocol.ClaimReply
	sent = time.Now()
	if err := h.request(h.claim(protocol.KindSolution, p), &reply); err != nil {
		return sent, err
	}
	if reply.Code != protocol.OK {
		return sent, fmt.Errorf("solution of job %s: %w", job.JobID, reply.Code)
	}
	return sent, nil
}
