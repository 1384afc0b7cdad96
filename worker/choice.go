package worker

import (
	"slices"
	"time"

	"github.com/jbcnet/jbc/coordinator/protocol"
)

const (
	// freshFor is how long an answer to discovery counts.
	freshFor = 2500 * time.Millisecond
	// shunFor is how long one is not chosen again that the worker had to leave. It may
	// well answer discovery and nothing else.
	shunFor = 10 * time.Second
	// toldFor is how long the work counts that the coordinator told last, which is asked
	// for twice within it.
	toldFor = 10 * time.Second
	// maxSeekEvery is how many [lookEvery] there are at the most between two questions
	// for others.
	maxSeekEvery = 5
)

// Why a worker changes coordinators, besides silence.
const (
	whyDenied = "it gives no slot"
	whyBack   = "the preferred coordinator is back"
)

// step is what a chooser wants done.
type step struct {
	probe bool           // ask the coordinator something, so that it answers
	ping  bool           // ask who is there
	move  protocol.Found // work for this one from now on; zero for no change
	why   string         // of the move
}

// chooser decides for whom a worker works: for the coordinator that it prefers, and
// while that one is silent for the best other that it may work for. With nobody
// else there it stays. It is pure: times and chance are arguments, and what it
// decides is for others to do.
type chooser struct {
	worker string // the worker's own name
	stay   bool   // never work for another
	vary   func(time.Duration) time.Duration
	trust  trust

	preferred, with protocol.Found
	told            sighting // the last answer to discovery of with
	vigil           vigil    // over with
	denied          bool     // with gave no slot
	homing          homing
	shunned         map[protocol.Found]time.Time // until then
	seeking         seeking
}

// seeking is the search for another.
type seeking struct {
	asked   int       // how often
	due     time.Time // when to ask again
	decide  time.Time // when to choose
	sighted map[protocol.Found]sighting
}

// sighting is the last answer of a coordinator.
type sighting struct {
	at    time.Time
	found protocol.Found
}

// newChooser makes one for a worker. vary returns a random duration below the one that
// it is given.
func newChooser(worker string, stay, open bool, vary func(time.Duration) time.Duration) chooser {
	c := chooser{worker: worker, stay: stay, vary: vary, shunned: map[protocol.Found]time.Time{}}
	c.vigil.vary, c.homing.vary = vary, vary
	c.trust.open = open
	return c
}

// begin starts with the coordinator that the worker prefers.
func (c *chooser) begin(now time.Time, preferred protocol.Found) {
	c.preferred = preferred
	c.take(now, preferred)
}

// away says whether the worker works for another than it prefers.
func (c *chooser) away() bool { return c.with != c.preferred }

// take notes for whom the worker works from now on.
func (c *chooser) take(now time.Time, f protocol.Found) {
	c.with, c.denied, c.told, c.seeking = f, false, c.seeking.sighted[f], seeking{}
	c.trust.meet(f)
	c.vigil.begin(now)
}

// hear notes what the coordinator said to all.
func (c *chooser) hear(now time.Time) {
	c.vigil.hear(now)
	c.found()
}

// answer notes that the coordinator answered.
func (c *chooser) answer(now time.Time) {
	c.vigil.answer(now)
	c.found()
}

// found ends the search for another.
func (c *chooser) found() {
	if !c.denied {
		c.seeking = seeking{}
	}
}

// deny notes that the coordinator gave no slot, and seat that it did.
func (c *chooser) deny() { c.denied = true }
func (c *chooser) seat() { c.denied = false; c.found() }

// back notes that the connection is back, maybe by another server. The coordinator
// may have gone with its own: unless it says something soon it is asked who is there,
// so that answers are in when its silence is certain.
func (c *chooser) back(now time.Time) {
	c.vigil.afresh()
	c.seeking = seeking{due: now.Add(spread + c.vary(spread))}
}

// sight takes an answer to discovery, which nothing proves.
func (c *chooser) sight(now time.Time, f protocol.Found) {
	id := f.Identity()
	if id == c.with {
		c.told = sighting{now, f}
	}
	if id == c.preferred && c.away() && !c.trails(now, f) {
		c.homing.answer(now)
	}
	if c.seeking.asked == 0 || !c.trust.allows(c.preferred, id) {
		return
	}
	if _, ok := c.seeking.sighted[id]; ok || len(c.seeking.sighted) < maxFound {
		c.seeking.sighted[id] = sighting{now, f}
	}
}

// trails says whether f has a chain of less work than the coordinator told lately that
// the worker works for. Where one of them told none, nobody knows.
func (c *chooser) trails(now time.Time, f protocol.Found) bool {
	return f.Work != "" && now.Sub(c.told.at) <= toldFor && f.Work < c.told.found.Work // as many digits each
}

// look decides. busy says that a solution waits for the coordinator's verdict.
func (c *chooser) look(now time.Time, busy bool) (s step) {
	if c.stay || c.with == (protocol.Found{}) {
		return s
	}
	s.probe = c.vigil.look(now)
	why := c.vigil.why
	if why == "" && c.denied {
		why = whyDenied
	}
	if c.away() {
		var back bool
		if s.ping, back = c.homing.look(now); back && (why != "" || !busy) {
			c.homing.arrive(now)
			c.take(now, c.preferred)
			s.move, s.why = c.preferred, whyBack
			return s
		}
	}
	ahead := c.seeking.asked == 0 && !c.seeking.due.IsZero()
	if (why != "" || ahead) && !now.Before(c.seeking.due) {
		c.seek(now)
		s.ping = true
	}
	if why == "" {
		return s
	}
	if best, ok := c.best(now); ok && !now.Before(c.seeking.decide) {
		c.leave(now, best)
		s.move, s.why = best, why
	}
	return s
}

// seek notes that it is asked who is there, the more seldom the longer it takes: a
// farm asks together.
func (c *chooser) seek(now time.Time) {
	k := &c.seeking
	if k.asked == 0 {
		k.decide = now.Add(lookWait + c.vary(spread))
		k.sighted = map[protocol.Found]sighting{}
	}
	k.asked = min(k.asked+1, maxSeekEvery)
	k.due = now.Add(time.Duration(k.asked)*lookEvery + c.vary(lookEvery/2))
}

// leave has the worker leave a coordinator for another because it must.
func (c *chooser) leave(now time.Time, to protocol.Found) {
	for f, until := range c.shunned {
		if !now.Before(until) {
			delete(c.shunned, f)
		}
	}
	c.shunned[c.with] = now.Add(shunFor)
	if !c.away() {
		c.homing.leave(now)
	} else if to == c.preferred {
		c.homing.arrive(now)
	}
	c.take(now, to)
}

// best returns the best of those that answered lately. The preferred one is, unless
// it was returned to in vain.
func (c *chooser) best(now time.Time) (best protocol.Found, ok bool) {
	var others []protocol.Found
	for id, s := range c.seeking.sighted {
		if id == c.with || now.Sub(s.at) > freshFor || now.Before(c.shunned[id]) || !c.trust.allows(c.preferred, id) {
			continue
		}
		if id == c.preferred && !now.Before(c.homing.from) {
			return id, true
		}
		others = append(others, s.found)
	}
	if len(others) == 0 {
		return protocol.Found{}, false
	}
	return slices.MinFunc(others, better(c.worker)).Identity(), true
}
