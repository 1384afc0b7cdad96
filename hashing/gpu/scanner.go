package gpu

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/jbcnet/jbc/hashing"
)

const (
	// group is how many work items share a compute unit, a divisor of every launch.
	group = 64
	// capacity is how many hits fit into a device's buffer.
	capacity = 256
	// slots is how many launches are on their way: the device is at one and has the next.
	slots = 2
	// firstLaunch is how many nonces the first launch tries, which costs a slow device
	// a millisecond or two; from there on the time that they take decides.
	firstLaunch = 1 << 12
	maxLaunch   = 1 << 28
)

// opener is a device as its back end knows it.
type opener interface {
	// open puts the program for so many versions on the device. Whatever the driver
	// does once, such as compiling, is done by then.
	open(versions int) (launcher, error)
	// guard runs f, during and after which signals do what they did before the back
	// end's library was loaded.
	guard(f func())
}

// launcher runs the program on a device, in [slots] slots that are numbered from 0.
// Calls come one after the other, from the thread that opened it. After an error it
// only is closed.
type launcher interface {
	// start queues the trial of nonces [first, first+n) in a slot that is free, behind
	// what the other slot does, and returns without waiting for it.
	start(slot int, p *parameters, first, n uint32) error
	// wait blocks until the slot's launch has ended, which frees the slot, and returns
	// those whose top word is low enough, in no order; found is good until the slot's
	// next start. overflow says that some are missing.
	wait(slot int) (found []candidate, overflow bool, err error)
	close() error
}

// candidate is a nonce that a device thinks something of.
type candidate struct{ nonce, version uint32 }

// scanner finds hits by a launcher. One goroutine uses it.
type scanner struct {
	launcher launcher
	versions int
	budget   time.Duration // of a launch
	chunk    []hashing.Hit // of the stretch that is landing

	each   float64       // seconds that a nonce of a launch takes, when nothing disturbs
	nonces atomic.Int64  // a launch
	ended  atomic.Uint64 // launches so far
}

// newScanner opens a device and tests what it computes.
func newScanner(o opener, opts Options) (*scanner, error) {
	l, err := o.open(opts.Versions)
	if err != nil {
		return nil, err
	}
	c := &scanner{launcher: l, versions: opts.Versions, budget: opts.Launch}
	c.nonces.Store(firstLaunch)
	if err := c.test(); err != nil {
		return nil, errors.Join(err, l.close())
	}
	return c, nil
}

// pass is one scan: what it is to try, and how far it is. The nonces are tried a
// stretch at a time, each of which is launched once for every group of versions.
type pass struct {
	*scanner
	search *hashing.Search
	params []*parameters // of each group
	first  uint32
	n      int
	hits   []hashing.Hit

	done, found int
	stop        bool // nothing is started any more
	next        flight
	fits        int // nonces, less once so many had more hits than the buffer holds
	flying      []flight
	window      window
}

// window is a row of launches without a gap, by which the device's rate is measured. A
// single one does not do: the host may look late, and then finds two that have ended.
type window struct {
	since    time.Time // zero where there is none
	launches int
	nonces   int
}

// windowLaunches is how many launches a window has.
const windowLaunches = 16

// flight is a launch: nonces [at, at+n), counted from the first of the pass, under
// the versions of a group.
type flight struct {
	at, n, group int
	slot         int
	full         bool // as large as launches should be
}

// scan is [Device.Scan].
func (c *scanner) scan(ctx context.Context, s *hashing.Search, first uint32, n int, hits []hashing.Hit) (done, found int, err error) {
	p := &pass{scanner: c, search: s, params: c.parameters(s), first: first, n: n, hits: hits, fits: maxLaunch}
	for {
		for len(p.flying) < slots && p.more(ctx) {
			if err := p.start(); err != nil {
				return p.done, p.found, err
			}
		}
		if len(p.flying) == 0 {
			return p.done, p.found, nil
		}
		if err := p.land(); err != nil {
			return p.done, p.found, err
		}
	}
}

// more says whether there is something to start.
func (p *pass) more(ctx context.Context) bool {
	p.stop = p.stop || ctx.Err() != nil
	return !p.stop && p.next.at < p.n
}

// start launches what is next.
func (p *pass) start() error {
	f := p.next
	if f.group == 0 {
		size := int(p.nonces.Load())
		f.n = min(p.n-f.at, size, p.fits, p.likely(p.search, len(p.hits)-p.found))
		f.full = f.n == size
	}
	if len(p.flying) > 0 {
		f.slot = (p.flying[0].slot + 1) % slots
	}
	if err := p.launcher.start(f.slot, p.params[f.group], p.first+uint32(f.at), uint32(f.n)); err != nil {
		return err
	}
	p.flying = append(p.flying, f)
	if p.next = f; f.group+1 < len(p.params) {
		p.next.group++
	} else {
		p.next = flight{at: f.at + f.n}
	}
	return nil
}

// land waits for the oldest flight, which is of the stretch from p.done on.
func (p *pass) land() error {
	f := p.flying[0]
	p.flying = p.flying[1:]
	found, overflow, err := p.launcher.wait(f.slot)
	p.ended.Add(1)
	if err != nil {
		return err
	}
	p.measure(&f, time.Now())
	if overflow {
		if f.n == 1 {
			return fmt.Errorf("%w: more than %d hits of one nonce", ErrWrong, capacity)
		}
		p.fits = f.n / 2
		return p.again()
	}
	first := p.first + uint32(f.at)
	if f.group == 0 {
		p.chunk = p.chunk[:0]
	}
	for _, c := range found {
		if err := p.check(p.search, f.group*p.versions, c, first, f.n, p.params[f.group].top); err != nil {
			return err
		}
	}
	if f.group+1 < len(p.params) {
		return nil
	}
	return p.take(first, f.n)
}

// measure notes that f has landed.
func (p *pass) measure(f *flight, now time.Time) {
	w := &p.window
	switch {
	case !f.full:
		*w = window{}
		return
	case w.since.IsZero():
		*w = window{since: now} // the device is at the next one
		return
	}
	w.launches, w.nonces = w.launches+1, w.nonces+f.n
	if w.launches == windowLaunches {
		p.adapt(w.nonces, now.Sub(w.since))
		*w = window{since: now}
	}
}

// again lets what is flying land unseen, so that the stretch from p.done on is next.
func (p *pass) again() error {
	for _, f := range p.flying {
		if _, _, err := p.launcher.wait(f.slot); err != nil {
			return err
		}
		p.ended.Add(1)
	}
	p.flying, p.next, p.window = nil, flight{at: p.done}, window{}
	return nil
}

// take ends the stretch of n nonces from first on, all hits of which are in p.chunk.
func (p *pass) take(first uint32, n int) error {
	slices.SortFunc(p.chunk, func(a, b hashing.Hit) int {
		return cmp.Or(cmp.Compare(a.Nonce-first, b.Nonce-first), cmp.Compare(a.Version, b.Version))
	})
	for i := 1; i < len(p.chunk); i++ {
		if p.chunk[i] == p.chunk[i-1] {
			return fmt.Errorf("%w: nonce %d found twice", ErrWrong, p.chunk[i].Nonce)
		}
	}
	took, added := take(p.chunk, first, n, p.hits[p.found:])
	p.done, p.found = p.done+took, p.found+added
	p.stop = p.stop || added > 0 || took < n
	if took < n {
		return p.again() // what flies is of later nonces
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

// likely returns how many nonces of s, one at least, will hardly have more hits than
// the device's buffer holds and not many more than there is room for: work that would
// be done again.
func (c *scanner) likely(s *hashing.Search, room int) int {
	each := (float64(s.Target[3]>>32) + 1) / (1 << 32) // hits of a nonce under one version
	buffer := capacity / 2 / (each * float64(c.versions))
	return int(max(1, min(maxLaunch, buffer, float64(room)/(each*float64(len(s.Midstates))))))
}

// parameters returns what is launched for each nonce: all versions of s, as many at a
// time as the program takes.
func (c *scanner) parameters(s *hashing.Search) []*parameters {
	var params []*parameters
	for from := 0; from < len(s.Midstates); from += c.versions {
		params = append(params, newParameters(s, from, min(c.versions, len(s.Midstates)-from), c.versions))
	}
	return params
}

// check hashes found again, whose version counts from the version called from, and adds
// it to c.chunk if it is a hit. It is an error if the device should not have found it.
func (c *scanner) check(s *hashing.Search, from int, found candidate, first uint32, n int, top uint32) error {
	if found.nonce-first >= uint32(n) || found.version >= uint32(c.versions) {
		return fmt.Errorf("%w: nonce %d and version %d are not among those tried", ErrWrong, found.nonce, found.version)
	}
	hit := hashing.Hit{Nonce: found.nonce, Version: from + int(found.version)}
	if hit.Version >= len(s.Midstates) {
		return nil // the last version again, in a place that s left free
	}
	hash := s.Hash(hit.Version, hit.Nonce)
	if s.Target.MetBy(hash) {
		c.chunk = append(c.chunk, hit)
		return nil
	}
	if word := uint32(hash[31])<<24 | uint32(hash[30])<<16 | uint32(hash[29])<<8 | uint32(hash[28]); word > top {
		return fmt.Errorf("%w: hash %s of nonce %d is above the target", ErrWrong, hash, found.nonce)
	}
	return nil
}

// forget is by how much a window counts less than the next.
const forget = 1.02

// adapt makes launches take what they should, after a window of so many nonces. The
// fastest of late windows counts: a busy machine delays the others, and shorter
// launches would only be delayed more often.
func (c *scanner) adapt(nonces int, took time.Duration) {
	each := max(took, 1).Seconds() / float64(nonces)
	if c.each > 0 {
		each = min(each, c.each*forget)
	}
	c.each = each
	last := float64(c.nonces.Load())
	fit := min(max(c.budget.Seconds()/each, last/2), 2*last, maxLaunch)
	c.nonces.Store(int64(max(group, int(fit)/group*group)))
}

// test compares what the device finds with the specification, on a search that has
// hits in every version.
func (c *scanner) test() error {
	const nonces, oneIn = 8 * group, 16
	versions := make([]uint32, c.versions)
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
	got := make([]hashing.Hit, len(want)+c.versions)
	done, found := 0, 0
	for done < nonces {
		tried, added, err := c.scan(context.Background(), &s, first+uint32(done), nonces-done, got[found:])
		if done, found = done+tried, found+added; err != nil {
			return err
		}
		if tried == 0 {
			break // more hits than there are
		}
	}
	if done != nonces || !slices.Equal(got[:found], want) {
		return fmt.Errorf("%w: %d hits in a test, there are %d", ErrWrong, found, len(want))
	}
	return nil
}
