package coordinator

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nkeys"

	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/coordinator/peers"
	"github.com/jbcnet/jbc/coordinator/protocol"
)

// labelKey returns the key that goes by a label, always the same one.
func labelKey(t testing.TB, label string) nkeys.KeyPair {
	t.Helper()
	raw := sha256.Sum256([]byte(label))
	key, err := nkeys.FromRawSeed(nkeys.PrefixByteUser, raw[:])
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// saidAt returns what a node of that name says, with the key of that label, so long
// after the beginning.
func saidAt(t testing.TB, name, label string, after time.Duration) protocol.Node {
	t.Helper()
	key := labelKey(t, label)
	public, err := key.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	n := protocol.Node{
		Network: chain.Regtest().ID(), Name: name, Key: public, Mesh: public, Routes: []string{name + ".example:6222"},
		Said: testStart.Add(after).UnixMilli(),
	}
	if n.Proof, err = key.Sign(n.Proven()); err != nil {
		t.Fatal(err)
	}
	return n
}

func anybody(*protocol.Node) bool { return true }

// TestTakeNodes tells a node's book of one thing after another.
func TestTakeNodes(t *testing.T) {
	forged := saidAt(t, "beta", "beta", time.Hour)
	forged.Routes = []string{"192.0.2.66:6222"}
	elsewhere := saidAt(t, "beta", "beta", 0)
	elsewhere.Network = "dev-1a2b3c4d"
	known := func(n *protocol.Node) bool { // as a keeper would know them
		for _, name := range []string{"beta", "gamma"} {
			if public, _ := labelKey(t, name).PublicKey(); n.Mesh == public {
				return protocol.OwnsName(name, n.Name)
			}
		}
		return false
	}
	for _, tt := range []struct {
		name string
		told []protocol.Node
		want taken // of the last
		bad  bool
		said time.Duration // of beta after that, -1 where it is not known
	}{
		{"a node", []protocol.Node{saidAt(t, "beta", "beta", 0)}, isNews, false, 0},
		{"the same again", []protocol.Node{saidAt(t, "beta", "beta", 0), saidAt(t, "beta", "beta", 0)}, noNews, false, 0},
		{"said later", []protocol.Node{saidAt(t, "beta", "beta", 0), saidAt(t, "beta", "beta", time.Hour)}, isNews, false, time.Hour},
		{"said earlier", []protocol.Node{saidAt(t, "beta", "beta", time.Hour), saidAt(t, "beta", "beta", 0)}, noNews, false, time.Hour},
		{"said a month ago", []protocol.Node{saidAt(t, "beta", "beta", -nodeLife)}, isNews, false, -nodeLife},
		{"said before that", []protocol.Node{saidAt(t, "beta", "beta", -nodeLife-time.Millisecond)}, noNews, false, -1},
		{"another key under a name that it stole", []protocol.Node{saidAt(t, "beta", "beta", 0), saidAt(t, "beta", "thief", time.Hour)}, noMatter, false, 0},
		{"another name under a key that is known", []protocol.Node{saidAt(t, "beta", "gamma", 0)}, noMatter, false, -1},
		{"a key that nobody knows", []protocol.Node{saidAt(t, "delta", "delta", 0)}, noMatter, false, -1},
		{"a forged proof", []protocol.Node{forged}, noNews, true, -1},
		{"of another network", []protocol.Node{elsewhere}, noNews, true, -1},
		{"another name of one key, later", []protocol.Node{saidAt(t, "beta", "beta", 0), saidAt(t, "beta_1", "beta", time.Hour)}, isNews, false, -1},
		{"another name of one key, earlier", []protocol.Node{saidAt(t, "beta", "beta", 0), saidAt(t, "beta_1", "beta", -time.Hour)}, noNews, false, 0},
		{"its first name again", []protocol.Node{saidAt(t, "beta_1", "beta", 0), saidAt(t, "beta", "beta", time.Hour)}, isNews, false, time.Hour},
		{"itself, as it knows", []protocol.Node{saidAt(t, "alpha", "alpha", 0)}, noNews, false, -1},
		{"itself, earlier", []protocol.Node{saidAt(t, "alpha", "alpha", -time.Hour)}, noNews, false, -1},
		{"itself, later than it knows", []protocol.Node{saidAt(t, "alpha", "alpha", time.Hour)}, newerSelf, false, -1},
		{"itself under another name", []protocol.Node{saidAt(t, "beta", "alpha", time.Hour)}, noNews, false, -1},
		{"another under its own name", []protocol.Node{saidAt(t, "alpha", "beta", time.Hour)}, noNews, false, -1},
	} {
		b := newNodeBook(saidAt(t, "alpha", "alpha", 0))
		var did taken
		var err error
		for i := range tt.told {
			did, err = b.Take(testStart, &tt.told[i], known)
		}
		said := time.Duration(-1)
		if k, ok := b.known["beta"]; ok {
			said = time.UnixMilli(k.Node.Said).Sub(testStart)
		}
		if len(b.known) > 1 {
			t.Errorf("%s: %d nodes of one key are known", tt.name, len(b.known))
		}
		if did != tt.want || (err != nil) != tt.bad || said != tt.said {
			t.Errorf("%s: %v, %v, beta said it at %v, want %v, bad %v, %v", tt.name, did, err, said, tt.want, tt.bad, tt.said)
		}
	}
	b := newNodeBook(saidAt(t, "alpha", "alpha", 0))
	if _, err := b.Take(testStart, &forged, known); !errors.Is(err, protocol.ErrProof) {
		t.Errorf("a forged proof: %v, want %v", err, protocol.ErrProof)
	}
}

// TestTakeNodesInAnyOrder ends with the same nodes whoever is heard first.
func TestTakeNodesInAnyOrder(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6)) // fixed seed: failures repeat
	var all []protocol.Node
	for i := range 30 {
		n := saidAt(t, fmt.Sprint("n", i%5), fmt.Sprint("n", i%5), time.Duration(i%3)*time.Hour)
		n.Addresses = []string{fmt.Sprintf("192.0.2.%d:4222", i)} // said otherwise at the same time
		proof, err := labelKey(t, n.Name).Sign(n.Proven())
		if err != nil {
			t.Fatal(err)
		}
		n.Proof = proof
		all = append(all, n)
	}
	var want []protocol.Node
	for try := range 20 {
		b := newNodeBook(saidAt(t, "alpha", "alpha", 0))
		rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		for _, n := range append(slices.Clone(all), all[:rng.IntN(30)]...) {
			if _, err := b.Take(testStart, &n, anybody); err != nil {
				t.Fatal(err)
			}
		}
		got := b.Others()
		if try == 0 {
			want = got
		} else if jsonOf(t, got) != jsonOf(t, want) {
			t.Fatalf("try %d: %s\nwant %s", try, jsonOf(t, got), jsonOf(t, want))
		}
	}
}

// TestForgetNodes forgets who is silent for a month, by the clock here, and who does
// not count any more.
func TestForgetNodes(t *testing.T) {
	b := newNodeBook(saidAt(t, "alpha", "alpha", 0))
	for name, after := range map[string]time.Duration{"early": -time.Hour, "now": 0, "future": 1000 * time.Hour} {
		n := saidAt(t, name, name, after)
		if did, err := b.Take(testStart, &n, anybody); did != isNews || err != nil {
			t.Fatalf("%s: %v, %v", name, did, err)
		}
	}
	for _, step := range []struct {
		after  time.Duration
		counts vouch
		want   string
	}{
		{nodeLife - time.Hour, anybody, ""},
		{nodeLife - time.Hour + time.Millisecond, anybody, "early"},
		{nodeLife - time.Hour + time.Millisecond, func(n *protocol.Node) bool { return n.Name != "now" }, "now"},
		{nodeLife, anybody, ""},
		{nodeLife + time.Millisecond, anybody, "future"},
	} {
		before := b.count
		b.Forget(testStart.Add(step.after), step.counts)
		if got := strings.Join(b.Gone(), " "); got != step.want || (b.count > before) != (got != "") {
			t.Errorf("after %v: forgot %q, want %q, counted %d after %d", step.after, got, step.want, b.count, before)
		}
	}
}

// TestRoomForNodes keeps 64, and forgets one for another that was silent for days.
func TestRoomForNodes(t *testing.T) {
	b := newNodeBook(saidAt(t, "alpha", "alpha", 0))
	take := func(now time.Time, name string, after time.Duration) taken {
		t.Helper()
		n := saidAt(t, name, name, after)
		did, err := b.Take(now, &n, anybody)
		if err != nil {
			t.Fatal(err)
		}
		return did
	}
	for i := range maxNodes {
		take(testStart, fmt.Sprint("n", i), -time.Duration(i)*time.Minute)
	}
	full := testStart.Add(nodeQuiet - 63*time.Minute)
	if did := take(full, "late", 0); did != noMatter || len(b.known) != maxNodes {
		t.Errorf("one more: %v, %d are known", did, len(b.known))
	}
	if did := take(full, "n0", time.Hour); did != isNews {
		t.Errorf("one that is known: %v", did)
	}
	if did := take(full.Add(time.Millisecond), "late", 0); did != isNews || len(b.known) != maxNodes {
		t.Errorf("when one was silent for days: %v, %d are known", did, len(b.known))
	}
	if got := b.Gone(); len(got) != 1 || got[0] != "n63" {
		t.Errorf("forgotten for it: %v, want n63", got)
	}
}

// TestNodePages tells of the node itself, then of all others once, by name.
func TestNodePages(t *testing.T) {
	for others := range 12 {
		b := newNodeBook(saidAt(t, "mid", "mid", 0))
		want := []string{"mid"}
		for i := range others {
			name := fmt.Sprintf("n%02d", i)
			if i%2 == 0 {
				name = fmt.Sprintf("a%02d", i)
			}
			n := saidAt(t, name, name, 0)
			if _, err := b.Take(testStart, &n, anybody); err != nil {
				t.Fatal(err)
			}
			want = append(want, name)
		}
		slices.Sort(want[1:])
		var got []string
		for after, first := "", true; first || after != ""; first = false {
			page, next := b.Page(after)
			if len(page) > protocol.MaxNodes || next != "" && len(page) != protocol.MaxNodes || next != "" && next <= after {
				t.Fatalf("after %q: %d nodes, next %q", after, len(page), next)
			}
			for _, n := range page {
				got = append(got, n.Name)
			}
			after = next
		}
		if !slices.Equal(got, want) {
			t.Errorf("%d others: %v, want %v", others, got, want)
		}
	}
}

// TestFit leaves out the least likely addresses of what is too much to say.
func TestFit(t *testing.T) {
	long := strings.Repeat("x", 195) + ":4222" // 200 bytes
	for _, tt := range []struct{ addresses, routes, wantAddresses, wantRoutes int }{
		{0, 0, 0, 0}, {2, 3, 2, 3}, {8, 0, 5, 0}, {0, 9, 0, 5}, {8, 8, 3, 2}, {1, 8, 1, 4},
	} {
		a, r := fit(slices.Repeat([]string{long}, tt.addresses), slices.Repeat([]string{long}, tt.routes))
		if len(a) != tt.wantAddresses || len(r) != tt.wantRoutes {
			t.Errorf("%d and %d: %d and %d left, want %d and %d", tt.addresses, tt.routes, len(a), len(r), tt.wantAddresses, tt.wantRoutes)
		}
	}
	if a, _ := fit(slices.Repeat([]string{"h:1"}, 20), nil); len(a) != protocol.MaxAddresses {
		t.Errorf("20 short ones: %d left", len(a))
	}
}

// TestAskPlan asks each whose book is another than it was asked for, once at a time
// and not too often.
func TestAskPlan(t *testing.T) {
	p := newAskPlan()
	beta, gamma := peers.Peer{Name: "beta", Key: "B"}, peers.Peer{Name: "gamma", Key: "C"}
	now := testStart
	due := func(what, want string, others ...peers.Peer) []asking {
		t.Helper()
		var names []string
		all := p.Due(now, others)
		for _, a := range all {
			names = append(names, fmt.Sprint(a.peer.Name, " ", a.book, " ", uint64(a.from.after)))
		}
		if got := strings.Join(names, ", "); got != want {
			t.Fatalf("%s: asks %q, want %q", what, got, want)
		}
		return all
	}
	due("nobody was heard", "", beta, gamma)
	if !p.Heard("beta", "B", "1", false) || !p.Heard("gamma", "C", "1", false) {
		t.Error("news are none")
	}
	due("one that is ignored", "beta 1 0", beta)
	due("both", "gamma 1 0", beta, gamma)
	if p.Heard("beta", "B", "2", false); p.asking != 2 {
		t.Errorf("%d are asked, want 2", p.asking)
	}
	p.Done(now, asking{beta, "1", machinesFrom{}, false}, machinesFrom{7, 5}, true, false)
	p.Done(now, asking{gamma, "1", machinesFrom{}, false}, machinesFrom{}, false, true)
	due("at once again", "", beta, gamma)
	if got := p.Next(now); !got.Equal(now.Add(askRest)) {
		t.Errorf("next %v, want in %v", got.Sub(now), askRest)
	}
	now = now.Add(askRest)
	due("what changed meanwhile", "beta 2 5", beta, gamma)
	p.Done(now, asking{beta, "2", machinesFrom{}, false}, machinesFrom{7, 6}, true, false)
	if p.Heard("beta", "B", "2", false) {
		t.Error("what was asked for is news")
	}
	if got := p.Next(now); !got.Equal(testStart.Add(askRetry)) {
		t.Errorf("next %v, want gamma's", got.Sub(testStart))
	}
	p.Trusted()
	due("when more is trusted", "gamma 1 0", beta, gamma)
	p.Done(now, asking{gamma, "1", machinesFrom{}, false}, machinesFrom{}, false, false)
	p.Trusted()
	due("a failure that has nothing to do with it", "", beta, gamma)
	p.Heard("beta", "another", "2", false)
	due("of another key", "", beta)
	due("everything of another key", "beta 2 0", peers.Peer{Name: "beta", Key: "another"})
	p.Keep(func(string) bool { return false })
	if len(p.nodes) != 1 {
		t.Errorf("%d are kept, want the one that is asked", len(p.nodes))
	}
	for i := range 3 * maxAsking {
		p.Heard(fmt.Sprint("n", i), "K", "1", false)
	}
	var many []peers.Peer
	for i := range 3 * maxAsking {
		many = append(many, peers.Peer{Name: fmt.Sprint("n", i), Key: "K"})
	}
	if got := len(p.Due(now, many)); got != maxAsking-1 {
		t.Errorf("%d are asked at once beside one, want %d", got, maxAsking-1)
	}
}

// TestAskPlanPinged asks nobody more than once a second because of pings, which anybody
// can make up, and yet what changed within about a second.
func TestAskPlanPinged(t *testing.T) {
	p, beta := newAskPlan(), peers.Peer{Name: "beta", Key: "B"}
	questions := 0
	for i := range 1000 { // a ping every 10 ms
		now := testStart.Add(time.Duration(i) * 10 * time.Millisecond)
		p.Heard("beta", "B", fmt.Sprint("made up ", i), true)
		for _, a := range p.Due(now, []peers.Peer{beta}) {
			questions++
			p.Done(now, a, a.from, true, false)
		}
	}
	if questions != 10 {
		t.Errorf("%d questions in 10 s of pings, want 10", questions)
	}
	now := testStart.Add(time.Hour)
	p.Heard("beta", "B", "real", true)
	due := p.Due(now, []peers.Peer{beta})
	if len(due) != 1 {
		t.Fatal("the first ping in a while is not heeded at once")
	}
	p.Heard("beta", "B", "changed meanwhile", true)
	p.Done(now, due[0], due[0].from, true, false)
	if next := p.Next(now); !next.Equal(now.Add(pingRest)) || len(p.Due(next, []peers.Peer{beta})) != 1 {
		t.Errorf("what changed meanwhile is asked for after %v, want %v", next.Sub(now), pingRest)
	}
}

// TestRestoreNodes brings back one node of each key: what it said last.
func TestRestoreNodes(t *testing.T) {
	for _, names := range [][]string{{"beta", "beta_1", "gamma"}, {"gamma", "beta_1", "beta"}} {
		b := newNodeBook(saidAt(t, "alpha", "alpha", 0))
		var left []string
		for _, name := range names {
			after := map[string]time.Duration{"beta_1": time.Hour}[name]
			if !b.Restore(knownNode{Node: saidAt(t, name, protocol.MachineOf(name), after)}) {
				left = append(left, name)
			}
		}
		var got []string
		for _, n := range b.Others() {
			got = append(got, n.Name)
		}
		if off := append(b.Gone(), left...); strings.Join(got, " ") != "beta_1 gamma" || strings.Join(off, " ") != "beta" {
			t.Errorf("%v: %v are known and %v to be taken off the disk, want beta_1 and gamma, and beta", names, got, off)
		}
	}
}

// TestNodeMoves: a node says where it is as soon as that changes, and stays where it
// was while it has no address.
func TestNodeMoves(t *testing.T) {
	var where []string
	key := newKey(t)
	cfg := &Config{Params: chain.Regtest(), Name: "alpha", Key: key, Node: &NodeConfig{
		Where: func() (addresses, routes []string) { return where, nil },
	}}
	s, err := newMeshSelf(cfg, publicKey(t, key))
	if err != nil {
		t.Fatal(err)
	}
	now, last := time.Unix(1_800_000_000, 0), protocol.Node{}
	for _, tt := range []struct {
		where, want string
		news        bool
	}{
		{"", "", true},
		{"192.0.2.7:4222", "192.0.2.7:4222", true},
		{"192.0.2.7:4222", "192.0.2.7:4222", false},
		{"", "192.0.2.7:4222", false},
		{"198.51.100.9:4222", "198.51.100.9:4222", true},
		{"", "198.51.100.9:4222", false},
	} {
		now = now.Add(time.Minute)
		where = strings.Fields(tt.where)
		own, news, err := s.restated(now, s.ownNow(last), last, last.Said-1)
		if got := strings.Join(own.Addresses, " "); err != nil || news != tt.news || got != tt.want || own.Check() != nil {
			t.Errorf("at %q: says %q, news %v (%v, %v), want %q, %v", tt.where, got, news, err, own.Check(), tt.want, tt.news)
		}
		last = own
	}
}
