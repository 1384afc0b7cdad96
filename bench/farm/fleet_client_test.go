//go:build linux

package farm

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/jbcnet/jbc/coordinator/protocol"
)

// leanClient is a true client of a NATS server over a socket of its own, and a true
// worker of a coordinator: it agrees on a secret, seals what it asks, checks
// signatures, reports every 2 s and pings as nats.go does. It speaks the text
// protocol itself because ten thousand connections of nats.go in one process are
// more than the machine that measures has to spare: each takes three goroutines
// and 64 KiB of buffers there, and a goroutine and 2 KiB here. Machines that mine
// have one connection each.
type leanClient struct {
	fleet *fleet
	index int
	name  string

	mu   sync.Mutex // guards what follows, and writing
	conn net.Conn
	own  protocol.Exchange
	due  time.Time // when to join again, zero while there is a slot
	id   protocol.Point
	// asked are the classes that the answers must be signed as, by what the request
	// was about.
	asked map[byte]protocol.Class

	slot    uint32
	epoch   uint64
	secret  []byte
	terms   protocol.Terms
	job     *protocol.Job
	home    uint64 // points of the home lease that are done
	nonce   uint32 // where the next share is looked for
	verdict *verdict
}

// verdict is the answer to a share, whose signature is checked when the time is
// taken.
type verdict struct {
	at        time.Time
	signature string
	data      []byte
	class     protocol.Class
}

const leanBuffer = 2 << 10

// dial connects and subscribes, to the job subject and solutions as a worker or to
// one subject as a bare listener.
func (c *leanClient) dial() error {
	conn, err := net.DialTimeout("tcp", c.fleet.cfg.Host, 20*time.Second)
	if err != nil {
		return err
	}
	var hello bytes.Buffer
	fmt.Fprintf(&hello, "CONNECT {\"verbose\":false,\"pedantic\":false,\"name\":\"jbc %s\",\"lang\":\"go\",\"version\":\"lean\",\"protocol\":1,\"headers\":true,\"no_responders\":true}\r\n", c.name)
	subjects := []string{c.fleet.cfg.Listen}
	if c.fleet.worker() {
		subjects = []string{c.fleet.subjects.Job(c.fleet.cfg.Coordinator), c.fleet.subjects.SolvedAny(), protocol.InboxPrefix(c.name) + ".*"}
	}
	for i, subject := range subjects {
		fmt.Fprintf(&hello, "SUB %s %d\r\n", subject, i+1)
	}
	hello.WriteString("PING\r\n")
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conn = conn
	_, err = conn.Write(hello.Bytes())
	return err
}

// read reads until the connection ends.
func (c *leanClient) read() error {
	r := bufio.NewReaderSize(c.conn, leanBuffer)
	for {
		op, err := r.ReadSlice('\n')
		if err != nil {
			return err
		}
		switch {
		case bytes.HasPrefix(op, []byte("HMSG ")), bytes.HasPrefix(op, []byte("MSG ")):
			if err := c.readMessage(r, string(bytes.TrimRight(op, "\r\n"))); err != nil {
				return err
			}
		case bytes.HasPrefix(op, []byte("PING")):
			c.write([]byte("PONG\r\n"))
		case bytes.HasPrefix(op, []byte("PONG")):
			c.fleet.pong(c)
		case bytes.HasPrefix(op, []byte("-ERR")):
			return fmt.Errorf("server: %s", bytes.TrimSpace(op))
		}
	}
}

// readMessage reads what follows "HMSG subject sid [reply] header-bytes all-bytes"
// or "MSG subject sid [reply] bytes".
func (c *leanClient) readMessage(r *bufio.Reader, op string) error {
	fields := strings.Fields(op)
	total, err := strconv.Atoi(fields[len(fields)-1])
	if err != nil {
		return fmt.Errorf("%q: %w", op, err)
	}
	header := 0
	if fields[0] == "HMSG" {
		if header, err = strconv.Atoi(fields[len(fields)-2]); err != nil {
			return fmt.Errorf("%q: %w", op, err)
		}
	}
	var raw []byte
	if total+2 <= r.Size() {
		if raw, err = r.Peek(total + 2); err == nil {
			defer r.Discard(total + 2)
		}
	} else {
		raw = make([]byte, total+2)
		_, err = io.ReadFull(r, raw)
	}
	if err != nil {
		return err
	}
	c.fleet.message(c, fields[1], raw[:header], raw[header:total])
	return nil
}

func (c *leanClient) write(data []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn != nil {
		_, _ = c.conn.Write(data) // reading notices the end
	}
}

// ask sends a request, sealed once there is a secret. The caller holds c.mu.
func (c *leanClient) ask(about byte, m func(protocol.Ask) protocol.Message, kind string) []byte {
	c.id++
	data := protocol.Encode(m(protocol.Ask{Kind: kind, ID: c.id}))
	request := &nats.Msg{Data: data}
	var out bytes.Buffer
	subject, reply := c.fleet.subjects.Ask(c.fleet.cfg.Coordinator, c.name), protocol.InboxPrefix(c.name)+"."+string(about)
	if c.secret == nil {
		fmt.Fprintf(&out, "PUB %s %s %d\r\n", subject, reply, len(data))
	} else {
		protocol.Seal(request, c.secret)
		header := "NATS/1.0\r\n" + protocol.MACHeader + ": " + request.Header.Get(protocol.MACHeader) + "\r\n\r\n"
		fmt.Fprintf(&out, "HPUB %s %s %d %d\r\n%s", subject, reply, len(header), len(header)+len(data), header)
	}
	c.asked[about] = protocol.ReplyTo(request)
	out.Write(data)
	out.WriteString("\r\n")
	return out.Bytes()
}

// What a request was about, the last token of its reply's subject.
const (
	aboutJoin     = 'j'
	aboutProgress = 'p'
	aboutShare    = 's'
)

// join asks for a slot, and again when there was no answer in 2 s.
func (c *leanClient) join(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn == nil || c.secret != nil || now.Before(c.due) {
		return
	}
	c.due = now.Add(2 * time.Second)
	var err error
	if c.own, err = protocol.NewExchange(); err != nil {
		c.fleet.failed(c, err)
		return
	}
	_, _ = c.conn.Write(c.ask(aboutJoin, func(a protocol.Ask) protocol.Message {
		return &protocol.Join{Ask: a, Name: c.name, Version: "lean", Kernel: "lean", Threads: 1, DeclaredHS: 1000, Host: c.name, Exchange: c.own.Public()}
	}, protocol.KindJoin))
}

func (c *leanClient) report() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.job == nil || c.secret == nil {
		return
	}
	c.home = min(c.home+100, c.terms.HomePoints-1) // never to its end: then it is gone
	_, _ = c.conn.Write(c.ask(aboutProgress, func(a protocol.Ask) protocol.Message {
		return &protocol.Progress{
			Ask: a, Sitting: protocol.Sitting{JobID: c.job.JobID, Slot: c.slot},
			Leases: []protocol.Done{{ID: 0, Points: c.home}}, RateHS: 1000,
		}
	}, protocol.KindProgress))
}

// find looks for a share in the worker's column and returns the request that
// claims it.
func (c *leanClient) find() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.verdict = nil
	target := c.terms.Target(c.job)
	for {
		p := protocol.Place{JobID: c.job.JobID, Point: protocol.Point(c.slot)<<32 | protocol.Point(c.nonce)}
		c.nonce++
		header := c.job.Header(p.Point, p.Roll)
		if target.MetBy(header.Hash()) {
			return c.ask(aboutShare, func(a protocol.Ask) protocol.Message {
				return &protocol.Claim{Ask: a, Place: p, Slot: c.slot, Terms: c.terms.Number}
			}, protocol.KindShare)
		}
	}
}

// fleet is many clients in one process.
type fleet struct {
	cfg      fleetConfig
	subjects protocol.Subjects
	clients  []*leanClient

	pongs, joined, gone atomic.Int64
	reports             atomic.Int64 // answered
	again               atomic.Int64 // slots lost
	faults              sync.Map     // what went wrong, counted

	mu       sync.Mutex
	raw      []byte // the last job as it came, its signature checked
	job      *protocol.Job
	rejected int // messages on the job subject that are not the coordinator's word

	round atomic.Pointer[round]
}

// fleetConfig is given to the process of a fleet, as JSON.
type fleetConfig struct {
	Host    string // of the server
	Clients int
	// Listen is the one subject that bare listeners subscribe to; workers have none.
	Listen                    string
	Network, Coordinator, Key string
}

// fleetEvent is what it answers, a line of JSON.
type fleetEvent struct {
	Event   string
	Error   string         `json:",omitempty"`
	Count   int            `json:",omitempty"`
	Last    int64          `json:",omitempty"` // unix ns
	Median  int64          `json:",omitempty"`
	Twice   int            `json:",omitempty"` // messages that came to a client again
	Took    time.Duration  `json:",omitempty"`
	Codes   map[string]int `json:",omitempty"`
	Faults  map[string]int `json:",omitempty"`
	Job     string         `json:",omitempty"`
	Reports int64          `json:",omitempty"`
	Again   int64          `json:",omitempty"` // slots lost and taken anew
}

// round is one message to everybody, or one share from everybody, under way.
type round struct {
	at   []atomic.Int64 // unix ns, by client
	got  atomic.Int64
	more atomic.Int64
	done chan struct{}
	// shares says that verdicts count; a job that is refreshed meanwhile does not.
	shares bool
}

func (f *fleet) newRound(shares bool) *round {
	r := &round{at: make([]atomic.Int64, len(f.clients)), done: make(chan struct{}), shares: shares}
	f.round.Store(r)
	return r
}

// note notes that a client has it.
func (r *round) note(i int, now time.Time) {
	if !r.at[i].CompareAndSwap(0, now.UnixNano()) {
		r.more.Add(1)
		return
	}
	if r.got.Add(1) == int64(len(r.at)) {
		close(r.done)
	}
}

func (f *fleet) worker() bool { return f.cfg.Listen == "" }

func (f *fleet) failed(c *leanClient, err error) {
	n, _ := f.faults.LoadOrStore(strings.ReplaceAll(err.Error(), c.name, "W"), new(atomic.Int64))
	n.(*atomic.Int64).Add(1)
}

func (f *fleet) pong(*leanClient) { f.pongs.Add(1) }

// message takes what came to a client.
func (f *fleet) message(c *leanClient, subject string, header, data []byte) {
	now := time.Now()
	switch {
	case !f.worker():
		if r := f.round.Load(); r != nil {
			f.same(header, data)
			r.note(c.index, now)
		}
	case strings.HasPrefix(subject, "_INBOX."):
		c.reply(now, subject[len(subject)-1], header, data)
	case subject == f.subjects.Job(f.cfg.Coordinator):
		job := f.same(header, data)
		if job == nil {
			return
		}
		c.mu.Lock()
		news := c.job == nil || c.job.Before(job.JobID)
		if news {
			c.job, c.home, c.nonce = job, 0, 0
		}
		c.mu.Unlock()
		if r := f.round.Load(); r != nil && !r.shares {
			r.note(c.index, now)
		}
	}
}

// same returns the job that a message is. Its signature is checked once: everybody
// is sent the same bytes, and all of them are compared.
func (f *fleet) same(header, data []byte) *protocol.Job {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.raw) == len(header)+len(data) && bytes.Equal(f.raw[:len(header)], header) && bytes.Equal(f.raw[len(header):], data) {
		return f.job
	}
	f.raw = append(append(f.raw[:0], header...), data...)
	f.job = nil
	if !f.worker() {
		return nil
	}
	job := new(protocol.Job)
	if protocol.Verify(f.cfg.Key, protocol.ToWorkers, signatureIn(header), data) != nil {
		f.rejected++
	} else if protocol.Decode(data, job) == nil { // a hold is none
		f.job = job
	}
	return f.job
}

// signatureIn returns a message's signature.
func signatureIn(header []byte) string {
	_, rest, _ := bytes.Cut(header, []byte(protocol.SignatureHeader+":"))
	signature, _, _ := bytes.Cut(rest, []byte("\r\n"))
	return string(bytes.TrimSpace(signature))
}

// reply takes the answer to a request.
func (c *leanClient) reply(now time.Time, about byte, header, data []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	class := c.asked[about]
	switch about {
	case aboutShare:
		c.verdict = &verdict{now, signatureIn(header), bytes.Clone(data), class}
		if r := c.fleet.round.Load(); r != nil && r.shares {
			r.note(c.index, now)
		}
	case aboutProgress:
		// One in 16 signatures is checked: each takes longer here than all else, and
		// workers have a machine each.
		if r := (protocol.Reply{}); protocol.Decode(data, &r) != nil || r.ID != c.id {
			return // late, after another question
		}
		if c.id%16 == 0 && protocol.Verify(c.fleet.cfg.Key, class, signatureIn(header), data) != nil {
			c.fleet.failed(c, protocol.ErrSignature)
		}
		var r protocol.ProgressReply
		err := protocol.Decode(data, &r)
		if err == nil && r.Code == protocol.UnknownSlot { // the machine was too busy for a while
			c.secret = nil // so it joins again
			c.fleet.joined.Add(-1)
			c.fleet.again.Add(1)
			return
		}
		if err != nil || r.Code != protocol.OK {
			c.fleet.failed(c, fmt.Errorf("progress: %v, %v", err, r.Code))
			return
		}
		c.terms = r.Terms
		c.fleet.reports.Add(1)
	case aboutJoin:
		if c.secret != nil || bytes.HasPrefix(header, []byte("NATS/1.0 503")) {
			return // twice, or nobody is there now
		}
		if err := c.joinedBy(class, header, data); err != nil {
			if !errors.Is(err, errLate) {
				c.fleet.failed(c, err)
			}
			return
		}
		c.fleet.joined.Add(1)
	}
}

// errLate is the answer to a join that was given up.
var errLate = errors.New("late")

func (c *leanClient) joinedBy(class protocol.Class, header, data []byte) (err error) {
	var r protocol.JoinReply
	if err := protocol.Decode(data, &r); err != nil {
		return err
	}
	if r.ID != c.id {
		return errLate
	}
	if err := protocol.Verify(c.fleet.cfg.Key, class, signatureIn(header), data); err != nil {
		return err
	}
	if r.Code != protocol.OK || !bytes.Equal(r.Yours, c.own.Public()) {
		return fmt.Errorf("join: %w", r.Code)
	}
	if c.secret, err = c.own.WorkerSecret(r.Exchange); err != nil {
		return err
	}
	c.epoch, c.slot, c.terms = r.Epoch, r.Slot, r.Terms
	if r.Job != nil && (c.job == nil || c.job.Before(r.Job.JobID)) {
		c.job = r.Job
		if shared := c.fleet.sharedJob(r.Job); shared != nil {
			c.job = shared // one copy for all
		}
	}
	return nil
}

// sharedJob returns the process's copy of a job.
func (f *fleet) sharedJob(job *protocol.Job) *protocol.Job {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.job == nil || f.job.Before(job.JobID) {
		f.job, f.raw = job, nil
	}
	if f.job.JobID == job.JobID {
		return f.job
	}
	return nil
}

// check returns the verdict's code, once it is sure who gave it.
func (v *verdict) check(key string) string {
	if protocol.Verify(key, v.class, v.signature, v.data) != nil {
		return "not signed"
	}
	var r protocol.ClaimReply
	if protocol.Decode(v.data, &r) != nil {
		return "malformed"
	}
	return r.Code.String()
}

// readFleetEvent reads a line of JSON.
func readFleetEvent(r *bufio.Reader) (e fleetEvent, err error) {
	line, err := r.ReadBytes('\n')
	if err != nil {
		return e, err
	}
	return e, json.Unmarshal(line, &e)
}
