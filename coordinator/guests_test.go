package coordinator

import (
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/jbcnet/jbc/coordinator/protocol"
)

// TestGuestsAreBounded counts how many questions of each kind are answered.
func TestGuestsAreBounded(t *testing.T) {
	for _, tt := range []struct {
		name                 string
		ask                  func(g *guests, now time.Time, i int) bool
		once, second, always int // answered at once, a second later, and after an hour
	}{
		{"a token", func(g *guests, now time.Time, _ int) bool { return g.Enrol(now, "UA", true) }, enrolBurst, 0, enrolBurst},
		{"tokens without proof", func(g *guests, now time.Time, i int) bool { return g.Enrol(now, fmt.Sprint(i), false) }, unprovenRate, unprovenRate, unprovenRate},
		{"an inbox", func(g *guests, now time.Time, i int) bool { return g.Get(now, fmt.Sprintf("_INBOX.desk.%d", i)) }, getBurst, getRate, getBurst},
		{"an inbox without a name", func(g *guests, now time.Time, _ int) bool { return g.Get(now, "_INBOX.x") }, getBurst, getRate, getBurst},
		{"invented inboxes", func(g *guests, now time.Time, i int) bool {
			return g.Get(now, fmt.Sprintf("_INBOX.%d-%d.x", now.UnixNano(), i))
		}, newGetBurst, newGetRate, newGetBurst},
	} {
		g := newGuests()
		for i, want := range []struct {
			after time.Duration
			n     int
		}{{0, tt.once}, {time.Second, tt.second}, {time.Hour, tt.always}} {
			answered := 0
			for i := range 3 * getBurst {
				if tt.ask(g, testStart.Add(want.after), i) {
					answered++
				}
			}
			if answered != want.n {
				t.Errorf("%s: %d answers in turn %d, want %d", tt.name, answered, i+1, want.n)
			}
		}
	}
}

// TestGuestsLeaveEachOtherAlone uses up one's measure; the others' is whole.
func TestGuestsLeaveEachOtherAlone(t *testing.T) {
	g := newGuests()
	g.Get(testStart, "_INBOX.desk.1")
	for i := range 10 * getBurst {
		g.Get(testStart, "_INBOX.eager.1")
		g.Get(testStart, fmt.Sprintf("_INBOX.%d.1", i))
		g.Enrol(testStart, "UA", true)
		g.Enrol(testStart, "UB", false)
	}
	if !g.Get(testStart, "_INBOX.desk.2") {
		t.Error("an observer that was there before is not answered")
	}
	if !g.Enrol(testStart, "UB", true) {
		t.Error("a token that others tried without proof is not answered")
	}
}

// TestGuestsAreForgotten bounds what is remembered.
func TestGuestsAreForgotten(t *testing.T) {
	g, now := newGuests(), testStart
	for i := range 3 * maxGuests {
		now = now.Add(time.Second / newGetRate)
		name := fmt.Sprintf("n%d", i)
		if !g.Get(now, "_INBOX."+name+".x") || !g.Enrol(now, name, true) {
			t.Fatalf("guest %d is not answered", i)
		}
		g.Tell(now, name)
	}
	if in, tokens, told := len(g.inboxes.of), len(g.tokens.of), len(g.told); in > maxGuests || tokens > maxGuests || told > maxGuests {
		t.Errorf("remembered: %d inboxes, %d tokens, %d told, want %d at most", in, tokens, told, maxGuests)
	}
}

// TestLogIsToldOnce of each token, and again after a while.
func TestLogIsToldOnce(t *testing.T) {
	g := newGuests()
	for _, tt := range []struct {
		token string
		after time.Duration
		want  bool
	}{{"a", 0, true}, {"a", 0, false}, {"b", 0, true}, {"a", complainTime - 1, false}, {"a", complainTime, true}} {
		if got := g.Tell(testStart.Add(tt.after), tt.token); got != tt.want {
			t.Errorf("%s after %v: %v, want %v", tt.token, tt.after, got, tt.want)
		}
	}
}

// TestEagerObserver asks for more than anybody has to, on one connection: the rest is
// counted and not answered, and another observer is answered as ever.
func TestEagerObserver(t *testing.T) {
	broker := startBroker(t)
	n := startNode(t, nodeConfig{url: broker.URL()})
	dial := func() *nats.Conn {
		conn, err := nats.Connect(broker.URL())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(conn.Close)
		return conn
	}
	subject, question := n.subjects.Get("alpha"), protocol.Encode(&protocol.Get{Ask: protocol.Ask{Kind: protocol.KindStatus, ID: 1}})
	eager := dial()
	inbox := eager.NewInbox()
	for range getBurst + 2000 {
		if err := eager.PublishRequest(subject, inbox, question); err != nil {
			t.Fatal(err)
		}
	}
	wait(t, "end of its measure", func() bool {
		n.mu.Lock()
		defer n.mu.Unlock()
		return n.farm.refused[protocol.Limited] > 0
	})
	if _, err := dial().Request(subject, question, patience); err != nil {
		t.Errorf("the other observer: %v", err)
	}
}
