package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// DeviceState is what a device is doing.
type DeviceState string

// The states.
const (
	DeviceOpening DeviceState = "opening" // its driver makes it ready
	DeviceMining  DeviceState = "mining"
	DeviceFailed  DeviceState = "failed"   // and will be opened again
	DeviceLeftOut DeviceState = "left-out" // it failed too often
)

const (
	// firstRetry is how long after its first failure a device is opened again, twice as
	// long after each further one in a row, up to longestRetry.
	firstRetry   = time.Second
	longestRetry = time.Minute
	// maxFailures in a row leave a device out for good, after some four minutes.
	maxFailures = 10
	// soundAfter is how long a device has to work for earlier failures to be forgotten.
	soundAfter = time.Minute
	// openWithin bounds how long a device may take to become ready: some drivers compile
	// for half a minute.
	openWithin = 2 * time.Minute
	// devicesWithin bounds how long the end of a worker waits for its devices.
	devicesWithin = 400 * time.Millisecond
)

// failures decides what becomes of a device that failed. It is pure.
type failures struct{ inRow int }

// after takes that a device failed after it had worked so long, and returns in what
// time it is tried again, if at all.
func (f *failures) after(worked time.Duration) (wait time.Duration, again bool) {
	if worked >= soundAfter {
		f.inRow = 0
	}
	f.inRow++
	if f.inRow >= maxFailures {
		return 0, false
	}
	return min(longestRetry, firstRetry<<(f.inRow-1)), true
}

// feeder keeps one device at work on what the dispenser has. A device that fails is
// opened again, and in the end left out; what it did not try others will.
type feeder struct {
	source    DeviceSource
	by        int // its number among those that find, from 1 on
	dispenser *dispenser
	finds     *finds
	log       *slog.Logger

	hashes atomic.Uint64 // done so far

	mu    sync.Mutex
	state DeviceState
	rate  float64 // hashes a second, measured when it was opened
	err   error   // the last failure
}

// run feeds the device until the dispenser is closed or ctx ends, or until it is left
// out.
func (f *feeder) run(ctx context.Context) {
	var failed failures
	for rolls := usualRolls; ; {
		worked, err := f.mine(ctx, rolls)
		if err == nil || ctx.Err() != nil {
			return
		}
		if others := rollsError(0); errors.As(err, &others) {
			rolls = int(others)
			continue
		}
		wait, again := failed.after(worked)
		if !again {
			f.become(DeviceLeftOut, err)
			f.log.Error("a device failed too often, going on without it", "device", f.source.Name, "err", err, "times", failed.inRow)
			return
		}
		f.become(DeviceFailed, err)
		f.log.Warn("a device failed, trying it again", "device", f.source.Name, "err", err, "in", wait)
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// mine opens the device for jobs with so many rolls and feeds it. It returns how long
// the device worked, and no error once the dispenser is closed.
func (f *feeder) mine(ctx context.Context, rolls int) (worked time.Duration, err error) {
	f.become(DeviceOpening, nil)
	d, err := f.open(ctx, rolls)
	if err != nil {
		return 0, err
	}
	defer func() {
		if closing := d.Close(); closing != nil {
			f.log.Debug("closing a device", "device", f.source.Name, "err", closing)
		}
	}()
	rate, err := d.Rate(ctx, rolls, cardBudget)
	if err != nil {
		return 0, err
	}
	f.mu.Lock()
	f.rate = rate
	f.mu.Unlock()
	f.log.Info("device", "name", f.source.Name, "rate", Rate(rate))
	f.become(DeviceMining, nil)
	begin := time.Now()
	m := miner{device: &card{device: d, rolls: rolls, hashes: &f.hashes}, dispenser: f.dispenser, finds: f.finds, by: f.by}
	err = m.run()
	return time.Since(begin), err
}

// open opens the device, whose driver may hang.
func (f *feeder) open(ctx context.Context, rolls int) (Device, error) {
	opening, cancel := context.WithTimeout(ctx, openWithin)
	defer cancel()
	d, err := f.source.Open(opening, rolls)
	if err != nil && errors.Is(opening.Err(), context.DeadlineExceeded) {
		return nil, fmt.Errorf("it was not ready within %s", openWithin)
	}
	return d, err
}

func (f *feeder) become(state DeviceState, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.state = state; err != nil {
		f.err = err
	}
}

// look returns what the device is doing, the rate that it was measured at while it is
// mining, and why it failed last.
func (f *feeder) look() (state DeviceState, rate float64, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.state == DeviceMining {
		rate = f.rate
	}
	return f.state, rate, f.err
}

// feeders feed all devices of a worker.
type feeders struct {
	all   []*feeder
	ended sync.WaitGroup
}

// start feeds the devices until ctx ends and the dispenser is closed.
func (f *feeders) start(ctx context.Context) {
	for _, one := range f.all {
		f.ended.Go(func() { one.run(ctx) })
	}
}

// wait waits for the feeders, but for no driver that hangs: what is in one can't be
// interrupted, and is left behind.
func (f *feeders) wait(log *slog.Logger) {
	all := make(chan struct{})
	go func() {
		f.ended.Wait()
		close(all)
	}()
	select {
	case <-all:
	case <-time.After(devicesWithin):
		log.Warn("a device does not let go, leaving it behind")
	}
}
