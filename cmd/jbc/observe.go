package main

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"github.com/jbcnet/jbc/coordinator/protocol"
)

const (
	// connectTime is how long an observer waits for the NATS server.
	connectTime = 3 * time.Second
	// discoverTime is how long it waits for coordinators to answer.
	discoverTime = 500 * time.Millisecond
	// askTime is how long it waits for one's answer.
	askTime = 3 * time.Second
	// startTime is how long a coordinator that starts may be deaf.
	startTime = time.Second
)

// observerFlags say which coordinator a command asks.
type observerFlags struct {
	coordinator, network string
	json                 bool
	route                routeFlags
}

func (f *observerFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.coordinator, "coordinator", "", "`name` of the coordinator to ask (default the one that is there)")
	flags.StringVar(&f.network, "network", "", "name, `id` or file of the network (default the one that is there)")
	flags.BoolVar(&f.json, "json", false, "print JSON")
	f.route.add(cmd)
}

// observer asks one coordinator.
type observer struct {
	conn    *nats.Conn
	subject string
	found   protocol.Found
}

// open finds the coordinator to ask.
func (f *observerFlags) open(ctx context.Context, s *shell) (*observer, error) {
	var err error
	if f.network, err = wantedNetwork(f.network); err != nil {
		return nil, err
	}
	way, err := f.route.choose(s, wanted{roles: []protocol.Role{protocol.RoleObserver, protocol.RoleOwner}, network: f.network})
	if err != nil {
		return nil, err
	}
	home := f.coordinator
	if way.member != nil && home != way.member.Coordinator {
		home = "" // another than the one that was joined, which may know it
	}
	pinned, err := way.pin(pins{network: f.network, coordinator: home})
	if err != nil {
		return nil, err
	}
	conn, err := way.connect(s)
	if err != nil {
		return nil, s.orWorkerOnly(way, err)
	}
	o := &observer{conn: conn, found: protocol.Found{Network: pinned.network, Name: pinned.coordinator, Key: pinned.key}}
	if way.member == nil {
		if o.found, err = f.discover(ctx, conn); err != nil {
			conn.Close()
			return nil, s.orWorkerOnly(way, fmt.Errorf("NATS server %s: %w", redact(way.url), err))
		}
	}
	o.subject = protocol.NewSubjects(o.found.Network).Get(o.found.Name)
	if way.member != nil && f.coordinator != "" && f.coordinator != o.found.Name {
		if err := o.turnTo(ctx, f.coordinator); err != nil {
			conn.Close()
			return nil, err
		}
	}
	return o, nil
}

// turnTo has the next question go to another coordinator, whose key the one that this
// machine joined knows.
func (o *observer) turnTo(ctx context.Context, name string) error {
	st, err := o.status(ctx)
	if err != nil {
		return err
	}
	names := []string{o.found.Name}
	for _, other := range st.Others {
		if other.Name == name {
			o.found.Name, o.found.Key = name, other.Key
			o.subject = protocol.NewSubjects(o.found.Network).Get(name)
			return nil
		}
		names = append(names, other.Name)
	}
	return withHint(fmt.Errorf("coordinator %s knows no coordinator %q", o.found.Name, name), "those that it knows: "+strings.Join(names, ", "))
}

// connect connects once, for a command that asks something and ends.
func (r *route) connect(s *shell) (*nats.Conn, error) {
	opts, name := protocol.ConnectOptions("observer"), r.inbox
	if r.member != nil {
		name = r.member.Name + "_" + randomDigits()
		opts = protocol.ConnectOptions(name)
	}
	if name != "" {
		opts = append(opts, nats.CustomInboxPrefix(protocol.InboxPrefix(name)))
	}
	own, err := r.options(name)
	if err != nil {
		return nil, err
	}
	conn, err := nats.Connect(r.url, append(append(opts, own...), logErrors(s.log),
		nats.RetryOnFailedConnect(false), nats.Timeout(connectTime))...)
	if err != nil {
		return nil, r.explain(err)
	}
	return conn, nil
}

// discover asks who is there and chooses.
func (f *observerFlags) discover(ctx context.Context, conn *nats.Conn) (protocol.Found, error) {
	found, err := protocol.Discover(ctx, conn, discoverTime)
	if err != nil {
		return protocol.Found{}, err
	}
	return f.choose(found)
}

// choose picks the one coordinator that the flags leave.
func (f *observerFlags) choose(found []protocol.Found) (protocol.Found, error) {
	var left []protocol.Found
	var names []string
	for _, c := range found {
		if (f.coordinator == "" || f.coordinator == c.Name) && c.On(f.network) {
			left = append(left, c)
		}
		names = append(names, c.Name+" ("+c.Network+")")
	}
	switch {
	case len(left) == 1:
		return left[0], nil
	case len(found) == 0:
		return protocol.Found{}, withHint(errors.New("no coordinator answers"), "start one with jbc coordinator")
	case len(left) == 0:
		return protocol.Found{}, f.silent(names)
	}
	return protocol.Found{}, withHint(errors.New("several coordinators answer"), "choose one with --coordinator: "+strings.Join(names, ", "))
}

// silent says that the one that is wanted is not among those that answer.
func (f *observerFlags) silent(names []string) error {
	what := "coordinator " + strconv.Quote(f.coordinator)
	switch {
	case f.coordinator == "":
		what = fmt.Sprintf("a coordinator of network %q", f.network)
	case f.network != "":
		what += fmt.Sprintf(" of network %q", f.network)
	}
	return withHint(errors.New(what+" does not answer"), "those that do: "+strings.Join(names, ", "))
}

func (o *observer) close() { o.conn.Close() }

// reply is a message that answers a request.
type reply interface {
	protocol.Message
	Answer() *protocol.Reply
}

// ask sends a request for what anybody may see.
func (o *observer) ask(ctx context.Context, get *protocol.Get, answer reply) error {
	get.ID = randomID()
	return o.request(ctx, o.subject, get.ID, get, answer)
}

// request sends a request of that number and reads the coordinator's signed
// answer. A refusal is the code that it carries.
func (o *observer) request(ctx context.Context, subject string, id protocol.Point, question protocol.Message, answer reply) error {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	asked := &nats.Msg{Subject: subject, Data: protocol.Encode(question)}
	msg, err := o.send(ctx, asked)
	if err != nil {
		return withHint(fmt.Errorf("coordinator %s: %w", o.found.Name, err), "is it still running? jbc status tries again")
	}
	if err := protocol.Verify(o.found.Key, protocol.ReplyTo(asked), msg.Header.Get(protocol.SignatureHeader), msg.Data); err != nil {
		return fmt.Errorf("coordinator %s: %w", o.found.Name, err)
	}
	if err := protocol.Decode(msg.Data, answer); err != nil {
		return fmt.Errorf("coordinator %s: %w", o.found.Name, err)
	}
	switch head := answer.Answer(); {
	case head.ID != id:
		return fmt.Errorf("coordinator %s answered another request", o.found.Name)
	case head.Code != protocol.OK:
		return fmt.Errorf("coordinator %s: %w", o.found.Name, refusal{head})
	}
	return nil
}

// send sends a request, again for a moment if nobody took it: a coordinator's server can be
// asked before the coordinator listens.
func (o *observer) send(ctx context.Context, asked *nats.Msg) (*nats.Msg, error) {
	for begun := time.Now(); ; {
		msg, err := o.conn.RequestMsgWithContext(ctx, asked)
		if !errors.Is(err, nats.ErrNoResponders) || time.Since(begun) > startTime {
			return msg, err
		}
		select {
		case <-time.After(startTime / 20):
		case <-ctx.Done():
			return nil, err
		}
	}
}

// refusal is a reply that refuses, as an error.
type refusal struct{ *protocol.Reply }

func (r refusal) Error() string {
	if r.Detail != "" {
		return r.Detail
	}
	return r.Code.String()
}

func (r refusal) Unwrap() error { return r.Code }

func randomID() protocol.Point {
	var b [8]byte
	rand.Read(b[:]) // never fails
	return protocol.Point(binary.BigEndian.Uint64(b[:]))
}
