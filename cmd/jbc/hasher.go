package main

import (
	"context"
	"fmt"
	"time"

	"github.com/jbcnet/jbc/hashing"
	"github.com/jbcnet/jbc/hashing/gpu"
)

// cores are a sweep's hasher: a kernel on some threads.
type cores struct{ mining *mining }

func (c cores) threads() int { return c.mining.threads }

func (c cores) slice(s *hashing.Search) int {
	return c.mining.kernel.Calibrate(s, hashing.ScanBudget)
}

func (c cores) scan(_ context.Context, s *hashing.Search, first uint32, n int, hits []hashing.Hit) (done, found int, err error) {
	done, found = c.mining.kernel.Scan(s, first, n, hits)
	return done, found, nil
}

func (c cores) String() string {
	return fmt.Sprintf("%s on %d thread(s)", c.mining.kernel.Name, c.mining.threads)
}

// device is a sweep's hasher too, fed by one thread.
type device struct{ gpu *gpu.Device }

func (d device) threads() int { return 1 }

// deviceSlice leaves a call far longer than a launch, and the status line a number that
// moves.
const deviceSlice = 100 * time.Millisecond

func (d device) slice(s *hashing.Search) int { return d.gpu.Nonces(len(s.Midstates), deviceSlice) }

func (d device) scan(ctx context.Context, s *hashing.Search, first uint32, n int, hits []hashing.Hit) (done, found int, err error) {
	return d.gpu.Scan(ctx, s, first, n, hits)
}

func (d device) String() string { return "device " + d.gpu.Info().Name }
