package worker

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/jbcnet/jbc/coordinator/protocol"
)

const (
	lookEvery = time.Second
	// lookWait is how long answers are collected after the first.
	lookWait = 200 * time.Millisecond
	// lookToken is where answers to discovery come in.
	lookToken = "look"
	maxFound  = 1000
)

// known says whether cfg names the one coordinator to mine for, so that nobody has
// to be asked.
func (c *Config) known() bool {
	return c.Coordinator != "" && c.Key != "" && protocol.IsNetworkID(c.Network)
}

// allows says whether cfg lets the worker mine for f.
func (c *Config) allows(f protocol.Found) bool {
	return f.On(c.Network) && (c.Coordinator == "" || c.Coordinator == f.Name) && (c.Key == "" || c.Key == f.Key)
}

// search is the search for a coordinator.
type search struct {
	settled bool
	heard   bool      // somebody answered since the last question, nobody to choose
	due     time.Time // when to ask next
	decide  time.Time // when to choose among found
	found   []protocol.Found
	said    string // the last that was logged, so that it is logged once
}

// look asks who is there and chooses, until there is somebody to choose.
func (s *session) look(now time.Time) error {
	l := &s.search
	if s.cfg.known() {
		return s.settle(now, protocol.Found{Network: s.cfg.Network, Name: s.cfg.Coordinator, Key: s.cfg.Key})
	}
	if len(l.found) > 0 && !now.Before(l.decide) {
		c, err := choose(s.cfg, l.found)
		if err == nil {
			return s.settle(now, c)
		}
		var about []any
		if errors.As(err, new(otherKeyError)) {
			s.stats.OtherKeys++
			about = []any{"hint", otherKeyHint}
		}
		s.say(err.Error(), about...)
		l.found, l.heard = nil, true
	}
	if now.Before(l.due) {
		return nil
	}
	if !l.due.IsZero() && len(l.found) == 0 && !l.heard {
		s.say("no coordinator answers yet")
	}
	l.due, l.heard = now.Add(lookEvery), false
	s.ping()
	return nil
}

// ping asks all coordinators who they are.
func (s *session) ping() {
	if err := s.conn.PublishRequest(protocol.PingSubject, s.asks.inbox+"."+lookToken, nil); err != nil {
		s.log.Debug("discovery not sent", "err", err)
	}
}

// say logs what keeps the worker waiting, when it changes.
func (s *session) say(what string, about ...any) {
	if s.search.said != what {
		s.search.said = what
		s.log.Warn(what+", asking again", about...)
	}
}

// onAnswer takes a coordinator's answer. Where one is asked for by network and
// name there is nothing to wait for.
func (s *session) onAnswer(now time.Time, m *nats.Msg) error {
	l := &s.search
	c, ok := protocol.ParsePing(m.Data)
	if !ok {
		return nil // among them the server's "no responders"
	}
	if l.settled {
		s.choice.sight(now, c)
		s.meet(c)
		return nil
	}
	c = c.Identity() // the same coordinator answers again with another tip
	if slices.Contains(l.found, c) || len(l.found) == maxFound {
		return nil
	}
	if len(l.found) == 0 {
		l.decide = now.Add(lookWait)
	}
	l.found = append(l.found, c)
	if s.cfg.Network != "" && s.cfg.Coordinator != "" {
		l.decide = now
		return s.look(now)
	}
	return nil
}

// choose returns the first of found that cfg allows. Where it allows several
// networks it chooses nobody, who will be asked again: two networks can have one
// name, and anybody on the server can claim one, which must end no worker.
func choose(cfg *Config, found []protocol.Found) (protocol.Found, error) {
	var networks []string
	for _, c := range found {
		if cfg.allows(c) && !slices.Contains(networks, c.Network) {
			networks = append(networks, c.Network)
		}
	}
	slices.Sort(networks)
	if len(networks) > 1 {
		return protocol.Found{}, fmt.Errorf("several networks answer and --network names none of them: %s", few(networks))
	}
	for _, c := range found {
		if cfg.allows(c) {
			return c, nil
		}
	}
	for _, c := range found {
		if c.On(cfg.Network) && (c.Name == cfg.Coordinator || cfg.Coordinator == "" && len(found) == 1) {
			return protocol.Found{}, otherKeyError{c.Name, c.Key, cfg.Key}
		}
	}
	var others []string
	for _, c := range found {
		others = append(others, c.Name+" of "+c.Network)
	}
	slices.Sort(others)
	return protocol.Found{}, fmt.Errorf("none of the coordinators that answer is the one asked for: %s", few(others))
}

// few lists names for people, not more than a line of them.
func few(names []string) string {
	const most = 8
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}

// settle takes c as the coordinator to prefer for good, its key pinned.
func (s *session) settle(now time.Time, c protocol.Found) error {
	s.search.settled = true
	s.choice.begin(now, c)
	s.recall()
	s.stats.Network, s.stats.Preferred = c.Network, c.Name
	s.log.Info("coordinator found", "network", c.Network, "coordinator", c.Name, "key", c.Key)
	if err := s.subscribe(protocol.NewSubjects(c.Network).SolvedAny(), s.solves); err != nil {
		return err
	}
	return s.sit(now, c)
}

// sit begins with a coordinator: whatever the worker has heard of another means
// nothing to this one.
func (s *session) sit(now time.Time, c protocol.Found) error {
	s.seat = seat{with: c, subjects: protocol.NewSubjects(c.Network), wanted: true}
	s.work = work{current: s.work.current, waiting: s.work.waiting}
	s.doubts = doubts{due: now.Add(lookEvery)}
	s.stats.Coordinator, s.stats.Key = c.Name, c.Key
	if s.jobs != nil {
		_ = s.jobs.Unsubscribe() // fails where the connection is closed
	}
	var err error
	if s.jobs, err = s.conn.ChanSubscribe(s.seat.subjects.Job(c.Name), s.control); err != nil {
		return err
	}
	s.join(now)
	return nil
}
