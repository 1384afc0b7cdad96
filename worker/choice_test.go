package worker

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jbcnet/jbc/coordinator/protocol"
)

// presence is how a coordinator is there.
type presence int

const (
	here   presence = iota
	mute            // it hears, and answers nothing
	speaks          // it answers discovery and nothing else
	full            // it gives no slot
	gone            // nobody listens in its name
)

// actor is a coordinator of a simulated farm.
type actor struct {
	found protocol.Found
	is    func(at time.Duration) presence
	lag   time.Duration              // of its answers
	work  func(at time.Duration) int // of its chain, nil for what found says
}

// always, from and between make presences.
func always(p presence) func(time.Duration) presence {
	return func(time.Duration) presence { return p }
}

func from(start time.Duration, p presence) func(time.Duration) presence {
	return between(start, 1<<62, p)
}

func between(start, end time.Duration, p presence) func(time.Duration) presence {
	return func(at time.Duration) presence {
		if at >= start && at < end {
			return p
		}
		return here
	}
}

// every makes a coordinator come and go.
func every(up, down time.Duration) func(time.Duration) presence {
	return func(at time.Duration) presence {
		if at%(up+down) < up {
			return here
		}
		return gone
	}
}

// puppet is a worker of a simulated farm: a chooser, with what a session does for it.
type puppet struct {
	chooser
	actors []*actor
	busy   func(at time.Duration) bool // a solution waits
	blind  func(at time.Duration) bool // it is kept from looking

	due    time.Duration // of the next report, or join
	mail   []event
	moves  []string
	times  []time.Duration // of the moves
	pings  int
	probes int
}

type event struct {
	at time.Duration
	do func(now time.Time)
}

func newPuppet(name string, seed uint64, open bool, actors ...*actor) *puppet {
	rng := rand.New(rand.NewPCG(seed, 1))
	vary := func(d time.Duration) time.Duration { return time.Duration(rng.Int64N(int64(d))) }
	p := &puppet{chooser: newChooser(name, false, open, vary), actors: actors, due: vary(reportEvery)}
	p.begin(time.Unix(0, 0), actors[0].found.Identity())
	p.answer(time.Unix(0, 0))
	return p
}

// run lets it work from one time to another, a look every tick.
func (p *puppet) run(start, end time.Duration) {
	for at := start; at < end; at += tickEvery {
		p.tick(at)
	}
}

func (p *puppet) tick(at time.Duration) {
	now := time.Unix(0, 0).Add(at)
	if p.blind != nil && p.blind(at) {
		for i := range p.mail { // what comes meanwhile is read a little later than it looks again
			p.mail[i].at = max(p.mail[i].at, at+2*tickEvery)
		}
		return
	}
	waiting := p.mail
	p.mail = nil
	for _, e := range waiting {
		if e.at <= at {
			e.do(now)
		} else {
			p.mail = append(p.mail, e)
		}
	}
	s := p.look(now, p.busy != nil && p.busy(at))
	if s.probe {
		p.probes++
	}
	if s.ping {
		p.pings++
		p.discover(at)
	}
	if s.move != (protocol.Found{}) {
		p.moves = append(p.moves, fmt.Sprintf("%s: %s", s.move.Name, s.why))
		p.times = append(p.times, at)
	}
	if s.probe || s.move != (protocol.Found{}) || at >= p.due {
		p.due = at + reportEvery
		p.question(at, now)
	}
}

// question asks whom it works for.
func (p *puppet) question(at time.Duration, now time.Time) {
	to := p.with
	a := p.actors[slices.IndexFunc(p.actors, func(a *actor) bool { return a.found.Identity() == to })]
	p.vigil.ask(now)
	is := a.is(at)
	if is == gone {
		p.due = at + joinEvery
	}
	delay := a.lag
	p.mail = append(p.mail, event{at + delay, func(now time.Time) {
		if p.with != to {
			return
		}
		switch is {
		case here:
			p.answer(now)
			p.seat()
		case full:
			p.answer(now)
			p.deny()
		case gone:
			p.vigil.nobody(now)
		}
	}})
}

func (p *puppet) discover(at time.Duration) {
	for _, a := range p.actors {
		if is := a.is(at); is != gone && is != mute {
			found := a.found
			if a.work != nil {
				found.Work = work64(a.work(at))
			}
			p.mail = append(p.mail, event{at + a.lag, func(now time.Time) { p.sight(now, found) }})
		}
	}
}

func node(name string, is func(time.Duration) presence) *actor {
	return &actor{found: protocol.Found{Network: testNetwork, Name: name, Key: "K" + name, Work: work64(1)}, is: is}
}

func work64(n int) string { return fmt.Sprintf("%064x", n) }

// TestChooser has one worker live through what happens to coordinators.
func TestChooser(t *testing.T) {
	const dies = 60 * time.Second
	with := func(a *actor, change func(*actor)) *actor { change(a); return a }
	c := func(name string) *actor { return node(name, always(here)) }
	pinned := func(names ...string) func(*puppet) {
		return func(p *puppet) {
			p.trust.open = false
			var nodes []protocol.Node
			for _, n := range names {
				nodes = append(nodes, protocol.Node{Network: testNetwork, Name: n, Key: "K" + n})
			}
			p.trust.vouch(nodes)
		}
	}
	fixed := func(work int) func(time.Duration) int { return func(time.Duration) int { return work } }
	perSecond := func(at time.Duration) int { return int(at / time.Second) }
	caughtUp := func(at time.Duration) int {
		if at < 4*time.Minute {
			at /= 2
		}
		return perSecond(at)
	}
	behind := func(work func(time.Duration) int) *actor {
		return with(node("c1", between(dies, 2*dies, mute)), func(a *actor) { a.work = work })
	}
	for _, tt := range []struct {
		name   string
		actors []*actor
		change func(*puppet)
		lasts  time.Duration
		want   []string
		within time.Duration // after it died, the first move
		pings  int           // at the most, 0 for none
	}{
		{
			name: "all is well for an hour", actors: []*actor{c("c1"), c("c2")}, lasts: time.Hour,
		},
		{
			name:   "answers that are late for an hour",
			actors: []*actor{with(c("c1"), func(a *actor) { a.lag = 950 * time.Millisecond }), c("c2")}, lasts: time.Hour,
		},
		{
			name: "death", actors: []*actor{node("c1", from(dies, gone)), c("c2")}, lasts: 90 * time.Second,
			want: []string{"c2: " + whyNobody}, within: 3 * time.Second, pings: 10,
		},
		{
			name: "a restart of half a second", actors: []*actor{node("c1", between(dies, dies+500*time.Millisecond, gone)), c("c2")},
			lasts: 2 * time.Minute, pings: 1,
		},
		{
			name: "silence", actors: []*actor{node("c1", from(dies, mute)), c("c2")}, lasts: 90 * time.Second,
			want: []string{"c2: " + whyMute}, within: 4 * time.Second, pings: 10,
		},
		{
			name: "no slot", actors: []*actor{node("c1", from(dies, full)), c("c2")}, lasts: 63 * time.Second,
			want: []string{"c2: " + whyDenied}, within: 3 * time.Second, pings: 5,
		},
		{
			name: "nobody else", actors: []*actor{node("c1", from(dies, gone))}, lasts: time.Hour,
			pings: 800,
		},
		{
			name: "nobody else of the network", lasts: 10 * time.Minute, pings: 150,
			actors: []*actor{node("c1", from(dies, gone)), with(c("c2"), func(a *actor) { a.found.Network = "other-89abcdef" })},
		},
		{
			name: "somebody else in its name", lasts: 10 * time.Minute, pings: 150,
			actors: []*actor{node("c1", from(dies, gone)), with(c("c1"), func(a *actor) { a.found.Key = "K9" })},
		},
		{
			name: "a key that nobody vouched for", lasts: 10 * time.Minute, pings: 150,
			actors: []*actor{node("c1", from(dies, gone)), c("c2")}, change: pinned("c3"),
		},
		{
			name: "another key than the one vouched for", lasts: 10 * time.Minute, pings: 150,
			actors: []*actor{node("c1", from(dies, gone)), with(c("c2"), func(a *actor) { a.found.Key = "K9" })}, change: pinned("c2"),
		},
		{
			name: "the one vouched for", actors: []*actor{node("c1", from(dies, gone)), c("c2"), c("c3")}, lasts: 90 * time.Second,
			change: pinned("c3"), want: []string{"c3: " + whyNobody}, within: 3 * time.Second, pings: 10,
		},
		{
			name: "never another", actors: []*actor{node("c1", from(dies, gone)), c("c2")}, lasts: 10 * time.Minute,
			change: func(p *puppet) { p.stay = true },
		},
		{
			name: "the most work", lasts: 70 * time.Second, want: []string{"c3: " + whyNobody}, within: 3 * time.Second, pings: 10,
			actors: []*actor{node("c1", from(dies, gone)), c("c2"), with(c("c3"), func(a *actor) { a.found.Work, a.found.Workers = work64(16), 99 }), c("c4")},
		},
		{
			name: "the fewest workers", lasts: 70 * time.Second, want: []string{"c3: " + whyNobody}, within: 3 * time.Second, pings: 10,
			actors: []*actor{
				node("c1", from(dies, gone)), with(c("c2"), func(a *actor) { a.found.Workers = 5 }),
				with(c("c3"), func(a *actor) { a.found.Workers = 4 }),
			},
		},
		{
			name: "another that answers discovery alone", lasts: 80 * time.Second, pings: 20, within: 3 * time.Second,
			actors: []*actor{node("c1", from(dies, gone)), with(node("c2", always(speaks)), func(a *actor) { a.found.Work = work64(2) }), c("c3")},
			want:   []string{"c2: " + whyNobody, "c3: " + whyMute},
		},
		{
			name: "two others that answer discovery alone", lasts: 75 * time.Second, pings: 20, within: 3 * time.Second,
			actors: []*actor{
				node("c1", from(dies, gone)), with(node("c2", always(speaks)), func(a *actor) { a.found.Work = work64(3) }),
				with(node("c3", always(speaks)), func(a *actor) { a.found.Work = work64(2) }), c("c4"),
			},
			want: []string{"c2: " + whyNobody, "c3: " + whyMute, "c4: " + whyMute},
		},
		{
			name: "the other dies too", lasts: 2 * time.Minute, pings: 40, within: 3 * time.Second,
			actors: []*actor{node("c1", from(dies, gone)), with(node("c2", from(dies+10*time.Second, gone)), func(a *actor) { a.found.Work = work64(2) }), c("c3")},
			want:   []string{"c2: " + whyNobody, "c3: " + whyNobody},
		},
		{
			name: "return", actors: []*actor{node("c1", between(dies, 2*dies, mute)), c("c2")}, lasts: 140 * time.Second,
			want: []string{"c2: " + whyMute, "c1: " + whyBack}, within: 4 * time.Second, pings: 30,
		},
		{
			name: "no return to one that is far behind", lasts: 5 * time.Minute, pings: 60,
			actors: []*actor{behind(fixed(1)), with(c("c2"), func(a *actor) { a.work = fixed(500) })},
			want:   []string{"c2: " + whyMute}, within: 4 * time.Second,
		},
		{
			name: "no return to one that is far behind and answers later", lasts: 5 * time.Minute, pings: 60,
			actors: []*actor{with(behind(fixed(1)), func(a *actor) { a.lag = 400 * time.Millisecond }), with(c("c2"), func(a *actor) { a.work = fixed(500) })},
			want:   []string{"c2: " + whyMute}, within: 4 * time.Second,
		},
		{
			name: "no return before it has caught up", lasts: 4 * time.Minute, pings: 50,
			actors: []*actor{behind(caughtUp), with(c("c2"), func(a *actor) { a.work = perSecond })},
			want:   []string{"c2: " + whyMute}, within: 4 * time.Second,
		},
		{
			name: "return when it has caught up", lasts: 4*time.Minute + 20*time.Second, pings: 60,
			actors: []*actor{behind(caughtUp), with(c("c2"), func(a *actor) { a.work = perSecond })},
			want:   []string{"c2: " + whyMute, "c1: " + whyBack}, within: 4 * time.Second,
		},
		{
			name: "return to one that tells no work", lasts: 140 * time.Second, pings: 30,
			actors: []*actor{with(behind(nil), func(a *actor) { a.found.Work = "" }), c("c2")},
			want:   []string{"c2: " + whyMute, "c1: " + whyBack}, within: 4 * time.Second,
		},
		{
			name: "return from one that tells no work", lasts: 140 * time.Second, pings: 30,
			actors: []*actor{behind(fixed(1)), with(c("c2"), func(a *actor) { a.found.Work = "" })},
			want:   []string{"c2: " + whyMute, "c1: " + whyBack}, within: 4 * time.Second,
		},
		{
			name: "return when the solution has its verdict", actors: []*actor{node("c1", between(dies, 2*dies, mute)), c("c2")},
			change: func(p *puppet) { p.busy = func(at time.Duration) bool { return at < 10*time.Minute } },
			lasts:  9 * time.Minute, want: []string{"c2: " + whyMute}, within: 4 * time.Second, pings: 150,
		},
		{
			// Two questions are 5 to 6 s apart: one of them finds it down.
			name: "a coordinator that is up for 4 s of 10", actors: []*actor{node("c1", every(4*time.Second, 6*time.Second)), c("c2")},
			lasts: time.Hour, want: []string{"c2: " + whyNobody}, within: -dies + 10*time.Second, pings: 800,
		},
		{
			name: "a worker that was kept from looking", actors: []*actor{c("c1"), c("c2")}, lasts: 5 * time.Minute,
			change: func(p *puppet) {
				p.blind = func(at time.Duration) bool { return at%(10*time.Second) < 1900*time.Millisecond }
			},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for seed := range uint64(20) {
				p := newPuppet("w1", seed, true, tt.actors...)
				if tt.change != nil {
					tt.change(p)
				}
				p.run(0, tt.lasts)
				if !slices.Equal(p.moves, tt.want) {
					t.Fatalf("seed %d: moves %q at %v, want %q", seed, p.moves, p.times, tt.want)
				}
				if len(p.times) > 0 && p.times[0] > dies+tt.within {
					t.Errorf("seed %d: moved %v after it died, want %v at the most", seed, p.times[0]-dies, tt.within)
				}
				if p.pings > tt.pings {
					t.Errorf("seed %d: asked %d times who is there, want %d at the most", seed, p.pings, tt.pings)
				}
			}
		})
	}
}

// TestTrails says when an answer of the preferred coordinator counts for nothing, since
// its chain has less work.
func TestTrails(t *testing.T) {
	told := func(name string, work int) protocol.Found {
		f := node(name, nil).found
		if f.Work = ""; work > 0 {
			f.Work = work64(work)
		}
		return f
	}
	for _, tt := range []struct {
		name   string
		of, by int // work, 0 for none told
		ago    time.Duration
		counts bool
	}{
		{"less", 255, 256, 0, false},
		{"less than was told 10 s ago", 255, 256, 10 * time.Second, false},
		{"less than was told longer ago", 255, 256, 10*time.Second + 1, true},
		{"as much", 256, 256, 0, true},
		{"more", 256, 255, 0, true},
		{"none told", 0, 256, 0, true},
		{"none told by the other", 255, 0, 0, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			now := time.Unix(1000, 0)
			c := newChooser("w1", false, true, func(time.Duration) time.Duration { return 0 })
			c.begin(now, told("c1", 0).Identity())
			c.leave(now, told("c2", 0).Identity())
			c.sight(now, told("c2", tt.by))
			c.sight(now, told("c3", 999)) // of no concern
			now = now.Add(tt.ago)
			c.sight(now, told("c1", tt.of))
			if got := !c.homing.last.IsZero(); got != tt.counts {
				t.Errorf("counts: %v, want %v", got, tt.counts)
			}
		})
	}
	t.Run("told to the question that the worker left by", func(t *testing.T) {
		now := time.Unix(1000, 0)
		c := newChooser("w1", false, true, func(time.Duration) time.Duration { return 0 })
		c.begin(now, told("c1", 0).Identity())
		c.seek(now)
		c.sight(now, told("c2", 2))
		c.leave(now, told("c2", 0).Identity())
		c.sight(now, told("c1", 1))
		if !c.homing.last.IsZero() {
			t.Error("an answer of less work counts")
		}
	})
}

// TestReturns says how soon a worker goes back, and how seldom to a coordinator that
// does not last.
func TestReturns(t *testing.T) {
	for seed := range uint64(20) {
		back := 2 * time.Minute
		p := newPuppet("w1", seed, true, node("c1", between(time.Minute, back, gone)), node("c2", always(here)))
		p.run(0, 3*time.Minute)
		if len(p.times) != 2 || p.times[1] < back+returnApart || p.times[1] > back+13*time.Second {
			t.Errorf("seed %d: moves %q at %v, want a return 3 to 13 s after %v", seed, p.moves, p.times, back)
		}

		p = newPuppet("w1", seed, true, node("c1", every(20*time.Second, 10*time.Second)), node("c2", always(here)))
		p.run(0, time.Hour)
		home := 0
		for _, m := range p.moves {
			if m == "c1: "+whyBack {
				home++
			}
		}
		if home < 3 || home > 20 {
			t.Errorf("seed %d: it returned %d times in an hour, want 3 to 20", seed, home)
		}

		// One that answers discovery and gives no work is tried as seldom.
		p = newPuppet("w1", seed, true, node("c1", from(time.Minute, speaks)), node("c2", always(here)))
		p.run(0, time.Hour)
		if len(p.moves) < 6 || len(p.moves) > 40 {
			t.Errorf("seed %d: %d moves in an hour, want 6 to 40", seed, len(p.moves))
		}
	}
}

// TestReconnects has the connection back by another server 2.5 s after everything
// was heard last.
func TestReconnects(t *testing.T) {
	for seed := range uint64(50) {
		for _, lost := range []presence{gone, mute, here} {
			cut, back := 60*time.Second, 62500*time.Millisecond
			p := newPuppet("w1", seed, true, node("c1", from(cut, lost)), node("c2", always(here)))
			p.run(0, cut)
			p.mail = nil
			p.back(time.Unix(0, 0).Add(back))
			p.question(back, time.Unix(0, 0).Add(back)) // which job is on
			p.run(back, 80*time.Second)
			switch {
			case lost == here && (len(p.moves) > 0 || p.pings > 0):
				t.Errorf("seed %d: moves %q and %d questions though it answers", seed, p.moves, p.pings)
			case lost != here && (len(p.moves) != 1 || p.times[0]-cut > 4*time.Second):
				t.Errorf("seed %d: moves %q at %v, want one within 4 s of %v", seed, p.moves, p.times, cut)
			}
		}
	}
}

// TestStampede has 50 workers lose their coordinator in the same moment, when they all
// have just heard it.
func TestStampede(t *testing.T) {
	const workers, dies = 50, time.Minute
	farm := func(is func(time.Duration) presence, lag time.Duration) (moved []time.Duration, to map[string]int, most int) {
		to = map[string]int{}
		for i := range workers {
			c1 := node("c1", is)
			c1.lag = lag
			p := newPuppet(fmt.Sprintf("w%d", i), uint64(i), true, c1, node("c2", always(here)), node("c3", always(here)))
			p.run(0, dies)
			p.hear(time.Unix(0, 0).Add(dies)) // a broadcast
			p.due = dies + time.Hour
			p.run(dies, dies+10*time.Second)
			if len(p.moves) > 1 {
				t.Errorf("w%d: moves %q", i, p.moves)
			}
			if len(p.moves) > 0 {
				moved = append(moved, p.times[0]-dies)
				to[strings.TrimSuffix(p.moves[0], ": "+whyMute)]++
			}
			most = max(most, p.pings)
		}
		slices.Sort(moved)
		return moved, to, most
	}
	moved, to, most := farm(from(dies, mute), 0)
	if len(moved) != workers || moved[workers-1] > 4*time.Second {
		t.Fatalf("%d moved, at %v, want all within 4 s", len(moved), moved)
	}
	for i := range moved {
		together := 1
		for _, m := range moved[i+1:] {
			if m-moved[i] <= tickEvery {
				together++
			}
		}
		if together > workers/2 {
			t.Errorf("%d move within %v: %v", together, tickEvery, moved)
		}
	}
	if to["c2"] < workers/4 || to["c3"] < workers/4 {
		t.Errorf("they move to %v, want two halves", to)
	}
	if most > 4 {
		t.Errorf("one asked %d times who is there", most)
	}
	if moved, _, most := farm(always(here), 950*time.Millisecond); len(moved) > 0 || most > 0 {
		t.Errorf("%d moved and one asked %d times who is there, of a coordinator that answers late", len(moved), most)
	}
}

func TestBetter(t *testing.T) {
	a := protocol.Found{Name: "a", Work: work64(9), Workers: 5}
	for _, tt := range []struct {
		name string
		b    protocol.Found
		want string
	}{
		{"more work", protocol.Found{Name: "b", Work: work64(10), Workers: 9}, "b"},
		{"less work", protocol.Found{Name: "b", Work: work64(8)}, "a"},
		{"no word about its work", protocol.Found{Name: "b"}, "a"},
		{"more workers", protocol.Found{Name: "b", Work: work64(9), Workers: 6}, "a"},
		{"fewer workers", protocol.Found{Name: "b", Work: work64(9), Workers: 4}, "b"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			both := []protocol.Found{a, tt.b}
			if got := slices.MinFunc(both, better("w1")); got.Name != tt.want {
				t.Errorf("%s is better, want %s", got.Name, tt.want)
			}
			slices.Reverse(both)
			if got := slices.MinFunc(both, better("w1")); got.Name != tt.want {
				t.Errorf("the other way round %s is better, want %s", got.Name, tt.want)
			}
		})
	}
}

// TestSpeaksToAllOnly has a coordinator that broadcasts twice a second and never answers.
func TestSpeaksToAllOnly(t *testing.T) {
	p := newPuppet("w1", 1, true, node("c1", always(mute)), node("c2", always(here)))
	for at := time.Duration(0); at < 20*time.Second && len(p.moves) == 0; at += tickEvery {
		if at%(500*time.Millisecond) == 0 {
			p.hear(time.Unix(0, 0).Add(at))
		}
		p.tick(at)
	}
	if !slices.Equal(p.moves, []string{"c2: " + whyMute}) || p.times[0] < unasked || p.times[0] > unasked+3*time.Second {
		t.Errorf("moves %q at %v, want one 5 to 8 s after the first question", p.moves, p.times)
	}
}
