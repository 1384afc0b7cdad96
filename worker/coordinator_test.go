package worker

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"os"
	"runtime"
	"runtime/pprof"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"github.com/nats-io/nkeys"

	"github.com/jbcnet/jbc/coordinator/protocol"
	"github.com/jbcnet/jbc/hashing"
)

// Miners locked to threads need room beyond them, which the program gives and
// these tests too: without it every message waits for a scheduler's time slice.
func TestMain(m *testing.M) {
	runtime.GOMAXPROCS(runtime.NumCPU() + 3)
	os.Exit(m.Run())
}

const (
	testNetwork = "test-01234567"
	testSlot    = 5
	patience    = 30 * time.Second // of a test for something that must happen
)

var (
	easyBits = hashing.TargetForHashes(64).Bits()   // a share target: 1 hash in 64
	hardBits = hashing.TargetForHashes(1e15).Bits() // a block target that no test meets
	homeSize = uint64(200)
)

// lookalike answers a worker as a coordinator does, by script. It looks like the
// real one, which can't be imported here; the two are tested together in bench.
type lookalike struct {
	t    testing.TB
	name string
	key  nkeys.KeyPair
	pub  string
	url  string

	mu     sync.Mutex
	conn   *nats.Conn
	epoch  uint64
	terms  protocol.Terms
	job    *protocol.Job
	hold   *protocol.Hold                      // in force instead of job, if not nil
	grant  []protocol.Lease                    // what the next report gets
	judge  func(*protocol.Claim) protocol.Code // nil: OK
	unsign bool                                // replies go out without a signature
	mute   bool                                // it hears everything and answers nothing
	deny   protocol.Code                       // of every join, OK to give a slot
	nodes  [][]protocol.Node                   // that it vouches for, page by page; nil: it knows no such question

	secrets [][]byte // of the slot, one a join
	anyMAC  bool     // requests need none of them

	joins    chan *protocol.Join
	reports  chan *protocol.Progress
	claims   chan *protocol.Claim
	currents chan *protocol.Current
	solved   chan *protocol.Solved
	asked    chan string // kinds of all requests, answered or not
}

// newNATS starts a server on a loopback port, 0 for a free one.
func newNATS(t testing.TB, port int) *server.Server {
	t.Helper()
	if port == 0 {
		port = server.RANDOM_PORT
	}
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: port, NoLog: true, NoSigs: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	if !s.ReadyForConnections(patience) {
		t.Fatal("NATS server not ready")
	}
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	return s
}

// newLookalike starts a coordinator with a first job that nobody solves.
func newLookalike(t testing.TB, url, name string) *lookalike {
	t.Helper()
	c := makeLookalike(t, url, name)
	c.connect(testNetwork)
	return c
}

// makeLookalike makes one that nobody hears yet.
func makeLookalike(t testing.TB, url, name string) *lookalike {
	t.Helper()
	key, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	c := &lookalike{
		t: t, name: name, key: key, url: url, epoch: 1,
		terms:    protocol.Terms{Number: 1, ShareBits: easyBits, HomePoints: homeSize},
		joins:    make(chan *protocol.Join, 1000),
		reports:  make(chan *protocol.Progress, 1000),
		claims:   make(chan *protocol.Claim, 100000),
		currents: make(chan *protocol.Current, 1000),
		solved:   make(chan *protocol.Solved, 1000),
		asked:    make(chan string, 100000),
	}
	c.pub, _ = key.PublicKey()
	c.job = c.newJob(1, 1, hardBits)
	return c
}

// connect subscribes to everything that a coordinator does.
func (c *lookalike) connect(network string) {
	c.t.Helper()
	conn, err := nats.Connect(c.url, protocol.ConnectOptions(c.name)...)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(conn.Close)
	c.conn = conn
	subjects := protocol.NewSubjects(network)
	_, err = micro.AddService(conn, micro.Config{Name: protocol.ServiceName, Version: "0.0.1", Metadata: map[string]string{
		protocol.MetaNetwork: network, protocol.MetaName: c.name, protocol.MetaKey: c.pub,
	}})
	if err != nil {
		c.t.Fatal(err)
	}
	c.subscribe(subjects.AskAny(c.name), c.answer)
	c.subscribe(subjects.SolvedAny(), func(m *nats.Msg) {
		var s protocol.Solved
		if err := protocol.Decode(m.Data, &s); err == nil {
			c.solved <- &s
		}
	})
	if err := conn.Flush(); err != nil {
		c.t.Fatal(err)
	}
}

func (c *lookalike) subscribe(subject string, handle nats.MsgHandler) {
	c.t.Helper()
	if _, err := c.conn.Subscribe(subject, handle); err != nil {
		c.t.Fatal(err)
	}
}

// newJob makes a job of epoch 1 on the block numbered parent.
func (c *lookalike) newJob(number uint64, parent byte, bits hashing.Bits) *protocol.Job {
	return &protocol.Job{
		Kind: protocol.KindJob, Coordinator: c.name, JobID: protocol.JobID{Epoch: c.epoch, Number: number},
		Height: uint32(parent), Prev: hashing.Hash{parent}, Version: 0x20000000, Bits: bits,
		Time: 1_700_000_000, MinTime: 1_699_999_000, MaxTime: 1_700_001_000,
		Coinbase1: []byte{1, 2, byte(number)}, Coinbase2: []byte{3}, Rolls: 16, SpacingMS: 60_000,
	}
}

// answer replies to one request.
func (c *lookalike) answer(m *nats.Msg) {
	kind, err := protocol.KindOf(m.Data)
	if err != nil {
		c.t.Errorf("request %s: %v", m.Data, err)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked <- kind
	if c.mute {
		return
	}
	if kind != protocol.KindJoin && !c.anyMAC && !c.sealed(m) {
		c.t.Errorf("%s under none of the slot's secrets", kind)
	}
	switch kind {
	case protocol.KindJoin:
		var j protocol.Join
		c.decode(m, &j)
		if c.deny != protocol.OK {
			c.reply(m, &protocol.Reply{Kind: j.Kind, ID: j.ID, Code: c.deny})
			return
		}
		home := c.terms.Home(testSlot)
		r := &protocol.JoinReply{
			Reply: ok(j.Ask), Epoch: c.epoch, Slot: testSlot, Exchange: c.agree(&j), Yours: j.Exchange, Terms: c.terms,
			Job: c.job, Leases: []protocol.Lease{home},
		}
		if c.hold != nil {
			r.Job, r.Hold = nil, c.hold
		}
		c.reply(m, r)
		c.joins <- &j
	case protocol.KindCurrent:
		var cur protocol.Current
		c.decode(m, &cur)
		if c.hold != nil {
			c.reply(m, &protocol.CurrentReply{Reply: ok(cur.Ask), Hold: c.hold})
		} else {
			c.reply(m, &protocol.CurrentReply{Reply: ok(cur.Ask), Job: c.job, Leases: []protocol.Lease{c.terms.Home(testSlot)}})
		}
		c.currents <- &cur
	case protocol.KindShare, protocol.KindSolution:
		var claim protocol.Claim
		c.decode(m, &claim)
		c.reply(m, c.verdict(&claim))
		c.claims <- &claim
	case protocol.KindNodes:
		var ask protocol.AskNodes
		c.decode(m, &ask)
		c.reply(m, c.list(&ask))
	default:
		var p protocol.Progress
		c.decode(m, &p)
		r := &protocol.ProgressReply{Reply: ok(p.Ask), Current: c.job.JobID, Terms: c.terms, Leases: []protocol.Lease{}, Holding: c.hold != nil}
		if p.Want > 0 {
			r.Leases, c.grant = c.grant, nil
		}
		c.reply(m, r)
		c.reports <- &p
	}
}

// list is a page of the nodes that it vouches for. The last of a page is where the
// next one goes on.
func (c *lookalike) list(ask *protocol.AskNodes) protocol.Message {
	r := &protocol.NodesReply{Reply: ok(ask.Ask), Nodes: []protocol.Node{}}
	if c.nodes == nil {
		r.Code = protocol.UnknownKind
	}
	for i, page := range c.nodes {
		if i > 0 && ask.After != c.nodes[i-1][len(c.nodes[i-1])-1].Name || i == 0 && ask.After != "" {
			continue
		}
		r.Nodes = page
		if i+1 < len(c.nodes) {
			r.After = page[len(page)-1].Name
		}
		break
	}
	return r
}

// agree makes another secret of the slot.
func (c *lookalike) agree(j *protocol.Join) protocol.Bytes {
	own, err := protocol.NewExchange()
	if err != nil {
		c.t.Fatal(err)
	}
	secret, err := own.CoordinatorSecret(j.Exchange)
	if err != nil {
		c.t.Errorf("join: %v", err)
	}
	c.secrets = append(c.secrets, secret)
	return own.Public()
}

// anySecret lets requests come that were meant for another coordinator.
func (c *lookalike) anySecret() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.anyMAC = true
}

// sealed says whether a request is under a secret of the slot, the last or one that
// what it claims was found under.
func (c *lookalike) sealed(m *nats.Msg) bool {
	return slices.ContainsFunc(c.secrets, func(secret []byte) bool {
		return protocol.Sealed(secret, m.Header.Get(protocol.MACHeader), m.Data)
	})
}

func (c *lookalike) verdict(claim *protocol.Claim) *protocol.ClaimReply {
	r := &protocol.ClaimReply{Reply: ok(claim.Ask)}
	if c.judge != nil {
		r.Code = c.judge(claim)
	}
	return r
}

func ok(a protocol.Ask) protocol.Reply { return protocol.Reply{Kind: a.Kind, ID: a.ID} }

func (c *lookalike) decode(m *nats.Msg, into protocol.Message) {
	if err := protocol.Decode(m.Data, into); err != nil {
		c.t.Errorf("request %s: %v", m.Data, err)
	}
}

func (c *lookalike) reply(m *nats.Msg, r protocol.Message) {
	msg := c.signed(m.Reply, protocol.ReplyTo(m), r, c.key)
	if c.unsign {
		msg.Header = nil
	}
	_ = m.RespondMsg(msg) // the connection may just have been cut, or the test be over
}

func (c *lookalike) signed(subject string, class protocol.Class, m protocol.Message, key nkeys.KeyPair) *nats.Msg {
	msg := nats.NewMsg(subject)
	msg.Data, _ = json.Marshal(m)
	signer, err := protocol.NewSigner(key)
	if err != nil {
		c.t.Error(err)
		return msg
	}
	msg.Header.Set(protocol.SignatureHeader, signer.Sign(class, msg.Data))
	return msg
}

// tell publishes to all workers, signed with key.
func (c *lookalike) tell(m protocol.Message, key nkeys.KeyPair) {
	c.t.Helper()
	if err := c.conn.PublishMsg(c.signed(protocol.NewSubjects(testNetwork).Job(c.name), protocol.ToWorkers, m, key)); err != nil {
		c.t.Fatal(err)
	}
}

// publishJob makes job the current one and broadcasts it.
func (c *lookalike) publishJob(job *protocol.Job) {
	c.t.Helper()
	c.mu.Lock()
	c.job = job
	c.mu.Unlock()
	c.tell(job, c.key)
}

// running is a worker under test.
type running struct {
	*Worker
	t    testing.TB
	stop context.CancelFunc
	done chan error
}

// startWorker runs a worker until the test ends; change may adapt its Config.
func startWorker(t testing.TB, url string, change func(*Config)) *running {
	t.Helper()
	conn, err := nats.Connect(url, protocol.ConnectOptions("w1")...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	cfg := Config{
		Conn: conn, Name: "w1", Kernel: hashing.BestKernel(), Threads: 2, Version: "test", Host: "host",
		Log: slog.New(slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	if change != nil {
		change(&cfg)
	}
	w, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	r := &running{Worker: w, t: t, stop: cancel, done: make(chan error, 1)}
	ended := make(chan struct{})
	go func() {
		r.done <- w.Run(ctx)
		close(ended)
	}()
	t.Cleanup(func() { cancel(); <-ended })
	return r
}

// testWriter logs into the test.
type testWriter struct{ t testing.TB }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}

var _ io.Writer = testWriter{}

// until waits for the worker to be as it should.
func (r *running) until(what string, as func(Stats) bool) Stats {
	r.t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		s := r.Stats()
		if as(s) {
			return s
		}
		select {
		case <-tick.C:
		case <-deadline:
			r.t.Fatalf("not %s after %v: %+v", what, patience, s)
		}
	}
}

// get waits for something from a channel.
func get[T any](t testing.TB, what string, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(patience):
		t.Fatalf("no %s after %v", what, patience)
		panic("unreachable")
	}
}

// stacksOf returns the goroutines that run this package's code other than tests.
func stacksOf() string {
	var b strings.Builder
	_ = pprof.Lookup("goroutine").WriteTo(&b, 2)
	var left []string
	for _, g := range strings.Split(b.String(), "\n\n") {
		if strings.Contains(g, "jbc/worker.(*miner)") || strings.Contains(g, "jbc/worker.(*session)") || strings.Contains(g, "jbc/worker.calibrate") {
			left = append(left, g)
		}
	}
	return strings.Join(left, "\n\n")
}
