package coordinator

import (
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/jbcnet/jbc/coordinator/protocol"
)

// How often those who are no workers are answered. Whoever does not keep to it gets
// no answer: a signature costs more than the question.
const (
	// enrolRate bounds the attempts with one token, by who proves to hold it, and
	// enrolBurst those at once. What proves nothing has one measure all together.
	enrolRate    = 0.5
	enrolBurst   = 5
	unprovenRate = 20
	// getRate bounds the questions to one inbox, getBurst those at once: a fleet of
	// 10,000 fills some 400 pages. Inboxes that were never heard of all together may
	// not come faster than newGetRate.
	getRate     = 100
	getBurst    = 1000
	newGetRate  = 50
	newGetBurst = 200
	// maxGuests bounds the memory, about 100 bytes each.
	maxGuests = 1 << 12
	// complainTime is how often the log tells of one token.
	complainTime = time.Minute
)

// guests decides which of the questions of observers and joiners are answered. It is
// told the time, does no I/O and is not safe for concurrent use.
type guests struct {
	tokens   measures
	unproven bucket
	inboxes  measures
	newcomer bucket
	told     map[string]time.Time // when the log was last told of a token
}

func newGuests() *guests {
	return &guests{
		tokens:   measures{rate: enrolRate, burst: enrolBurst, of: map[string]*bucket{}},
		inboxes:  measures{rate: getRate, burst: getBurst, of: map[string]*bucket{}},
		unproven: bucket{tokens: unprovenRate},
		newcomer: bucket{tokens: newGetBurst},
		told:     map[string]time.Time{},
	}
}

// Enrol says whether an attempt with a token is answered, which its sender proved to
// hold or did not.
func (g *guests) Enrol(now time.Time, token string, proven bool) bool {
	if !proven {
		return g.unproven.take(now, unprovenRate, unprovenRate)
	}
	return g.tokens.take(now, token)
}

// Get says whether a question is answered whose reply goes to that subject.
func (g *guests) Get(now time.Time, reply string) bool {
	who := inboxOf(reply)
	if g.inboxes.of[who] == nil && !g.newcomer.take(now, newGetRate, newGetBurst) {
		return false
	}
	return g.inboxes.take(now, who)
}

// Tell says whether the log is to be told of a token, once in a while.
func (g *guests) Tell(now time.Time, token string) bool {
	if last, ok := g.told[token]; ok && now.Sub(last) < complainTime {
		return false
	}
	for other, last := range g.told {
		if now.Sub(last) >= complainTime {
			delete(g.told, other)
		}
	}
	if len(g.told) >= maxGuests {
		return false
	}
	g.told[token] = now
	return true
}

// inboxOf returns the part of an inbox that its owner's all begin with: "_INBOX" and
// a name.
func inboxOf(reply string) string {
	name, _, _ := strings.Cut(strings.TrimPrefix(reply, nats.InboxPrefix), ".")
	return name
}

// measures are the buckets of one rate, by whose they are.
type measures struct {
	rate, burst float64
	of          map[string]*bucket
}

// makeRoom forgets the buckets that are full again, and the oldest where none is.
func (m *measures) makeRoom(now time.Time) {
	oldest := ""
	for name, b := range m.of {
		if b.tokens+m.rate*now.Sub(b.at).Seconds() >= m.burst { // as if it were new
			delete(m.of, name)
		} else if oldest == "" || b.at.Before(m.of[oldest].at) {
			oldest = name
		}
	}
	if len(m.of) >= maxGuests {
		delete(m.of, oldest)
	}
}

func (m *measures) take(now time.Time, who string) bool {
	if m.of[who] == nil {
		if len(m.of) >= maxGuests {
			m.makeRoom(now)
		}
		m.of[strings.Clone(who)] = &bucket{m.burst, now}
	}
	return m.of[who].take(now, m.rate, m.burst)
}

// heedsEnrol says whether an attempt to trade a token is to be answered. One that is not
// is counted.
func (c *Coordinator) heedsEnrol(now time.Time, token string, proven bool) bool {
	return c.heedsGuest(func() bool { return c.guests.Enrol(now, token, proven) })
}

// tells says whether the log is to be told that a token was refused: of each once in a
// while, and of those that nobody proved to hold as of one.
func (c *Coordinator) tells(now time.Time, token string, proven bool) bool {
	if !proven {
		token = ""
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.guests.Tell(now, token)
}

// heedsGet says whether an observer's question is to be answered. One that is not is
// counted.
func (c *Coordinator) heedsGet(now time.Time, msg *nats.Msg) bool {
	if !strings.HasPrefix(msg.Reply, nats.InboxPrefix) {
		return false
	}
	return c.heedsGuest(func() bool { return c.guests.Get(now, msg.Reply) })
}

func (c *Coordinator) heedsGuest(ask func() bool) bool {
	if c.cfg.Unlimited {
		return true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	ok := ask()
	if !ok {
		c.farm.refused[protocol.Limited]++
	}
	return ok
}
