package coordinator

import (
	"time"

	"github.com/jbcnet/jbc/coordinator/peers"
	"github.com/jbcnet/jbc/coordinator/protocol"
)

const (
	// askRest is how long a node is left alone after it answered, and askRetry after
	// it did not, or could not be believed. pingRest is how long after it was asked
	// because of a ping, which proves nothing.
	askRest  = 100 * time.Millisecond
	askRetry = 2 * time.Second
	pingRest = time.Second
	// maxAsking is how many nodes are asked at once.
	maxAsking = 16
)

// askPlan says which other nodes are to be asked for what they know: those whose book
// is another than when they were asked last. It is told the time, does no I/O and is
// not safe for concurrent use.
type askPlan struct {
	nodes  map[string]*askedNode
	asking int
}

// askedNode is how far another node was asked.
type askedNode struct {
	key  string
	book string // as it says that it is now
	// pinged says that a ping told of the book.
	pinged bool
	// asked is the book that all was heard of, and from and epoch where the next
	// question for machines begins.
	asked   string
	from    machinesFrom
	asking  bool
	strange bool      // what it says does not count yet
	next    time.Time // not before
}

// machinesFrom is where a question for machines begins.
type machinesFrom struct{ epoch, after protocol.Point }

// asking is a question that is under way.
type asking struct {
	peer   peers.Peer
	book   string
	from   machinesFrom
	pinged bool
}

func newAskPlan() *askPlan { return &askPlan{nodes: map[string]*askedNode{}} }

// Heard notes the book that a coordinator says it has, one that was met and is in the
// table of others, or that a ping says so. It returns whether it is another than it was
// asked for.
func (p *askPlan) Heard(name, key, book string, pinged bool) bool {
	n := p.nodes[name]
	if n == nil || n.key != key {
		if n == nil || !n.asking { // else once that ended
			n = &askedNode{key: key}
			p.nodes[name] = n
		}
	}
	if n.book != book {
		n.book, n.pinged = book, pinged
	}
	return n.book != n.asked
}

// Due returns who of the others, who are not ignored, is to be asked now. Each is to
// be told to [askPlan.Done] after that. Who is not among the others is forgotten, if
// it is not in all either.
func (p *askPlan) Due(now time.Time, others []peers.Peer) (due []asking) {
	for _, o := range others {
		n := p.nodes[o.Name]
		if n == nil || n.key != o.Key || n.asking || n.book == n.asked || now.Before(n.next) || p.asking >= maxAsking {
			continue
		}
		n.asking = true
		p.asking++
		due = append(due, asking{o, n.book, n.from, n.pinged})
	}
	return due
}

// Next returns when somebody may be asked who has to wait, zero where nobody has.
func (p *askPlan) Next(now time.Time) (next time.Time) {
	for _, n := range p.nodes {
		if n.book != n.asked && !n.asking && n.next.After(now) && (next.IsZero() || n.next.Before(next)) {
			next = n.next
		}
	}
	return next
}

// Done notes how a question ended: ok says that all was heard and from where to go on,
// strange that it did not count.
func (p *askPlan) Done(now time.Time, a asking, from machinesFrom, ok, strange bool) {
	p.asking--
	n := p.nodes[a.peer.Name]
	n.asking, n.from, n.strange = false, from, strange
	n.next = now.Add(askRetry)
	if ok {
		n.asked, n.next = a.book, now.Add(askRest)
		if a.pinged {
			n.next = now.Add(pingRest)
		}
	}
}

// Trusted has those be asked again at once who did not count: more is known by now.
func (p *askPlan) Trusted() {
	for _, n := range p.nodes {
		if n.strange {
			n.next = time.Time{}
		}
	}
}

// Keep forgets who is not known any more.
func (p *askPlan) Keep(known func(name string) bool) {
	for name, n := range p.nodes {
		if !n.asking && !known(name) {
			delete(p.nodes, name)
		}
	}
}
