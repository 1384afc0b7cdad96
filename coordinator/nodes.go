package coordinator

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/jbcnet/jbc/coordinator/protocol"
)

const (
	// maxNodes is how many other nodes are known at once.
	maxNodes = 64
	// nodeLife is how long a node is remembered that is not heard of.
	nodeLife = 30 * 24 * time.Hour
	// restateTime is how often a node says again what it said, so that it is not
	// forgotten, and nodeQuiet how long one has to miss that to make room for another.
	restateTime = 24 * time.Hour
	nodeQuiet   = 3 * restateTime
)

// nodeBook is what a coordinator knows of the nodes of its mesh, itself included. It
// is told the time and whose word counts, does no I/O and is not safe for concurrent
// use.
type nodeBook struct {
	own   protocol.Node
	known map[string]knownNode // the others, by name
	count uint64               // of changes
	gone  []string             // forgotten, and not written yet
}

// knownNode is what another node said last.
type knownNode struct {
	Node  protocol.Node `json:"node"`
	Heard int64         `json:"heard"` // unix milliseconds: when it said so, by the clock here at the latest
}

// vouch says whether a node's word counts: whether its key on routes is known as that
// of a coordinator of its name.
type vouch func(*protocol.Node) bool

// newNodeBook makes the book of a node that says that of itself.
func newNodeBook(own protocol.Node) *nodeBook {
	return &nodeBook{own: own, known: map[string]knownNode{}}
}

// taken is what became of a record.
type taken int

// What became of it.
const (
	noNews    taken = iota
	isNews          // it is known from now on
	noMatter        // it does not count, or not yet
	newerSelf       // it is what the node itself said, later than it remembers
)

// Take takes what a node says of itself, whoever passed it on. Of one name the newest
// counts, and of one key on routes. An error says that nobody who is honest passes it on.
func (b *nodeBook) Take(now time.Time, n *protocol.Node, counts vouch) (taken, error) {
	old, known := b.known[n.Name]
	switch {
	case n.Network != b.own.Network:
		return noNews, fmt.Errorf("node %.40q of network %.60q, want %s", n.Name, n.Network, b.own.Network)
	case known && old.Node.Said == n.Said && bytes.Equal(old.Node.Proof, n.Proof), bytes.Equal(b.own.Proof, n.Proof):
		return noNews, nil
	}
	if err := n.Check(); err != nil {
		return noNews, err
	}
	switch {
	case n.Mesh == b.own.Mesh && n.Name == b.own.Name && n.Said >= b.own.Said:
		return newerSelf, nil
	case n.Mesh == b.own.Mesh || n.Name == b.own.Name:
		return noNews, nil
	case !counts(n):
		return noMatter, nil
	case n.Said < now.Add(-nodeLife).UnixMilli():
		return noNews, nil
	case known && before(n, &old.Node), !b.endOther(n):
		return noNews, nil
	case !known && len(b.known) >= maxNodes && !b.makeRoom(now):
		return noMatter, nil
	}
	b.known[n.Name] = knownNode{Node: *n, Heard: min(n.Said, now.UnixMilli())}
	b.count++
	return isNews, nil
}

// before says whether n was said before other.
func before(n, other *protocol.Node) bool {
	return cmp.Or(cmp.Compare(n.Said, other.Said), bytes.Compare(n.Proof, other.Proof)) < 0
}

// endOther forgets what the key of n on routes said under another name, and returns
// false where it said that later: one that joined has the word of one node.
func (b *nodeBook) endOther(n *protocol.Node) bool {
	for name, k := range b.known {
		if k.Node.Mesh != n.Mesh || name == n.Name {
			continue
		}
		if before(n, &k.Node) {
			return false
		}
		b.forget(name)
		return true // there is one at most
	}
	return true
}

// Restore brings back a node that was known, and returns false where its key on routes
// said something else later.
func (b *nodeBook) Restore(k knownNode) bool {
	if !b.endOther(&k.Node) {
		return false
	}
	b.known[k.Node.Name] = k
	return true
}

// makeRoom forgets the node that was silent for the longest, if it was for days.
func (b *nodeBook) makeRoom(now time.Time) bool {
	oldest := ""
	for name, k := range b.known {
		if oldest == "" || cmp.Or(cmp.Compare(k.Heard, b.known[oldest].Heard), cmp.Compare(name, oldest)) < 0 {
			oldest = name
		}
	}
	if b.known[oldest].Heard >= now.Add(-nodeQuiet).UnixMilli() {
		return false
	}
	b.forget(oldest)
	return true
}

// Forget forgets the nodes that do not count any more, and those that were not heard
// of for too long.
func (b *nodeBook) Forget(now time.Time, counts vouch) {
	for name, k := range b.known {
		if k.Heard < now.Add(-nodeLife).UnixMilli() || !counts(&k.Node) {
			b.forget(name)
		}
	}
}

func (b *nodeBook) forget(name string) {
	delete(b.known, name)
	b.gone = append(b.gone, name)
	b.count++
}

// Gone returns the names that were forgotten since it was last called, and are not
// known again.
func (b *nodeBook) Gone() (names []string) {
	for _, name := range b.gone {
		if _, known := b.known[name]; !known {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	b.gone = nil
	return slices.Compact(names)
}

// State has the node say something of itself.
func (b *nodeBook) State(own protocol.Node) {
	b.own = own
	b.count++
}

// IsBound says whether a node that counts said that it signs with that key.
func (b *nodeBook) IsBound(name, key string) bool {
	k, ok := b.known[name]
	return ok && k.Node.Key == key
}

// Others returns what the other nodes say, by name.
func (b *nodeBook) Others() []protocol.Node {
	var out []protocol.Node
	for _, k := range b.known {
		out = append(out, k.Node)
	}
	slices.SortFunc(out, func(a, b protocol.Node) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// Page returns the nodes after a name, at first the node itself and then the others,
// and the name after which they go on, empty where they do not.
func (b *nodeBook) Page(after string) (page []protocol.Node, next string) {
	if after == "" {
		page = append(page, b.own)
	}
	for _, n := range b.Others() {
		switch {
		case n.Name <= after:
		case len(page) == protocol.MaxNodes:
			return page, page[len(page)-1].Name
		default:
			page = append(page, n)
		}
	}
	return page, ""
}
