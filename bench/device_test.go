package bench

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/hashing"
	"github.com/jbcnet/jbc/worker"
)

// clockwork is a device that takes as long as one with a rate, and finds nothing.
type clockwork struct {
	hs    float64
	scans atomic.Int64
	busy  atomic.Int64 // ns in scans
}

func (c *clockwork) source() worker.DeviceSource {
	return worker.DeviceSource{Name: "clockwork", Open: func(context.Context, int) (worker.Device, error) { return c, nil }}
}

func (c *clockwork) Nonces(versions int, long time.Duration) int {
	return int(c.hs * long.Seconds() / float64(versions))
}

func (c *clockwork) Rate(context.Context, int, time.Duration) (float64, error) { return c.hs, nil }

func (c *clockwork) Scan(ctx context.Context, s *hashing.Search, _ uint32, n int, _ []hashing.Hit) (done, found int, err error) {
	begin := time.Now()
	c.scans.Add(1)
	defer func() { c.busy.Add(int64(time.Since(begin))) }()
	took := time.NewTimer(time.Duration(float64(n) * float64(len(s.Midstates)) / c.hs * float64(time.Second)))
	defer took.Stop()
	select {
	case <-took.C:
		return n, 0, nil
	case <-ctx.Done():
		return 0, 0, nil
	}
}

func (c *clockwork) Close() error { return nil }

// TestACardNeverWaits has a coordinator feed cards that are through with a column of
// points in seconds, or in less than one.
func TestACardNeverWaits(t *testing.T) {
	r, err := newRig(t.Context(), chain.Bitcoin())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := r.close(); err != nil {
			t.Error(err)
		}
	}()
	for _, hs := range []float64{8e9, 150e9} {
		mineByClockwork(t, r, hs)
	}
}

func mineByClockwork(t *testing.T, r *rig, hs float64) {
	t.Helper()
	conn, err := r.dial("worker")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	c := &clockwork{hs: hs}
	w, err := worker.New(worker.Config{
		Conn: conn, Name: "worker", Key: r.coord.PublicKey(), Devices: []worker.DeviceSource{c.source()}, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	for c.scans.Load() == 0 {
		time.Sleep(pollTime)
	}
	begin, before := time.Now(), c.busy.Load()
	time.Sleep(1500 * time.Millisecond) // what is measured is time
	took, busy := time.Since(begin), time.Duration(c.busy.Load()-before)
	if busy < took*8/10 { // 99 of 100 on a quiet machine
		t.Errorf("%g hashes a second: the device had work for %s of %s, %d times too few points", hs, busy, took, w.Stats().Dry)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
