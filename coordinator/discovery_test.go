package coordinator

import (
	"encoding/json"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

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
