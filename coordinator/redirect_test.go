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
// publish to, or that nobody's replies go to. It answers to inboxes alone.
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
	for _, reply := range []string{l.subjects.Job("alpha"), l.subjects.Block("alpha"), l.subjects.Tx("alpha"), l.subjects.Get("beta")} {
		for range 1000 {
			send(protocol.PingSubject, reply)
		}
	}
	if found, err := protocol.Discover(context.Background(), rig, patience/20); err != nil || len(found) != 1 || found[0].Name != "alpha" {
		t.Errorf("after all those pings it is found as %+v, %v", found, err)
	}
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
			t.Fatalf("on the job subject: %s", msg.Data)
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
