package coordinator

import (
	"testing"
	"time"

	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/coordinator/protocol"
	"github.com/jbcnet/jbc/hashing"
)

// TestJobBook adds jobs to a book that was opened with some of the epoch before:
// it keeps the last 16, numbers them from 1, and finds each by its id alone.
func TestJobBook(t *testing.T) {
	templates := newTemplates(t)
	add := func(b *jobBook, parent string) (*job, []*job) {
		j := newJob(protocol.KindJob, "alpha", b.NextID(), templates.On(parent, 1e6, testStart), time.Second, 16, testStart)
		return j, b.Add(j)
	}
	var kept []*job
	old := jobBook{epoch: 4}
	for range 5 {
		add(&old, "A")
	}
	for _, j := range old.kept {
		kept = append(kept, restoredJob(j.Job, j.template))
	}
	b := jobBook{epoch: 5, kept: kept}
	if b.Current() != nil {
		t.Errorf("a job of the epoch before is the job of the moment: %s", b.Current().JobID)
	}
	if !b.On(parentHash("A")) || b.On(parentHash("B")) {
		t.Errorf("On(A), On(B) = %v, %v, want true, false", b.On(parentHash("A")), b.On(parentHash("B")))
	}
	for n := uint64(1); n <= 40; n++ {
		j, dropped := add(&b, "A")
		if want := (protocol.JobID{Epoch: 5, Number: n}); j.JobID != want || b.Current() != j {
			t.Fatalf("job %s of the moment %s, want %s", j.JobID, b.Current().JobID, want)
		}
		wantDropped := 0
		if n > 11 {
			wantDropped = 1
		}
		if len(dropped) != wantDropped || len(b.kept) > 16 {
			t.Fatalf("after %d jobs: %d dropped, %d kept", n, len(dropped), len(b.kept))
		}
		for _, gone := range dropped {
			if b.Find(gone.JobID) != nil {
				t.Fatalf("job %s is dropped and found", gone.JobID)
			}
		}
		for _, k := range b.kept {
			if b.Find(k.JobID) != k {
				t.Fatalf("job %s is kept and not found", k.JobID)
			}
		}
	}
	if first := b.kept[0].JobID; first != (protocol.JobID{Epoch: 5, Number: 25}) || len(b.kept) != 16 {
		t.Errorf("%d kept from %s on, want 16 from 5.25 on", len(b.kept), first)
	}
}

// TestJobIsTheTemplate has a job of a real template give the block that the chain
// takes: the two sides of one agreement.
func TestJobIsTheTemplate(t *testing.T) {
	templates := newTemplates(t)
	c := templates.chain
	for _, rolls := range []int{1, 16} {
		header := c.Tip().Header
		now := time.Unix(int64(header.Time()), 0).Add(time.Hour)
		template, err := c.Template(now, chain.TemplateOptions{PayScript: []byte{0x51}, Miner: "alpha", Data: "text", Tag: [8]byte{byte(rolls)}})
		if err != nil {
			t.Fatal(err)
		}
		j := newJob(protocol.KindJob, "alpha", protocol.JobID{Epoch: 1, Number: 1}, template, time.Minute, rolls, now)
		if err := j.Validate(); err != nil {
			t.Fatalf("rolls %d: %v", rolls, err)
		}
		// A high column: extranonce and version group are both at work.
		p := find(t, &j.Job, protocol.Point(0x89abcdef)<<32, j.Target(), hashing.Target{})
		block := j.Block(p)
		if block.Header != j.Header(p.Point, p.Roll) {
			t.Errorf("rolls %d: the block's header is not that of the job", rolls)
		}
		accepted, err := c.Accept(block, now)
		if err != nil {
			t.Fatalf("rolls %d: %v", rolls, err)
		}
		if err := accepted.Wait(); err != nil || accepted.Status != chain.Extended {
			t.Errorf("rolls %d: %v, %v, want %v", rolls, accepted.Status, err, chain.Extended)
		}
	}
}

// TestJobsDiffer has two jobs on one tip at one moment share no header.
func TestJobsDiffer(t *testing.T) {
	templates := newTemplates(t)
	a := newJob(protocol.KindJob, "alpha", protocol.JobID{Epoch: 1, Number: 1}, templates.On("A", 1e6, testStart), time.Second, 16, testStart)
	b := newJob(protocol.KindJob, "alpha", protocol.JobID{Epoch: 1, Number: 2}, templates.On("A", 1e6, testStart), time.Second, 16, testStart)
	if a.Header(0, 0) == b.Header(0, 0) {
		t.Error("two templates share a header")
	}
	if one, other := randomTag(), randomTag(); one == other {
		t.Error("two tags are the same")
	}
}
