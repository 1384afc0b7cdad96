package coordinator

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/coordinator/protocol"
)

// TestWhatIsHeldAgainstAWorker sends messages that are refused with one code, as
// fast as can be: so many lead to a drop, or none ever does.
func TestWhatIsHeldAgainstAWorker(t *testing.T) {
	const never = 0
	for _, tt := range []struct {
		code             protocol.Code
		asked, published int // how many drop: of requests, of solutions
	}{
		{protocol.Malformed, 64, 16},
		{protocol.Oversized, 64, 16},
		{protocol.UnknownKind, 64, 16},
		{protocol.BadMAC, 64, 16},
		{protocol.HighHash, 64, 16},
		{protocol.NotLeased, 256, 16},
		{protocol.Limited, 1024, 16},
		{protocol.Stale, never, never},
		{protocol.Known, never, never},
		{protocol.UnknownJob, never, never},
		{protocol.UnknownSlot, never, never},
		{protocol.UnknownTerms, never, never},
		{protocol.LeaseGone, never, never},
		{protocol.InvalidBlock, never, never},
		{protocol.Busy, never, never},
		{protocol.Full, never, never},
	} {
		for _, way := range []struct {
			name  string
			want  int
			blame func(*limits, time.Time, string, protocol.Code) *drop
		}{
			{"asked", tt.asked, (*limits).Refused},
			{"published", tt.published, (*limits).FalseSolution},
		} {
			l := newLimits(ofProcess)
			l.Admit(testStart, "w")
			got := never
			for n := 1; n <= 10_000 && got == never; n++ {
				if d := way.blame(l, testStart, "w", tt.code); d != nil {
					got = n
					if d.reasons[tt.code] != uint64(n) || len(d.reasons) != 1 || d.name != "w" {
						t.Errorf("%v %s: dropped as %+v", tt.code, way.name, d)
					}
				}
			}
			if got != way.want {
				t.Errorf("%v %s: %d messages drop, want %d", tt.code, way.name, got, way.want)
			}
		}
	}
}

// TestFaultyDeviceStays finds nothing but wrong shares, one in two seconds, for a
// day; at four a second the worker goes within a minute.
func TestFaultyDeviceStays(t *testing.T) {
	for _, tt := range []struct {
		every time.Duration
		drops bool
	}{{2 * time.Second, false}, {250 * time.Millisecond, true}} {
		l := newLimits(ofProcess)
		dropped := false
		within := 24 * time.Hour
		if tt.drops {
			within = time.Minute
		}
		for at := time.Duration(0); at < within; at += tt.every {
			now := testStart.Add(at)
			l.Admit(now, "w")
			dropped = dropped || l.Refused(now, "w", protocol.HighHash) != nil
		}
		if dropped != tt.drops {
			t.Errorf("a wrong share every %v: dropped %v, want %v", tt.every, dropped, tt.drops)
		}
	}
}

// TestDropsDouble drops a worker as soon as it is listened to again.
func TestDropsDouble(t *testing.T) {
	l := newLimits(ofProcess)
	now := testStart
	provoke := func() *drop {
		t.Helper()
		if code := l.Admit(now, "w"); code != protocol.OK {
			t.Fatalf("at its end: %v", code)
		}
		for range 1000 {
			if d := l.Refused(now, "w", protocol.BadMAC); d != nil {
				return d
			}
		}
		t.Fatal("not dropped")
		return nil
	}
	for i, want := range []time.Duration{
		time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute, 16 * time.Minute, 32 * time.Minute, time.Hour, time.Hour,
	} {
		d := provoke()
		if got := d.until.Sub(now); got != want || d.times != i+1 {
			t.Errorf("drop %d (counted %d) lasts %v, want %v", i+1, d.times, got, want)
		}
		before := d.until.Add(-time.Nanosecond)
		if code := l.Admit(before, "w"); code != protocol.Dropped {
			t.Errorf("just before its end: %v, want %v", code, protocol.Dropped)
		}
		if shown := l.Dropped(before); len(shown) != 1 || shown[0].reasons[protocol.BadMAC] != maxBad {
			t.Errorf("shown: %+v", shown)
		}
		if d := l.Refused(before, "w", protocol.BadMAC); d != nil {
			t.Error("what was on its way drops again")
		}
		now = d.until
		if shown := l.Dropped(now); len(shown) != 0 {
			t.Errorf("shown at its end: %+v", shown)
		}
	}
	now = now.Add(longestDrop)
	if d := provoke(); d.until.Sub(now) != firstDrop || d.times != 1 {
		t.Errorf("after an hour of peace: %v, counted %d", d.until.Sub(now), d.times)
	}
}

// eagerWorker is the worst that an honest worker can do: it finds a share the
// moment that one is answered, a solution to every job, joins and asks as often as
// its clock lets it, and is on a network whose jobs last 10 ms.
type eagerWorker struct {
	name             string
	roundTrip        time.Duration
	inFlight         []time.Duration // when each share's place is free again
	limited, dropped int
	shares, sent     int
}

// step does what is due in [at, at+step).
func (w *eagerWorker) step(l *limits, now time.Time, at, step time.Duration) {
	send := func(kind string) bool {
		w.sent++
		switch code := l.Admit(now, w.name); {
		case code == protocol.OK && l.AdmitKind(now, w.name, kind):
			return true
		case code == protocol.Dropped:
			w.dropped++
		case kind != protocol.KindShare || code != protocol.OK:
			w.limited++
		}
		return false
	}
	for _, turn := range []struct {
		kind  string
		every time.Duration
		times int
	}{
		{protocol.KindProgress, 2 * time.Second, 1},
		{protocol.KindLease, 250 * time.Millisecond, 1},
		{protocol.KindJoin, 500 * time.Millisecond, 1},
		{protocol.KindCurrent, 500 * time.Millisecond, 1},
		{protocol.KindSolution, 500 * time.Millisecond, 16}, // resent
		{protocol.KindSolution, 10 * time.Millisecond, 2},   // published and sent
	} {
		if at%turn.every < step {
			for range turn.times {
				send(turn.kind)
			}
		}
	}
	const patience = 2 * time.Second
	for i, free := range w.inFlight {
		for at >= free {
			free = at + patience
			if send(protocol.KindShare) {
				free = at + w.roundTrip
				w.shares++
			}
		}
		w.inFlight[i] = free
	}
}

// TestHonestWorkersAreNeverLimited runs the most eager workers for a while, near
// and far: but for shares beyond measure all their messages are answered.
func TestHonestWorkersAreNeverLimited(t *testing.T) {
	const step = 100 * time.Microsecond
	for _, roundTrip := range []time.Duration{step, time.Millisecond, 20 * time.Millisecond, 300 * time.Millisecond, 5 * time.Second} {
		l := newLimits(ofProcess)
		w := &eagerWorker{name: "w", roundTrip: roundTrip, inFlight: make([]time.Duration, 32)}
		for at := time.Duration(0); at < 30*time.Second; at += step {
			w.step(l, testStart.Add(at), at, step)
		}
		if w.limited > 0 || w.dropped > 0 {
			t.Errorf("round trip %v: of %d messages %d limited, %d ignored", roundTrip, w.sent, w.limited, w.dropped)
		}
		if few := 80 * 30; roundTrip < time.Second && w.shares < few {
			t.Errorf("round trip %v: %d shares judged, want at least %d", roundTrip, w.shares, few)
		}
	}
}

// TestAttackersAreBounded has attackers send what they like as fast as they like
// beside honest workers: what is read of each stays within its measure, and who
// keeps at it is dropped.
func TestAttackersAreBounded(t *testing.T) {
	codes := []protocol.Code{
		protocol.OK, protocol.Malformed, protocol.BadMAC, protocol.HighHash, protocol.NotLeased, protocol.Known, protocol.Stale, protocol.UnknownJob,
	}
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 3))
		l := newLimits(ofProcess)
		honest := &eagerWorker{name: "honest", roundTrip: 5 * time.Millisecond, inFlight: make([]time.Duration, 32)}
		mix := make([]protocol.Code, 1+rng.IntN(4))
		bad := false
		for i := range mix {
			mix[i] = codes[rng.IntN(len(codes))]
			bad = bad || badness[mix[i]] > 0
		}
		flood := rng.IntN(2) == 0 // far over the rate, or at half of it
		perStep := 1.0
		if flood {
			perStep = 20
		}
		const step, length = 5 * time.Millisecond, 20 * time.Second
		read, drops, at := 0, 0, time.Duration(0)
		for ; at < length; at += step {
			now := testStart.Add(at)
			honest.step(l, now, at, step)
			for range int(perStep) {
				switch l.Admit(now, "attacker") {
				case protocol.OK:
					read++
					if l.Refused(now, "attacker", mix[rng.IntN(len(mix))]) != nil {
						drops++
					}
				case protocol.Limited:
					if l.Refused(now, "attacker", protocol.Limited) != nil {
						drops++
					}
				}
			}
		}
		if most := requestStart + int(length.Seconds()*requestRate); read > most {
			t.Errorf("seed %d: %d messages are read in %v, want at most %d", seed, read, length, most)
		}
		if wanted := bad || flood; wanted != (drops > 0) {
			t.Errorf("seed %d: mix %v, flood %v: %d drops", seed, mix, flood, drops)
		}
		if drops > 1 {
			t.Errorf("seed %d: dropped %d times in %v", seed, drops, length)
		}
		if honest.limited > 0 || honest.dropped > 0 {
			t.Errorf("seed %d: of the honest one's messages %d limited, %d ignored", seed, honest.limited, honest.dropped)
		}
	}
}

// TestInventedNamesGainNothing sends each message under another name, beside a
// fleet that reports every two seconds and a worker that is dropped.
func TestInventedNamesGainNothing(t *testing.T) {
	l := newLimits(ofProcess)
	const fleet = 10_000
	name := func(i int) string { return fmt.Sprintf("w%d", i) }
	for i := range fleet { // all at once: a restart
		if code := l.Admit(testStart, name(i)); code != protocol.OK {
			t.Fatalf("worker %d of the fleet: %v", i, code)
		}
	}
	l.Admit(testStart, "bad")
	for l.Refused(testStart, "bad", protocol.BadMAC) == nil {
	}
	const length = 50 * time.Second
	invented, read := 0, 0
	for at := time.Duration(0); at < length; at += 2 * time.Millisecond {
		now := testStart.Add(at)
		for range 100 {
			invented++
			if l.Admit(now, fmt.Sprintf("x%d", invented)) == protocol.OK {
				read++
			}
		}
		if i := int(at/(2*time.Millisecond)) % 1000; true {
			for w := i * fleet / 1000; w < (i+1)*fleet/1000; w++ {
				if code := l.Admit(now, name(w)); code != protocol.OK {
					t.Fatalf("%s after %v: %v", name(w), at, code)
				}
			}
		}
		if len(l.names) > maxNames || l.innocent.Len()+l.guilty.Len() != len(l.names) {
			t.Fatalf("%d names remembered, listed %d and %d", len(l.names), l.innocent.Len(), l.guilty.Len())
		}
	}
	if most := newcomerBurst + int(length.Seconds()*newcomerRate); read > most {
		t.Errorf("of %d invented names %d are read, want at most %d", invented, read, most)
	}
	if code := l.Admit(testStart.Add(length), "bad"); code != protocol.Dropped {
		t.Errorf("the dropped worker: %v, want %v", code, protocol.Dropped)
	}
}

// TestNamesAreForgotten fills the memory at the pace that is allowed: those heard
// of longest ago go, those with a score last.
func TestNamesAreForgotten(t *testing.T) {
	l := newLimits(ofProcess)
	now := testStart
	l.Admit(now, "bad")
	l.Refused(now, "bad", protocol.BadMAC)
	l.Admit(now, "quiet")
	for i := range maxNames {
		now = now.Add(time.Second / newcomerRate)
		if code := l.Admit(now, fmt.Sprintf("x%d", i)); code != protocol.OK {
			t.Fatalf("name %d: %v", i, code)
		}
	}
	if len(l.names) != maxNames {
		t.Errorf("%d names, want %d", len(l.names), maxNames)
	}
	for name, want := range map[string]bool{"bad": true, "quiet": false, "x0": false, "x1": true} {
		if got := l.names[name] != nil; got != want {
			t.Errorf("%s is remembered: %v, want %v", name, got, want)
		}
	}
}

// TestNoNames gives no room to what can't be a worker's name.
func TestNoNames(t *testing.T) {
	l := newLimits(ofProcess)
	for _, name := range []string{"", "a.b", "a b", string(make([]byte, 33)), "ä"} {
		if code := l.Admit(testStart, name); code != protocol.Malformed || len(l.names) > 0 {
			t.Errorf("%q: %v, %d names remembered", name, code, len(l.names))
		}
	}
}

// TestJoinsAndSharesHaveMeasuresOfTheirOwn sends nothing else.
func TestJoinsAndSharesHaveMeasuresOfTheirOwn(t *testing.T) {
	for _, tt := range []struct {
		kind  string
		start int
		rate  int
		burst int
	}{
		{protocol.KindJoin, joinStart, joinRate, joinBurst},
		{protocol.KindShare, shareStart, shareRate, shareBurst},
	} {
		l := newLimits(ofProcess)
		l.Admit(testStart, "w")
		count := func(now time.Time) (n int) {
			for l.AdmitKind(now, "w", tt.kind) {
				n++
			}
			return n
		}
		for _, want := range []struct {
			after time.Duration
			n     int
		}{{0, tt.start}, {time.Second, tt.rate}, {time.Hour, tt.burst}} {
			if got := count(testStart.Add(want.after)); got != want.n {
				t.Errorf("%s: %d after %v, want %d", tt.kind, got, want.after, want.n)
			}
		}
		if !l.AdmitKind(testStart, "w", protocol.KindProgress) {
			t.Errorf("%s: used up, no report passes", tt.kind)
		}
	}
}

// TestSlotsOfAName joins under one name more often than anybody has to: its oldest
// slot goes each time, with its lease, and the others' stay.
func TestSlotsOfAName(t *testing.T) {
	f := newFarm("alpha", chain.Regtest(), 1, nil)
	started, _ := f.Start(testStart, newTemplates(t).On("A", 1e12, testStart))
	f.Book(testStart, started)
	join := func(name string) uint32 {
		t.Helper()
		reply := f.Join(testStart, protocol.Join{Name: name, DeclaredHS: 1e6}, agreedWith(name))
		if reply.Code != protocol.OK {
			t.Fatal(reply.Code)
		}
		return reply.Slot
	}
	other := join("other")
	for i := range 3 * maxOfName {
		newest := join("w")
		own := f.roster.Of("w")
		if want := min(i+1, maxOfName); len(own) != want || own[want-1].number != newest || own[0].number != newest-uint32(want)+1 {
			t.Fatalf("join %d: %d slots, the newest %d, given %d", i, len(own), own[len(own)-1].number, newest)
		}
	}
	if f.roster.slots[other] == nil || len(f.roster.slots) != maxOfName+1 {
		t.Errorf("%d slots live, the other's: %v", len(f.roster.slots), f.roster.slots[other])
	}
	if got := len(started.ledger.leases); got != maxOfName+1 {
		t.Errorf("%d slots have leases, want %d", got, maxOfName+1)
	}
	f.Drop("w")
	if own := f.roster.Of("w"); len(own) != 0 || len(f.roster.slots) != 1 || len(f.roster.byName) != 1 || len(started.ledger.leases) != 1 {
		t.Errorf("dropped: %d slots of it, %d in all, %d names", len(own), len(f.roster.slots), len(f.roster.byName))
	}
}
