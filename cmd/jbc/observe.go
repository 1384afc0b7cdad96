package main

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
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
)

// observerFlags say which coordinator a command asks.
type observerFlags struct {
	coordinator, network string
	json                 bool
	nats                 natsFlags
}

func (f *observerFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.coordinator, "coordinator", "", "`name` of the coordinator to ask (default the one that is there)")
	flags.StringVar(&f.network, "network", "", "name or `id` of the network (default the one that is there)")
	flags.BoolVar(&f.json, "json", false, "print JSON")
	f.nats.add(cmd, "default nats://"+defaultListen)
}

// observer asks one coordinator.
type observer struct {
	conn    *nats.Conn
	subject string
	found   protocol.Found
}

// open finds the coordinator to ask.
func (f *observerFlags) open(ctx context.Context, s *shell) (*observer, error) {
	opts, err := f.nats.options(s)
	if err != nil {
		return nil, err
	}
	url := f.nats.serverURL()
	conn, err := nats.Connect(url, append(append(protocol.ConnectOptions("observer"), opts...), logErrors(s.log),
		nats.RetryOnFailedConnect(false), nats.Timeout(connectTime))...)
	if err != nil {
		hint := "start jbc coordinator on this machine, or say where the server is with --nats or NATS_URL"
		if protocol.IsRefused(err) {
			hint = protocol.CredentialsHint
		}
		return nil, withHint(fmt.Errorf("NATS server %s: %w", redact(url), withoutURL(err)), hint)
	}
	found, err := protocol.Discover(ctx, conn, discoverTime)
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("NATS server %s: %w", redact(url), err)
	}
	chosen, err := f.choose(found)
	if err != nil {
		conn.Close()
		return nil, err
	}
	return &observer{conn: conn, found: chosen, subject: protocol.NewSubjects(chosen.Network).Get(chosen.Name)}, nil
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
		return protocol.Found{}, withHint(errors.New("no such coordinator"), "there are: "+strings.Join(names, ", "))
	}
	return protocol.Found{}, withHint(errors.New("several coordinators answer"), "choose one with --coordinator: "+strings.Join(names, ", "))
}

func (o *observer) close() { o.conn.Close() }

// reply is a message that answers a request.
type reply interface {
	protocol.Message
	Answer() *protocol.Reply
}

// ask sends a request and reads the coordinator's signed answer. A refusal is
// the code that it carries.
func (o *observer) ask(ctx context.Context, get *protocol.Get, answer reply) error {
	get.ID = randomID()
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	msg, err := o.conn.RequestWithContext(ctx, o.subject, protocol.Encode(get))
	if err != nil {
		return withHint(fmt.Errorf("coordinator %s: %w", o.found.Name, err), "is it still running? jbc status tries again")
	}
	if err := protocol.Verify(o.found.Key, protocol.InReply, msg.Header.Get(protocol.SignatureHeader), msg.Data); err != nil {
		return fmt.Errorf("coordinator %s: %w", o.found.Name, err)
	}
	if err := protocol.Decode(msg.Data, answer); err != nil {
		return fmt.Errorf("coordinator %s: %w", o.found.Name, err)
	}
	switch head := answer.Answer(); {
	case head.ID != get.ID:
		return fmt.Errorf("coordinator %s answered another request", o.found.Name)
	case head.Code != protocol.OK:
		return fmt.Errorf("coordinator %s: %w", o.found.Name, refusal{head})
	}
	return nil
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
