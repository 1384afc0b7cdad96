package worker

import (
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/jbcnet/jbc/coordinator/protocol"
	"github.com/jbcnet/jbc/hashing"
)

// set changes a coordinator's script.
func (c *lookalike) set(change func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change()
}

// drained forgets what was asked so far.
func (c *lookalike) drained() {
	for len(c.asked) > 0 {
		<-c.asked
	}
}

// worksFor says whether a worker mines for a coordinator of that name.
func worksFor(name string) func(Stats) bool {
	return func(s Stats) bool { return s.Coordinator == name && s.State == Mining }
}

// pair is two coordinators of a network, and a worker that prefers the first.
func pair(t *testing.T, change func(*Config)) (c1, c2 *lookalike, w *running) {
	t.Helper()
	ns := newNATS(t, 0)
	c1, c2 = newLookalike(t, ns.ClientURL(), "c1"), newLookalike(t, ns.ClientURL(), "c2")
	c1.bigHome()
	c2.bigHome()
	w = startWorker(t, ns.ClientURL(), func(cfg *Config) {
		cfg.Coordinator, cfg.Kernel, cfg.Threads = "c1", quietKernel(), 1
		if change != nil {
			change(cfg)
		}
	})
	s := w.until("mining", worksFor("c1"))
	if s.Preferred != "c1" || s.Moves != 0 || s.Key != c1.pub {
		t.Fatalf("prefers %s, %d moves, key %s", s.Preferred, s.Moves, s.Key)
	}
	return c1, c2, w
}

// node makes the record of a coordinator, signed with mesh.
func (c *lookalike) node(mesh nkeys.KeyPair, change func(*protocol.Node)) protocol.Node {
	public, err := mesh.PublicKey()
	if err != nil {
		c.t.Fatal(err)
	}
	n := protocol.Node{Network: testNetwork, Name: c.name, Key: c.pub, Mesh: public, Addresses: []string{"10.0.0.1:4222"}, Routes: []string{}, Said: 1}
	if change != nil {
		change(&n)
	}
	if n.Proof, err = mesh.Sign(n.Proven()); err != nil {
		c.t.Fatal(err)
	}
	return n
}

// TestDeath kills the preferred coordinator. The worker mines for the other within 5 s
// without a pause, and returns when the first is back.
func TestDeath(t *testing.T) {
	t.Parallel()
	lines := make(chan string, 100000)
	c1, c2, w := pair(t, func(cfg *Config) { cfg.Log = slog.New(lineTap{lines: lines}) })
	start, before := time.Now(), w.Stats().Hashes
	c1.conn.Close()
	s := w.until("mining for c2", worksFor("c2"))
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
	if s.Moves != 1 || s.Preferred != "c1" || s.Key != c2.pub || s.Hashes == before {
		t.Errorf("%d moves, prefers %s, key %s, %d hashes after %d", s.Moves, s.Preferred, s.Key, s.Hashes, before)
	}
	says := func(from, to, why string) {
		t.Helper()
		want := "works for another coordinator from=" + from + " to=" + to + " why=" + why + " stood="
		for !strings.HasPrefix(get(t, "line: "+want, lines), want) {
		}
	}
	says("c1", "c2", whyNobody)
	c2.publishJob(c2.newJob(2, 2, hardBits))
	w.until("on the next job", onJob(2))

	for len(c2.reports) > 0 {
		<-c2.reports
	}
	start = time.Now()
	c1.set(func() { c1.epoch, c1.job = 2, &protocol.Job{}; *c1.job = *c1.newJob(1, 3, hardBits) })
	c1.connect(testNetwork)
	s = w.until("mining for c1", worksFor("c1"))
	if took := time.Since(start); took < returnApart || s.Moves != 2 || s.Job.Epoch != 2 {
		t.Errorf("it returned after %v, %d moves, to job %s", took, s.Moves, s.Job)
	}
	says("c2", "c1", whyBack)
	for {
		if p := get(t, "goodbye", c2.reports); p.Kind == protocol.KindLeave {
			if p.Slot != testSlot || p.JobID != (protocol.JobID{Epoch: 1, Number: 2}) || len(p.Leases) != 1 {
				t.Errorf("left %+v with leases %+v, want slot %d on job 1.2 and how far it is", p.Sitting, p.Leases, testSlot)
			}
			break
		}
	}
	c2.publishJob(c2.newJob(3, 4, hardBits))
	c1.publishJob(c1.newJob(2, 4, hardBits))
	if s := w.until("on the next job", onJob(2)); s.Ignored > 0 || s.Coordinator != "c1" {
		t.Errorf("%d ignored, for %s: what the other says is none of its business", s.Ignored, s.Coordinator)
	}
}

// TestMute has the preferred coordinator hear everything and answer nothing.
func TestMute(t *testing.T) {
	c1, c2, w := pair(t, nil)
	start := time.Now()
	c1.set(func() { c1.mute = true })
	w.until("mining for c2", worksFor("c2"))
	if took := time.Since(start); took < 500*time.Millisecond || took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
	if n := len(c2.joins); n != 1 {
		t.Errorf("%d joins, want one", n)
	}
}

// TestHoldIsNoSilence has the preferred coordinator hold for a while.
func TestHoldIsNoSilence(t *testing.T) {
	t.Parallel()
	c1, c2, w := pair(t, nil)
	hold := &protocol.Hold{Kind: protocol.KindHold, Coordinator: "c1", JobID: c1.job.JobID, Prev: c1.job.Prev}
	c1.set(func() { c1.hold = hold })
	c1.tell(hold, c1.key)
	w.until("holding", func(s Stats) bool { return s.State == Holding })
	for len(c1.reports) > 0 {
		<-c1.reports
	}
	for range 4 {
		get(t, "report", c1.reports)
	}
	if s := w.Stats(); s.Moves > 0 || s.State != Holding || len(c2.asked) > 0 {
		t.Errorf("%d moves, %s, and %d questions to the other", s.Moves, s.State, len(c2.asked))
	}
}

// TestDenied has the preferred coordinator give no slot.
func TestDenied(t *testing.T) {
	c1, _, w := pair(t, nil)
	c1.set(func() { c1.deny, c1.epoch = protocol.Full, 2 })
	job := c1.newJob(1, 2, hardBits)
	c1.tell(job, c1.key) // of another epoch: it has to join again
	w.until("mining for c2", worksFor("c2"))
}

// TestPinned has the preferred coordinator die that the worker knows by its key. It
// works for those alone that this one has vouched for, now or when it ran before.
func TestPinned(t *testing.T) {
	t.Parallel()
	stranger, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	otherKey, _ := stranger.PublicKey()
	for _, tt := range []struct {
		name  string
		nodes func(c1, c2 *lookalike) [][]protocol.Node
		known func(c2 *lookalike) []protocol.Node
		stay  bool
		want  bool
	}{
		{name: "nobody vouches"},
		{name: "it vouches", want: true, nodes: func(c1, c2 *lookalike) [][]protocol.Node {
			return [][]protocol.Node{{c1.node(stranger, nil)}, {c2.node(stranger, nil)}}
		}},
		{name: "it vouches, and the worker stays", stay: true, nodes: func(_, c2 *lookalike) [][]protocol.Node {
			return [][]protocol.Node{{c2.node(stranger, nil)}}
		}},
		{name: "it vouches for another key", nodes: func(_, c2 *lookalike) [][]protocol.Node {
			return [][]protocol.Node{{c2.node(stranger, func(n *protocol.Node) { n.Key = otherKey })}}
		}},
		{name: "it vouches for another network's", nodes: func(_, c2 *lookalike) [][]protocol.Node {
			return [][]protocol.Node{{c2.node(stranger, func(n *protocol.Node) { n.Network = "other-89abcdef" })}}
		}},
		{name: "a record that somebody changed", nodes: func(_, c2 *lookalike) [][]protocol.Node {
			n := c2.node(stranger, nil)
			n.Said++
			return [][]protocol.Node{{n}}
		}},
		{name: "it has vouched before", want: true, known: func(c2 *lookalike) []protocol.Node {
			return []protocol.Node{{Network: testNetwork, Name: "c2", Key: c2.pub}}
		}},
		{name: "it vouches no more", known: func(c2 *lookalike) []protocol.Node {
			return []protocol.Node{{Network: testNetwork, Name: "c2", Key: c2.pub}}
		}, nodes: func(c1, _ *lookalike) [][]protocol.Node { return [][]protocol.Node{{c1.node(stranger, nil)}} }},
		{name: "another network's of before", known: func(c2 *lookalike) []protocol.Node {
			return []protocol.Node{{Network: "other-89abcdef", Name: "c2", Key: c2.pub}}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ns := newNATS(t, 0)
			c1, c2 := newLookalike(t, ns.ClientURL(), "c1"), newLookalike(t, ns.ClientURL(), "c2")
			if tt.nodes != nil {
				c1.nodes = tt.nodes(c1, c2)
			}
			w := startWorker(t, ns.ClientURL(), func(cfg *Config) {
				cfg.Network, cfg.Coordinator, cfg.Key, cfg.Threads, cfg.Stay = testNetwork, "c1", c1.pub, 1, tt.stay
				if tt.known != nil {
					cfg.Known = tt.known(c2)
				}
			})
			w.until("mining", worksFor("c1"))
			for pages := max(1, len(c1.nodes)); pages > 0; {
				if get(t, "question", c1.asked) == protocol.KindNodes {
					pages--
				}
			}
			w.until("answered", func(Stats) bool { return len(c1.asked) > 0 }) // the list is read by then
			c1.conn.Close()
			if tt.want {
				w.until("mining for c2", worksFor("c2"))
				return
			}
			s := w.until("offline", func(s Stats) bool { return s.State == Offline })
			if s.Coordinator != "c1" || s.Moves > 0 || len(c2.asked) > 0 {
				t.Errorf("it works for %s, %d moves, and asked c2 %d times", s.Coordinator, s.Moves, len(c2.asked))
			}
		})
	}
}

// TestForgedList answers the question for nodes with a list that the coordinator did
// not sign, or signed for another question.
func TestForgedList(t *testing.T) {
	ns := newNATS(t, 0)
	c := newLookalike(t, ns.ClientURL(), "c1")
	other := newLookalike(t, ns.ClientURL(), "c2")
	now := time.Now()
	s := joined(t, c, now)
	c.set(func() { c.mute = true })
	passed := 0
	s.cfg.Nodes = func([]protocol.Node) { passed++ }
	asked := make(chan *nats.Msg, 100)
	c.subscribe(s.seat.subjects.AskAny("c1"), func(m *nats.Msg) {
		if protocol.AskOf(m.Data).Kind == protocol.KindNodes { // not for leases
			asked <- m
		}
	})
	if err := c.conn.Flush(); err != nil {
		t.Fatal(err)
	}
	s.askNodes(now.Add(nodesSoon))
	m := get(t, "question", asked)
	list := &protocol.NodesReply{Reply: ok(protocol.AskOf(m.Data)), Nodes: []protocol.Node{other.node(other.key, nil)}}
	_, token, _ := strings.Cut(m.Reply, s.asks.inbox+".")
	for _, forged := range []*nats.Msg{
		other.signed("", protocol.ReplyTo(m), list, other.key), // by another's key
		c.signed("", protocol.ToWorkers, list, c.key),          // as something else
		{Data: protocol.Encode(list)},                          // not at all
	} {
		s.onReply(now, token, forged)
	}
	if len(s.nodes.vouched) > 0 || passed > 0 || s.stats.Ignored != 3 {
		t.Errorf("%d nodes, passed on %d times, %d ignored, want none and 3", len(s.nodes.vouched), passed, s.stats.Ignored)
	}
	s.onReply(now, token, c.signed("", protocol.ReplyTo(m), list, c.key))
	if len(s.nodes.vouched) != 1 || passed != 1 || s.choice.trust.vouched["c2"] != other.pub {
		t.Errorf("%d nodes, passed on %d times, want the coordinator's own list taken", len(s.nodes.vouched), passed)
	}
}

// TestListedNodes reads lists of the coordinator, and passes on what is new.
func TestListedNodes(t *testing.T) {
	ns := newNATS(t, 0)
	c := newLookalike(t, ns.ClientURL(), "c1")
	mesh, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	stranger := &lookalike{t: t, name: "c2", pub: c.pub}
	self, c2 := c.node(mesh, nil), stranger.node(mesh, nil)
	later := stranger.node(mesh, func(n *protocol.Node) { n.Said = 2 })
	moved := stranger.node(mesh, func(n *protocol.Node) { n.Said, n.Addresses = 3, []string{"10.0.0.2:4222"} })
	otherKey, _ := mesh.PublicKey()
	thief := c.node(mesh, func(n *protocol.Node) { n.Key = otherKey })
	twice := stranger.node(mesh, func(n *protocol.Node) { n.Key = otherKey })
	forged := stranger.node(mesh, nil)
	forged.Proof = slices.Clone(forged.Proof)
	forged.Proof[0]++

	now := time.Now()
	s := joined(t, c, now)
	var passed []protocol.Node
	s.cfg.Nodes = func(nodes []protocol.Node) { passed = append([]protocol.Node{}, nodes...) }
	for _, tt := range []struct {
		name string
		list [][]protocol.Node
		want []protocol.Node // passed on
		asks int
		next time.Duration // when it asks again, at the earliest
	}{
		{"a coordinator that knows no such question", nil, nil, 1, nodesSeldom},
		{"one page", [][]protocol.Node{{c2, self}}, []protocol.Node{self, c2}, 1, nodesEvery},
		{"the same in two", [][]protocol.Node{{self}, {c2}}, nil, 2, nodesEvery},
		{"the same said later", [][]protocol.Node{{self, later}}, nil, 1, nodesEvery},
		{"another address", [][]protocol.Node{{self, moved}}, []protocol.Node{self, moved}, 1, nodesEvery},
		{"its own name for another key", [][]protocol.Node{{thief, moved}}, []protocol.Node{moved}, 1, nodesEvery},
		{"one name twice", [][]protocol.Node{{self, moved, twice}}, []protocol.Node{self, moved}, 1, nodesEvery},
		{"a record without proof", [][]protocol.Node{{self, forged}}, []protocol.Node{self}, 1, nodesEvery},
		{"none", [][]protocol.Node{{}}, []protocol.Node{}, 1, nodesEvery},
		{"a list without end", [][]protocol.Node{{self, c2}, {c2}, {c2}}, nil, maxNodePages, nodesEvery},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c.set(func() { c.nodes = tt.list })
			c.drained()
			passed, now = nil, now.Add(nodesSeldom)
			s.askNodes(now)
			asks := 1
			for s.nodes.asking {
				before := s.asks.next
				if err := s.onControl(now, get(t, "answer", s.control)); err != nil {
					t.Fatal(err)
				}
				asks += int(s.asks.next - before)
			}
			if !slices.EqualFunc(passed, tt.want, sameNode) || (passed == nil) != (tt.want == nil) || asks != tt.asks {
				t.Errorf("passed on %+v after %d questions, want %+v after %d", passed, asks, tt.want, tt.asks)
			}
			if s.nodes.due.Before(now.Add(tt.next)) {
				t.Errorf("it asks again after %v, want %v", s.nodes.due.Sub(now), tt.next)
			}
		})
	}
}

// TestNetworksStayApart has the only other coordinator mine on another network.
func TestNetworksStayApart(t *testing.T) {
	t.Parallel()
	ns := newNATS(t, 0)
	c1 := newLookalike(t, ns.ClientURL(), "c1")
	other := newLookalike(t, ns.ClientURL(), "c2")
	other.conn.Close()
	other.connect("other-89abcdef")
	w := startWorker(t, ns.ClientURL(), func(cfg *Config) { cfg.Network, cfg.Threads = testNetwork, 1 })
	w.until("mining", worksFor("c1"))
	c1.conn.Close()
	s := w.until("offline", func(s Stats) bool { return s.State == Offline })
	if s.Coordinator != "c1" || s.Network != testNetwork || s.Moves > 0 || len(other.asked) > 0 {
		t.Errorf("it works for %s of %s, %d moves, and asked the other %d times", s.Coordinator, s.Network, s.Moves, len(other.asked))
	}
	c1.connect(testNetwork)
	w.until("mining", worksFor("c1"))
}

// TestStartsWithAnother starts a worker while the coordinator that it joined is down.
func TestStartsWithAnother(t *testing.T) {
	ns := newNATS(t, 0)
	c1, c2 := newLookalike(t, ns.ClientURL(), "c1"), newLookalike(t, ns.ClientURL(), "c2")
	c1.conn.Close()
	w := startWorker(t, ns.ClientURL(), func(cfg *Config) {
		cfg.Network, cfg.Coordinator, cfg.Key, cfg.Threads = testNetwork, "c1", c1.pub, 1
		cfg.Known = []protocol.Node{{Network: testNetwork, Name: "c2", Key: c2.pub}}
	})
	s := w.until("mining for c2", worksFor("c2"))
	if s.Preferred != "c1" || s.Moves != 1 {
		t.Errorf("prefers %s, %d moves", s.Preferred, s.Moves)
	}
}

// TestServerDies has two servers as one cluster, and kills the one that the worker and
// its coordinator are connected to, with the coordinator.
func TestServerDies(t *testing.T) {
	first, second := newCluster(t)
	c1, c2 := newLookalike(t, first.ClientURL(), "c1"), newLookalike(t, second.ClientURL(), "c2")
	conn, err := nats.Connect(first.ClientURL()+","+second.ClientURL(), append(protocol.ConnectOptions("w1"), nats.DontRandomize())...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	w := startWorker(t, first.ClientURL(), func(cfg *Config) {
		cfg.Conn, cfg.Coordinator, cfg.Threads, cfg.Kernel = conn, "c1", 1, quietKernel()
	})
	w.until("mining", worksFor("c1"))
	start := time.Now()
	c1.conn.Close()
	first.Shutdown()
	w.until("mining for c2", worksFor("c2"))
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
	get(t, "join", c2.joins)
}

// TestAnotherServer kills the server that a worker is connected to, and not its
// coordinator, which it reaches by the other: nothing changes.
func TestAnotherServer(t *testing.T) {
	first, second := newCluster(t)
	c1, c2 := newLookalike(t, second.ClientURL(), "c1"), newLookalike(t, second.ClientURL(), "c2")
	conn, err := nats.Connect(first.ClientURL()+","+second.ClientURL(), append(protocol.ConnectOptions("w1"), nats.DontRandomize())...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	w := startWorker(t, first.ClientURL(), func(cfg *Config) { cfg.Conn, cfg.Coordinator, cfg.Threads = conn, "c1", 1 })
	w.until("mining", worksFor("c1"))
	first.Shutdown()
	for conn.ConnectedUrl() != second.ClientURL() {
		w.until("connected", func(s Stats) bool { return s.State == Mining })
	}
	c1.drained()
	for range 4 {
		get(t, "question", c1.asked)
	}
	if s := w.Stats(); s.Moves > 0 || len(c2.asked) > 0 || len(c1.joins) != 1 {
		t.Errorf("%d moves, %d joins, and %d questions to the other", s.Moves, len(c1.joins), len(c2.asked))
	}
}

// newCluster starts two servers with a route between them.
func newCluster(t *testing.T) (first, second *server.Server) {
	t.Helper()
	start := func(name, route string) *server.Server {
		s, err := server.NewServer(&server.Options{
			ServerName: name, Host: "127.0.0.1", Port: server.RANDOM_PORT, NoLog: true, NoSigs: true,
			Cluster: server.ClusterOpts{Name: "test", Host: "127.0.0.1", Port: server.RANDOM_PORT, NoAdvertise: true},
			Routes:  server.RoutesFromStr(route),
		})
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
	first = start("first", "")
	second = start("second", "nats://"+first.ClusterAddr().String())
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(patience); first.NumRoutes() == 0 || second.NumRoutes() == 0; {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("no route")
		}
	}
	return first, second
}

// TestKeepsASolutionForTheOneItLeft finds a block while its coordinator is dead, and
// brings it when that is back, though the worker works for another by then.
func TestKeepsASolutionForTheOneItLeft(t *testing.T) {
	t.Parallel()
	gate := make(chan struct{})
	kernel := gatedKernel(gate)
	c1, c2, w := pair(t, func(cfg *Config) { cfg.Kernel = kernel })
	c1.publishJob(c1.newJob(2, 2, blockBits))
	w.until("on job 2", onJob(2))
	c1.conn.Close()
	close(gate)
	solved := get(t, "announcement", c2.solved)
	w.until("mining for c2", worksFor("c2"))
	if s := w.Stats(); s.BlocksFound != 1 || s.BlocksAccepted != 0 {
		t.Fatalf("%d blocks found, %d accepted", s.BlocksFound, s.BlocksAccepted)
	}
	// The other is on the same parent: a solution of its job is another matter.
	job := c2.newJob(2, 2, blockBits)
	job.Coinbase2 = []byte{4}
	c2.publishJob(job)
	claim := solutionOf(t, c2)
	if h := job.Header(claim.Point, claim.Roll); !job.Target().MetBy(h.Hash()) {
		t.Errorf("c2 got a solution of another job than its own, at point %d of job %s", claim.Point, claim.JobID)
	}
	w.until("accepted by c2", func(s Stats) bool { return s.BlocksAccepted == 1 })

	c1.drained()
	c1.connect(testNetwork)
	claim = solutionOf(t, c1)
	if claim.Place != solved.Place || claim.Epoch != 1 || claim.Number != 2 {
		t.Errorf("c1 got %+v, announced %+v", claim.Place, solved.Place)
	}
	s := w.until("accepted by c1", func(s Stats) bool { return s.BlocksAccepted == 2 })
	if s.Coordinator != "c2" {
		t.Errorf("it works for %s by then", s.Coordinator)
	}
	for len(c1.asked) > 0 {
		if kind := <-c1.asked; kind != protocol.KindSolution {
			t.Errorf("it asks %s of the one that it left", kind)
		}
	}
	w.until("returned", worksFor("c1"))
}

// TestGivesUpASolution whose coordinator does not come back.
func TestGivesUpASolution(t *testing.T) {
	ns := newNATS(t, 0)
	c1, c2 := newLookalike(t, ns.ClientURL(), "c1"), newLookalike(t, ns.ClientURL(), "c2")
	c1.anySecret()
	now := time.Now()
	s := joined(t, c1, now)
	a := s.work.current
	c1.conn.Close()
	s.onSolution(now, find{assignment: a, place: protocol.Place{JobID: a.job.JobID, Point: 1}, hash: hashing.Hash{1}, solves: true})
	s.claims.shares = make([]find, 3)
	lost := s.stats.SharesLost
	if err := s.move(now, protocol.Found{Network: testNetwork, Name: "c2", Key: c2.pub}, whyMute, now); err != nil {
		t.Fatal(err)
	}
	if s.stats.SharesLost != lost+3 || len(s.claims.shares) > 0 {
		t.Errorf("%d shares lost and %d kept, want 3 lost", s.stats.SharesLost-lost, len(s.claims.shares))
	}
	s.drain(t, now, "slot", func() bool { return s.seat.taken })
	said := make(chan string, 100)
	s.log = slog.New(tap{said})
	s.resend(now)
	s.resend(now.Add(solutionLife - 1))
	if len(s.claims.kept) != 1 {
		t.Fatal("given up early")
	}
	s.resend(now.Add(solutionLife))
	if len(s.claims.kept) != 0 || !strings.Contains(get(t, "line", said), "block given up") {
		t.Error("kept for ever")
	}
	// A find that comes late is counted, and sent to nobody.
	s.finds.add(find{assignment: a, place: protocol.Place{JobID: a.job.JobID, Point: 2}})
	s.onFinds(now)
	if s.stats.SharesLost != lost+4 || len(c2.claims) > 0 {
		t.Errorf("%d shares lost, %d sent to c2", s.stats.SharesLost-lost, len(c2.claims))
	}
}

// TestWordsOfTheOneItLeft reach a worker when it works for another already.
func TestWordsOfTheOneItLeft(t *testing.T) {
	ns := newNATS(t, 0)
	c1, c2 := newLookalike(t, ns.ClientURL(), "c1"), newLookalike(t, ns.ClientURL(), "c2")
	now := time.Now()
	s := joined(t, c1, now)
	old := s.jobs
	if err := s.move(now, protocol.Found{Network: testNetwork, Name: "c2", Key: c2.pub}, whyMute, now); err != nil {
		t.Fatal(err)
	}
	s.drain(t, now, "slot", func() bool { return s.seat.taken })
	late := c1.signed("", protocol.ToWorkers, c1.newJob(9, 9, hardBits), c1.key)
	late.Sub = old
	s.onWord(now, late)
	if s.work.current.job.Number != 1 || s.stats.Ignored > 0 || !s.doubts.since.IsZero() {
		t.Errorf("on job %s, %d ignored, doubts %+v, want nothing of it", s.work.current.job.JobID, s.stats.Ignored, s.doubts)
	}
	next := c2.signed("", protocol.ToWorkers, c2.newJob(2, 2, hardBits), c2.key)
	next.Sub = s.jobs
	s.onWord(now, next)
	if s.work.current.job.Number != 2 || s.work.current.by.Name != "c2" {
		t.Errorf("on job %s of %s, want 1.2 of c2", s.work.current.job.JobID, s.work.current.by.Name)
	}
}

// TestSameNumbers moves a worker to a coordinator that happens to give it the same
// slot and a job of the same number: it is another job all the same.
func TestSameNumbers(t *testing.T) {
	ns := newNATS(t, 0)
	c1, c2 := newLookalike(t, ns.ClientURL(), "c1"), newLookalike(t, ns.ClientURL(), "c2")
	hold := &protocol.Hold{Kind: protocol.KindHold, Coordinator: "c2", JobID: c2.job.JobID, Prev: c2.job.Prev}
	for _, holds := range []bool{false, true} {
		now := time.Now()
		s := joined(t, c1, now)
		was := s.work.current
		if holds {
			c2.set(func() { c2.hold = hold })
		}
		if err := s.move(now, protocol.Found{Network: testNetwork, Name: "c2", Key: c2.pub}, whyMute, now); err != nil {
			t.Fatal(err)
		}
		if s.work.current != was || !s.isHashing() {
			t.Error("the miners do not go on until they have something else")
		}
		s.drain(t, now, "slot", func() bool { return s.seat.taken })
		if holds {
			if s.work.current != nil || s.isHashing() {
				t.Errorf("on job %s of %s while c2 holds", s.work.current.job.JobID, s.work.current.by.Name)
			}
		} else if s.work.current == was || s.work.current.by.Name != "c2" || !s.isHashing() {
			t.Errorf("still on the job of c1")
		}
	}
}

// TestReadsLate has an answer lie there when the worker gets round to judging its
// coordinator.
func TestReadsLate(t *testing.T) {
	ns := newNATS(t, 0)
	c := newLookalike(t, ns.ClientURL(), "c1")
	now := time.Now()
	s := joined(t, c, now)
	s.drain(t, now, "answers", func() bool { return len(s.asks.pending) == 0 })
	s.work.reportDue = now
	s.reportInTurn(now)
	answer := get(t, "answer", s.control)
	late := now.Add(answerWithin + 2*spread)
	s.choice.vigil.looked = late.Add(-tickEvery)
	s.control <- answer
	if err := s.choose(late); err != nil {
		t.Fatal(err)
	}
	if s.choice.vigil.why != "" {
		t.Errorf("taken as silent: %s", s.choice.vigil.why)
	}
	s.choice.vigil.ask(late)
	late = late.Add(answerWithin + 2*spread)
	s.choice.vigil.looked = late.Add(-tickEvery)
	if err := s.choose(late); err != nil || s.choice.vigil.why != whyMute {
		t.Errorf("%v, silent: %q, want %q without an answer", err, s.choice.vigil.why, whyMute)
	}
}
