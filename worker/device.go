package worker

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jbcnet/jbc/hashing"
)

// A Device hashes beside the threads, a graphics card as a rule. The worker calls it
// from one goroutine, Close last.
type Device interface {
	// Nonces returns how many nonces of a search with so many versions take the device
	// about so long.
	Nonces(versions int, long time.Duration) int
	// Rate returns how many hashes a second it does in such a search, measured for
	// about so long. A cancelled ctx cuts it short.
	Rate(ctx context.Context, versions int, long time.Duration) (float64, error)
	// Scan is [hashing.Kernel.Scan], except that done can also be less than n because
	// hits were found, because ctx has ended, after which it returns as soon as it
	// can, or because the device failed; then what was found until then holds. It
	// returns in the end, whatever the device does.
	Scan(ctx context.Context, s *hashing.Search, first uint32, n int, hits []hashing.Hit) (done, found int, err error)
	Close() error
}

// A DeviceSource makes a device ready, again where it failed.
type DeviceSource struct {
	Name string
	// Open makes the device ready for jobs that have so many versions at each point. It
	// returns soon after ctx has ended.
	Open func(ctx context.Context, rolls int) (Device, error)
}

// device is what tries points for one miner: a CPU thread or a [Device]. A miner
// owns its device and calls it from one goroutine.
type device interface {
	// slice is how many points of a job with rolls versions one scan may try: so few
	// that it ends soon enough for a cancel to be seen, unless ctx ends it.
	slice(rolls int) int
	// scan is [Device.Scan].
	scan(ctx context.Context, s *hashing.Search, first uint32, n int, hits []hashing.Hit) (done, found int, err error)
}

const (
	// cardSlice is how long a scan by a device takes: long beside what lies between
	// two, during which the device has nothing to do. A task is taskSlices of them.
	cardSlice = 50 * time.Millisecond
	// cardBudget is how long the rate of a device is measured once it is ready.
	cardBudget = 300 * time.Millisecond
)

// card is a [Device] that is ready for jobs with so many rolls.
type card struct {
	device Device
	rolls  int
	hashes *atomic.Uint64 // done so far
}

// rollsError says that a job has other rolls than those that a device was opened for.
type rollsError int

func (e rollsError) Error() string { return fmt.Sprintf("a job has %d rolls", int(e)) }

func (c *card) slice(rolls int) int { return max(1, c.device.Nonces(rolls, cardSlice)) }

func (c *card) scan(ctx context.Context, s *hashing.Search, first uint32, n int, hits []hashing.Hit) (done, found int, err error) {
	if rolls := len(s.Midstates); rolls != c.rolls {
		return 0, 0, rollsError(rolls)
	}
	done, found, err = c.device.Scan(ctx, s, first, n, hits)
	c.hashes.Add(uint64(done * c.rolls))
	return done, found, err
}
