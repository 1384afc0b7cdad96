package coordinator

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/jbcnet/jbc/coordinator/protocol"
)

// TestRedirectedReplies asks for replies on subjects that only the coordinator may
// publish to. It answers to inboxes alone, and what discovery answers all the same,
// in its name, does not get it cut off from its own server.
func TestRedirectedReplies(t *testing.T) {
	l := startLodge(t)
	machine := newKey(t)
	if reply := l.enrol(l.newToken(protocol.RoleWorker), machine, "rig"); reply.Code != protocol.OK {
		t.Fatal(reply.Code)
	}
	rig := l.dial(machine, "rig")
	heard, err := rig.SubscribeSync(l.subjects.Job("alpha"))
	if err != nil {
		t.Fatal(err)
	}
	ask := l.subjects.Ask("alpha", "rig")
	send := func(subject, reply string) {
		data := protocol.Encode(&protocol.Current{
			Ask: protocol.Ask{Kind: protocol.KindCurrent, ID: 7}, Sitting: protocol.Sitting{JobID: protocol.JobID{Epoch: 1, Number: 1}},
		})
		if err := rig.PublishMsg(&nats.Msg{Subject: subject, Reply: reply, Data: data}); err != nil {
			t.Fatal(err)
		}
	}
	send(ask, l.subjects.Job("alpha"))
	for range 2 * maxBad {
		send(ask, l.subjects.Solved("alpha"))
	}
	wait(t, "answers to discovery are held against the coordinator", func() bool {
		for range 2 * maxBad {
			send(protocol.PingSubject, l.subjects.Solved("alpha"))
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.limits.Dropped(time.Now())) == 1
	})
	l.ask(l.dial(l.owner, "owner_1"), l.subjects.Get("alpha"), &protocol.Get{Ask: protocol.Ask{Kind: protocol.KindStatus}}, new(protocol.StatusReply))
	if !l.conn.IsConnected() || l.conn.Stats().Reconnects > 0 {
		t.Error("the coordinator was cut off from its own server")
	}
	for {
		msg, err := heard.NextMsg(100 * time.Millisecond)
		if err != nil {
			break
		}
		if protocol.Verify(l.PublicKey(), protocol.ToWorkers, msg.Header.Get(protocol.SignatureHeader), msg.Data) != nil {
			t.Errorf("on the job subject: %s", msg.Data)
		}
	}
}

// TestNameIsKept has nobody who joined as a coordinator keep this one from starting.
func TestNameIsKept(t *testing.T) {
	l := startLodge(t)
	machine := newKey(t)
	if reply := l.enrol(l.newToken(protocol.RoleCoordinator), machine, "rival"); reply.Code != protocol.OK {
		t.Fatal(reply.Code)
	}
	rival := l.dial(machine, "rival")
	if _, err := micro.AddService(rival, micro.Config{
		Name: protocol.ServiceName, Version: protocol.ServiceVersion,
		Metadata: map[string]string{protocol.MetaNetwork: l.Network(), protocol.MetaName: "alpha", protocol.MetaKey: publicKey(t, machine)},
	}); err != nil {
		t.Fatal(err)
	}
	found, err := protocol.Discover(context.Background(), l.conn, patience/20)
	if err != nil || len(found) == 0 {
		t.Fatalf("discovery: %v, %v", found, err)
	}
	if err := l.checkName(context.Background()); err != nil {
		t.Error(err)
	}
}
