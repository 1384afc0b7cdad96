package peers

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/hashing"
)

func tipOf(n byte, work uint64) Tip {
	return Tip{Hash: hashing.Hash{n}, Height: uint32(n), Work: chain.Work{work}}
}

func after(d time.Duration) time.Time { return epoch.Add(d) }

func statusOf(t *testing.T, table *Table, now time.Time, name string) PeerStatus {
	t.Helper()
	for _, st := range table.All(now) {
		if st.Name == name {
			return st
		}
	}
	t.Fatalf("%s is not known", name)
	return PeerStatus{}
}

// TestFaults has each fault come every 3 s until the peer is ignored.
func TestFaults(t *testing.T) {
	tests := []struct {
		fault Fault
		name  string
		times int
	}{
		{Silent, "silent", 6}, // 10 of 10 without the decay
		{Refused, "refused", 11},
		{Rubbish, "rubbish", 3},
		{BadHeaders, "bad headers", 1},
		{BadBlock, "bad block", 1},
		{Withheld, "withheld", 3},
		{Endless, "endless", 1},
		{Apart, "apart", 11},
	}
	if len(tests) != int(faults)-1 {
		t.Errorf("%d faults are tested, want %d", len(tests), faults-1)
	}
	for _, test := range tests {
		if got := test.fault.String(); got != test.name {
			t.Errorf("fault %d is %q, want %q", test.fault, got, test.name)
		}
		table := NewTable("self")
		table.Heard(epoch, "p", "key", tipOf(1, 5))
		for n := 1; n <= test.times; n++ {
			now := after(time.Duration(n) * 3 * time.Second)
			until, ignored := table.Failed(now, "p", test.fault)
			if want := n == test.times; ignored != want || want && !until.Equal(now.Add(time.Minute)) {
				t.Errorf("%v %d: ignored %t until %v, want it after %d", test.fault, n, ignored, until, test.times)
			}
			if got := len(table.Serving(now, chain.Work{})); got != 1 && n < test.times || got != 0 && n == test.times {
				t.Errorf("%v %d: %d serve", test.fault, n, got)
			}
		}
		st := statusOf(t, table, after(time.Minute), "p")
		if st.Times != 1 || st.Faults[test.fault] != uint64(test.times) || len(st.Faults) != 1 || st.Ignored.IsZero() || st.Score != 0 {
			t.Errorf("%v: %+v", test.fault, st)
		}
	}
	for _, f := range []Fault{0, faults, 200} {
		table := NewTable("self")
		table.Heard(epoch, "p", "key", tipOf(1, 5))
		if _, ignored := table.Failed(epoch, "p", f); ignored || len(statusOf(t, table, epoch, "p").Faults) != 0 {
			t.Errorf("%v counts", f)
		}
	}
	if got := Fault(200).String(); got != "fault 200" {
		t.Errorf("fault 200 is %q", got)
	}
}

func TestScore(t *testing.T) {
	type act struct {
		at    time.Duration
		fault Fault // 0: worked
		n     int
	}
	tests := []struct {
		name string
		acts []act
		at   time.Duration
		want float64
	}{
		{"one", []act{{0, Rubbish, 1}}, 0, 4},
		{"half after ten minutes", []act{{0, Rubbish, 1}}, 10 * time.Minute, 2},
		{"a quarter after twenty", []act{{0, Rubbish, 1}}, 20 * time.Minute, 1},
		{"decayed before the next", []act{{0, Rubbish, 2}, {10 * time.Minute, Rubbish, 1}}, 10 * time.Minute, 8},
		{"a clock that goes back", []act{{time.Minute, Rubbish, 1}, {0, Rubbish, 1}}, 0, 8},
		{"one silence", []act{{0, Silent, 32}}, 0, 2},
		{"still the same", []act{{0, Silent, 1}, {1999 * time.Millisecond, Silent, 5}}, 0, 2},
		{"work forgives silence", []act{{0, Silent, 1}, {0, 0, 3}}, 0, 0.5},
		{"not below nothing", []act{{0, Silent, 1}, {0, 0, 300}, {0, Refused, 1}}, 0, 1},
		{"work forgives refusals", []act{{0, Refused, 3}, {0, 0, 2}}, 0, 2},
		{"work does not forgive lies", []act{{0, Rubbish, 1}, {0, 0, 100}, {0, Withheld, 1}, {0, 0, 100}}, 0, 8},
	}
	for _, test := range tests {
		table := NewTable("self")
		table.Heard(epoch, "p", "key", tipOf(1, 5))
		for _, a := range test.acts {
			for range a.n {
				if a.fault == 0 {
					table.Worked(after(a.at), "p")
				} else {
					table.Failed(after(a.at), "p", a.fault)
				}
			}
		}
		if st := statusOf(t, table, after(test.at), "p"); st.Score != test.want || st.Times != 0 {
			t.Errorf("%s: score %v, ignored %d times, want %v", test.name, st.Score, st.Times, test.want)
		}
	}
}

// TestBackOff has a peer fail as soon as it is listened to again.
func TestBackOff(t *testing.T) {
	table, now := NewTable("self"), epoch
	table.Heard(now, "p", "key", tipOf(1, 5))
	for n, want := range []int{1, 2, 4, 8, 16, 32, 60, 60, 60} {
		until, ignored := table.Failed(now, "p", BadBlock)
		if !ignored || until.Sub(now) != time.Duration(want)*time.Minute {
			t.Errorf("time %d: ignored %t for %v, want %d min", n+1, ignored, until.Sub(now), want)
		}
		if _, again := table.Failed(until.Add(-1), "p", BadBlock); again {
			t.Errorf("time %d: ignored while it is", n+1)
		}
		if got := len(table.Serving(until.Add(-1), chain.Work{})); got != 0 {
			t.Errorf("time %d: it serves just before the end", n+1)
		}
		if got := len(table.Serving(until, chain.Work{})); got != 1 {
			t.Errorf("time %d: it does not serve at the end", n+1)
		}
		now = until
	}
	for _, test := range []struct{ rest, want time.Duration }{{time.Hour - 1, time.Hour}, {time.Hour, time.Minute}} {
		now = now.Add(test.rest)
		until, _ := table.Failed(now, "p", BadBlock)
		if got := until.Sub(now); got != test.want {
			t.Errorf("%v later: ignored for %v, want %v", test.rest, got, test.want)
		}
		now = until
	}
}

func TestHeard(t *testing.T) {
	table := NewTable("self")
	tests := []struct {
		why       string
		at        time.Duration
		name, key string
		want      bool
	}{
		{"new", 0, "p", "k1", true},
		{"again", 0, "p", "k1", true},
		{"oneself", 0, "self", "k1", false},
		{"no name", 0, "", "k1", false},
		{"no token of a subject", 0, "a.b", "k1", false},
		{"a long name", 0, strings.Repeat("a", 33), "k1", false},
		{"no key", 0, "q", "", false},
		{"a long key", 0, "q", strings.Repeat("k", maxKey+1), false},
		{"another's name", time.Minute - 1, "p", "k2", false},
		{"a name at rest", time.Minute, "p", "k2", true},
		{"the first owner", time.Minute, "p", "k1", false},
	}
	for _, test := range tests {
		if got := table.Heard(after(test.at), test.name, test.key, tipOf(1, 5)); got != test.want {
			t.Errorf("%s: taken %t, want %t", test.why, got, test.want)
		}
	}
	table.Failed(after(time.Minute), "p", Endless)
	if table.Heard(after(2*time.Minute-1), "p", "k3", tipOf(1, 5)) {
		t.Error("a key gets rid of being ignored by giving way to another")
	}
	if all := table.All(after(time.Minute)); len(all) != 1 || all[0].Key != "k2" {
		t.Errorf("known: %+v", all)
	}
}

func TestBest(t *testing.T) {
	table := NewTable("self")
	names := func(peers []Peer) (s string) {
		for _, p := range peers {
			s += p.Name
		}
		return s
	}
	for i, p := range []struct {
		name string
		work uint64
	}{{"d", 7}, {"b", 9}, {"a", 9}, {"c", 8}} {
		table.Heard(after(time.Duration(i)*time.Second), p.name, "key", tipOf(byte(i+1), p.work))
	}
	now := after(time.Minute)
	facts := []struct {
		what string
		do   func()
		over uint64
		best string // empty: none
		all  string // who serves a chain of that work
	}{
		{"nobody has more", func() {}, 9, "", "ba"},
		{"the first of two", func() {}, 8, "b", "bac"},
		{"the better of two", func() { table.Failed(now, "b", Refused) }, 8, "a", "acb"},
		{"a claim that is wrong", func() { table.Failed(now, "a", Withheld) }, 8, "b", "cba"},
		{"another claim", func() { table.Heard(now, "a", "key", tipOf(9, 10)) }, 8, "a", "cba"},
		{"most work before all", func() {}, 0, "a", "dcba"},
		{"ignored", func() { table.Failed(now, "a", Endless) }, 0, "b", "dcb"},
		{"not any more, but as wrong", func() { now = now.Add(time.Minute) }, 9, "", "ab"},
		{"believed again", func() { now = now.Add(9 * time.Minute) }, 9, "a", "ab"},
	}
	for _, f := range facts {
		f.do()
		best, ok := table.Best(now, chain.Work{f.over})
		if ok != (f.best != "") || best.Name != f.best {
			t.Errorf("%s: best %q, want %q", f.what, best.Name, f.best)
		}
		got := names(table.Serving(now, chain.Work{f.over}))
		if got != f.all {
			t.Errorf("%s: %q serve, want %q", f.what, got, f.all)
		}
	}
}

func TestForget(t *testing.T) {
	table := NewTable("self")
	for _, name := range []string{"gone", "here", "ignored"} {
		table.Heard(epoch, name, "key", tipOf(1, 5))
	}
	table.Heard(after(time.Second), "here", "key", tipOf(2, 5))
	for now := epoch; now.Before(after(time.Hour)); now = now.Add(time.Minute) {
		table.Failed(now, "ignored", BadHeaders)
	}
	table.Forget(after(time.Hour - 1))
	if n := len(table.All(after(time.Hour))); n != 3 {
		t.Errorf("%d are known within the hour, want 3", n)
	}
	table.Forget(after(time.Hour))
	var left []string
	for _, st := range table.All(after(time.Hour)) {
		left = append(left, st.Name)
	}
	if want := []string{"here", "ignored"}; !slices.Equal(left, want) {
		t.Errorf("known after an hour: %v, want %v", left, want)
	}
}

// TestBound has names come without end.
func TestBound(t *testing.T) {
	table := NewTable("self")
	name := func(i int) string { return fmt.Sprintf("n%03d", i) }
	for i := range maxPeers {
		table.Heard(after(time.Duration(i)*time.Millisecond), name(i), "key", tipOf(1, 5))
	}
	now := after(time.Second)
	for i := range maxPeers {
		if i != 200 && i != 100 {
			table.Worked(now, name(i))
		}
	}
	table.Failed(now, name(300), BadBlock)
	table.Failed(now, name(400), BadBlock)
	known := func(i int) bool {
		return slices.ContainsFunc(table.All(now), func(st PeerStatus) bool { return st.Name == name(i) })
	}
	// The ignored first, then who never gave anything, then whoever is silent.
	for n, goes := range []int{300, 400, 100, 200} {
		newcomer := fmt.Sprintf("new%d", n)
		if !known(goes) {
			t.Errorf("n%03d is gone before its turn", goes)
		}
		table.Heard(now.Add(time.Duration(n)), newcomer, "key", tipOf(1, 5))
		table.Worked(now, newcomer)
		if known(goes) {
			t.Errorf("n%03d is not gone for %s", goes, newcomer)
		}
	}
	table.Heard(now.Add(time.Second), "last", "key", tipOf(1, 5))
	if known(0) || !known(1) {
		t.Errorf("n000 is known: %t, n001: %t; want the second only", known(0), known(1))
	}
	for i := range 5000 {
		table.Heard(now.Add(time.Duration(i)*time.Second), fmt.Sprintf("flood%d", i), "key", tipOf(1, 5))
	}
	if n := len(table.All(now)); n != maxPeers {
		t.Errorf("%d are known, want %d", n, maxPeers)
	}
	if !known(500) {
		t.Error("a flood of names pushed out one that works")
	}
}

// TestEarly has the best chain lie ahead of the clock: for a second the next best is
// taken, then it is asked again, and nothing is held against who has it.
func TestEarly(t *testing.T) {
	table := NewTable("self")
	table.Heard(epoch, "fast", "key", tipOf(1, 9))
	table.Heard(epoch, "right", "key", tipOf(2, 5))
	table.Early(epoch, "fast")
	table.Early(epoch, "nobody")
	table.Heard(epoch, "fast", "key", tipOf(3, 10)) // another block makes it no later
	for _, tt := range []struct {
		after time.Duration
		want  string
	}{{0, "right"}, {early - 1, "right"}, {early, "fast"}} {
		if got, ok := table.Best(after(tt.after), chain.Work{}); !ok || got.Name != tt.want {
			t.Errorf("after %v the best is %q, want %q", tt.after, got.Name, tt.want)
		}
	}
	if st := statusOf(t, table, epoch, "fast"); st.Score != 0 || len(st.Faults) > 0 || !st.Ignored.IsZero() {
		t.Errorf("one that is early has %+v", st)
	}
	if got := table.Serving(epoch, chain.Work{10}); len(got) != 1 || got[0].Name != "fast" {
		t.Errorf("%v serve its chain, want itself", got)
	}
}
