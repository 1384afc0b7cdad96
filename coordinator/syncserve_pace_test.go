package coordinator

import (
	"fmt"
	"testing"
	"time"

	"github.com/jbcnet/jbc/coordinator/protocol"
)

const (
	burstReplies  = syncBurst / protocol.MaxMessage
	secondReplies = syncRate / protocol.MaxMessage
)

// TestSyncPaceOfOne asks as fast as can be: a burst is answered at once, as many as
// may wait in their turn, and the rest never.
func TestSyncPaceOfOne(t *testing.T) {
	p := newSyncPace()
	for i, want := range []struct {
		after  time.Duration
		atOnce int
	}{{0, burstReplies + 1}, {time.Second, burstReplies + 1}, {time.Hour, burstReplies + 1}} {
		now := testStart.Add(want.after)
		atOnce, later, last := 0, 0, now
		for range 10 * burstReplies {
			due, ok := p.Admit(now, "beta")
			switch {
			case !ok:
			case due.Equal(now):
				atOnce++
			default:
				later++
				if gap := due.Sub(last); later > 1 && gap != time.Second/secondReplies {
					t.Fatalf("%v between two that wait, want %v", gap, time.Second/secondReplies)
				}
				last = due
			}
		}
		if atOnce != want.atOnce || later != syncHeld {
			t.Errorf("turn %d: %d at once and %d later, want %d and %d", i, atOnce, later, want.atOnce, syncHeld)
		}
		for range later {
			p.Turn("beta")
		}
	}
}

// TestSyncPaceKeepsUp has somebody ask who keeps to 512 KiB in flight, over a link of
// any speed: every question is answered, at the rate.
func TestSyncPaceKeepsUp(t *testing.T) {
	p := newSyncPace()
	now, answered := testStart, 0
	var waiting []time.Time
	for now.Sub(testStart) < 10*time.Second {
		for len(waiting) < 32 {
			due, ok := p.Admit(now, "beta")
			if !ok {
				t.Fatalf("after %d answers one is refused", answered)
			}
			waiting = append(waiting, due)
		}
		if waiting[0].After(now) {
			now = waiting[0]
			p.Turn("beta")
		}
		waiting = waiting[1:]
		answered++
	}
	if want := 10*secondReplies + burstReplies; answered < want-64 || answered > want+64 {
		t.Errorf("%d answers in 10 s, want about %d", answered, want)
	}
}

// TestSyncPaceCountsReading has somebody ask for a byte of another large block every
// time: what is read is paid for.
func TestSyncPaceCountsReading(t *testing.T) {
	p := newSyncPace()
	answered := 0
	for i := range 100 * 1000 {
		now := testStart.Add(time.Duration(i) * 100 * time.Microsecond)
		if due, ok := p.Admit(now, "beta"); ok {
			if due.After(now) {
				p.Turn("beta")
			}
			p.Read("beta", protocol.MaxSyncBlock)
			answered++
		}
	}
	each := protocol.MaxMessage + protocol.MaxSyncBlock/syncReadShare
	if most := (10*syncRate+syncBurst+syncRate)/each + 2; answered > most || answered < most/2 {
		t.Errorf("%d blocks are read in 10 s, want at most %d and half of that", answered, most)
	}
}

// TestSyncPaceLeavesOthersAlone uses up one's measure, and invents askers: who is
// there already has all of its own.
func TestSyncPaceLeavesOthersAlone(t *testing.T) {
	p := newSyncPace()
	if _, ok := p.Admit(testStart, "beta"); !ok {
		t.Fatal("the first question is not answered")
	}
	invented := 0
	for i := range 10 * maxGuests {
		p.Admit(testStart, "eager")
		if _, ok := p.Admit(testStart, fmt.Sprint(i)); ok {
			invented++
		}
	}
	if want := newGetBurst - 2; invented != want {
		t.Errorf("%d invented askers are answered, want %d", invented, want)
	}
	for i := range burstReplies {
		if due, ok := p.Admit(testStart, "beta"); !ok || !due.Equal(testStart) {
			t.Fatalf("question %d of another is answered at %v, %v, want at once", i+2, due, ok)
		}
	}
}

// TestSyncPaceForgets bounds what is remembered.
func TestSyncPaceForgets(t *testing.T) {
	p, now := newSyncPace(), testStart
	for i := range 3 * maxGuests {
		now = now.Add(time.Second / newGetRate)
		who := fmt.Sprint(i)
		if _, ok := p.Admit(now, who); !ok {
			t.Fatalf("asker %d is not answered", i)
		}
		p.Read(who, 1<<40) // none is ever as if it were new
	}
	if len(p.askers) != maxGuests {
		t.Errorf("%d askers are remembered, want %d", len(p.askers), maxGuests)
	}
	if _, ok := p.askers[fmt.Sprint(3*maxGuests-1)]; !ok {
		t.Error("the last one is forgotten")
	}
}
