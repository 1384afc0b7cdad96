package worker

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nkeys"

	"github.com/jbcnet/jbc/coordinator/protocol"
)

// TestNewKeys restarts a coordinator on a new key. The worker says once which it has
// pinned and which one answers, mines for neither, and goes on when the pinned one
// is back.
func TestNewKeys(t *testing.T) {
	ns := newNATS(t, 0)
	first := newLookalike(t, ns.ClientURL(), "c1")
	lines := make(chan string, 10000)
	w := startWorker(t, ns.ClientURL(), func(cfg *Config) { cfg.Log = slog.New(lineTap{lines: lines}) })
	w.until("mining", isMining)

	first.conn.Close()
	second := makeLookalike(t, ns.ClientURL(), "c1")
	second.epoch = 2
	second.job.Epoch, second.job.Number = 2, 1
	second.anySecret()
	second.connect(testNetwork)
	want := fmt.Sprintf("coordinator \"c1\" answers with another key (%s) than the one pinned (%s): not mining for it hint=%s", second.pub, first.pub, otherKeyHint)
	for get(t, "line about the other key", lines) != want {
	}
	second.publishJob(second.job)
	s := w.until("told again", func(s Stats) bool { return s.OtherKeys >= 3 && s.Ignored >= 3 && s.State == Offline })
	if s.Key != first.pub || s.Job.Epoch != 1 {
		t.Errorf("it is on job %s for %s, want nothing of the new key's", s.Job, s.Key)
	}
	for len(lines) > 0 {
		if line := <-lines; strings.Contains(line, "key") {
			t.Errorf("it says more than once: %s", line)
		}
	}

	second.conn.Close()
	first.connect(testNetwork)
	for !strings.Contains(get(t, "line about its return", lines), "answers again") {
	}
	w.until("mining", isMining)
}

// TestUnsignedWords warns of messages that nobody explains, the more seldom the more
// there are.
func TestUnsignedWords(t *testing.T) {
	ns := newNATS(t, 0)
	c := newLookalike(t, ns.ClientURL(), "c1")
	now := time.Now()
	s := joined(t, c, now)
	said := make(chan string, 1000)
	s.log = slog.New(tap{said})
	stranger, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	forged := c.signed("", protocol.ToWorkers, c.newJob(9, 9, hardBits), stranger)
	warned := 0
	for i := range 100 { // a message a second
		s.onWord(now, forged)
		if s.doubt(now.Add(doubtTime - 1)); len(said) != warned {
			t.Fatalf("%d lines after %d messages, before it can know who is there; want %d", len(said), i+1, warned)
		}
		now = now.Add(doubtTime)
		s.doubt(now)
		if n := i + 1; n&(n-1) == 0 {
			warned++
		}
		if len(said) != warned {
			t.Fatalf("%d lines after %d messages, want %d", len(said), i+1, warned)
		}
	}
	if s.stats.Ignored != 100 || s.work.current.job.Number != 1 {
		t.Errorf("%d ignored, on job %s, want 100, 1.1", s.stats.Ignored, s.work.current.job.JobID)
	}
}

// TestStrangers has others answer discovery: they are none of its business.
func TestStrangers(t *testing.T) {
	ns := newNATS(t, 0)
	c := newLookalike(t, ns.ClientURL(), "c1")
	s := joined(t, c, time.Now())
	said := make(chan string, 10)
	s.log = slog.New(tap{said})
	for _, f := range []protocol.Found{
		{Network: testNetwork, Name: "c1", Key: c.pub},
		{Network: testNetwork, Name: "c2", Key: "K"},
		{Network: "other-01234567", Name: "c1", Key: "K"},
	} {
		if s.meet(f); s.stats.OtherKeys != 0 || len(said) > 0 {
			t.Errorf("%+v alarms it", f)
		}
	}
}
