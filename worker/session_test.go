package worker

import (
	"bytes"
	"context"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/jbcnet/jbc/coordinator/protocol"
	"github.com/jbcnet/jbc/hashing"
)

func TestChoose(t *testing.T) {
	a1 := protocol.Found{Network: "a-00000001", Name: "c1", Key: "K1"}
	a2 := protocol.Found{Network: "a-00000001", Name: "c2", Key: "K2"}
	b1 := protocol.Found{Network: "b-00000002", Name: "c1", Key: "K3"}
	b2 := protocol.Found{Network: "b-00000003", Name: "c2", Key: "K4"}
	for _, tt := range []struct {
		name  string
		cfg   Config
		found []protocol.Found
		want  protocol.Found
		text  string
	}{
		{name: "the only one", found: []protocol.Found{a1}, want: a1},
		{name: "the first of a network", found: []protocol.Found{a2, a1}, want: a2},
		{name: "by name", cfg: Config{Coordinator: "c1"}, found: []protocol.Found{a2, a1}, want: a1},
		{name: "by network", cfg: Config{Network: "b-00000002"}, found: []protocol.Found{a1, b1}, want: b1},
		{name: "by a network's name", cfg: Config{Network: "b"}, found: []protocol.Found{a1, b1}, want: b1},
		{name: "not by half of it", cfg: Config{Network: "b-0"}, found: []protocol.Found{b1}, text: "c1 of b-00000002"},
		{name: "by key", cfg: Config{Key: "K2"}, found: []protocol.Found{a1, a2}, want: a2},
		{name: "several networks", found: []protocol.Found{b1, a1}, text: "--network names none of them: a-00000001, b-00000002"},
		{name: "several networks of a name", cfg: Config{Network: "b"}, found: []protocol.Found{b2, a1, b1}, text: "--network names none of them: b-00000002, b-00000003"},
		{name: "one of them by id", cfg: Config{Network: "b-00000003"}, found: []protocol.Found{b1, b2}, want: b2},
		{name: "one of them by key", cfg: Config{Network: "b", Key: "K3"}, found: []protocol.Found{b2, b1}, want: b1},
		{name: "an impostor of the name", cfg: Config{Key: "K9"}, found: []protocol.Found{a1}, text: `coordinator "c1" answers with another key (K1) than the one pinned (K9)`},
		{name: "an impostor among others", cfg: Config{Key: "K9", Coordinator: "c2"}, found: []protocol.Found{a1, a2}, text: `"c2" answers with another key (K2)`},
		{name: "strangers", cfg: Config{Key: "K9"}, found: []protocol.Found{a1, a2}, text: "none of the coordinators that answer is the one asked for: c1 of a-00000001, c2 of a-00000001"},
		{name: "one of another name", cfg: Config{Coordinator: "c9"}, found: []protocol.Found{a1}, text: "none of the coordinators"},
		{name: "one of another network", cfg: Config{Network: "b", Key: "K9"}, found: []protocol.Found{a1}, text: "none of the coordinators"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := choose(&tt.cfg, tt.found)
			if got != tt.want || (err != nil) != (tt.text != "") {
				t.Fatalf("chose %v, error %v", got, err)
			}
			if err != nil && !strings.Contains(err.Error(), tt.text) {
				t.Errorf("error %q, want it to say %q", err, tt.text)
			}
		})
	}
}

// A stranger who claims another network makes a worker that was told none wait. It
// ends none, and when the stranger goes the worker mines.
func TestSeveralNetworksMakeItWait(t *testing.T) {
	ns := newNATS(t, 0)
	newLookalike(t, ns.ClientURL(), "c1")
	other := &lookalike{t: t, name: "c2", url: ns.ClientURL()}
	other.key, _ = nkeys.CreateUser()
	other.pub, _ = other.key.PublicKey()
	other.connect("other-89abcdef")
	said := make(chan string, 1000)
	w := startWorker(t, ns.ClientURL(), func(cfg *Config) { cfg.Log = slog.New(tap{said}) })
	for !strings.Contains(get(t, "warning", said), "--network names none of them: other-89abcdef, "+testNetwork) {
	}
	if got := w.Stats().State; got != Looking {
		t.Errorf("it is %s, want %s", got, Looking)
	}
	other.conn.Close()
	w.until("mining", isMining)
}

// However often it asks, it says once what keeps it waiting.
func TestSaysOnceWhyItWaits(t *testing.T) {
	ns := newNATS(t, 0)
	s := script(t, &lookalike{url: ns.ClientURL()})
	said := make(chan string, 1000)
	s.log = slog.New(tap{said})
	now := time.Now()
	for range 5 {
		if err := s.look(now); err != nil { // asks
			t.Fatal(err)
		}
		s.search.found = []protocol.Found{
			{Network: "a-00000001", Name: "c1", Key: "K1"}, {Network: "b-00000002", Name: "c1", Key: "K2"},
		}
		s.search.decide = now.Add(lookWait)
		if err := s.look(s.search.decide); err != nil {
			t.Fatal(err)
		}
		now = now.Add(lookEvery)
	}
	if len(said) != 1 || s.search.settled {
		t.Errorf("%d lines, settled %v; want one warning about two networks", len(said), s.search.settled)
	}
	for range 3 {
		if err := s.look(now); err != nil {
			t.Fatal(err)
		}
		now = now.Add(lookEvery)
	}
	get(t, "warning", said)
	if got := get(t, "warning", said); !strings.Contains(got, "no coordinator answers") || len(said) > 0 {
		t.Errorf("then %q and %d lines more, want once that nobody answers", got, len(said))
	}
}

func TestWaitsForItsCoordinator(t *testing.T) {
	ns := newNATS(t, 0)
	key, _ := nkeys.CreateUser()
	wrong, _ := key.PublicKey()
	newLookalike(t, ns.ClientURL(), "c1")
	said := make(chan string, 100)
	startWorker(t, ns.ClientURL(), func(cfg *Config) { cfg.Key, cfg.Log = wrong, slog.New(tap{said}) })
	for !strings.Contains(get(t, "warning", said), "answers with another key") {
	}
}

// tap passes on what is logged.
type tap struct{ said chan string }

func (tap) Enabled(context.Context, slog.Level) bool        { return true }
func (h tap) Handle(_ context.Context, r slog.Record) error { h.said <- r.Message; return nil }
func (h tap) WithAttrs([]slog.Attr) slog.Handler            { return h }
func (h tap) WithGroup(string) slog.Handler                 { return h }

func TestUnsignedRepliesGiveNoSlot(t *testing.T) {
	ns := newNATS(t, 0)
	c := newLookalike(t, ns.ClientURL(), "c1")
	c.mu.Lock()
	c.unsign = true
	c.mu.Unlock()
	w := startWorker(t, ns.ClientURL(), nil)
	w.until("ignoring", func(s Stats) bool { return s.Ignored > 0 && s.State == Joining })
	c.mu.Lock()
	c.unsign = false
	c.mu.Unlock()
	w.until("mining", isMining)
}

// script is a session without its loop: the test hands it times and messages.
func script(t *testing.T, c *lookalike) *session {
	t.Helper()
	conn, err := nats.Connect(c.url, protocol.ConnectOptions("w1")...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	w, err := New(Config{
		Conn: conn, Name: "w1", Kernel: hashing.BestKernel(), Threads: 1,
		Log: slog.New(slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err != nil {
		t.Fatal(err)
	}
	s, err := newSession(w, 1e6)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	return s
}

// drain handles what arrives until as is true.
func (s *session) drain(t *testing.T, now time.Time, what string, as func() bool) {
	t.Helper()
	for !as() {
		if err := s.onControl(now, get(t, what, s.control)); err != nil {
			t.Fatal(err)
		}
	}
}

// joined is a session that has its slot.
func joined(t *testing.T, c *lookalike, now time.Time) *session {
	t.Helper()
	s := script(t, c)
	s.search.found = []protocol.Found{{Network: testNetwork, Name: c.name, Key: c.pub}}
	if err := s.look(now); err != nil {
		t.Fatal(err)
	}
	s.drain(t, now, "slot", func() bool { return s.seat.taken })
	return s
}

func TestStartsUnaskedOnlyWhileItIsHeard(t *testing.T) {
	ns := newNATS(t, 0)
	c := newLookalike(t, ns.ClientURL(), "c1")
	now := time.Now()
	s := joined(t, c, now)

	s.onJob(now.Add(5*time.Second), c.newJob(2, 2, hardBits))
	if s.work.current.job.Number != 2 {
		t.Fatalf("on job %s after 5 s, want 1.2", s.work.current.job.JobID)
	}
	c.mu.Lock()
	c.job = c.newJob(3, 3, hardBits)
	c.mu.Unlock()
	late := now.Add(5001 * time.Millisecond)
	s.onJob(late, c.job)
	if s.work.current.job.Number != 2 {
		t.Fatalf("started on job %s unasked after more than 5 s", s.work.current.job.JobID)
	}
	get(t, "question", c.currents)
	s.drain(t, late, "job", func() bool { return s.work.current.job.Number == 3 })
}

func TestJoinsAgain(t *testing.T) {
	ns := newNATS(t, 0)
	c := newLookalike(t, ns.ClientURL(), "c1")
	now := time.Now()

	s := joined(t, c, now)
	get(t, "join", c.joins)
	c.mu.Lock()
	c.epoch, c.job = 2, &protocol.Job{}
	*c.job = *c.newJob(1, 2, hardBits)
	c.job.Epoch = 2
	c.mu.Unlock()
	s.onJob(now, c.job)
	if !s.seat.wanted || s.work.current.job.Epoch != 1 {
		t.Fatal("want it to join again, and to mine what it has meanwhile")
	}
	get(t, "second join", c.joins)
	s.drain(t, now, "slot", func() bool { return s.work.current.job.Epoch == 2 })
	if s.seat.wanted || s.seat.epoch != 2 {
		t.Errorf("seat %+v, want one of epoch 2", s.seat)
	}
	s.refused(now.Add(time.Second), protocol.UnknownSlot)
	get(t, "third join", c.joins)
}

func TestAsksForAMissedJob(t *testing.T) {
	ns := newNATS(t, 0)
	c := newLookalike(t, ns.ClientURL(), "c1")
	now := time.Now()
	s := joined(t, c, now)
	c.mu.Lock()
	c.job = c.newJob(2, 2, hardBits)
	c.mu.Unlock()
	now = now.Add(3 * time.Second)
	s.reportInTurn(now)
	s.drain(t, now, "missed job", func() bool { return s.work.current.job.Number == 2 })
	get(t, "question", c.currents)
}

// A hold is broadcast once. Who missed it hears of it with the next report.
func TestLearnsOfAMissedHold(t *testing.T) {
	ns := newNATS(t, 0)
	c := newLookalike(t, ns.ClientURL(), "c1")
	now := time.Now()
	s := joined(t, c, now)
	c.mu.Lock()
	c.hold = &protocol.Hold{Kind: protocol.KindHold, Coordinator: "c1", JobID: c.job.JobID, Prev: c.job.Prev}
	c.mu.Unlock()
	if got := s.state(); got != Mining {
		t.Fatalf("it is %s before any word of the hold, want %s", got, Mining)
	}
	now = now.Add(3 * time.Second)
	s.reportInTurn(now)
	s.drain(t, now, "hold", func() bool { return s.state() == Holding })
	get(t, "question", c.currents)

	for len(c.reports) > 0 {
		<-c.reports
	}
	s.seat.currentDue = now
	now = now.Add(3 * time.Second)
	s.reportInTurn(now)
	s.drain(t, now, "answer", func() bool { return len(s.asks.pending) == 0 })
	if len(c.currents) > 0 {
		t.Error("it asks again for a hold that it knows")
	}
}

// The worker always has some seconds of work: it asks for ten when few are left,
// at once where the home lease is short, and for none while it has plenty.
func TestAsksForWorkInTime(t *testing.T) {
	ns := newNATS(t, 0)
	c := newLookalike(t, ns.ClientURL(), "c1")
	c.grant = []protocol.Lease{{ID: 4, First: 99 << 32, Points: 625_000}}
	now := time.Now()
	s := joined(t, c, now) // 1e6 hashes a second over 16 rolls: 62,500 points a second
	p := get(t, "question for work", c.reports)
	if p.Kind != protocol.KindLease || p.Want < 625_000 || p.Want > 625_001 {
		t.Errorf("%s for %d points with a home lease of %d, want 10 s of work out of turn", p.Kind, p.Want, homeSize)
	}
	s.feed(now.Add(time.Second))
	s.drain(t, now, "lease", func() bool { return !s.work.feeding })
	if left := s.dispenser.account().left; left != homeSize+625_000 {
		t.Errorf("%d points left, want the lease added to the home lease", left)
	}
	now = now.Add(2 * time.Second)
	s.feed(now)
	s.reportInTurn(now)
	p = get(t, "report", c.reports)
	if p.Kind != protocol.KindProgress || p.Want != 0 || len(p.Leases) != 2 || len(c.reports) > 0 {
		t.Errorf("%s, %d leases, wish %d, %d more asked; want a report of two leases and no wish", p.Kind, len(p.Leases), p.Want, len(c.reports))
	}
}

func TestSaysThatTheCoordinatorIsSilent(t *testing.T) {
	ns := newNATS(t, 0)
	c := newLookalike(t, ns.ClientURL(), "c1")
	now := time.Now()
	s := joined(t, c, now)
	s.listen(now.Add(5 * time.Second))
	if got := s.state(); got != Mining {
		t.Errorf("%s after 5 s, want %s", got, Mining)
	}
	now = now.Add(6 * time.Second)
	s.listen(now)
	if got := s.state(); got != Offline {
		t.Errorf("%s after 6 s, want %s", got, Offline)
	}
	s.reportInTurn(now)
	s.drain(t, now, "answer", func() bool { return s.state() == Mining })
}

// Shares outlive a refresh and nothing else, and wait while it is not known which
// job is on.
func TestSharesOfAnOldJobAreNotSent(t *testing.T) {
	ns := newNATS(t, 0)
	c := newLookalike(t, ns.ClientURL(), "c1")
	now := time.Now()
	s := joined(t, c, now)
	share := func() find {
		a := s.work.current
		return find{assignment: a, place: protocol.Place{JobID: a.job.JobID, Point: 1}}
	}

	s.finds.add(share())
	refresh := c.newJob(2, 1, hardBits)
	refresh.Kind = protocol.KindRefresh
	s.onJob(now, refresh)
	s.onFinds(now)
	if got := get(t, "share", c.claims); got.Number != 1 {
		t.Errorf("share of job %s, want the one of before the refresh", got.JobID)
	}

	s.lost()
	s.finds.add(share())
	s.onFinds(now)
	c.mu.Lock()
	c.job = c.newJob(3, 3, hardBits)
	c.mu.Unlock()
	s.back(now)
	if err := s.onTick(now); err != nil {
		t.Fatal(err)
	}
	s.drain(t, now, "job", func() bool { return s.work.current.job.Number == 3 })
	s.pump(now)
	if s.stats.SharesLost < 1 || len(s.claims.shares) > 0 || len(c.claims) > 0 {
		t.Errorf("%d shares lost, %d waiting, %d sent; want the old one given up", s.stats.SharesLost, len(s.claims.shares), len(c.claims))
	}
}

func TestRepliesMustFitTheirRequests(t *testing.T) {
	ns := newNATS(t, 0)
	c := newLookalike(t, ns.ClientURL(), "c1")
	now := time.Now()
	s := joined(t, c, now)
	s.seat.with.Name = "nobody" // who leaves the answers to this test
	ended := 0
	var asked *nats.Msg
	sub, err := c.conn.SubscribeSync(s.seat.subjects.Ask("nobody", s.cfg.Name))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.conn.Flush(); err != nil {
		t.Fatal(err)
	}
	if !s.ask(now, "nothing", []byte("secret"), time.Minute, func(a protocol.Ask) protocol.Message {
		return &protocol.Join{Ask: a}
	}, func(answer) { ended++ }) {
		t.Fatal("not sent")
	}
	id := s.asks.next - 1
	if asked, err = sub.NextMsg(patience); err != nil {
		t.Fatal(err)
	}
	// The same number and kind, asked by somebody else: to be refused, for example.
	forgery := &nats.Msg{Data: asked.Data}
	protocol.Seal(forgery, []byte("another secret"))
	other := &nats.Msg{Data: bytes.Replace(asked.Data, []byte(`"name":""`), []byte(`"name":"x"`), 1), Header: asked.Header}
	class, good := protocol.ReplyTo(asked), protocol.Reply{Kind: "nothing", ID: id}
	for _, tt := range []struct {
		reply protocol.Reply
		class protocol.Class
	}{
		{protocol.Reply{Kind: "nothing", ID: id + 1}, class}, {protocol.Reply{Kind: "other", ID: id}, class},
		{good, "reply"}, {good, protocol.ToWorkers}, {good, protocol.ReplyTo(forgery)}, {good, protocol.ReplyTo(other)},
	} {
		s.onReply(now, id.String(), c.signed("", tt.class, &tt.reply, c.key))
	}
	s.onReply(now, (id + 1).String(), c.signed("", class, &protocol.Reply{Kind: "nothing", ID: id + 1}, c.key))
	if ended != 0 || s.stats.Ignored != 6 {
		t.Errorf("ended %d times, ignored %d; want 0 and 6", ended, s.stats.Ignored)
	}
	s.onReply(now, id.String(), c.signed("", class, &good, c.key))
	s.onReply(now, id.String(), c.signed("", class, &good, c.key)) // a repeat
	if ended != 1 {
		t.Errorf("ended %d times, want once", ended)
	}
}

func TestConfigIsChecked(t *testing.T) {
	good := Config{Conn: &nats.Conn{}, Name: "w1", Kernel: hashing.BestKernel(), Threads: 1, Log: slog.Default()}
	for _, network := range []string{"", "dev", testNetwork, strings.Repeat("n", 32) + "-0123abcd"} {
		good.Network = network
		if _, err := New(good); err != nil {
			t.Errorf("New on network %q: %v", network, err)
		}
	}
	for name, spoil := range map[string]func(*Config){
		"no connection":      func(c *Config) { c.Conn = nil },
		"no log":             func(c *Config) { c.Log = nil },
		"no kernel":          func(c *Config) { c.Kernel = hashing.Kernel{} },
		"no threads":         func(c *Config) { c.Threads = 0 },
		"a dot in its name":  func(c *Config) { c.Name = "w.1" },
		"a wild coordinator": func(c *Config) { c.Coordinator = "*" },
		"a wild network":     func(c *Config) { c.Network = "*" },
		"a long network":     func(c *Config) { c.Network = strings.Repeat("n", 42) },
		"a key that is none": func(c *Config) { c.Key = "secret" },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := good
			spoil(&cfg)
			if _, err := New(cfg); err == nil {
				t.Error("no error")
			}
		})
	}
}

// TestFoundOnce has a coordinator answer twice, by then with another tip.
func TestFoundOnce(t *testing.T) {
	key, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	public, err := key.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	s := script(t, &lookalike{url: newNATS(t, 0).ClientURL()})
	now := time.Now()
	for _, height := range []string{"1", "2"} {
		answer := &nats.Msg{Data: []byte(`{"metadata":{"network":"` + testNetwork + `","name":"c1","key":"` + public + `","height":"` + height + `"}}`)}
		if err := s.onAnswer(now, answer); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := s.search.found, []protocol.Found{{Network: testNetwork, Name: "c1", Key: public}}; !slices.Equal(got, want) {
		t.Errorf("found are %+v, want %+v", got, want)
	}
}
