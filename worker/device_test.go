package worker

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jbcnet/jbc/coordinator/protocol"
	"github.com/jbcnet/jbc/hashing"
)

var errLost = errors.New("it fell off the bus")

// fakeCard is a device that hashes by plain Go, until scan says otherwise.
type fakeCard struct {
	nonces int // a scan
	scan   func(ctx context.Context, s *hashing.Search, first uint32, n int, hits []hashing.Hit) (done, found int, err error)
	opened []int // the rolls of each time
	closed atomic.Int32
}

func (f *fakeCard) source() DeviceSource {
	return DeviceSource{Name: "card", Open: func(_ context.Context, rolls int) (Device, error) {
		f.opened = append(f.opened, rolls)
		return f, nil
	}}
}

func (f *fakeCard) Nonces(int, time.Duration) int { return f.nonces }

func (f *fakeCard) Rate(context.Context, int, time.Duration) (float64, error) { return 1e6, nil }

func (f *fakeCard) Scan(ctx context.Context, s *hashing.Search, first uint32, n int, hits []hashing.Hit) (done, found int, err error) {
	if f.scan != nil {
		return f.scan(ctx, s, first, n, hits)
	}
	done, found = hashing.Kernels()[0].Scan(s, first, n, hits)
	return done, found, nil
}

func (f *fakeCard) Close() error { f.closed.Add(1); return nil }

// with has a worker use the card, beside so many threads.
func (f *fakeCard) with(threads int) func(*Config) {
	return func(cfg *Config) { cfg.Threads, cfg.Devices = threads, []DeviceSource{f.source()} }
}

// TestADeviceSearchesEveryPoint has no thread beside the device.
func TestADeviceSearchesEveryPoint(t *testing.T) {
	ns := newNATS(t, 0)
	c := newLookalike(t, ns.ClientURL(), "c1")
	job := c.job
	more := protocol.Lease{ID: 7, First: 9<<32 - 100, Points: 200, ExpiresMS: 60000}
	c.grant = []protocol.Lease{more}
	f := &fakeCard{nonces: 3}
	w := startWorker(t, ns.ClientURL(), f.with(0))
	if j := get(t, "join", c.joins); j.Threads != 0 || len(j.Devices) != 1 || j.Devices[0].Name != "card" {
		t.Errorf("joined with %d threads and devices %+v", j.Threads, j.Devices)
	}
	want := slices.Concat(sharesIn(job, c.terms.Home(testSlot), easyBits), sharesIn(job, more, easyBits))
	slices.SortFunc(want, comparePlaces)
	if got := c.collect(t, job, len(want)); !slices.Equal(got, want) {
		t.Errorf("shares %v, plain Go finds %v", got, want)
	}
	s := w.until("all shares accepted", func(s Stats) bool { return s.SharesAccepted >= uint64(len(want)) })
	if d := s.Devices[0]; d.Shares != s.SharesAccepted || d.State != DeviceMining || d.Failure != "" {
		t.Errorf("%d shares accepted, device %+v", s.SharesAccepted, d)
	}
	if extra := len(c.claims); extra > 0 || s.WrongHits > 0 {
		t.Errorf("%d shares too many, %d wrong hits", extra, s.WrongHits)
	}
	done := map[uint64]uint64{}
	for done[0] != homeSize || done[7] != 200 {
		p := get(t, "report", c.reports)
		for _, d := range p.Leases {
			done[d.ID] = d.Points
		}
		if len(p.Devices) != 1 || p.Devices[0].State == string(DeviceMining) && p.DeclaredHS == 0 {
			t.Errorf("report of a rate of %g and devices %+v", p.DeclaredHS, p.Devices)
		}
	}
}

// TestALostDeviceLosesNoPoint has the device fail in the middle of its third scan, half
// of which holds. A thread that has nothing to do by then tries the rest.
func TestALostDeviceLosesNoPoint(t *testing.T) {
	job := cancelJob(1)
	job.Rolls, job.Coordinator, job.Version, job.Bits = usualRolls, "c1", 0x20000000, hardBits
	lease := protocol.Lease{ID: 1, First: 9<<32 - 20, Points: 90}
	d, finds := newDispenser(), newFinds()
	d.assign(&assignment{job: job, target: job.Target()}, newLoans(job, &protocol.Terms{ShareBits: easyBits}, []protocol.Lease{lease}))

	f, scans, dry := &fakeCard{nonces: 5}, 0, make(chan struct{})
	f.scan = func(_ context.Context, s *hashing.Search, first uint32, n int, hits []hashing.Hit) (int, int, error) {
		if scans++; scans == 3 {
			<-dry
			done, found := hashing.Kernels()[0].Scan(s, first, n/2, hits)
			return done, found, errLost
		}
		done, found := hashing.Kernels()[0].Scan(s, first, n, hits)
		return done, found, nil
	}
	ctx, cancel := context.WithCancel(t.Context())
	one := &feeder{source: f.source(), by: 1, dispenser: d, finds: finds, log: slog.New(slog.DiscardHandler)}
	thread := miner{device: &cpu{kernel: hashing.BestKernel(), hashes: 160}, dispenser: d, finds: finds}
	var miners sync.WaitGroup
	miners.Go(func() { one.run(ctx) })
	for busy := 0; busy == 0; { // the device has its task before the thread starts
		time.Sleep(time.Millisecond)
		d.mu.Lock()
		busy = d.busy
		d.mu.Unlock()
	}
	miners.Go(func() { _ = thread.run() })
	<-d.dry
	close(dry)
	for d.account().done[0].Points < lease.Points {
		time.Sleep(time.Millisecond)
	}
	cancel()
	d.close()
	miners.Wait()

	var got []protocol.Place
	for _, found := range finds.take() {
		got = append(got, found.place)
	}
	slices.SortFunc(got, comparePlaces)
	if want := sharesIn(job, lease, easyBits); !slices.Equal(got, want) {
		t.Errorf("shares %v, plain Go finds %v", got, want)
	}
	if acc := d.account(); acc.hashes != 90*usualRolls || one.hashes.Load() != 12*usualRolls {
		t.Errorf("%d hashes, %d by the device; want %d and %d", acc.hashes, one.hashes.Load(), 90*usualRolls, 12*usualRolls)
	}
	if _, _, err := one.look(); !errors.Is(err, errLost) || f.closed.Load() != 1 {
		t.Errorf("closed %d times, failure %v", f.closed.Load(), err)
	}
}

// TestACancelReachesADevice gives the device a scan that ends by its context alone.
func TestACancelReachesADevice(t *testing.T) {
	ns := newNATS(t, 0)
	c := newLookalike(t, ns.ClientURL(), "c1")
	c.bigHome()
	f := &fakeCard{nonces: 1 << 30}
	type scan struct {
		search *hashing.Search
		err    error
	}
	began, ended := make(chan *hashing.Search, 100), make(chan scan, 100)
	f.scan = func(ctx context.Context, s *hashing.Search, _ uint32, _ int, _ []hashing.Hit) (int, int, error) {
		began <- s
		<-ctx.Done()
		ended <- scan{s, ctx.Err()}
		return 0, 0, nil
	}
	w := startWorker(t, ns.ClientURL(), f.with(0))
	first := get(t, "scan", began)
	c.publishJob(c.newJob(2, 2, hardBits))
	if got := get(t, "end of a scan", ended); got.search != first || got.err == nil {
		t.Errorf("the scan of another job ended: %v", got.err)
	}
	if second := get(t, "scan", began); second == first {
		t.Error("the device went on with the job before")
	}
	w.stop()
	if err := get(t, "end", w.done); err != nil {
		t.Error(err)
	}
	if f.closed.Load() != 1 {
		t.Errorf("the device was closed %d times", f.closed.Load())
	}
}

// TestAHungDeviceHoldsNobody has a device that never comes back.
func TestAHungDeviceHoldsNobody(t *testing.T) {
	ns := newNATS(t, 0)
	c := newLookalike(t, ns.ClientURL(), "c1")
	c.bigHome()
	f, hung, comeBack := &fakeCard{nonces: 1 << 20}, make(chan struct{}, 1), make(chan struct{})
	f.scan = func(context.Context, *hashing.Search, uint32, int, []hashing.Hit) (int, int, error) {
		hung <- struct{}{}
		<-comeBack
		return 0, 0, nil
	}
	defer close(comeBack)
	w := startWorker(t, ns.ClientURL(), f.with(1))
	get(t, "scan", hung)
	mined := w.Stats().Hashes
	w.until("the thread going on", func(s Stats) bool { return s.Hashes > mined+1000 })
	w.stop()
	if err := get(t, "end", w.done); err != nil {
		t.Error(err)
	}
}

// TestFeedersAreLeftBehind waits for a device that is through in time, and no longer than
// the end of a worker may take for one that never is.
func TestFeedersAreLeftBehind(t *testing.T) {
	for _, tt := range []struct {
		name       string
		takes      time.Duration
		want       time.Duration
		leftBehind bool
	}{
		{"at once", 0, 0, false},
		{"in time", 399 * time.Millisecond, 399 * time.Millisecond, false},
		{"hung", time.Hour, 400 * time.Millisecond, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var f feeders
				var said strings.Builder
				f.ended.Go(func() { time.Sleep(tt.takes) })
				begin := time.Now()
				f.wait(slog.New(slog.NewTextHandler(&said, nil)))
				if took := time.Since(begin); took != tt.want {
					t.Errorf("waited for %v, want %v", took, tt.want)
				}
				if got := strings.Contains(said.String(), "leaving it behind"); got != tt.leftBehind {
					t.Errorf("left behind %v, want %v: %s", got, tt.leftBehind, said.String())
				}
				f.ended.Wait() // an hour costs nothing here
			})
		})
	}
}

// TestADeviceFollowsTheRolls has a job of one version.
func TestADeviceFollowsTheRolls(t *testing.T) {
	job := cancelJob(1)
	job.Rolls, job.Coordinator = 1, "c1"
	lease := protocol.Lease{ID: 1, First: 77, Points: 60}
	d := newDispenser()
	f := &fakeCard{nonces: 7}
	one := &feeder{source: f.source(), by: 1, dispenser: d, finds: newFinds(), log: slog.New(slog.DiscardHandler)}
	d.assign(&assignment{job: job, target: job.Target()}, newLoans(job, &protocol.Terms{ShareBits: hardBits}, []protocol.Lease{lease}))
	var feeding sync.WaitGroup
	feeding.Go(func() { one.run(t.Context()) })
	<-d.dry
	d.close()
	feeding.Wait()
	if want := []int{usualRolls, 1}; !slices.Equal(f.opened, want) || f.closed.Load() != 2 {
		t.Errorf("opened for %v rolls, closed %d times; want %v", f.opened, f.closed.Load(), want)
	}
	if acc := d.account(); len(acc.whole) != 1 || one.hashes.Load() != 60 {
		t.Errorf("%d hashes, leases done %v", one.hashes.Load(), acc.done)
	}
}

func TestWhenAFailedDeviceIsTriedAgain(t *testing.T) {
	var f failures
	for i, test := range []struct {
		worked, wait time.Duration
		again        bool
	}{
		{0, 1 * time.Second, true},
		{59 * time.Second, 2 * time.Second, true},
		{0, 4 * time.Second, true},
		{time.Minute, 1 * time.Second, true}, // it was sound for long enough
		{0, 2 * time.Second, true},
		{0, 4 * time.Second, true},
		{0, 8 * time.Second, true},
		{0, 16 * time.Second, true},
		{0, 32 * time.Second, true},
		{0, time.Minute, true},
		{0, time.Minute, true},
		{0, time.Minute, true},
		{0, 0, false},
	} {
		if wait, again := f.after(test.worked); wait != test.wait || again != test.again {
			t.Errorf("failure %d: in %s, %t; want %s, %t", i+1, wait, again, test.wait, test.again)
		}
	}
}

// TestADriverThatCompilesForEver is given up.
func TestADriverThatCompilesForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one := &feeder{dispenser: newDispenser(), finds: newFinds(), log: slog.New(slog.DiscardHandler)}
		one.source = DeviceSource{Name: "card", Open: func(ctx context.Context, _ int) (Device, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}}
		begin := time.Now()
		worked, err := one.mine(t.Context(), usualRolls)
		if took := time.Since(begin); worked != 0 || took != openWithin || err == nil || err.Error() != "it was not ready within 2m0s" {
			t.Errorf("after %s: worked %s, %v", took, worked, err)
		}
	})
}

// TestABrokenDeviceIsLeftOut passes the minutes that it takes.
func TestABrokenDeviceIsLeftOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		one := &feeder{dispenser: newDispenser(), finds: newFinds(), log: slog.New(slog.DiscardHandler)}
		one.source = DeviceSource{Name: "card", Open: func(context.Context, int) (Device, error) {
			tries++
			return nil, errLost
		}}
		begin := time.Now()
		one.run(t.Context())
		state, rate, err := one.look()
		if took := time.Since(begin); tries != maxFailures || took != (63+3*60)*time.Second || state != DeviceLeftOut || rate != 0 || !errors.Is(err, errLost) {
			t.Errorf("%s after %d tries and %s, at %g hashes a second: %v", state, tries, took, rate, err)
		}
	})
}
