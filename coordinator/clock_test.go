package coordinator

import (
	"testing"
	"time"
	"unsafe"

	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/coordinator/protocol"
	"github.com/jbcnet/jbc/hashing"
)

// set returns t as a clock shows it that was set by d in between: the wall clock's
// reading moves, the monotonic one's stays. A time keeps its seconds in the first
// word, above 30 bits of nanoseconds, when it has both readings.
func set(t *testing.T, at time.Time, d time.Duration) time.Time {
	t.Helper()
	was := at
	*(*uint64)(unsafe.Pointer(&at)) += uint64(int64(d/time.Second)) << 30
	if at.Sub(was) != 0 || at.Round(0).Sub(was.Round(0)) != d {
		t.Fatalf("%v set by %v is %v", was, d, at)
	}
	return at
}

// TestClockIsSet sets the clock during a hold, and during a job.
func TestClockIsSet(t *testing.T) {
	templates := newTemplates(t)
	params := chain.Regtest()
	params.Spacing = 30 * time.Second
	settle := func(f *farm, now time.Time) { f.Hold(now, hashing.Hash{}, now.Add(settleTime), "settle") }
	early := func(f *farm, now time.Time) { // the chain says until when, which has no monotonic reading
		f.Hold(now, hashing.Hash{}, now.Add(time.Hour).Round(0), "too early")
	}
	job := func(f *farm, now time.Time) { f.Start(now, templates.On("A", 1e6, now)) }
	for _, tt := range []struct {
		name        string
		begin       func(*farm, time.Time)
		passed, set time.Duration
		want        bool
	}{
		{"a moment's hold, not over", settle, settleTime - 1, 0, false},
		{"a moment's hold, over", settle, settleTime, 0, true},
		{"a moment's hold, over, the clock set back", settle, settleTime, -time.Hour, true},
		{"a moment's hold, not over, the clock set back", settle, settleTime - 1, -time.Hour, false},
		{"a long hold", early, time.Second, 0, false},
		{"a long hold, the clock set right", early, time.Second, time.Hour, true},
		{"a long hold, the clock set on by too little", early, time.Second, time.Hour - 2*time.Second, false},
		{"a long hold, over", early, time.Hour, 0, true},
		{"a job", job, 30*time.Second - 1, 0, false},
		{"a job of one spacing", job, 30 * time.Second, 0, true},
		{"a job of one spacing, the clock set back", job, 30 * time.Second, -time.Hour, true},
		{"a job, the clock set back", job, time.Second, -time.Hour, false},
		{"a job that slept for an hour", job, time.Second, time.Hour, true},
	} {
		f, now := newFarm("alpha", params, 1, nil), time.Now()
		tt.begin(f, now)
		if got := f.IsDue(set(t, now.Add(tt.passed), tt.set)); got != tt.want {
			t.Errorf("%s: the next job is due: %v, want %v", tt.name, got, tt.want)
		}
	}
}

// TestClockIsSetBackInAHold has a hold of the chain's meet a clock that is set back:
// it holds on, without saying so again or looking at the clock all the time, and
// ends as soon as the clock is right.
func TestClockIsSetBackInAHold(t *testing.T) {
	broker := startBroker(t)
	n := openNode(t, nodeConfig{url: broker.URL()})
	t.Cleanup(func() { n.conn.Close(); n.store.Close() })
	h := newHand(n, broker.URL(), "w1")
	genesis := time.Unix(int64(n.chain.Params().Genesis.Header.Time()), 0)
	// A clock that is so far behind the chain's time that no block may be made.
	now := time.Now()
	behind := set(t, now, genesis.Add(-3*time.Hour).Sub(now).Truncate(time.Second))
	if err := n.begin(behind); err != nil {
		t.Fatal(err)
	}
	tick := func(at time.Time) (next time.Time) {
		t.Helper()
		next, err := n.tick(at)
		if err != nil {
			t.Fatal(err)
		}
		return next
	}
	due := tick(behind)
	if n.farm.hold == nil {
		t.Fatal("no hold")
	}
	var hold protocol.Hold
	h.nextKind(protocol.KindHold, &hold)
	wait := due.Sub(behind)

	later := behind.Add(wait) // its time is over, but for the clock
	back := set(t, later, -time.Hour)
	if next := tick(back); n.farm.hold == nil || next.Sub(back) < 59*time.Minute {
		t.Fatalf("hold %+v, next look in %v, want an hour more of it", n.farm.hold, next.Sub(back))
	}
	if tick(back.Add(time.Second)); n.farm.hold == nil {
		t.Fatal("the hold ended early")
	}
	if tick(set(t, back.Add(2*time.Second), time.Hour)); n.farm.hold != nil || n.farm.jobs.Current() == nil {
		t.Fatal("the hold did not end when the clock was right")
	}
	for { // what was said: the hold once, then the job
		msg := h.next(h.subjects.Job("alpha"))
		if kind, _ := protocol.KindOf(msg.Data); kind == protocol.KindJob {
			return
		}
		t.Errorf("said again: %s", msg.Data)
	}
}
