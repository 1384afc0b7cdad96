//go:build linux

package farm

import (
	"cmp"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/coordinator/protocol"
)

// handoverTime is how soon after a worker's death the other has its work.
const handoverTime = 5 * time.Second

// slowKernel makes blocks take minutes on every machine.
const slowKernel = "plain"

// TestKilledWorker kills one of two workers on a network whose blocks take minutes.
// The rest of its leases that it did not report goes to the other in time.
func TestKilledWorker(t *testing.T) {
	var worst, whole time.Duration
	rounds := count(2, 20)
	for done, tries := 0, 0; done < rounds; tries++ {
		if tries > 2*rounds+3 {
			t.Fatal("a block was found in nearly every round")
		}
		first, all, ok := handover(t)
		if !ok {
			t.Log("a block was found meanwhile, once more")
			continue
		}
		done++
		t.Logf("the rest of its lease was with the other after %v, of all its leases after %v", first, all)
		worst, whole = max(worst, first), max(whole, all)
	}
	if worst > handoverTime {
		t.Errorf("the unreported rest of a killed worker's lease was with the other after %v, want at most %v", worst, handoverTime)
	}
	t.Logf("%d workers killed; worst hand-over of the lease in hand %v, of all leases %v", rounds, worst, whole)
}

// handover runs a farm of two workers, kills one in the middle of its leases and
// says how long it took until the other was given all that it had not reported of
// its first lease, and of all of them. It is not ok when the job changed.
func handover(t *testing.T) (first, all time.Duration, ok bool) {
	t.Helper()
	f := newFarm(t)
	o := f.observe(t, chain.Bitcoin(), hooks{})
	c := f.coordinator(t, "--network", "bitcoin")
	o.discovered(t)
	stays := f.worker(t, "stays", 1, "--kernel", slowKernel)
	dies := f.worker(t, "dies", 1, "--kernel", slowKernel)
	defer func() {
		stays.kill()
		c.kill()
	}()
	for _, name := range []string{"stays", "dies"} {
		eventually(t, patience, name+" reports progress", func() bool {
			reports := o.reportsOf(name)
			return len(reports) >= 2 && len(reports[len(reports)-1].leases) > 0 && reports[len(reports)-1].leases[0].Points > 0
		})
	}
	time.Sleep(rand.N(2 * time.Second)) // reports come every 2 s: any moment between two
	killed := time.Now()
	dies.kill()
	job := o.lastReport("dies").job
	rest := o.unreported("dies", job)
	if len(rest) == 0 {
		t.Fatalf("it had no lease on job %s", job)
	}
	for deadline := killed.Add(4 * handoverTime); ; time.Sleep(pollTime) {
		missing, at := o.notGranted(rest, job, "stays", killed)
		if left, at := o.notGranted(rest[:1], job, "stays", killed); first == 0 && len(left) == 0 {
			first = at.Sub(killed)
		}
		if len(missing) == 0 {
			return first, at.Sub(killed), true
		}
		if st := o.status(); st != nil && st.Job != job {
			return 0, 0, false
		}
		if time.Now().After(deadline) {
			t.Logf("after %v there are still %d pieces not leased again", time.Since(killed), len(missing))
			return cmp.Or(first, time.Since(killed)), time.Since(killed), true
		}
	}
}

// span is the points [first, end) of a job's line.
type span struct{ first, end uint64 }

func (o *observer) reportsOf(worker string) (of []report) {
	o.read(func() {
		for _, r := range o.reports {
			if r.worker == worker {
				of = append(of, r)
			}
		}
	})
	return of
}

func (o *observer) lastReport(worker string) report {
	of := o.reportsOf(worker)
	return of[len(of)-1]
}

// unreported returns what a worker has on loan on a job and did not report as
// searched, lowest lease first.
func (o *observer) unreported(worker string, job protocol.JobID) (rest []span) {
	done := map[uint64]uint64{}
	for _, r := range o.reportsOf(worker) {
		for _, d := range r.leases {
			if r.job == job {
				done[d.ID] = max(done[d.ID], d.Points)
			}
		}
	}
	o.read(func() {
		for _, g := range o.grants {
			l := g.lease
			if g.worker == worker && g.job == job && done[l.ID] < l.Points {
				rest = append(rest, span{uint64(l.First) + done[l.ID], uint64(l.First) + l.Points})
			}
		}
	})
	return rest
}

// notGranted returns what of spans was not leased to a worker since, and when the
// last lease that counts was granted.
func (o *observer) notGranted(spans []span, job protocol.JobID, worker string, since time.Time) (missing []span, at time.Time) {
	missing = append(missing, spans...)
	o.read(func() {
		for _, g := range o.grants {
			if g.worker != worker || g.job != job || g.at.Before(since) {
				continue
			}
			var left []span
			lease := span{uint64(g.lease.First), uint64(g.lease.First) + g.lease.Points}
			for _, s := range missing {
				cut := s.without(lease)
				if len(cut) != 1 || cut[0] != s {
					at = g.at
				}
				left = append(left, cut...)
			}
			missing = left
		}
	})
	return missing, at
}

// without returns what of s is not in cut.
func (s span) without(cut span) (left []span) {
	if cut.end <= s.first || cut.first >= s.end {
		return []span{s}
	}
	if s.first < cut.first {
		left = append(left, span{s.first, cut.first})
	}
	if cut.end < s.end {
		left = append(left, span{cut.end, s.end})
	}
	return left
}
