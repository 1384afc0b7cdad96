package worker

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"github.com/nats-io/nkeys"

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

// ErrSeveralNetworks says that coordinators of several networks answered and none
// was chosen.
var ErrSeveralNetworks = errors.New("several networks answer")

// coordinator is one that answered discovery.
type coordinator struct {
	network, name, key string
}

// complete says whether c says all that discovery would: the id of a network ends
// in a dash and 8 hex digits.
func (c coordinator) complete() bool {
	return c.name != "" && c.key != "" && networkID.MatchString(c.network)
}

// networkID is the form of chain.Params.ID.
var networkID = regexp.MustCompile(`^[a-z0-9-]+-[0-9a-f]{8}$`)

// on says whether c is on the network called network, by name or by id; empty is
// any.
func (c coordinator) on(network string) bool {
	return network == "" || c.network == network || c.network[:max(0, len(c.network)-9)] == network
}

// search is the search for a coordinator.
type search struct {
	settled bool
	due     time.Time // when to ask next
	decide  time.Time // when to choose among found
	found   []coordinator
	said    string // the last that was logged, so that it is logged once
}

// look asks who is there and chooses, until there is somebody to choose.
func (s *session) look(now time.Time) error {
	l := &s.search
	if told := (coordinator{s.cfg.Network, s.cfg.Coordinator, s.cfg.Key}); told.complete() {
		return s.settle(now, told)
	}
	if len(l.found) > 0 && !now.Before(l.decide) {
		c, err := choose(s.cfg, l.found)
		if err == nil {
			return s.settle(now, c)
		}
		if errors.Is(err, ErrSeveralNetworks) {
			return err
		}
		s.say(err.Error())
		l.found = nil
	}
	if now.Before(l.due) {
		return nil
	}
	if !l.due.IsZero() && len(l.found) == 0 {
		s.say("no coordinator answers yet")
	}
	l.due = now.Add(lookEvery)
	subject, err := micro.ControlSubject(micro.PingVerb, protocol.ServiceName, "")
	if err != nil {
		return err
	}
	if err := s.conn.PublishRequest(subject, s.asks.inbox+"."+lookToken, nil); err != nil {
		s.log.Debug("discovery not sent", "err", err)
	}
	return nil
}

// say logs what keeps the worker waiting, when it changes.
func (s *session) say(what string) {
	if s.search.said != what {
		s.search.said = what
		s.log.Warn(what + ", asking again")
	}
}

// onAnswer takes a coordinator's answer. Where one is asked for by network and
// name there is nothing to wait for.
func (s *session) onAnswer(now time.Time, m *nats.Msg) error {
	l := &s.search
	var ping micro.Ping
	if l.settled || len(m.Data) > protocol.MaxMessage || json.Unmarshal(m.Data, &ping) != nil {
		return nil // among them the server's "no responders"
	}
	c := coordinator{ping.Metadata[protocol.MetaNetwork], ping.Metadata[protocol.MetaName], ping.Metadata[protocol.MetaKey]}
	if !networkID.MatchString(c.network) || protocol.CheckName(c.name) != nil || !nkeys.IsValidPublicKey(c.key) {
		return nil
	}
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

// choose returns the first of found that cfg allows.
func choose(cfg *Config, found []coordinator) (coordinator, error) {
	var networks []string
	for _, c := range found {
		if !slices.Contains(networks, c.network) {
			networks = append(networks, c.network)
		}
	}
	slices.Sort(networks)
	if cfg.Network == "" && len(networks) > 1 {
		return coordinator{}, fmt.Errorf("%w: %s: choose one with --network", ErrSeveralNetworks, strings.Join(networks, ", "))
	}
	for _, c := range found {
		if c.on(cfg.Network) && (cfg.Coordinator == "" || cfg.Coordinator == c.name) &&
			(cfg.Key == "" || cfg.Key == c.key) {
			return c, nil
		}
	}
	var others []string
	for _, c := range found {
		others = append(others, c.name+" of "+c.network)
	}
	slices.Sort(others)
	return coordinator{}, fmt.Errorf("none of the coordinators that answer is the one asked for: %s", strings.Join(others, ", "))
}

// settle takes c for good, its key pinned.
func (s *session) settle(now time.Time, c coordinator) error {
	s.search.settled = true
	s.seat.coordinator, s.seat.subjects = c, protocol.NewSubjects(c.network)
	s.seat.wanted = true
	s.stats.Network, s.stats.Coordinator, s.stats.Key = c.network, c.name, c.key
	s.log.Info("coordinator found", "network", c.network, "coordinator", c.name, "key", c.key)
	if err := s.subscribe(s.seat.subjects.Job(c.name), s.control); err != nil {
		return err
	}
	if err := s.subscribe(s.seat.subjects.SolvedAny(), s.solves); err != nil {
		return err
	}
	s.join(now)
	return nil
}
