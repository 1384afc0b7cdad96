package coordinator

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/coordinator/access"
	"github.com/jbcnet/jbc/coordinator/protocol"
)

// TestInventedProcesses has one machine send bad messages, each under another name of
// its own: the machine is dropped and cut off, and the one beside it is not.
func TestInventedProcesses(t *testing.T) {
	l := startLodge(t)
	bad, good := newKey(t), newKey(t)
	l.enrol(l.newToken(protocol.RoleWorker), bad, "bad")
	l.enrol(l.newToken(protocol.RoleWorker), good, "good")
	beside := l.dial(good, "good_1")
	sent := 0
	for dropped := false; !dropped; sent++ {
		if sent > 2*maxBad {
			t.Fatalf("after %d bad messages under as many names nobody is dropped", sent)
		}
		name := fmt.Sprintf("bad_%d", sent)
		conn, err := tryDial(t, l.broker.URL(), bad, name, nats.Secure(tlsOf(t, l.certs)), nats.TLSHandshakeFirst())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Request(l.subjects.Ask("alpha", name), []byte("{"), patience); err != nil && !conn.IsClosed() { // as it is when it is dropped
			t.Fatalf("message %d: %v", sent, err)
		}
		conn.Close()
		l.mu.Lock()
		drops := l.limits.Dropped(time.Now())
		l.mu.Unlock()
		if dropped = len(drops) == 1; dropped && drops[0].name != "bad" {
			t.Errorf("dropped %s, want the machine", drops[0].name)
		}
	}
	wait(t, "refusal of the machine", func() bool {
		conn, err := tryDial(t, l.broker.URL(), bad, "bad_new", nats.Secure(tlsOf(t, l.certs)), nats.TLSHandshakeFirst())
		conn.Close()
		return errors.Is(err, nats.ErrAuthorization)
	})
	if err := beside.FlushTimeout(patience); err != nil {
		t.Errorf("the machine beside it: %v", err)
	}
}

// TestConnectionsOfAMachine lets a machine have so many, and others come in.
func TestConnectionsOfAMachine(t *testing.T) {
	b := startSecureBroker(t)
	many, other := b.join(t, protocol.RoleWorker, "many"), b.join(t, protocol.RoleWorker, "other")
	secure := []nats.Option{nats.Secure(tlsOf(t, b.certs)), nats.TLSHandshakeFirst()}
	var conns []*nats.Conn
	for i := range maxOfKey {
		conns = append(conns, dialWith(t, b.URL(), many, fmt.Sprintf("many_%d", i), secure...))
	}
	if _, err := tryDial(t, b.URL(), many, "many_x", secure...); !errors.Is(err, nats.ErrAuthorization) {
		t.Errorf("one too many: %v, want %v", err, nats.ErrAuthorization)
	}
	dialWith(t, b.URL(), other, "other_1", secure...)
	if n := b.Online(publicKey(t, many)); n != maxOfKey {
		t.Errorf("%d are online, want %d", n, maxOfKey)
	}
	conns[0].Close()
	wait(t, "place", func() bool {
		_, err := tryDial(t, b.URL(), many, "many_x", secure...)
		return err == nil
	})
	b.gate.mu.Lock()
	defer b.gate.mu.Unlock()
	for id, l := range b.gate.logins {
		if !b.gate.ofKey[l.key][id] {
			t.Errorf("login %d of %s is not counted", id, l.process)
		}
	}
}

// TestSlotsOfAMachine joins under more names than a machine has processes: its oldest
// slots go, and the other machine's stays.
func TestSlotsOfAMachine(t *testing.T) {
	f := newFarm("alpha", chain.Regtest(), 1, protocol.MachineOf)
	started, _ := f.Start(testStart, newTemplates(t).On("A", 1e12, testStart))
	f.Book(testStart, started)
	join := func(name string) {
		t.Helper()
		if reply := f.Join(testStart, protocol.Join{Name: name, DeclaredHS: 1e6}, agreedWith(name)); reply.Code != protocol.OK {
			t.Fatal(reply.Code)
		}
	}
	join("other")
	for i := range 3 * maxOfMachine {
		join(fmt.Sprintf("m_%d", i))
	}
	if got := len(f.roster.OwnedBy("m")); got != maxOfMachine || len(f.roster.slots) != maxOfMachine+1 {
		t.Errorf("%d slots of the machine, %d in all, want %d and one more", got, len(f.roster.slots), maxOfMachine)
	}
	if len(f.roster.Of("m_0")) != 0 || len(f.roster.Of(fmt.Sprintf("m_%d", 3*maxOfMachine-1))) != 1 || len(f.roster.Of("other")) != 1 {
		t.Error("the oldest slots stay, or the newest do not")
	}
	f.Drop("m_0")
	if len(f.roster.slots) != 1 || len(f.roster.byOwner) != 1 || len(f.roster.byName) != 1 {
		t.Errorf("dropped: %d slots, %d owners, %d names", len(f.roster.slots), len(f.roster.byOwner), len(f.roster.byName))
	}
}

// TestProcessesOfAMachine starts as many as a large machine has at once, and runs
// them for a while: all that they send is answered.
func TestProcessesOfAMachine(t *testing.T) {
	const processes = 16
	l := newLimits(ofMachine)
	send := func(now time.Time, kind string) {
		t.Helper()
		if code := l.Admit(now, "m"); code != protocol.OK {
			t.Fatalf("%s after %v: %v", kind, now.Sub(testStart), code)
		}
		if !l.AdmitKind(now, "m", kind) {
			t.Fatalf("%s after %v: limited", kind, now.Sub(testStart))
		}
	}
	for range processes { // each joins twice: the first answer came too late
		send(testStart, protocol.KindJoin)
		send(testStart, protocol.KindJoin)
		for range 16 {
			send(testStart, protocol.KindShare)
		}
	}
	for at := 500 * time.Millisecond; at < time.Minute; at += 500 * time.Millisecond {
		for range processes {
			for _, kind := range []string{protocol.KindProgress, protocol.KindLease, protocol.KindCurrent, protocol.KindJoin} {
				send(testStart.Add(at), kind)
			}
			for range 12 { // 24 a second, of which one is usual
				send(testStart.Add(at), protocol.KindShare)
			}
		}
	}
}

// TestLargeSolutions has one worker publish the largest messages that the server takes
// as solutions: nobody who listens is cut off, the coordinator least of all.
func TestLargeSolutions(t *testing.T) {
	l := startLodge(t)
	machine, bad := newKey(t), newKey(t)
	l.enrol(l.newToken(protocol.RoleWorker), machine, "rig")
	l.enrol(l.newToken(protocol.RoleWorker), bad, "bad")
	listen := func(conn *nats.Conn) {
		if _, err := conn.Subscribe(l.subjects.SolvedAny(), func(*nats.Msg) {}); err != nil {
			t.Fatal(err)
		}
		if err := conn.FlushTimeout(patience); err != nil {
			t.Fatal(err)
		}
	}
	var all []*nats.Conn
	for i := range 50 {
		all = append(all, l.dial(machine, fmt.Sprintf("rig_%d", i)))
		listen(all[i])
	}
	sender := l.dial(bad, "bad")
	data := []byte(strings.Repeat("x", int(sender.MaxPayload())))
	for range 200 {
		_ = sender.Publish(l.subjects.Solved("bad"), data) // it may be cut off meanwhile
	}
	_ = sender.FlushTimeout(patience)
	wait(t, "end of the sender", sender.IsClosed)
	for i, conn := range all {
		if err := conn.FlushTimeout(patience); err != nil {
			t.Errorf("listener %d: %v", i, err)
		}
	}
	if n := l.conn.Stats().Reconnects; n != 0 || !l.conn.IsConnected() {
		t.Errorf("the coordinator was cut off %d times", n)
	}
}

// TestPayScriptFitsAJob refuses what would not fit in a job, at the start.
func TestPayScriptFitsAJob(t *testing.T) {
	n := openNode(t, nodeConfig{url: startBroker(t).URL()})
	defer func() { n.conn.Close(); _ = n.store.Close() }()
	for size, ok := range map[int]bool{protocol.MaxPayScript: true, protocol.MaxPayScript + 1: false} {
		cfg := n.Coordinator.cfg
		cfg.PayScript = make([]byte, size)
		if _, err := New(cfg); (err == nil) != ok {
			t.Errorf("a script of %d bytes: %v", size, err)
		}
		if !ok {
			continue
		}
		cfg.Name, cfg.Data = strings.Repeat("n", 32), strings.Repeat("d", 32)
		template, err := cfg.Chain.Template(time.Now(), chain.TemplateOptions{PayScript: cfg.PayScript, Miner: cfg.Name, Data: cfg.Data, Tag: randomTag()})
		if err != nil {
			t.Fatal(err)
		}
		j := newJob(protocol.KindJob, cfg.Name, protocol.JobID{Epoch: 1, Number: 1}, template, time.Second, 1, time.Now())
		if err := j.Validate(); err != nil {
			t.Errorf("the job that pays to it: %v", err)
		}
	}
	if access.MaxPending < 16*access.MaxPayload {
		t.Errorf("%d bytes may wait, and a message has up to %d", access.MaxPending, access.MaxPayload)
	}
}

// TestFullStatus has the largest workers and drops that there can be: each page fits in
// a message, and each worker is on one.
func TestFullStatus(t *testing.T) {
	var drops []*drop
	for i := range maxShownDrops {
		reasons := map[protocol.Code]uint64{}
		for code := range badness {
			reasons[code] = 1 << 60
		}
		drops = append(drops, &drop{name: fmt.Sprintf("%032d", i), until: testStart, times: 1 << 30, reasons: reasons})
	}
	refused := map[protocol.Code]uint64{}
	for code := protocol.Code(0); code < 1000; code++ {
		if !strings.HasPrefix(code.String(), "code ") {
			refused[code] = 1<<64 - 1
		}
	}
	text := strings.Repeat("<", 64) // six characters each in JSON
	seen := uint32(0)
	const workers = 100
	for from := uint32(0); ; {
		st := &protocol.Status{
			Network: strings.Repeat("n", 41), Chainwork: strings.Repeat("f", 64), Coordinator: strings.Repeat("c", 32),
			Key: strings.Repeat("U", 56), Version: text, Refused: refused, Dropped: droppedStatus(drops),
			Race: protocol.Race{
				Taken: 1 << 63, Reorgs: 1 << 63, DeepestReorg: 1 << 31, LostMS: 1.2345678901234567e17, LostHashes: 1.2345678901234567e17,
				Followed: protocol.FollowedMS{Count: 1 << 63, Median: 1.2345678901234567e17, P99: 1.2345678901234567e17},
			},
		}
		if from == 0 {
			st.Others = hostileOthers()
		}
		for i := from; i < workers; i++ {
			if len(st.Workers) == statusWorkers {
				st.Next = i
				break
			}
			w := protocol.WorkerStatus{
				Name: fmt.Sprintf("%032d", i), Slot: i, Host: text, Version: text, Kernel: text, Threads: 1 << 16, DeclaredHS: 1.2345678901234567e17,
				MeasuredHS: 1.2345678901234567e17, MeasuredErr: 0.12345678901234567, Shares: 1 << 63, Blocks: 1 << 63, Refused: 1 << 63, HeardMS: 1 << 40,
			}
			for range statusLeases {
				w.Leases = append(w.Leases, protocol.LeaseStatus{Lease: protocol.Lease{ID: 1 << 63, First: 1 << 63, Points: 1 << 62, ExpiresMS: 2750}, Done: 1 << 62})
			}
			for range protocol.MaxDevices {
				w.Devices = append(w.Devices, protocol.Device{Name: strings.Repeat("n", 40), State: strings.Repeat("s", 16), RateHS: 1.2345678901234567e17, Shares: 1 << 63})
			}
			st.Workers = append(st.Workers, w)
		}
		fitStatus(st)
		reply := protocol.StatusReply{Reply: protocol.Reply{Kind: protocol.KindStatus, ID: 1 << 63}, Status: st}
		if n := len(protocol.Encode(&reply)); n > protocol.MaxMessage {
			t.Fatalf("a page of %d bytes, at most %d", n, protocol.MaxMessage)
		}
		if from == 0 && (len(st.Others) < 5 || len(st.Others) > protocol.MaxListed || st.Known != 512) {
			t.Fatalf("%d others of %d", len(st.Others), st.Known)
		}
		if len(st.Workers) == 0 || len(st.Dropped) == 0 {
			t.Fatalf("page from %d: %d workers, %d dropped", from, len(st.Workers), len(st.Dropped))
		}
		for _, w := range st.Workers {
			if w.Slot != seen {
				t.Fatalf("slot %d on the page from %d, want %d", w.Slot, from, seen)
			}
			seen++
		}
		if from = st.Next; from == 0 {
			break
		}
	}
	if seen != workers {
		t.Errorf("%d workers on all pages, want %d", seen, workers)
	}
}

// TestWhomLimitsGoBy tells machines from workers where the server does.
func TestWhomLimitsGoBy(t *testing.T) {
	n := openNode(t, nodeConfig{url: startBroker(t).URL()})
	defer func() { n.conn.Close(); _ = n.store.Close() }()
	for _, tt := range []struct {
		name   string
		change func(*Config)
		want   string
		each   measure
	}{
		{"a server that knows names", func(*Config) {}, "rig_1", ofProcess},
		{"a server where machines join", func(c *Config) { c.Access = &Access{} }, "rig", ofMachine},
		{"such a one of another coordinator", func(c *Config) { c.Machines = true }, "rig", ofMachine},
	} {
		cfg := n.Coordinator.cfg
		tt.change(&cfg)
		c, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.owner("rig_1"); got != tt.want || c.limits.each != tt.each {
			t.Errorf("%s: limits go by %q, want %q", tt.name, got, tt.want)
		}
	}
}
