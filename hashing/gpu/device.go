package gpu

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/jbcnet/jbc/hashing"
)

var (
	// ErrClosed is what a device that was closed answers.
	ErrClosed = errors.New("the device is closed")
	// ErrWrong says that a device computed something wrong: it, its driver or its memory
	// is broken.
	ErrWrong = errors.New("the device computes wrongly")
	// ErrHung says that a device did not answer for [Patience].
	ErrHung = errors.New("the device does not answer")
)

// A BuildError says that a device's driver did not compile the program.
type BuildError struct {
	Log string // what the compiler said
	err error
}

func (e *BuildError) Error() string { return fmt.Sprintf("program: %v: %s", e.err, e.Log) }
func (e *BuildError) Unwrap() error { return e.err }

// Options are how a device is used.
type Options struct {
	// Versions is how many versions of a header the program tries at once: 1, 2, 4 or
	// 8, 0 for [UsualVersions]. A search with fewer costs as much as one with so many.
	Versions int
	// Launch is how long one launch should take; none can be interrupted. 0 takes
	// [UsualLaunch].
	Launch time.Duration
}

const (
	// UsualVersions shares most of the message schedule and still leaves the
	// registers of a GPU enough room.
	UsualVersions = 4
	// UsualLaunch is short enough to stop soon, and long beside the cost of a launch.
	UsualLaunch = time.Millisecond
	// Patience is how long a launch may take until the device counts as hung.
	Patience = 4 * time.Second
)

// Widths returns what [Options.Versions] can be.
func Widths() []int { return []int{1, 2, 4, 8} }

// Versions returns what [Options.Versions] should be for searches of n versions: the
// most that leaves none of them idle, [UsualVersions] at most.
func Versions(n int) int {
	width := UsualVersions
	for width > 1 && n%width != 0 {
		width /= 2
	}
	return width
}

// withDefaults checks o.
func (o Options) withDefaults() (Options, error) {
	o.Versions = cmp.Or(o.Versions, UsualVersions)
	o.Launch = cmp.Or(o.Launch, UsualLaunch)
	if !slices.Contains(Widths(), o.Versions) {
		return o, fmt.Errorf("%d versions at once, want 1, 2, 4 or 8", o.Versions)
	}
	if o.Launch < 0 {
		return o, fmt.Errorf("launches of %s", o.Launch)
	}
	return o, nil
}

// Device is one that is ready to scan. It is safe for concurrent use; one call of
// Scan is made after the other.
//
// It has a thread of its own, from which all calls into its driver come. None of them
// can be interrupted, so that the thread of a device that hangs is left behind.
type Device struct {
	info     Info
	patience time.Duration
	scanner  *scanner // the thread's

	work chan func()   // for the thread, which ends when this is closed
	gone chan struct{} // closed when the thread has ended, and closing is set
	// closing is what giving back the device came to.
	closing error

	mu       sync.Mutex
	unusable error // why, if it is
}

// Open makes a device of a [Listing] ready: its driver compiles the program, which can
// take seconds, and a short test has to find what it should. Close it in the end.
//
// No driver can be interrupted. When ctx ends first Open returns its error at once; what
// the driver is at goes on in the background, and is given back when that is done.
func Open(ctx context.Context, info Info, opts Options) (*Device, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	if info.opener == nil {
		return nil, errors.New("the device is of no listing")
	}
	d := &Device{info: info, patience: Patience, work: make(chan func()), gone: make(chan struct{})}
	opened := make(chan error)
	go d.live(ctx, opts, opened)
	select {
	case err = <-opened:
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		return nil, d.wrap(err)
	}
	return d, nil
}

// live is the device's thread, from opening to closing it.
func (d *Device) live(ctx context.Context, opts Options, opened chan<- error) {
	runtime.LockOSThread() // for good: it ends with the goroutine
	defer close(d.gone)
	var err error
	d.info.opener.guard(func() { d.scanner, err = newScanner(d.info.opener, opts) })
	select {
	case opened <- err:
	case <-ctx.Done():
		if err == nil {
			_ = d.scanner.launcher.close() // nobody is left to be told
		}
		return
	}
	if err != nil {
		return
	}
	for f := range d.work {
		f()
	}
	d.closing = d.scanner.launcher.close()
}

// Info returns what the listing said of the device.
func (d *Device) Info() Info { return d.info }

// Versions returns how many versions are tried at once.
func (d *Device) Versions() int { return d.scanner.versions }

// Nonces returns how many nonces of a search with so many versions take the device
// about so long, at the rate that it had last; at least one.
func (d *Device) Nonces(versions int, long time.Duration) int {
	launches := (versions + d.scanner.versions - 1) / d.scanner.versions
	n := float64(d.scanner.nonces.Load()) * float64(long) / float64(d.scanner.budget) / float64(max(launches, 1))
	return int(min(max(n, 1), math.MaxInt32))
}

// Close waits for a scan and gives back what the device holds. Closing it again, or
// after it hung, does nothing.
func (d *Device) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if errors.Is(d.unusable, ErrClosed) || errors.Is(d.unusable, ErrHung) {
		return nil
	}
	d.unusable = ErrClosed
	close(d.work)
	select {
	case <-d.gone:
		if d.closing != nil {
			return d.wrap(d.closing)
		}
		return nil
	case <-time.After(d.patience):
		return d.wrap(ErrHung)
	}
}

func (d *Device) wrap(err error) error { return fmt.Errorf("device %s: %w", d.info.Name, err) }

// Scan is [hashing.Kernel.Scan] with a difference: done can also be less than n
// because hits were found, which are returned soon, because ctx has ended, which is
// looked at between launches and is no error, or because the device failed, which is
// one. What was found until then holds; after an error the device is only good for
// being closed. s must stay as it is, even after [ErrHung].
func (d *Device) Scan(ctx context.Context, s *hashing.Search, first uint32, n int, hits []hashing.Hit) (done, found int, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.unusable != nil {
		return 0, 0, d.wrap(d.unusable)
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop() // also what is left behind, should the driver come back
	var scanned struct {
		done, found int
		err         error
	}
	own := make([]hashing.Hit, len(hits)) // a scan that is left behind may not write into the caller's
	if !d.call(func() { scanned.done, scanned.found, scanned.err = d.scanner.scan(ctx, s, first, n, own) }) {
		d.unusable = ErrHung
		close(d.work) // its thread is to end
		return 0, 0, d.wrap(ErrHung)
	}
	copy(hits, own[:scanned.found])
	if scanned.err != nil {
		d.unusable = scanned.err
		return scanned.done, scanned.found, d.wrap(scanned.err)
	}
	return scanned.done, scanned.found, nil
}

// looks is how many times a device has to be found at the same launch to count as hung.
// One look is not enough: the process may just have been stopped, and the device not.
const looks = 8

// call has the thread run f. It returns false where no launch ended for the device's
// patience; then f may go on.
func (d *Device) call(f func()) bool {
	finished := make(chan struct{})
	d.work <- func() {
		defer close(finished)
		f()
	}
	tick := time.NewTicker(d.patience / looks)
	defer tick.Stop()
	seen, quiet := d.scanner.ended.Load(), 0
	for {
		select {
		case <-finished:
			return true
		case <-tick.C:
		}
		ended := d.scanner.ended.Load()
		if ended != seen {
			seen, quiet = ended, 0
		} else if quiet++; quiet == looks {
			return false
		}
	}
}
