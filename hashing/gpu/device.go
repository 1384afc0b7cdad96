package gpu

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/jbcnet/jbc/hashing"
)

// ErrClosed is what a device that was closed answers.
var ErrClosed = errors.New("the device is closed")

// ErrWrong says that a device computed something wrong: it, its driver or its memory
// is broken.
var ErrWrong = errors.New("the device computes wrongly")

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
)

// Versions returns what [Options.Versions] should be for searches of n versions: the
// most that leaves none of them idle, [UsualVersions] at most.
func Versions(n int) int {
	width := UsualVersions
	for width > 1 && n%width != 0 {
		width /= 2
	}
	return width
}

const (
	// group is how many work items share a compute unit, a divisor of every launch.
	group = 64
	// capacity is how many hits fit into a device's buffer.
	capacity = 256
	// firstLaunch is how many nonces the first launch tries, which costs a slow device
	// a millisecond or two; from there on the time that they take decides.
	firstLaunch = 1 << 12
	maxLaunch   = 1 << 28
)

// candidate is a nonce that a device thinks something of.
type candidate struct{ nonce, version uint32 }

// launcher runs the program on a device. Calls come one after the other.
type launcher interface {
	// launch tries nonces [first, first+n) and returns those whose top word is low
	// enough, in no order, until the next launch. overflow says that some are missing.
	launch(p *parameters, first, n uint32) (found []candidate, overflow bool, err error)
	close() error
}

// Device is one that is ready to scan. It is safe for concurrent use; one call of
// Scan is made after the other.
type Device struct {
	info     Info
	versions int
	budget   time.Duration // of a launch

	mu       sync.Mutex
	launcher launcher // nil once it is closed
	nonces   int      // a launch
	chunk    []hashing.Hit
}

// newDevice tests what l computes and closes it where that is wrong.
func newDevice(info Info, opts Options, l launcher) (*Device, error) {
	d := &Device{info: info, versions: opts.Versions, budget: opts.Launch, launcher: l, nonces: firstLaunch}
	if err := d.test(); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// withDefaults checks o.
func (o Options) withDefaults() (Options, error) {
	o.Versions = cmp.Or(o.Versions, UsualVersions)
	o.Launch = cmp.Or(o.Launch, UsualLaunch)
	if !slices.Contains([]int{1, 2, 4, 8}, o.Versions) {
		return o, fmt.Errorf("%d versions at once, want 1, 2, 4 or 8", o.Versions)
	}
	if o.Launch < 0 {
		return o, fmt.Errorf("launches of %s", o.Launch)
	}
	return o, nil
}

// Info returns what the listing said of the device.
func (d *Device) Info() Info { return d.info }

// Versions returns how many versions are tried at once.
func (d *Device) Versions() int { return d.versions }

// Close waits for a scan and gives back what the device holds. Closing it again does
// nothing.
func (d *Device) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.launcher == nil {
		return nil
	}
	l := d.launcher
	d.launcher = nil
	if err := l.close(); err != nil {
		return d.wrap(err)
	}
	return nil
}

func (d *Device) wrap(err error) error { return fmt.Errorf("device %s: %w", d.info.Name, err) }

// Scan is [hashing.Kernel.Scan] with two differences: done can also be less than n
// because ctx has ended, which is looked at between launches and is no error, or
// because the device failed, which is one. What was found until then holds.
func (d *Device) Scan(ctx context.Context, s *hashing.Search, first uint32, n int, hits []hashing.Hit) (done, found int, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.launcher == nil {
		return 0, 0, d.wrap(ErrClosed)
	}
	params := d.parameters(s)
	fits := maxLaunch // nonces, less once so many had more hits than the buffer holds
	for done < n {
		size := min(n-done, d.nonces, fits, d.likely(s, len(hits)-found))
		start, at := time.Now(), first+uint32(done)
		whole, overflow, err := d.try(ctx, s, params, at, size)
		switch {
		case err != nil:
			return done, found, d.wrap(err)
		case overflow:
			fits = size / 2
			continue
		case !whole:
			return done, found, nil // ctx has ended
		}
		if size == d.nonces {
			d.adapt(time.Since(start) / time.Duration(len(params)))
		}
		took, added := take(d.chunk, at, size, hits[found:])
		done, found = done+took, found+added
		if took < size {
			break
		}
	}
	return done, found, nil
}

// likely returns how many nonces of s, one at least, will hardly have more hits than
// the device's buffer holds and not many more than there is room for: work that would
// be done again.
func (d *Device) likely(s *hashing.Search, room int) int {
	each := (float64(s.Target[3]>>32) + 1) / (1 << 32) // hits of a nonce under one version
	buffer := capacity / 2 / (each * float64(d.versions))
	return int(max(1, min(maxLaunch, buffer, float64(room)/(each*float64(len(s.Midstates))))))
}

// parameters returns what is launched for each nonce: all versions of s, as many at a
// time as the program takes.
func (d *Device) parameters(s *hashing.Search) []*parameters {
	var params []*parameters
	for from := 0; from < len(s.Midstates); from += d.versions {
		params = append(params, newParameters(s, from, min(d.versions, len(s.Midstates)-from), d.versions))
	}
	return params
}

// try sets d.chunk to all hits of n nonces, ordered by nonce, unless one of the
// launches overflows or ctx ends between them; then whole is false.
func (d *Device) try(ctx context.Context, s *hashing.Search, params []*parameters, first uint32, n int) (whole, overflow bool, err error) {
	d.chunk = d.chunk[:0]
	for i, p := range params {
		if ctx.Err() != nil {
			return false, false, nil
		}
		found, overflow, err := d.launcher.launch(p, first, uint32(n))
		if err != nil {
			return false, false, err
		}
		if overflow {
			if n == 1 {
				return false, false, fmt.Errorf("%w: more than %d hits of one nonce", ErrWrong, capacity)
			}
			return false, true, nil
		}
		for _, c := range found {
			if err := d.check(s, i*d.versions, c, first, n, p.top); err != nil {
				return false, false, err
			}
		}
	}
	slices.SortFunc(d.chunk, func(a, b hashing.Hit) int {
		return cmp.Or(cmp.Compare(a.Nonce-first, b.Nonce-first), cmp.Compare(a.Version, b.Version))
	})
	for i := 1; i < len(d.chunk); i++ {
		if d.chunk[i] == d.chunk[i-1] {
			return false, false, fmt.Errorf("%w: nonce %d found twice", ErrWrong, d.chunk[i].Nonce)
		}
	}
	return true, false, nil
}

// check hashes c again, whose version counts from the version called from, and adds it
// to d.chunk if it is a hit. It is an error if the device should not have found it.
func (d *Device) check(s *hashing.Search, from int, c candidate, first uint32, n int, top uint32) error {
	if c.nonce-first >= uint32(n) || c.version >= uint32(d.versions) {
		return fmt.Errorf("%w: nonce %d and version %d are not among those tried", ErrWrong, c.nonce, c.version)
	}
	hit := hashing.Hit{Nonce: c.nonce, Version: from + int(c.version)}
	if hit.Version >= len(s.Midstates) {
		return nil // the last version again, in a place that s left free
	}
	hash := s.Hash(hit.Version, hit.Nonce)
	if s.Target.MetBy(hash) {
		d.chunk = append(d.chunk, hit)
		return nil
	}
	if word := uint32(hash[31])<<24 | uint32(hash[30])<<16 | uint32(hash[29])<<8 | uint32(hash[28]); word > top {
		return fmt.Errorf("%w: hash %s of nonce %d is above the target", ErrWrong, hash, c.nonce)
	}
	return nil
}

// take copies the hits of n nonces from first to hits, as many as have room with all
// their versions, and returns how many nonces that makes.
func take(chunk []hashing.Hit, first uint32, n int, hits []hashing.Hit) (done, found int) {
	for len(chunk) > 0 {
		same := 1
		for same < len(chunk) && chunk[same].Nonce == chunk[0].Nonce {
			same++
		}
		if found+same > len(hits) {
			return int(chunk[0].Nonce - first), found
		}
		found += copy(hits[found:], chunk[:same])
		chunk = chunk[same:]
	}
	return n, found
}

// adapt makes launches take what they should, after one that took so long. A single
// one that was disturbed changes little.
func (d *Device) adapt(took time.Duration) {
	fit := float64(d.nonces) * float64(d.budget) / float64(max(took, 1))
	fit = min(max(fit, float64(d.nonces)/2), 2*float64(d.nonces), maxLaunch)
	d.nonces = max(group, int(fit)/group*group)
}

// test compares what the device finds with the specification, on a search that has
// hits in every version.
func (d *Device) test() error {
	const nonces, oneIn = 8 * group, 16
	versions := make([]uint32, d.versions)
	for i := range versions {
		versions[i] = hashing.RollVersion(0x20000000, uint32(i))
	}
	first := ^uint32(0) - nonces/2
	s := hashing.NewSearch(hashing.Header{}, versions, hashing.TargetForHashes(oneIn))
	var want []hashing.Hit
	for i := range uint32(nonces) {
		for v := range versions {
			if s.Target.MetBy(s.Hash(v, first+i)) {
				want = append(want, hashing.Hit{Nonce: first + i, Version: v})
			}
		}
	}
	got := make([]hashing.Hit, len(want)+d.versions)
	done, found, err := d.Scan(context.Background(), &s, first, nonces, got)
	if err != nil {
		return err
	}
	if done != nonces || !slices.Equal(got[:found], want) {
		return d.wrap(fmt.Errorf("%w: %d hits in a test, there are %d", ErrWrong, found, len(want)))
	}
	return nil
}
