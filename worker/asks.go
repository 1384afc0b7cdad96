package worker

import (
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/jbcnet/jbc/coordinator/protocol"
)

// asks are the requests that wait for an answer. Every answer comes to one inbox,
// its last token the request's number.
type asks struct {
	inbox   string
	next    protocol.Point
	pending map[protocol.Point]*request
}

type request struct {
	to       protocol.Found
	kind     string
	class    protocol.Class // what its reply is signed as
	sent     time.Time
	deadline time.Time
	done     func(answer)
}

// answer is how a request ended: none when there was no answer in time.
type answer struct {
	now   time.Time
	none  bool
	reply protocol.Reply
	data  []byte // the whole reply
}

// newAsks numbers requests from first on, which nobody should be able to guess:
// then no old reply fits a new request.
func newAsks(inbox string, first uint64) asks {
	return asks{inbox: inbox, next: protocol.Point(first), pending: map[protocol.Point]*request{}}
}

// idOf returns the last token of a subject in the inbox.
func (a *asks) idOf(subject string) (token string, ok bool) {
	rest, ok := strings.CutPrefix(subject, a.inbox)
	return strings.TrimPrefix(rest, "."), ok
}

// ask is askOf the coordinator that the worker works for.
func (s *session) ask(now time.Time, kind string, secret []byte, patience time.Duration, build func(protocol.Ask) protocol.Message, done func(answer)) bool {
	if !s.askOf(s.seat.with, now, kind, secret, patience, build, done) {
		return false
	}
	if kind != protocol.KindShare && kind != protocol.KindSolution {
		s.choice.vigil.ask(now)
	}
	return true
}

// askOf sends a coordinator what build makes of a fresh request number under the MAC
// of secret, nil for none, and calls done once with the answer or, after patience,
// without. It returns false, and never calls done, when it could not be sent.
func (s *session) askOf(to protocol.Found, now time.Time, kind string, secret []byte, patience time.Duration, build func(protocol.Ask) protocol.Message, done func(answer)) bool {
	id := s.asks.next
	m := &nats.Msg{
		Subject: s.seat.subjects.Ask(to.Name, s.cfg.Name),
		Reply:   s.asks.inbox + "." + id.String(),
		Data:    protocol.Encode(build(protocol.Ask{Kind: kind, ID: id})),
	}
	if secret != nil {
		protocol.Seal(m, secret)
	}
	if err := s.conn.PublishMsg(m); err != nil {
		s.log.Debug("request not sent", "kind", kind, "err", err)
		return false
	}
	s.asks.next++
	s.asks.pending[id] = &request{to: to, kind: kind, class: protocol.ReplyTo(m), sent: now, deadline: now.Add(patience), done: done}
	return true
}

// onReply ends the request that m answers, if m is what it claims to be.
func (s *session) onReply(now time.Time, token string, m *nats.Msg) {
	var id protocol.Point
	if id.UnmarshalText([]byte(token)) != nil || s.asks.pending[id] == nil {
		return // late, or twice
	}
	r := s.asks.pending[id]
	current := r.to == s.seat.with
	if len(m.Data) == 0 && m.Header.Get("Status") == "503" {
		delete(s.asks.pending, id) // the server: nobody listens there now
		if current {
			s.choice.vigil.nobody(now)
		}
		r.done(answer{now: now, none: true})
		return
	}
	a := answer{now: now, data: m.Data}
	if !genuine(r.to.Key, r.class, m) {
		if current {
			s.unsigned(a.now)
		} else {
			s.stats.Ignored++
		}
		return
	}
	if protocol.Decode(m.Data, &a.reply) != nil || a.reply.Kind != r.kind || a.reply.ID != id {
		s.ignore("no answer to the request")
		return
	}
	delete(s.asks.pending, id)
	if current {
		s.heard(r.sent)
		s.choice.answer(now)
	}
	r.done(a)
}

// genuine says whether the owner of key signed m, as a message of that class.
func genuine(key string, class protocol.Class, m *nats.Msg) bool {
	return protocol.Verify(key, class, m.Header.Get(protocol.SignatureHeader), m.Data) == nil
}

// unsigned counts a message that the coordinator did not sign, or signed as
// something else. Somebody may have taken its place: see [session.doubt].
func (s *session) unsigned(now time.Time) {
	s.stats.Ignored++
	s.doubts.unsigned++
	if s.doubts.since.IsZero() {
		s.doubts.since = now
	}
}

// ignore counts a message that nothing follows from, and logs the 1st, 2nd, 4th, ...
func (s *session) ignore(why string) {
	s.stats.Ignored++
	if n := s.stats.Ignored; n&(n-1) == 0 {
		s.log.Warn("message ignored", "why", why, "coordinator", s.seat.with.Name, "key", s.seat.with.Key, "ignored", n)
	}
}

// into reads an answer into m. What the coordinator signed and is malformed all
// the same is a fault on its side, treated as no answer.
func (s *session) into(a answer, m protocol.Message) bool {
	if a.none {
		return false
	}
	if err := protocol.Decode(a.data, m); err != nil {
		s.ignore(err.Error())
		return false
	}
	return true
}

// expire ends the requests that nobody answered in time.
func (a *asks) expire(now time.Time) {
	for id, r := range a.pending {
		if !now.Before(r.deadline) {
			delete(a.pending, id)
			r.done(answer{now: now, none: true})
		}
	}
}

// forget ends all requests: the connection that they were sent on is gone.
func (a *asks) forget(now time.Time) {
	for id, r := range a.pending {
		delete(a.pending, id)
		r.done(answer{now: now, none: true})
	}
}
