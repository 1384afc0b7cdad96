package coordinator

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/chain/store"
	"github.com/jbcnet/jbc/coordinator/protocol"
	"github.com/jbcnet/jbc/hashing"
)

// patience is how long a test waits for what must happen.
const patience = time.Minute

// payScript is paid in tests: OP_TRUE.
var payScript = []byte{0x51}

// testWriter logs into the test.
type testWriter struct{ t testing.TB }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}

func testLog(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// startBroker starts an embedded server on a free port.
func startBroker(t *testing.T) *Broker {
	t.Helper()
	b, err := StartBroker(BrokerConfig{Listen: "127.0.0.1:0", Name: "test", Log: testLog(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Stop)
	return b
}

// nodeConfig says how to start a node; zero values are made up.
type nodeConfig struct {
	jobs   string // empty: a new directory
	params *chain.Params
	name   string
	url    string
	dir    string
	fs     vfs.FS
	key    nkeys.KeyPair
	// unlimited leaves out the limits; refuse is told of who is dropped.
	unlimited bool
	refuse    func(worker string, until time.Time)
	log       *slog.Logger // nil: the test's
	// access, where it is given, makes what lets machines join, with the server that
	// the node connects to.
	access func(*node) *Access
	// mesh, where it is given, makes it a node of a mesh.
	mesh *NodeConfig
}

// node is a running coordinator on its store.
type node struct {
	*Coordinator
	t       *testing.T
	cfg     nodeConfig
	chain   *chain.Chain
	store   *store.Store
	conn    *nats.Conn
	cancel  context.CancelFunc
	done    chan error // what Run returned
	stopped bool
}

// startNode starts a coordinator and waits until it serves. It is stopped, and
// must end well, when the test does.
func startNode(t *testing.T, cfg nodeConfig) *node {
	t.Helper()
	n := launchNode(t, cfg)
	select {
	case <-n.Ready():
	case err := <-n.done:
		t.Fatalf("coordinator ended at once: %v", err)
	case <-time.After(patience):
		t.Fatalf("coordinator not ready after %v", patience)
	}
	return n
}

// launchNode starts a coordinator.
func launchNode(t *testing.T, cfg nodeConfig) *node {
	t.Helper()
	n := openNode(t, cfg)
	ctx, cancel := context.WithCancel(context.Background())
	n.cancel, n.done = cancel, make(chan error, 1)
	go func() { n.done <- n.Run(ctx) }()
	t.Cleanup(func() {
		if !n.stopped {
			if err := n.stop(); err != nil {
				t.Errorf("Run = %v after its context ended, want nil", err)
			}
		}
	})
	return n
}

// openNode opens a store, a chain and a connection, and makes a coordinator.
func openNode(t *testing.T, cfg nodeConfig) *node {
	t.Helper()
	if cfg.params == nil {
		cfg.params = chain.Regtest()
	}
	if cfg.name == "" {
		cfg.name = "alpha"
	}
	if cfg.key == nil {
		key, err := nkeys.CreateUser()
		if err != nil {
			t.Fatal(err)
		}
		cfg.key = key
	}
	if cfg.dir == "" {
		cfg.dir = t.TempDir()
	}
	if cfg.jobs == "" {
		cfg.jobs = t.TempDir()
	}
	if cfg.log == nil {
		cfg.log = testLog(t)
	}
	n := &node{t: t, cfg: cfg}
	var err error
	if n.store, err = store.Open(store.Options{Dir: cfg.dir, Network: cfg.params.ID(), FS: cfg.fs}); err != nil {
		t.Fatal(err)
	}
	if n.chain, err = chain.Open(n.store, cfg.params, chain.Options{}); err != nil {
		t.Fatal(err)
	}
	var admits *Access
	options := protocol.ConnectOptions(cfg.name)
	if cfg.access != nil {
		admits = cfg.access(n)
		inside, err := admits.Broker.Options(protocol.RoleCoordinator, cfg.name)
		if err != nil {
			t.Fatal(err)
		}
		options = append(options, inside...)
	}
	if n.conn, err = nats.Connect(cfg.url, options...); err != nil {
		t.Fatal(err)
	}
	n.Coordinator, err = New(Config{
		Params: cfg.params, Name: cfg.name, Chain: n.chain, Store: n.store, JobsDir: cfg.jobs, Conn: n.conn, Key: cfg.key,
		PayScript: payScript, Data: "data of " + cfg.name, Version: "test", Log: cfg.log,
		Unlimited: cfg.unlimited, Refuse: cfg.refuse, Access: admits, Node: cfg.mesh,
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// stop ends the coordinator as its command does and returns what Run returned.
func (n *node) stop() error {
	n.t.Helper()
	n.cancel()
	return n.ended()
}

// ended waits for Run and closes what it used.
func (n *node) ended() error {
	n.t.Helper()
	n.stopped = true
	defer n.cancel()
	var err error
	select {
	case err = <-n.done:
	case <-time.After(patience):
		n.t.Fatalf("Run has not returned after %v", patience)
	}
	n.conn.Close()
	if closed := n.store.Close(); closed != nil && err == nil {
		n.t.Errorf("store: %v", closed)
	}
	return err
}

// hand is a worker by hand: one connection whose every message arrives in one
// channel, in the order in which the server sent them.
type hand struct {
	t        *testing.T
	node     *node
	name     string
	conn     *nats.Conn
	subjects protocol.Subjects
	in       chan *nats.Msg
	inbox    string
	lastID   protocol.Point
	asked    []*nats.Msg // requests without a reply so far

	seat   protocol.JoinReply
	secret []byte // of the seat
}

func newHand(n *node, url, name string) *hand {
	n.t.Helper()
	conn, err := nats.Connect(url)
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(conn.Close)
	h := &hand{
		t: n.t, node: n, name: name, conn: conn, subjects: protocol.NewSubjects(n.Network()),
		in: make(chan *nats.Msg, 10_000), inbox: conn.NewInbox(),
	}
	for _, subject := range []string{h.subjects.Job("*"), h.subjects.Block("*"), h.subjects.SolvedAny(), h.inbox} {
		if _, err := conn.ChanSubscribe(subject, h.in); err != nil {
			n.t.Fatal(err)
		}
	}
	if err := conn.Flush(); err != nil {
		n.t.Fatal(err)
	}
	return h
}

// next returns the next message on a subject, and how many others came before it.
// What the coordinator says must be signed by its key.
func (h *hand) next(subject string) *nats.Msg {
	h.t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case msg := <-h.in:
			if msg.Subject == subject {
				h.verify(msg)
				return msg
			}
		case <-deadline:
			h.t.Fatalf("nothing on %s after %v", subject, patience)
		}
	}
}

func (h *hand) verify(msg *nats.Msg) {
	h.t.Helper()
	if strings.Contains(msg.Subject, ".solved.") {
		return
	}
	var class protocol.Class
	switch {
	case msg.Subject == h.inbox:
		h.verifyReply(msg)
		return
	case strings.Contains(msg.Subject, ".job."):
		class = protocol.ToWorkers
	case strings.Contains(msg.Subject, ".block."):
		class = protocol.ToAll
	}
	if err := protocol.Verify(h.node.PublicKey(), class, msg.Header.Get(protocol.SignatureHeader), msg.Data); err != nil {
		h.t.Fatalf("message on %s: %v", msg.Subject, err)
	}
}

// verifyReply wants a reply to be signed as that to a request, which it ends.
func (h *hand) verifyReply(msg *nats.Msg) {
	h.t.Helper()
	for i, asked := range h.asked {
		if protocol.Verify(h.node.PublicKey(), protocol.ReplyTo(asked), msg.Header.Get(protocol.SignatureHeader), msg.Data) == nil {
			h.asked = slices.Delete(h.asked, i, i+1)
			return
		}
	}
	h.t.Fatalf("reply %s: signed as that to none of %d requests", msg.Data, len(h.asked))
}

// any returns the next message of all.
func (h *hand) any() *nats.Msg {
	h.t.Helper()
	select {
	case msg := <-h.in:
		h.verify(msg)
		return msg
	case <-time.After(patience):
		h.t.Fatalf("nothing after %v", patience)
		return nil
	}
}

// nextKind returns the next message of a kind on the coordinator's job subject.
func (h *hand) nextKind(kind string, into protocol.Message) {
	h.t.Helper()
	for {
		msg := h.next(h.subjects.Job(h.node.cfg.name))
		if got, err := protocol.KindOf(msg.Data); err != nil {
			h.t.Fatalf("%s: %v", msg.Data, err)
		} else if got == kind {
			decode(h.t, msg, into)
			return
		}
	}
}

// nextJob returns the next job or refresh.
func (h *hand) nextJob() *protocol.Job {
	h.t.Helper()
	for {
		msg := h.next(h.subjects.Job(h.node.cfg.name))
		if kind, _ := protocol.KindOf(msg.Data); kind == protocol.KindJob || kind == protocol.KindRefresh {
			var job protocol.Job
			decode(h.t, msg, &job)
			return &job
		}
	}
}

func (h *hand) nextBlock() *protocol.BlockAnnounced {
	h.t.Helper()
	var block protocol.BlockAnnounced
	decode(h.t, h.next(h.subjects.Block(h.node.cfg.name)), &block)
	return &block
}

func decode(t *testing.T, msg *nats.Msg, into protocol.Message) {
	t.Helper()
	if err := protocol.Decode(msg.Data, into); err != nil {
		t.Fatalf("message on %s: %v\n%s", msg.Subject, err, msg.Data)
	}
}

// send sends bytes as a request to a subject, under the MAC of the worker's secret
// if it has one; its reply comes to the inbox.
func (h *hand) send(subject string, data []byte) { h.sendSealed(subject, data, h.secret) }

func (h *hand) sendSealed(subject string, data, secret []byte) {
	h.t.Helper()
	request := &nats.Msg{Subject: subject, Reply: h.inbox, Data: data}
	if secret != nil {
		protocol.Seal(request, secret)
	}
	h.asked = append(h.asked, request)
	if err := h.conn.PublishMsg(request); err != nil {
		h.t.Fatal(err)
	}
}

// ask sends a request and waits for its reply.
func (h *hand) ask(m, reply protocol.Message) {
	h.t.Helper()
	h.send(h.subjects.Ask(h.node.cfg.name, h.name), protocol.Encode(m))
	decode(h.t, h.next(h.inbox), reply)
}

// get asks as an observer does.
func (h *hand) get(m *protocol.Get, reply protocol.Message) {
	h.t.Helper()
	m.Ask = h.head(m.Kind)
	h.send(h.subjects.Get(h.node.cfg.name), protocol.Encode(m))
	decode(h.t, h.next(h.inbox), reply)
}

func (h *hand) head(kind string) protocol.Ask {
	h.lastID++
	return protocol.Ask{Kind: kind, ID: h.lastID}
}

// status returns the coordinator's state, of its workers the first page.
func (h *hand) status() *protocol.Status {
	h.t.Helper()
	var reply protocol.StatusReply
	h.get(&protocol.Get{Ask: protocol.Ask{Kind: protocol.KindStatus}}, &reply)
	if reply.Code != protocol.OK {
		h.t.Fatalf("status: %v", reply.Code)
	}
	return reply.Status
}

// join takes a slot.
func (h *hand) join() *protocol.JoinReply {
	h.t.Helper()
	own, err := protocol.NewExchange()
	if err != nil {
		h.t.Fatal(err)
	}
	h.ask(&protocol.Join{
		Ask: h.head(protocol.KindJoin), Name: h.name, Kernel: "by hand", Threads: 1, DeclaredHS: 1e6, Exchange: own.Public(),
	}, &h.seat)
	if h.seat.Code != protocol.OK || h.seat.ID != h.lastID || h.seat.Kind != protocol.KindJoin {
		h.t.Fatalf("join: %+v", h.seat.Reply)
	}
	if h.secret, err = own.WorkerSecret(h.seat.Exchange); err != nil || !bytes.Equal(h.seat.Yours, own.Public()) {
		h.t.Fatalf("join: %v, %+v", err, h.seat)
	}
	return &h.seat
}

// work returns the job of the moment: that of joining, or the one after.
func (h *hand) work() *protocol.Job {
	h.t.Helper()
	if h.join(); h.seat.Job != nil {
		return h.seat.Job
	}
	return h.nextJob()
}

// solve finds a solution of a job in the worker's own column; each skips the
// nonces of those before.
func (h *hand) solve(j *protocol.Job) protocol.Place {
	return h.solveFrom(j, 0)
}

func (h *hand) solveFrom(j *protocol.Job, nonce uint32) protocol.Place {
	h.t.Helper()
	return find(h.t, j, protocol.Point(uint64(h.seat.Slot)<<32|uint64(nonce)), j.Target(), hashing.Target{})
}

// dud finds a place whose hash does not meet the block target.
func (h *hand) dud(j *protocol.Job) protocol.Place {
	h.t.Helper()
	return find(h.t, j, protocol.Point(h.seat.Slot)<<32, hashing.MaxTarget, j.Target())
}

// claim makes a claim of the worker's.
func (h *hand) claim(kind string, p protocol.Place) *protocol.Claim {
	return &protocol.Claim{Ask: h.head(kind), Place: p, Slot: h.seat.Slot, Terms: h.seat.Terms.Number}
}

// bring sends a solution as a request and returns the answer.
func (h *hand) bring(p protocol.Place) *protocol.ClaimReply {
	h.t.Helper()
	var reply protocol.ClaimReply
	h.ask(h.claim(protocol.KindSolution, p), &reply)
	return &reply
}

// announce publishes a solution to everybody.
func (h *hand) announce(s *protocol.Solved) {
	h.t.Helper()
	if err := h.conn.Publish(h.subjects.Solved(h.name), protocol.Encode(s)); err != nil {
		h.t.Fatal(err)
	}
}

func (h *hand) solvedOf(j *protocol.Job, p protocol.Place) *protocol.Solved {
	return &protocol.Solved{Kind: protocol.KindSolved, Coordinator: j.Coordinator, Header: j.Header(p.Point, p.Roll), Place: p}
}

// reopened reads the chain as the next start of a node would.
func reopened(t *testing.T, cfg nodeConfig, look func(*chain.Chain)) {
	t.Helper()
	st, err := store.Open(store.Options{Dir: cfg.dir, Network: cfg.params.ID(), FS: cfg.fs})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	ch, err := chain.Open(st, cfg.params, chain.Options{})
	if err != nil {
		t.Fatal(err)
	}
	look(ch)
}

// randomHostile makes a text that is as long as it may be and longer as JSON.
func randomHostile(rng *rand.Rand, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = "\x01<>&\"\\"[rng.IntN(6)]
	}
	return string(b)
}

func jsonOf(t *testing.T, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
