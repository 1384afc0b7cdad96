package main

import (
	"errors"
	"log/slog"
	"runtime"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/jbcnet/jbc/coordinator"
	"github.com/jbcnet/jbc/coordinator/protocol"
)

// TestRepliesAreToTheRequest believes what was signed as the reply to the very
// question, and nothing that was signed otherwise, be it by the right key and with the
// right number.
func TestRepliesAreToTheRequest(t *testing.T) {
	broker, err := coordinator.StartBroker(coordinator.BrokerConfig{Listen: "127.0.0.1:0", Name: "test", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer broker.Stop()
	key, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	public, err := key.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	signer, err := protocol.NewSigner(key)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := nats.Connect(broker.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, tt := range []struct {
		name  string
		class func(request *nats.Msg) protocol.Class
		want  error
	}{
		{"to the question", protocol.ReplyTo, nil},
		{"to any question", func(*nats.Msg) protocol.Class { return "reply" }, protocol.ErrSignature},
		{"to another question of that number", func(m *nats.Msg) protocol.Class {
			ask := protocol.AskOf(m.Data)
			return protocol.ReplyTo(&nats.Msg{Data: protocol.Encode(&protocol.Get{Ask: ask, At: "7"})})
		}, protocol.ErrSignature},
		{"to all workers", func(*nats.Msg) protocol.Class { return protocol.ToWorkers }, protocol.ErrSignature},
	} {
		sub, err := conn.Subscribe("get", func(m *nats.Msg) {
			ask := protocol.AskOf(m.Data)
			reply := &nats.Msg{Subject: m.Reply, Header: nats.Header{}, Data: protocol.Encode(&protocol.StatusReply{
				Reply: protocol.Reply{Kind: ask.Kind, ID: ask.ID}, Status: &protocol.Status{},
			})}
			reply.Header.Set(protocol.SignatureHeader, signer.Sign(tt.class(m), reply.Data))
			if err := conn.PublishMsg(reply); err != nil {
				t.Error(err)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		o := &observer{conn: conn, subject: "get", found: protocol.Found{Name: "alpha", Key: public}}
		got := o.ask(t.Context(), &protocol.Get{Ask: protocol.Ask{Kind: protocol.KindStatus}}, new(protocol.StatusReply))
		if !errors.Is(got, tt.want) {
			t.Errorf("signed as the reply %s: %v, want %v", tt.name, got, tt.want)
		}
		if err := sub.Unsubscribe(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestAsksAgainAtFirst asks before anybody listens, and gets the answer of who does after
// the server has said that nobody did.
func TestAsksAgainAtFirst(t *testing.T) {
	broker, err := coordinator.StartBroker(coordinator.BrokerConfig{Listen: "127.0.0.1:0", Name: "test", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer broker.Stop()
	var conns [2]*nats.Conn
	for i := range conns {
		if conns[i], err = nats.Connect(broker.URL()); err != nil {
			t.Fatal(err)
		}
		defer conns[i].Close()
	}
	answer := make(chan error, 1)
	go func() {
		_, err := (&observer{conn: conns[0]}).send(t.Context(), &nats.Msg{Subject: "get"})
		answer <- err
	}()
	for conns[0].Stats().InMsgs == 0 { // that nobody listens
		runtime.Gosched()
	}
	if _, err := conns[1].Subscribe("get", func(m *nats.Msg) { _ = m.Respond(nil) }); err != nil {
		t.Fatal(err)
	}
	if err := <-answer; err != nil {
		t.Error(err)
	}
}
