package coordinator

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/coordinator/access"
	"github.com/jbcnet/jbc/coordinator/protocol"
	"github.com/jbcnet/jbc/hashing"
)

// TestBadMessages sends everything that is none, to every subject: each is counted
// and refused with its number, and the coordinator serves on.
func TestBadMessages(t *testing.T) {
	broker := startBroker(t)
	n := startNode(t, nodeConfig{url: broker.URL(), unlimited: true})
	h := newHand(n, broker.URL(), "w1")
	job := h.work()
	ask, get := h.subjects.Ask("alpha", "w1"), h.subjects.Get("alpha")
	const id = `"id":"00000000000000ab"`
	exchange := `,"exchange":"` + strings.Repeat("09", 32) + `"`
	dud := h.dud(job)
	unknown := dud
	unknown.Number = 99
	want := map[protocol.Code]uint64{}
	for _, tt := range []struct {
		name, subject, data string
		want                protocol.Code
		kind                string // that the reply repeats, with the id
	}{
		{"nothing", ask, ``, protocol.Malformed, ""},
		{"no JSON", ask, `join`, protocol.Malformed, ""},
		{"null", ask, `null`, protocol.Malformed, ""},
		{"no kind", ask, `{}`, protocol.Malformed, ""},
		{"nested deeply", ask, strings.Repeat(`[`, maxAsk), protocol.Malformed, ""},
		{"a byte too many", ask, strings.Repeat(`[`, maxAsk+1), protocol.Oversized, ""},
		{"a byte too many to ask", get, strings.Repeat(" ", maxGet+1), protocol.Oversized, ""},
		{"too large", ask, `{"kind":"join","name":"` + strings.Repeat("x", protocol.MaxMessage) + `"}`, protocol.Oversized, ""},
		{"as large as the server takes", ask, strings.Repeat("x", access.MaxPayload), protocol.Oversized, ""},
		{"a kind of the future", ask, `{"kind":"teleport",` + id + `}`, protocol.UnknownKind, "teleport"},
		{"an observer's kind", ask, `{"kind":"status",` + id + `}`, protocol.UnknownKind, "status"},
		{"a join of the wrong type", ask, `{"kind":"join",` + id + `,"name":1}`, protocol.Malformed, "join"},
		{"a join of nobody", ask, `{"kind":"join",` + id + `}`, protocol.Malformed, "join"},
		{"a join of somebody else", ask, `{"kind":"join",` + id + `,"name":"w2"` + exchange + `}`, protocol.Malformed, "join"},
		{"a join at a rate below nothing", ask, `{"kind":"join",` + id + `,"name":"w1","declared_hs":-1` + exchange + `}`, protocol.Malformed, "join"},
		{"a join at a rate beyond bounds", ask, `{"kind":"join",` + id + `,"name":"w1","declared_hs":1e300` + exchange + `}`, protocol.Malformed, "join"},
		{"a join without an exchange", ask, `{"kind":"join",` + id + `,"name":"w1"}`, protocol.Malformed, "join"},
		{"a join whose exchange makes no secret", ask, `{"kind":"join",` + id + `,"name":"w1","exchange":"` + strings.Repeat("00", 32) + `"}`, protocol.Malformed, "join"},
		{"a question of no slot", ask, `{"kind":"current",` + id + `,"epoch":1,"number":1,"slot":77}`, protocol.UnknownSlot, "current"},
		{"a question of another epoch", ask, `{"kind":"current",` + id + `,"epoch":9,"number":1,"slot":0}`, protocol.UnknownSlot, "current"},
		{"progress of no slot", ask, `{"kind":"progress",` + id + `,"epoch":1,"number":1,"slot":77}`, protocol.UnknownSlot, "progress"},
		{"progress beyond the lease", ask, `{"kind":"progress",` + id + `,"epoch":1,"number":1,"slot":0,"leases":[{"lease":1,"done":18446744073709551615}]}`, protocol.Malformed, "progress"},
		{"progress of many leases", ask, `{"kind":"progress",` + id + `,"epoch":1,"number":1,"slot":0,"leases":[` + strings.Repeat(`{},`, 64) + `{}]}`, protocol.Malformed, "progress"},
		{"a share of no job", ask, `{"kind":"share",` + id + `,"slot":0}`, protocol.Malformed, "share"},
		{"a share at no place", ask, `{"kind":"share",` + id + `,"epoch":1,"number":1,"slot":0}`, protocol.UnknownTerms, "share"},
		{"a solution of no job", ask, `{"kind":"solution",` + id + `}`, protocol.Malformed, "solution"},
		{"a solution of an unknown job", ask, jsonOf(t, claimAt(unknown)), protocol.UnknownJob, "solution"},
		{"a solution below no target", ask, jsonOf(t, claimAt(dud)), protocol.HighHash, "solution"},
		{"a solution of a roll too many", ask, jsonOf(t, claimAt(protocol.Place{JobID: dud.JobID, Point: dud.Point, Roll: 16})), protocol.Malformed, "solution"},
		{"an observer who says nothing", get, ``, protocol.Malformed, ""},
		{"an observer's kind of the future", get, `{"kind":"headers",` + id + `}`, protocol.UnknownKind, "headers"},
		{"a worker's kind", get, `{"kind":"join",` + id + `}`, protocol.UnknownKind, "join"},
		{"a block at a long place", get, `{"kind":"block",` + id + `,"at":"` + strings.Repeat("1", 65) + `"}`, protocol.Malformed, "block"},
		{"a block at no place", get, `{"kind":"block",` + id + `,"at":"-1"}`, protocol.Malformed, "block"},
		{"a block that is not there", get, `{"kind":"block",` + id + `,"at":"7"}`, protocol.NotFound, "block"},
		{"too large a question", get, strings.Repeat(" ", protocol.MaxMessage+1), protocol.Oversized, ""},
	} {
		secret := h.secret
		if len(tt.data) == access.MaxPayload {
			secret = nil // there is no room for a header
		}
		h.sendSealed(tt.subject, []byte(tt.data), secret)
		var reply protocol.Reply
		decode(t, h.next(h.inbox), &reply)
		wantID := protocol.Point(0)
		if tt.kind != "" {
			wantID = 0xab
		}
		if reply.Code != tt.want || reply.Kind != tt.kind || reply.ID != wantID {
			t.Errorf("%s: code %d (%s) to kind %q id %s, want %d to %q %s",
				tt.name, reply.Code, reply.Detail, reply.Kind, reply.ID, tt.want, tt.kind, wantID)
		}
		if reply.Detail == "" {
			t.Errorf("%s: refused without a word", tt.name)
		}
		want[tt.want]++
	}
	for _, data := range []string{`x`, `null`, strings.Repeat("x", protocol.MaxMessage+1)} {
		if err := h.conn.Publish(h.subjects.Solved("w1"), []byte(data)); err != nil {
			t.Fatal(err)
		}
	}
	want[protocol.Malformed] += 2
	want[protocol.Oversized]++
	// The two subjects are served side by side: a solution that is announced last
	// and taken says that the others were heard.
	p := h.solve(job)
	h.announce(h.solvedOf(job, p))
	h.nextBlock()
	if got := h.status().Refused; jsonOf(t, got) != jsonOf(t, want) {
		t.Errorf("refused %s, want %s", jsonOf(t, got), jsonOf(t, want))
	}
}

func claimAt(p protocol.Place) *protocol.Claim {
	return &protocol.Claim{Ask: protocol.Ask{Kind: protocol.KindSolution, ID: 0xab}, Place: p}
}

// TestMutantsHurtNobody floods a coordinator with messages that have random bytes
// changed: it answers each, and mines the next block as if nothing had been.
func TestMutantsHurtNobody(t *testing.T) {
	broker := startBroker(t)
	n := startNode(t, nodeConfig{url: broker.URL(), unlimited: true})
	h := newHand(n, broker.URL(), "w1")
	job := h.work()
	rng := rand.New(rand.NewPCG(9, 9))
	sit := protocol.Sitting{JobID: job.JobID, Slot: h.seat.Slot}
	originals := []protocol.Message{
		&protocol.Join{Ask: h.head(protocol.KindJoin), Name: "w1", DeclaredHS: 1, Exchange: someExchange(t)},
		&protocol.Current{Ask: h.head(protocol.KindCurrent), Sitting: sit},
		&protocol.Progress{Ask: h.head(protocol.KindProgress), Sitting: sit, Leases: []protocol.Done{{ID: 1, Points: 5}}, Want: 10},
		h.claim(protocol.KindShare, h.dud(job)),
		h.claim(protocol.KindSolution, h.dud(job)),
		&protocol.Get{Ask: h.head(protocol.KindBlock), At: "0"},
	}
	for range 3000 {
		data := protocol.Encode(originals[rng.IntN(len(originals))])
		for range 1 + rng.IntN(3) {
			data[rng.IntN(len(data))] = "0123456789abcdef{}[],:\"-. \x00\xff"[rng.IntN(28)]
		}
		subject := h.subjects.Ask("alpha", "w1")
		if rng.IntN(4) == 0 {
			subject = h.subjects.Get("alpha")
		}
		h.send(subject, data)
		h.next(h.inbox)
	}
	// Every second hash is a block here, so some mutants were blocks too.
	job = n.current(t)
	if answer := h.bring(h.solve(job)); answer.Code != protocol.OK || answer.Height != job.Height {
		t.Errorf("solution after the flood: %v at height %d, want ok at %d", answer.Code, answer.Height, job.Height)
	}
}

func someExchange(t *testing.T) protocol.Bytes {
	t.Helper()
	e, err := protocol.NewExchange()
	if err != nil {
		t.Fatal(err)
	}
	return e.Public()
}

// TestStatusPages lists many workers that call themselves what takes most room.
func TestStatusPages(t *testing.T) {
	broker := startBroker(t)
	n := startNode(t, nodeConfig{url: broker.URL()})
	h := newHand(n, broker.URL(), "w0")
	h.work()
	const workers = 300
	rng := rand.New(rand.NewPCG(1, 2))
	own, err := protocol.NewExchange()
	if err != nil {
		t.Fatal(err)
	}
	for i := 1; i < workers; i++ {
		w := &hand{t: t, node: n, name: "w" + strconv.Itoa(i), conn: h.conn, subjects: h.subjects, in: h.in, inbox: h.inbox}
		join := &protocol.Join{Ask: h.head(protocol.KindJoin), Name: w.name, DeclaredHS: 1e6, Exchange: own.Public()}
		if i%2 == 0 {
			join.Host, join.Kernel, join.Version = randomHostile(rng, 64), randomHostile(rng, 64), randomHostile(rng, 64)
		}
		var reply protocol.JoinReply
		w.ask(join, &reply)
		if reply.Code != protocol.OK {
			t.Fatal(reply.Code)
		}
		if w.secret, err = own.WorkerSecret(reply.Exchange); err != nil {
			t.Fatal(err)
		}
		for tries := 0; i%50 == 0; tries++ { // some have all the leases that they can get
			if tries > 100 {
				t.Fatal("there is no end to a slot's leases")
			}
			var more protocol.ProgressReply
			w.ask(&protocol.Progress{
				Ask: h.head(protocol.KindLease), Sitting: protocol.Sitting{JobID: reply.Job.JobID, Slot: reply.Slot}, Want: 1,
			}, &more)
			if len(more.Leases) == 0 {
				break
			}
		}
	}
	seen := map[uint32]bool{}
	pages := 0
	for from := uint32(0); ; pages++ {
		if pages > workers {
			t.Fatal("the pages do not end")
		}
		var reply protocol.StatusReply
		h.get(&protocol.Get{Ask: protocol.Ask{Kind: protocol.KindStatus}, From: from}, &reply)
		if reply.Code != protocol.OK {
			t.Fatalf("status from %d: %v", from, reply.Code)
		}
		for _, w := range reply.Status.Workers {
			if seen[w.Slot] {
				t.Errorf("slot %d is listed twice", w.Slot)
			}
			seen[w.Slot] = true
		}
		if reply.Status.Next == 0 {
			break
		}
		from = reply.Status.Next
	}
	if len(seen) != workers || pages < 2 {
		t.Errorf("%d workers on %d pages, want %d", len(seen), pages+1, workers)
	}
	var reply protocol.StatusReply
	h.get(&protocol.Get{Ask: protocol.Ask{Kind: protocol.KindStatus}, From: 1 << 30}, &reply)
	if reply.Code != protocol.OK || len(reply.Status.Workers) != 0 || reply.Status.Next != 0 {
		t.Errorf("beyond the last slot: %v, %d workers", reply.Code, len(reply.Status.Workers))
	}
}

// TestBlockLookup finds blocks by height and by hash, on the main chain and beside.
func TestBlockLookup(t *testing.T) {
	broker := startBroker(t)
	n := startNode(t, nodeConfig{url: broker.URL()})
	h := newHand(n, broker.URL(), "w1")
	job := h.work()
	first := h.solve(job)
	side := h.solveFrom(job, first.Point.Nonce()+1)
	for _, p := range []protocol.Place{first, side} {
		if answer := h.bring(p); answer.Code != protocol.OK {
			t.Fatal(answer.Code)
		}
	}
	tip, other := hashOf(job, first), hashOf(job, side)
	genesis := chain.Regtest().Genesis.Hash()
	address, _ := chain.AddressOf(chain.Regtest(), payScript)
	for _, tt := range []struct {
		name, at string
		want     protocol.Code
		hash     hashing.Hash
		main     bool
	}{
		{"the tip by height", "1", protocol.OK, tip, true},
		{"the tip by hash", tip.String(), protocol.OK, tip, true},
		{"the tip by hash in capitals", strings.ToUpper(tip.String()), protocol.OK, tip, true},
		{"genesis by height", "0", protocol.OK, genesis, true},
		{"genesis by hash", genesis.String(), protocol.OK, genesis, true},
		{"a side block by hash", other.String(), protocol.OK, other, false},
		{"beyond the tip", "2", protocol.NotFound, hashing.Hash{}, false},
		{"the highest height", "4294967295", protocol.NotFound, hashing.Hash{}, false},
		{"a height over 32 bits", "4294967296", protocol.Malformed, hashing.Hash{}, false},
		{"a hash that is not there", strings.Repeat("0", 64), protocol.NotFound, hashing.Hash{}, false},
		{"half a hash", tip.String()[:32], protocol.Malformed, hashing.Hash{}, false},
		{"a word", "tip", protocol.Malformed, hashing.Hash{}, false},
		{"nothing", "", protocol.Malformed, hashing.Hash{}, false},
		{"a sign", "+1", protocol.Malformed, hashing.Hash{}, false},
	} {
		var reply protocol.BlockReply
		h.get(&protocol.Get{Ask: protocol.Ask{Kind: protocol.KindBlock}, At: tt.at}, &reply)
		if reply.Code != tt.want {
			t.Errorf("%s: %v (%s), want %v", tt.name, reply.Code, reply.Detail, tt.want)
			continue
		}
		if reply.Code != protocol.OK {
			if reply.Block != nil || reply.Detail == "" {
				t.Errorf("%s: refused with %+v, %q", tt.name, reply.Block, reply.Detail)
			}
			continue
		}
		if b := reply.Block; b.Hash != tt.hash || b.Main != tt.main || b.Header.Hash() != tt.hash || b.Prev != b.Header.Prev() || len(b.Chainwork) != 64 {
			t.Errorf("%s: %+v", tt.name, b)
		}
		if b := reply.Block; b.Height == 1 && (b.Miner != "alpha" || b.Data != "data of alpha" || b.Address != address) {
			t.Errorf("%s: miner %q, data %q, address %q", tt.name, b.Miner, b.Data, b.Address)
		}
	}
}

// TestNameTaken starts a second coordinator of the same name and network.
func TestNameTaken(t *testing.T) {
	broker := startBroker(t)
	n := startNode(t, nodeConfig{url: broker.URL()})
	waitFound(t, n, broker.URL(), 1)
	second := launchNode(t, nodeConfig{url: broker.URL()})
	if err := second.ended(); !errors.Is(err, ErrNameTaken) {
		t.Errorf("Run = %v, want %v", err, ErrNameTaken)
	}
	// The same key is the same coordinator, whose last run the server still knows;
	// another name or another network is nobody's business.
	for _, cfg := range []nodeConfig{
		{url: broker.URL(), key: n.cfg.key},
		{url: broker.URL(), name: "beta"},
		{url: broker.URL(), params: chain.Dev()},
	} {
		other := startNode(t, cfg)
		answers := 1
		if cfg.key != nil {
			answers = 2
		}
		waitFound(t, other, broker.URL(), answers)
		if err := other.stop(); err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
	}
	h := newHand(n, broker.URL(), "w1")
	if answer := h.bring(h.solve(h.work())); answer.Code != protocol.OK {
		t.Errorf("the first one after all that: %v", answer.Code)
	}
}

// waitFound waits until discovery finds a coordinator, by that many answers.
func waitFound(t *testing.T, n *node, url string, answers int) {
	t.Helper()
	conn, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	inbox, err := conn.SubscribeSync(conn.NewInbox())
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		if err := conn.PublishRequest("$SRV.PING."+protocol.ServiceName, inbox.Subject, nil); err != nil {
			t.Fatal(err)
		}
		for {
			msg, err := inbox.NextMsg(50 * time.Millisecond)
			if err != nil {
				break // nobody else, for now
			}
			var ping micro.Ping
			if json.Unmarshal(msg.Data, &ping) == nil && ping.Metadata[protocol.MetaKey] == n.PublicKey() {
				seen[ping.ID] = true
			}
		}
		if len(seen) >= answers {
			break
		}
		select {
		case err := <-n.done:
			t.Fatalf("ended while it was waited for: %v", err)
		default:
		}
	}
	found, err := protocol.Discover(t.Context(), conn, 100*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	want := protocol.Found{Network: n.Network(), Name: n.cfg.name, Key: n.PublicKey()}
	if len(seen) < answers || !slices.ContainsFunc(found, func(f protocol.Found) bool { return f.Identity() == want }) {
		t.Fatalf("%+v answers %d times, want %d; found are %+v", want, len(seen), answers, found)
	}
}

// TestListenErrors refuses addresses that strangers reach, that are none, or that
// are taken.
func TestListenErrors(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, tt := range []struct {
		name, listen string
		want         error // nil: any
	}{
		{"every address", "0.0.0.0:0", ErrNotLoopback},
		{"every address, by leaving it out", ":0", ErrNotLoopback},
		{"every address of IPv6", "[::]:0", ErrNotLoopback},
		{"a foreign address", "192.0.2.1:4222", ErrNotLoopback},
		{"a foreign name", "example.com:4222", ErrNotLoopback},
		{"a name that begins well", "localhost.example.com:4222", ErrNotLoopback},
		{"no port", "127.0.0.1", nil},
		{"no number for a port", "127.0.0.1:nats", nil},
		{"a port beyond the last", "127.0.0.1:65536", nil},
		{"a port below the first", "127.0.0.1:-1", nil},
		{"nothing", "", nil},
		{"a taken port", taken.Addr().String(), nil},
	} {
		b, err := StartBroker(BrokerConfig{Listen: tt.listen, Name: "test", Log: testLog(t)})
		if err == nil {
			b.Stop()
			t.Errorf("%s: StartBroker(%q) listens", tt.name, tt.listen)
			continue
		}
		var listen *ListenError
		if !errors.As(err, &listen) || listen.Listen != tt.listen || tt.want != nil && !errors.Is(err, tt.want) {
			t.Errorf("%s: StartBroker(%q) = %v, want a ListenError, %v", tt.name, tt.listen, err, tt.want)
		}
	}
	for _, good := range []string{"127.0.0.1:0", "localhost:0", "127.9.8.7:0"} {
		b, err := StartBroker(BrokerConfig{Listen: good, Name: "test", Log: testLog(t)})
		if err != nil {
			t.Errorf("StartBroker(%q) = %v", good, err)
			continue
		}
		b.Stop()
	}
}
