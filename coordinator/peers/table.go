package peers

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/coordinator/protocol"
	"github.com/jbcnet/jbc/hashing"
)

const (
	// maxPeers bounds the names that a table remembers.
	maxPeers = 512
	// maxKey bounds a key, which has 56 characters.
	maxKey = 128
	// keyRest is how long a name's key has to be silent before another takes the name:
	// of a coordinator that was set up anew.
	keyRest = time.Minute
	// forgotten is how long a peer is remembered that is not heard of.
	forgotten = time.Hour
)

// Tip is the last block of the chain that a peer says it has.
type Tip struct {
	Hash   hashing.Hash
	Height uint32
	Work   chain.Work // of the whole chain
}

// Peer is another coordinator and what it claims.
type Peer struct {
	Name string
	Key  string // the public key that signs what it says
	Tip  Tip
}

// PeerStatus is what is known of a peer, for people.
type PeerStatus struct {
	Peer
	First, Heard time.Time // heard of, the first and the last time
	Score        float64   // 0 is good, 10 is ignored
	Ignored      time.Time // until then, zero if it is not
	Times        int       // ignored so far
	Faults       map[Fault]uint64
}

// Table is what a coordinator knows of the others. It is not safe for concurrent
// use.
type Table struct {
	self  string
	peers map[string]*standing
}

// NewTable makes the table of the coordinator with that name.
func NewTable(self string) *Table {
	return &Table{self: self, peers: map[string]*standing{}}
}

// Heard notes an announcement or an answer that the owner of key signed, and returns
// whether it was taken: of a name that another key had in the last minute, or that is
// ignored, it is not. So everybody should be heard a few times a minute. Where there
// is no room the peer goes that is ignored and silent for the longest; where none is
// ignored, the one that is silent for the longest of those that never gave anything,
// or of all.
func (t *Table) Heard(now time.Time, name, key string, tip Tip) bool {
	s := t.peers[name]
	switch {
	case name == t.self || protocol.CheckName(name) != nil || key == "" || len(key) > maxKey:
		return false
	case s != nil && s.Key == key:
		s.heard, s.Tip = now, tip
		return true
	case s != nil && (s.ignored(now) || now.Sub(s.heard) < keyRest):
		return false
	case s == nil && len(t.peers) >= maxPeers:
		t.makeRoom(now)
	}
	name = strings.Clone(name) // it may be part of a message
	t.peers[name] = &standing{
		Peer:  Peer{Name: name, Key: strings.Clone(key), Tip: tip},
		first: now, heard: now, scored: now,
	}
	return true
}

// makeRoom forgets the peer whose loss is the smallest.
func (t *Table) makeRoom(now time.Time) {
	class := func(s *standing) int {
		switch {
		case s.ignored(now):
			return 0
		case !s.worked:
			return 1
		}
		return 2
	}
	var least *standing
	for _, s := range t.peers {
		if least == nil || cmp.Or(class(s)-class(least), s.heard.Compare(least.heard), cmp.Compare(s.Name, least.Name)) < 0 {
			least = s
		}
	}
	delete(t.peers, least.Name)
}

// Failed counts a fault of a peer. It returns until when the peer is ignored, if it
// is from now on.
func (t *Table) Failed(now time.Time, name string, why Fault) (until time.Time, ignored bool) {
	s := t.peers[name]
	if s == nil || why == 0 || why >= faults {
		return time.Time{}, false
	}
	before := s.ignored(now)
	s.failed(now, why)
	if before || !s.ignored(now) {
		return time.Time{}, false
	}
	return s.until, true
}

// Worked notes that a peer gave what it was asked for. It is forgiven some of its
// silences and refusals, of nothing else.
func (t *Table) Worked(now time.Time, name string) {
	if s := t.peers[name]; s != nil {
		s.forgive(now)
	}
}

// Early notes that the chain of a peer lies ahead of the clock, by whose fault nobody
// can say. For a moment [Table.Best] returns others.
func (t *Table) Early(now time.Time, name string) {
	if s := t.peers[name]; s != nil {
		s.later = now.Add(early)
	}
}

// Peer returns what a name claims, false where nobody of it is known.
func (t *Table) Peer(name string) (Peer, bool) {
	s := t.peers[name]
	if s == nil {
		return Peer{}, false
	}
	return s.Peer, true
}

// Best returns the peer to ask for a chain of more work than that: the one that
// claims the most, then of the best score, then the first that was heard. A claim
// that was found wrong is not believed again for a while.
func (t *Table) Best(now time.Time, work chain.Work) (Peer, bool) {
	var best *standing
	for _, s := range t.peers {
		if !s.claims(now) || s.Tip.Work.Cmp(work) <= 0 {
			continue
		}
		if best == nil || cmp.Or(best.Tip.Work.Cmp(s.Tip.Work), better(now, s, best)) < 0 {
			best = s
		}
	}
	if best == nil {
		return Peer{}, false
	}
	return best.Peer, true
}

// Serving returns those that can be asked for blocks of a chain with that work: not
// ignored, and claiming at least as much. The best score comes first. A peer may
// claim as much for another chain and lack the blocks of this one.
func (t *Table) Serving(now time.Time, work chain.Work) []Peer {
	var serving []*standing
	for _, s := range t.peers {
		if !s.ignored(now) && s.Tip.Work.Cmp(work) >= 0 {
			serving = append(serving, s)
		}
	}
	slices.SortFunc(serving, func(a, b *standing) int { return better(now, a, b) })
	out := make([]Peer, len(serving))
	for i, s := range serving {
		out[i] = s.Peer
	}
	return out
}

// better orders peers by score, then by who was heard first.
func better(now time.Time, a, b *standing) int {
	return cmp.Or(cmp.Compare(a.score(now), b.score(now)), a.first.Compare(b.first), cmp.Compare(a.Name, b.Name))
}

// All returns what is known of everybody, by name.
func (t *Table) All(now time.Time) []PeerStatus {
	out := make([]PeerStatus, 0, len(t.peers))
	for _, s := range t.peers {
		st := PeerStatus{Peer: s.Peer, First: s.first, Heard: s.heard, Score: s.score(now), Times: s.times, Faults: map[Fault]uint64{}}
		if s.ignored(now) {
			st.Ignored = s.until
		}
		for f, n := range s.faults {
			if n > 0 {
				st.Faults[Fault(f)] = n
			}
		}
		out = append(out, st)
	}
	slices.SortFunc(out, func(a, b PeerStatus) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// Forget forgets who was not heard of for an hour, if it is not ignored.
func (t *Table) Forget(now time.Time) {
	for name, s := range t.peers {
		if now.Sub(s.heard) >= forgotten && !s.ignored(now) {
			delete(t.peers, name)
		}
	}
}
