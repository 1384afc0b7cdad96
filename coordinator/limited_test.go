package coordinator

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/coordinator/protocol"
)

// TestDroppedWorker brings what is no solution until nothing is answered any more:
// its slot is gone, the status says why, its server is told, and the worker beside
// it notices nothing.
func TestDroppedWorker(t *testing.T) {
	broker := startBroker(t)
	type refusal struct {
		worker string
		until  time.Time
	}
	refused := make(chan refusal, 10)
	n := startNode(t, nodeConfig{url: broker.URL(), refuse: func(worker string, until time.Time) { refused <- refusal{worker, until} }})
	bad, good := newHand(n, broker.URL(), "bad"), newHand(n, broker.URL(), "good")
	job := bad.work()
	good.work()
	dud := bad.dud(job)
	const least = maxBad / falseSolution
	began := time.Now()
	duds := uint64(0)
	for last := protocol.HighHash; last == protocol.HighHash; duds++ {
		var reply protocol.ClaimReply
		bad.ask(bad.claim(protocol.KindSolution, dud), &reply)
		if last = reply.Code; last == protocol.Dropped && duds+1 < least || last == protocol.HighHash && time.Since(began) < time.Second && duds > least {
			t.Fatalf("dud %d after %v: %v, want %d to be one too many", duds+1, time.Since(began), last, least)
		}
	}
	ignored := []string{ // of these nothing is ever answered
		bad.subjects.Ask("alpha", "bad"), bad.subjects.Ask("alpha", "bad"), bad.subjects.Solved("bad"),
	}
	for _, subject := range ignored {
		if err := bad.conn.Publish(subject, []byte("{")); err != nil {
			t.Fatal(err)
		}
	}
	if err := bad.conn.Flush(); err != nil {
		t.Fatal(err)
	}
	var st *protocol.Status
	for deadline := time.Now().Add(patience); ; {
		if st = good.status(); st.Refused[protocol.Dropped] == uint64(len(ignored)) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("refused %v, want %d of %v", st.Refused, len(ignored), protocol.Dropped)
		}
	}
	if st.Refused[protocol.Malformed] != 0 {
		t.Error("what a dropped worker sent was read")
	}
	if len(st.Workers) != 1 || st.Workers[0].Name != "good" {
		t.Errorf("workers %+v, want the good one", st.Workers)
	}
	if len(st.Dropped) != 1 {
		t.Fatalf("dropped %+v", st.Dropped)
	}
	d := st.Dropped[0]
	until := time.UnixMilli(d.UntilMS)
	if d.Name != "bad" || d.Times != 1 || len(d.Reasons) != 1 || d.Reasons[protocol.HighHash] != duds {
		t.Errorf("dropped %+v", d)
	}
	if earliest := began.Add(firstDrop).Truncate(time.Millisecond); until.Before(earliest) || until.After(time.Now().Add(firstDrop)) {
		t.Errorf("dropped until %v, want a minute from %v", until, began)
	}
	select {
	case r := <-refused:
		if r.worker != "bad" || r.until.UnixMilli() != d.UntilMS || len(refused) != 0 {
			t.Errorf("the server is told %+v, %d more", r, len(refused))
		}
	default:
		t.Error("the server was not told")
	}
	if answer := good.bring(good.solve(job)); answer.Code != protocol.OK {
		t.Errorf("the good worker's solution: %v", answer.Code)
	}
}

// TestManyDropped lists more dropped workers than fit, and stays within a message.
func TestManyDropped(t *testing.T) {
	l := newLimits(ofProcess)
	for i := range 3 * maxShownDrops {
		name := "w" + string(rune('a'+i%26)) + string(rune('a'+i/26))
		now := testStart.Add(time.Duration(i) * time.Second)
		l.Admit(now, name)
		for l.FalseSolution(now, name, protocol.HighHash) == nil {
		}
	}
	now := testStart.Add(firstDrop + time.Second) // the first two are over
	shown := l.Dropped(now)
	if len(shown) != maxShownDrops {
		t.Fatalf("%d are shown, want %d", len(shown), maxShownDrops)
	}
	for i, d := range shown {
		if d.until.Before(testStart.Add(firstDrop + 2*maxShownDrops*time.Second)) {
			t.Errorf("%s is shown, others wait longer", d.name)
		}
		if i > 0 && shown[i-1].name >= d.name {
			t.Errorf("%s comes before %s", shown[i-1].name, d.name)
		}
	}
}

// TestNobodyWaitsThatLong has a request take very long, with others behind it:
// those that have waited too long are passed over, unless they are no requests.
func TestNobodyWaitsThatLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &Coordinator{cfg: Config{Unlimited: true}, farm: newFarm("alpha", chain.Regtest(), 1, nil), limits: newLimits(ofProcess)}
		inbox := make(chan *nats.Msg)
		var handled []string
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			ended <- c.serveWorkers(ctx, inbox, 100, func(m *nats.Msg) error {
				handled = append(handled, string(m.Data))
				if string(m.Data) == "slow" {
					time.Sleep(tooLate + time.Millisecond)
				}
				return nil
			})
		}()
		send := func(data, reply string) { inbox <- &nats.Msg{Subject: "ask.w", Data: []byte(data), Reply: reply} }
		send("slow", "r")
		synctest.Wait()
		send("late", "r")
		send("broadcast", "")
		time.Sleep(2 * time.Millisecond)
		send("in time", "r")
		time.Sleep(2 * tooLate)
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if got, want := jsonOf(t, handled), `["slow","broadcast","in time"]`; got != want {
			t.Errorf("handled %s, want %s", got, want)
		}
		if n := c.farm.refused[protocol.Busy]; n != 1 {
			t.Errorf("%d are counted as passed over, want 1", n)
		}
	})
}
