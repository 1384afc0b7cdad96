//go:build linux

package farm

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/coordinator/protocol"
	"github.com/jbcnet/jbc/hashing"
)

// observer listens to every subject of a farm, replies included, and keeps what
// went by. It comes back within milliseconds when the server does.
type observer struct {
	conn        *nats.Conn
	subjects    protocol.Subjects
	coordinator string // its name

	hooks hooks

	mu        sync.Mutex
	asked     map[string]ask // by the subject of the reply
	announced []announcement
	solutions []solution
	joins     []join
	reports   []report
	grants    []grant
	next      protocol.Point // number of the next request
}

// hooks are called as a message comes in, before it is noted.
type hooks struct {
	solved func()          // a solution
	job    func()          // a job on a new parent
	any    func(*nats.Msg) // every message
}

type ask struct {
	at     time.Time
	worker string
	kind   string
	job    protocol.JobID
}

type announcement struct {
	at     time.Time
	height uint32
	hash   hashing.Hash
}

// solution is one that a worker published.
type solution struct {
	at        time.Time
	publisher string
	hash      hashing.Hash
	prev      hashing.Hash
	job       protocol.JobID
	valid     bool // the hash meets the header's bits
}

// join is a slot given.
type join struct {
	at     time.Time
	worker string
	epoch  uint64
	slot   uint32
}

// report is a progress report.
type report struct {
	at     time.Time
	worker string
	job    protocol.JobID
	leases []protocol.Done
}

// grant is a lease given to a worker, on a job.
type grant struct {
	at     time.Time
	worker string
	job    protocol.JobID
	lease  protocol.Lease
}

// observe starts to listen, now or as soon as there is a server.
func (f *farm) observe(t *testing.T, network *chain.Params, h hooks) *observer {
	t.Helper()
	o := &observer{
		subjects: protocol.NewSubjects(network.ID()), coordinator: coordinatorName,
		asked: map[string]ask{}, hooks: h, next: 1,
	}
	conn, err := nats.Connect(f.url, nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1), nats.ReconnectBufSize(-1),
		nats.CustomReconnectDelay(func(int) time.Duration { return 3 * time.Millisecond }))
	if err != nil {
		t.Fatal(err)
	}
	o.conn = conn
	if _, err := conn.Subscribe(">", o.hear); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	return o
}

// connected waits until the observer's subscription is with the server.
func (o *observer) connected(t *testing.T) {
	t.Helper()
	eventually(t, patience, "the observer is connected", o.conn.IsConnected)
	if err := o.conn.FlushTimeout(patience); err != nil {
		t.Fatalf("observer: %v", err)
	}
}

// discovered waits until the coordinator answers discovery, without which jbc status
// finds nobody.
func (o *observer) discovered(t *testing.T) {
	t.Helper()
	eventually(t, patience, "the coordinator answers discovery", func() bool {
		found, err := protocol.Discover(t.Context(), o.conn, 50*time.Millisecond)
		if err != nil || len(found) != 1 {
			return false
		}
		o.coordinator = found[0].Name
		return true
	})
}

// hear notes a message. One goroutine of the client calls it, in order.
func (o *observer) hear(m *nats.Msg) {
	now := time.Now()
	if o.hooks.any != nil {
		o.hooks.any(m)
	}
	o.mu.Lock()
	asked, isReply := o.asked[m.Subject]
	delete(o.asked, m.Subject)
	o.mu.Unlock()
	if isReply {
		o.hearReply(now, asked, m)
		return
	}
	kind, ours := strings.CutPrefix(m.Subject, strings.TrimSuffix(o.subjects.Job(""), "job."))
	if !ours {
		return
	}
	switch kind, _, _ = strings.Cut(kind, "."); kind {
	case "job":
		if job, err := protocol.KindOf(m.Data); err == nil && job == protocol.KindJob && o.hooks.job != nil {
			o.hooks.job()
		}
	case "solved":
		o.hearSolved(now, m)
	case "block":
		var b protocol.BlockAnnounced
		if json.Unmarshal(m.Data, &b) == nil {
			o.mu.Lock()
			o.announced = append(o.announced, announcement{now, b.Height, b.Hash})
			o.mu.Unlock()
		}
	case "ask":
		o.hearAsk(now, m)
	}
}

func (o *observer) hearSolved(now time.Time, m *nats.Msg) {
	var s protocol.Solved
	if json.Unmarshal(m.Data, &s) != nil {
		return
	}
	target, err := s.Header.Bits().Target()
	heard := solution{
		at: now, publisher: protocol.LastToken(m.Subject), hash: s.Header.Hash(), prev: s.Header.Prev(),
		job: s.JobID, valid: err == nil && target.MetBy(s.Header.Hash()),
	}
	if o.hooks.solved != nil {
		o.hooks.solved()
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.solutions = append(o.solutions, heard)
}

func (o *observer) hearAsk(now time.Time, m *nats.Msg) {
	var p protocol.Progress // what all asks have, and more where it is one
	if json.Unmarshal(m.Data, &p) != nil {
		return
	}
	worker := protocol.LastToken(m.Subject)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.asked[m.Reply] = ask{now, worker, p.Kind, p.JobID}
	if p.Kind == protocol.KindProgress || p.Kind == protocol.KindLease {
		o.reports = append(o.reports, report{now, worker, p.JobID, p.Leases})
	}
}

func (o *observer) hearReply(now time.Time, asked ask, m *nats.Msg) {
	o.mu.Lock()
	defer o.mu.Unlock()
	give := func(job protocol.JobID, leases []protocol.Lease) {
		for _, l := range leases {
			o.grants = append(o.grants, grant{now, asked.worker, job, l})
		}
	}
	switch asked.kind {
	case protocol.KindJoin:
		var r protocol.JoinReply
		if json.Unmarshal(m.Data, &r) == nil && r.Code == protocol.OK {
			o.joins = append(o.joins, join{now, asked.worker, r.Epoch, r.Slot})
			if r.Job != nil {
				give(r.Job.JobID, r.Leases)
			}
		}
	case protocol.KindProgress, protocol.KindLease:
		var r protocol.ProgressReply
		if json.Unmarshal(m.Data, &r) == nil && r.Code == protocol.OK {
			give(r.Current, r.Leases)
		}
	case protocol.KindCurrent:
		var r protocol.CurrentReply
		if json.Unmarshal(m.Data, &r) == nil && r.Code == protocol.OK && r.Job != nil {
			give(r.Job.JobID, r.Leases)
		}
	}
}

// read runs fn while nothing is being noted.
func (o *observer) read(fn func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	fn()
}

// blocks returns what was announced so far.
func (o *observer) blocks() (all []announcement) {
	o.read(func() { all = o.announced[:len(o.announced):len(o.announced)] })
	return all
}

// found returns the solutions published so far.
func (o *observer) found() (all []solution) {
	o.read(func() { all = o.solutions[:len(o.solutions):len(o.solutions)] })
	return all
}

// get asks the coordinator, as jbc status and jbc chain show do.
func (o *observer) get(kind, at string, reply any) error {
	var id protocol.Point
	o.read(func() { id, o.next = o.next, o.next+1 })
	get := protocol.Get{Ask: protocol.Ask{Kind: kind, ID: id}, At: at}
	m, err := o.conn.Request(o.subjects.Get(o.coordinator), protocol.Encode(&get), time.Second)
	if err != nil {
		return err
	}
	return json.Unmarshal(m.Data, reply)
}

// block returns a block of the coordinator's store, nil where it has none.
func (o *observer) block(at string) (*protocol.BlockInfo, error) {
	var r protocol.BlockReply
	if err := o.get(protocol.KindBlock, at, &r); err != nil {
		return nil, err
	}
	switch r.Code {
	case protocol.OK:
		return r.Block, nil
	case protocol.NotFound:
		return nil, nil
	}
	return nil, fmt.Errorf("block %s: %w", at, r.Code)
}

// status returns the coordinator's, nil while it does not answer.
func (o *observer) status() *protocol.Status {
	var r protocol.StatusReply
	if err := o.get(protocol.KindStatus, "", &r); err != nil {
		return nil
	}
	return r.Status
}
