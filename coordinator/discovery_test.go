package coordinator

import (
	"encoding/json"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/coordinator/protocol"
)

// TestDiscoveryAnswersAsServicesDo asks a coordinator and a service of the client
// library's on the same server, on every subject that both know: the answers have the
// same fields.
func TestDiscoveryAnswersAsServicesDo(t *testing.T) {
	broker := startBroker(t)
	n := startNode(t, nodeConfig{url: broker.URL()})
	waitFound(t, n, broker.URL(), 1)
	conn, err := nats.Connect(broker.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	model, err := micro.AddService(conn, micro.Config{
		Name: protocol.ServiceName, Version: "9.9.9", Description: "a model", Metadata: map[string]string{"a": "b"},
	})
	if err != nil {
		t.Fatal(err)
	}
	inbox, err := conn.SubscribeSync(conn.NewInbox())
	if err != nil {
		t.Fatal(err)
	}
	ask := func(subject string, want int) (answers []map[string]any) {
		t.Helper()
		if err := conn.PublishRequest(subject, inbox.Subject, nil); err != nil {
			t.Fatal(err)
		}
		for len(answers) < want {
			msg, err := inbox.NextMsg(patience)
			if err != nil {
				t.Fatalf("%s: %d answers, want %d: %v", subject, len(answers), want, err)
			}
			var fields map[string]any
			if err := json.Unmarshal(msg.Data, &fields); err != nil {
				t.Fatal(err)
			}
			answers = append(answers, fields)
		}
		return answers
	}
	for verb, kind := range map[string]string{"PING": micro.PingResponseType, "INFO": micro.InfoResponseType, "STATS": micro.StatsResponseType} {
		id := ""
		for _, subject := range []string{"$SRV." + verb, "$SRV." + verb + "." + protocol.ServiceName} {
			answers := ask(subject, 2)
			if answers[0]["id"] == model.Info().ID {
				slices.Reverse(answers)
			}
			own, other := answers[0], answers[1]
			if got, want := slices.Sorted(maps.Keys(own)), slices.Sorted(maps.Keys(other)); !slices.Equal(got, want) {
				t.Errorf("%s: fields %v, want %v", subject, got, want)
			}
			if other["id"] != model.Info().ID || own["type"] != kind || own["name"] != protocol.ServiceName {
				t.Errorf("%s: %v beside %v", subject, own, other)
			}
			metadata := own["metadata"].(map[string]any)
			if metadata[protocol.MetaKey] != n.PublicKey() || metadata[protocol.MetaName] != "alpha" || metadata[protocol.MetaNetwork] != n.Network() {
				t.Errorf("%s: metadata %v", subject, metadata)
			}
			id = own["id"].(string)
		}
		if own := ask("$SRV."+verb+"."+protocol.ServiceName+"."+id, 1)[0]; own["id"] != id || own["type"] != kind {
			t.Errorf("%s of it alone: %v", verb, own)
		}
	}
}

// TestDiscoveryIsBounded asks as fast as can be, and for answers that are none of an
// inbox's.
func TestDiscoveryIsBounded(t *testing.T) {
	n := openNode(t, nodeConfig{url: startBroker(t).URL()})
	defer func() { n.conn.Close(); _ = n.store.Close() }()
	d := n.newDiscovery(testStart)
	for _, reply := range []string{"", "x", "jbc.v1.x.job.alpha", "_INBOXES.x", "_inbox.x"} {
		if got := d.answer(testStart, protocol.PingSubject, reply); got != nil {
			t.Errorf("to %q: %s", reply, got)
		}
	}
	count := func(now time.Time) (answered int) {
		for range 2 * discoveryBurst {
			if d.answer(now, protocol.PingSubject, "_INBOX.x.y") != nil {
				answered++
			}
		}
		return answered
	}
	for _, tt := range []struct {
		after time.Duration
		want  int
	}{{0, discoveryBurst}, {time.Second, discoveryRate}, {time.Hour, discoveryBurst}} {
		if got := count(testStart.Add(tt.after)); got != tt.want {
			t.Errorf("after %v %d are answered, want %d", tt.after, got, tt.want)
		}
	}
}

// TestDiscoveryTellsTheMoment asks, has a block come and a worker join, and asks
// again: each answer tells what there is then.
func TestDiscoveryTellsTheMoment(t *testing.T) {
	broker := startBroker(t)
	n := startNode(t, nodeConfig{url: broker.URL()})
	waitFound(t, n, broker.URL(), 1)
	conn := dial(t, broker.URL())
	ask := func() protocol.Found {
		t.Helper()
		found, err := protocol.Discover(t.Context(), conn, pingTime)
		if err != nil || len(found) != 1 {
			t.Fatalf("found are %+v, %v", found, err)
		}
		return found[0]
	}
	want := protocol.Found{
		Network: n.Network(), Name: "alpha", Key: n.PublicKey(),
		Version: "test", Tip: n.cfg.params.Genesis.Hash(), Work: chain.WorkOf(n.cfg.params.PowLimit).String(),
	}
	if got := ask(); got != want {
		t.Errorf("at first %+v, want %+v", got, want)
	}
	h := newHand(n, broker.URL(), "w1")
	job := h.work()
	h.announce(h.solvedOf(job, h.solve(job)))
	block := h.nextBlock()
	two := chain.WorkOf(n.cfg.params.PowLimit)
	want.Height, want.Tip, want.Work, want.Workers = 1, block.Hash, two.Add(two).String(), 1
	if got := ask(); got != want {
		t.Errorf("then %+v, want %+v", got, want)
	}
	if block.Chainwork != want.Work {
		t.Errorf("the block is announced with chainwork %q, want %q", block.Chainwork, want.Work)
	}
}

// TestDiscoverOnceEach has one coordinator answer twice, by then with another tip, and
// its namesake: each is found once.
func TestDiscoverOnceEach(t *testing.T) {
	conn := dial(t, startBroker(t).URL())
	key, other := publicKey(t, newKey(t)), publicKey(t, newKey(t))
	sub, err := conn.Subscribe(protocol.PingSubject, func(m *nats.Msg) {
		for _, said := range [][2]string{{key, "1"}, {other, "1"}, {key, "2"}} {
			data, err := json.Marshal(micro.Ping{ServiceIdentity: micro.ServiceIdentity{Metadata: map[string]string{
				protocol.MetaNetwork: "dev-1a2b3c4d", protocol.MetaName: "alpha", protocol.MetaKey: said[0], protocol.MetaHeight: said[1],
			}}})
			if err == nil {
				err = m.Respond(data)
			}
			if err != nil {
				t.Error(err)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sub.Unsubscribe() }() // gone with the connection at the latest
	found, err := protocol.Discover(t.Context(), conn, pingTime)
	var got []string
	for _, f := range found {
		got = append(got, f.Key)
	}
	if want := []string{key, other}; err != nil || !slices.Equal(got, want) {
		t.Errorf("found are %q, %v, want %q", got, err, want)
	}
}
