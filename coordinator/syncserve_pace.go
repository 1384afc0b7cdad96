package coordinator

import (
	"strings"
	"time"

	"github.com/jbcnet/jbc/coordinator/protocol"
)

const (
	// syncRate is how many bytes a second one asker is answered with, and syncBurst
	// how many at once. Every reply counts as a full one: a signature costs more than
	// most.
	syncRate  = 32 << 20
	syncBurst = 4 << 20
	// syncReadShare is how many bytes read from the disk cost as much as one that is
	// sent.
	syncReadShare = 4
	// syncPatience is how long a question may have to wait for its turn, and syncHeld
	// how many of one asker may; an asker that keeps to 512 KiB in flight has 32.
	syncPatience = time.Second
	syncHeld     = 64
)

// syncPace says when the questions of other coordinators are answered. Whoever asks
// faster than it may waits, so that it slows down by itself, and beyond that gets no
// answer. It is told the time, does no I/O and is not safe for concurrent use.
type syncPace struct {
	newcomer bucket
	askers   map[string]*syncAsker
}

// syncAsker is what an inbox's owner used up.
type syncAsker struct {
	paid time.Time // when all that it was sent is paid for, at syncRate
	held int       // questions that wait for their turn
}

func newSyncPace() *syncPace {
	return &syncPace{newcomer: bucket{tokens: newGetBurst}, askers: map[string]*syncAsker{}}
}

// price is how long n bytes take at syncRate.
func price(n int) time.Duration { return time.Duration(n) * time.Second / syncRate }

// Admit returns when a question is to be answered whose reply goes to an inbox of
// that owner: now, or later, and then [syncPace.Turn] is to be told when it comes.
// False: never.
func (p *syncPace) Admit(now time.Time, who string) (due time.Time, ok bool) {
	a := p.askers[who]
	if a == nil {
		if !p.newcomer.take(now, newGetRate, newGetBurst) {
			return due, false
		}
		if len(p.askers) >= maxGuests {
			p.makeRoom(now)
		}
		a = &syncAsker{paid: now}
		p.askers[strings.Clone(who)] = a
	}
	due = a.paid.Add(-price(syncBurst))
	if due.Before(now) {
		due = now
	}
	if due.Sub(now) > syncPatience || due.After(now) && a.held >= syncHeld {
		return due, false
	}
	if due.After(now) {
		a.held++
	}
	if a.paid.Before(now) {
		a.paid = now
	}
	a.paid = a.paid.Add(price(protocol.MaxMessage))
	return due, true
}

// Turn notes that a question is answered now which had to wait.
func (p *syncPace) Turn(who string) {
	if a := p.askers[who]; a != nil && a.held > 0 {
		a.held--
	}
}

// Read notes how many bytes were read from the disk for an asker.
func (p *syncPace) Read(who string, n int) {
	if a := p.askers[who]; a != nil {
		a.paid = a.paid.Add(price(n / syncReadShare))
	}
}

// makeRoom forgets who has nothing left to pay, and where there is none who has the
// least.
func (p *syncPace) makeRoom(now time.Time) {
	least := ""
	for who, a := range p.askers {
		if a.held == 0 && !a.paid.After(now) { // as if it were new
			delete(p.askers, who)
		} else if least == "" || a.paid.Before(p.askers[least].paid) {
			least = who
		}
	}
	if len(p.askers) >= maxGuests {
		delete(p.askers, least)
	}
}
