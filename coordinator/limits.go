package coordinator

import (
	"cmp"
	"container/list"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jbcnet/jbc/coordinator/protocol"
)

// What one worker may send. The largest there can be sends a report every 2 s,
// joins and questions for the job of the moment every 0.5 s, points out of turn
// four times a second, a solution and its resends twice a second, up to 32 shares
// that wait for an answer, and on a network without difficulty a solution for
// every job, which are some hundreds a second. A message costs about 40 us to
// judge and to answer: at these rates one worker can cost 2 % of a core.
const (
	requestRate  = 400 // messages of any kind a second
	requestBurst = 800
	// Shares have a measure of their own below that: a worker whose shares come too
	// easily, before its terms are revised, still gets its reports through.
	shareRate  = 100
	shareBurst = 200
	// So do joins, the dearest to answer, each of which uses up a slot's number for
	// a while.
	joinRate  = 8
	joinBurst = 16
	// And questions for the nodes of the mesh, whose answers are the longest: all pages
	// of a mesh of a hundred after joining, and now and then from then on.
	nodeRate  = 1
	nodeBurst = 32
	// A name that was never heard starts with these, and all such names together
	// may not come faster than that: nobody gets round the limits by inventing names.
	// The burst is a fleet of 16,384 that comes back at once.
	requestStart  = 80
	shareStart    = 16
	joinStart     = 4
	nodeStart     = 8
	newcomerRate  = 50
	newcomerBurst = 1 << 14
)

// measure is what one name may send: its rates a second, their bursts, what it
// starts with when it is heard for the first time.
type measure struct {
	requests, requestBurst, requestStart float64
	shares, shareBurst, shareStart       float64
	joins, joinBurst, joinStart          float64
	nodes, nodeBurst, nodeStart          float64
}

// The measures. A machine that proves who it is has one for all its processes, which
// it may call what it likes: 16 of them can start at once and then send a quarter
// each of what the largest alone could, far more than any does on a network with
// difficulty.
var (
	ofProcess = measure{
		requests: requestRate, requestBurst: requestBurst, requestStart: requestStart,
		shares: shareRate, shareBurst: shareBurst, shareStart: shareStart,
		joins: joinRate, joinBurst: joinBurst, joinStart: joinStart,
		nodes: nodeRate, nodeBurst: nodeBurst, nodeStart: nodeStart,
	}
	ofMachine = measure{
		requests: 4 * requestRate, requestBurst: 4 * requestBurst, requestStart: 16 * requestStart,
		shares: 4 * shareRate, shareBurst: 4 * shareBurst, shareStart: 16 * shareStart,
		joins: 4 * joinRate, joinBurst: 4 * joinBurst, joinStart: 16 * joinStart,
		nodes: 4 * nodeRate, nodeBurst: 4 * nodeBurst, nodeStart: 16 * nodeStart,
	}
)

const (
	// maxBad is the score of bad messages at which a worker is dropped. A point of it
	// is forgotten every second: a worker with a faulty device, whose one share in
	// two seconds is none, stays.
	maxBad = 64
	// firstDrop is how long a worker is not listened to, twice as long each time up
	// to longestDrop; after longestDrop without another it starts anew.
	firstDrop   = time.Minute
	longestDrop = time.Hour
	// maxNames bounds the memory, about 400 bytes a name. A fleet has to fit: a name
	// that is forgotten is a newcomer.
	maxNames = 1 << 16
	// maxLive is how many slots there can be at once, about 2.5 KB each, a name's at
	// most maxOfName: a worker has one, and another while its joins cross. Numbers
	// that rest do not count.
	maxLive   = 1 << 16
	maxOfName = 4
	// maxOfMachine is how many the processes of one machine may have.
	maxOfMachine = 16 * maxOfName
	// maxShownDrops is how many dropped workers a status lists.
	maxShownDrops = 50
)

// badness is what a message adds to its sender's score, by the code that refuses
// it. What is not listed happens to honest workers: shares that are stale, known
// or of a job that is over, slots and leases that are gone, whatever a restart
// makes unknown.
var badness = map[protocol.Code]float64{
	protocol.Malformed:   1,
	protocol.Oversized:   1,
	protocol.UnknownKind: 1, // a newer worker may well send one every 2 s
	protocol.BadMAC:      1,
	protocol.HighHash:    1,
	protocol.NotLeased:   0.25,
	protocol.Limited:     0.0625, // who keeps a flood up is dropped after about a thousand
}

// falseSolution is what a solution adds that is none: everybody who hears it has
// to judge it.
const falseSolution = 4

// limits decides whose messages are worth reading: each worker, by the name on
// its subject, or the machine that it is of, may send so many, and so many bad ones.
// Where the NATS server does not tie names to credentials anybody can spend
// another's measure. It is told the time, does no I/O and is not safe for concurrent
// use.
type limits struct {
	each      measure
	names     map[string]*standing
	innocent  *list.List // the least recently heard first
	guilty    *list.List // those with a score or drops, forgotten last
	newcomers bucket
}

// standing is what is remembered of a name.
type standing struct {
	name     string
	requests bucket
	shares   bucket
	joins    bucket
	nodes    bucket
	bad      float64 // as of badAt
	badAt    time.Time
	reasons  map[protocol.Code]uint64 // of the score, since the last drop
	until    time.Time                // not listened to
	drops    int
	dropped  map[protocol.Code]uint64 // the reasons of the last drop
	in       *list.List
	at       *list.Element
}

func newLimits(each measure) *limits {
	return &limits{
		each: each, names: map[string]*standing{}, innocent: list.New(), guilty: list.New(),
		newcomers: bucket{tokens: newcomerBurst},
	}
}

// bucket is a measure that refills at a rate up to a burst.
type bucket struct {
	tokens float64
	at     time.Time
}

// take takes one token, if there is one.
func (b *bucket) take(now time.Time, rate, burst float64) bool {
	if !b.at.IsZero() && now.After(b.at) {
		b.tokens = min(burst, b.tokens+rate*now.Sub(b.at).Seconds())
	}
	if b.at.IsZero() || now.After(b.at) {
		b.at = now
	}
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}

// Admit says whether a worker's next message is to be read: OK, or why not.
// [protocol.Dropped] and [protocol.Limited] ones are not answered either: a
// signature costs more than the message. Malformed says that the name is none.
func (l *limits) Admit(now time.Time, name string) protocol.Code {
	s := l.names[name]
	switch {
	case s != nil:
		s.in.MoveToBack(s.at)
	case protocol.CheckName(name) != nil:
		return protocol.Malformed
	case !l.newcomers.take(now, newcomerRate, newcomerBurst):
		return protocol.Limited
	default:
		s = l.enter(now, strings.Clone(name)) // the subject is the message's
	}
	switch {
	case now.Before(s.until):
		return protocol.Dropped
	case !s.requests.take(now, l.each.requests, l.each.requestBurst):
		return protocol.Limited
	}
	return protocol.OK
}

// AdmitKind says whether a message that [limits.Admit] let pass is to be answered,
// now that its kind is known.
func (l *limits) AdmitKind(now time.Time, name, kind string) bool {
	s := l.names[name]
	switch {
	case s == nil:
	case kind == protocol.KindShare:
		return s.shares.take(now, l.each.shares, l.each.shareBurst)
	case kind == protocol.KindJoin:
		return s.joins.take(now, l.each.joins, l.each.joinBurst)
	case kind == protocol.KindNodes:
		return s.nodes.take(now, l.each.nodes, l.each.nodeBurst)
	}
	return true
}

// enter makes room for a name, at the cost of the innocent first.
func (l *limits) enter(now time.Time, name string) *standing {
	for _, from := range []*list.List{l.innocent, l.guilty} {
		if oldest := from.Front(); oldest != nil && len(l.names) >= maxNames {
			delete(l.names, from.Remove(oldest).(*standing).name)
		}
	}
	s := &standing{
		name:     name,
		requests: bucket{l.each.requestStart, now},
		shares:   bucket{l.each.shareStart, now},
		joins:    bucket{l.each.joinStart, now},
		nodes:    bucket{l.each.nodeStart, now},
		in:       l.innocent,
	}
	s.at = s.in.PushBack(s)
	l.names[name] = s
	return s
}

// A drop is that a worker is not listened to until then.
type drop struct {
	name    string
	until   time.Time
	times   int // this one included
	reasons map[protocol.Code]uint64
}

// Refused notes that a message of a worker was refused with a code. It returns
// what follows when that was one too many.
func (l *limits) Refused(now time.Time, name string, code protocol.Code) *drop {
	return l.blame(now, name, code, badness[code])
}

// FalseSolution is [limits.Refused] for a solution, which everybody heard of or
// could have.
func (l *limits) FalseSolution(now time.Time, name string, code protocol.Code) *drop {
	points := badness[code]
	if points > 0 {
		points = falseSolution
	}
	return l.blame(now, name, code, points)
}

func (l *limits) blame(now time.Time, name string, code protocol.Code, points float64) *drop {
	s := l.names[name]
	if s == nil || points == 0 || now.Before(s.until) {
		return nil // what still comes from a dropped one was on its way
	}
	s.bad = points + max(0, s.bad-max(0, now.Sub(s.badAt).Seconds()))
	s.badAt = now
	if s.reasons == nil || s.bad == points { // all before is forgotten
		s.reasons = map[protocol.Code]uint64{}
	}
	s.reasons[code]++
	if s.in != l.guilty {
		s.in.Remove(s.at)
		s.in = l.guilty
		s.at = s.in.PushBack(s)
	}
	if s.bad < maxBad {
		return nil
	}
	if s.drops > 0 && now.Sub(s.until) >= longestDrop {
		s.drops = 0
	}
	s.until = now.Add(min(longestDrop, firstDrop<<min(s.drops, 10)))
	s.drops++
	s.dropped, s.reasons, s.bad = s.reasons, nil, 0
	return s.drop()
}

func (s *standing) drop() *drop {
	return &drop{name: s.name, until: s.until, times: s.drops, reasons: maps.Clone(s.dropped)}
}

// Dropped returns who is not listened to, by name, of many those who wait longest.
func (l *limits) Dropped(now time.Time) []*drop {
	var out []*drop
	for e := l.guilty.Front(); e != nil; e = e.Next() {
		if s := e.Value.(*standing); now.Before(s.until) {
			out = append(out, s.drop())
		}
	}
	slices.SortFunc(out, func(a, b *drop) int { return cmp.Or(b.until.Compare(a.until), cmp.Compare(a.name, b.name)) })
	out = out[:min(len(out), maxShownDrops)]
	slices.SortFunc(out, func(a, b *drop) int { return cmp.Compare(a.name, b.name) })
	return out
}
