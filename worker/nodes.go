package worker

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/jbcnet/jbc/coordinator/protocol"
)

const (
	// nodesSoon is within what time after joining the nodes are asked for, and
	// nodesEvery how often after that; nodesSeldom where the coordinator is of a
	// version that knows no such question.
	nodesSoon   = time.Second
	nodesEvery  = 30 * time.Second
	nodesSeldom = 10 * time.Minute
	// maxNodePages bounds a list.
	maxNodePages = 32
)

// nodes are those that the coordinator vouches for. The last whole list counts,
// whichever coordinator gave it: what one of them does not list any more, such as one
// that was revoked, no worker works for.
type nodes struct {
	due     time.Time
	asking  bool
	vouched []protocol.Node
}

// recall takes what was vouched for when the worker ran last, of this network.
func (s *session) recall() {
	for _, n := range s.cfg.Known {
		if n.Network == s.choice.preferred.Network {
			s.nodes.vouched = append(s.nodes.vouched, n)
		}
	}
	slices.SortFunc(s.nodes.vouched, byName)
	s.choice.trust.vouch(s.nodes.vouched)
}

// askNodes asks for all nodes when that is due.
func (s *session) askNodes(now time.Time) {
	if s.nodes.asking || s.seat.wanted || now.Before(s.nodes.due) {
		return
	}
	s.nodes.due = now.Add(nodesEvery + rand.N(nodesEvery/6))
	s.askNodePage(now, nil, "", 1)
}

// askNodePage asks for the nodes after a name, which come after those of listed.
func (s *session) askNodePage(now time.Time, listed []protocol.Node, after string, page int) {
	s.nodes.asking = s.ask(now, protocol.KindNodes, s.seat.secret, askPatience, func(a protocol.Ask) protocol.Message {
		return &protocol.AskNodes{Ask: a, After: after}
	}, func(a answer) { s.onNodes(a, listed, page) })
}

// onNodes takes a page, and all of them when it is the last.
func (s *session) onNodes(a answer, listed []protocol.Node, page int) {
	s.nodes.asking = false
	if !a.none && a.reply.Code == protocol.UnknownKind {
		s.nodes.due = a.now.Add(nodesSeldom)
		return
	}
	var r protocol.NodesReply
	if !s.into(a, &r) || r.Code != protocol.OK {
		return
	}
	for i := range r.Nodes {
		if n := &r.Nodes[i]; s.isNode(n) && !slices.ContainsFunc(listed, func(l protocol.Node) bool { return l.Name == n.Name }) {
			listed = append(listed, *n)
		}
	}
	switch {
	case r.After == "":
		s.vouch(listed)
	case page < maxNodePages && protocol.CheckName(r.After) == nil:
		s.askNodePage(a.now, listed, r.After, page+1)
	default:
		s.ignore("a list of nodes without end")
	}
}

// isNode says whether a record is of a node of this network. One that has the name of
// the coordinator that answers, or of the preferred one, must have its key.
func (s *session) isNode(n *protocol.Node) bool {
	for _, c := range []protocol.Found{s.seat.with, s.choice.preferred} {
		if n.Name == c.Name && n.Key != c.Key {
			return false
		}
	}
	if n.Network != s.seat.with.Network {
		return false
	}
	if slices.ContainsFunc(s.nodes.vouched, func(v protocol.Node) bool {
		return v.Said == n.Said && bytes.Equal(v.Proof, n.Proof) && sameNode(v, *n)
	}) {
		return true // looked at before
	}
	if err := n.Check(); err != nil {
		s.ignore(err.Error())
		return false
	}
	return true
}

// vouch takes the whole list, and passes it on when it says anything new.
func (s *session) vouch(listed []protocol.Node) {
	slices.SortFunc(listed, byName)
	same := slices.EqualFunc(listed, s.nodes.vouched, sameNode)
	s.nodes.vouched = listed
	s.choice.trust.vouch(listed)
	if same {
		return
	}
	s.log.Debug("nodes", "vouched", len(listed), "by", s.seat.with.Name)
	if s.cfg.Nodes != nil {
		s.cfg.Nodes(slices.Clone(listed))
	}
}

func byName(a, b protocol.Node) int { return strings.Compare(a.Name, b.Name) }

// sameNode says whether two records say the same, whenever they said it.
func sameNode(a, b protocol.Node) bool {
	return a.Network == b.Network && a.Name == b.Name && a.Key == b.Key && a.Mesh == b.Mesh &&
		bytes.Equal(a.CA, b.CA) && slices.Equal(a.Addresses, b.Addresses) && slices.Equal(a.Routes, b.Routes)
}
