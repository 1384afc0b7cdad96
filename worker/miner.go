package worker

import (
	"sync"

	"github.com/jbcnet/jbc/coordinator/protocol"
	"github.com/jbcnet/jbc/hashing"
)

// maxFinds bounds the finds that wait for the session. A share target so easy that
// they pile up needs no more of them to prove a rate.
const maxFinds = 1024

// firstSlices is how many slices of a job begin with giving way, about 2 ms.
const firstSlices = 16

// find is a hash that counts: a share, a solution, or both.
type find struct {
	assignment *assignment
	terms      uint64 // of the lease it was found in
	by         int    // which device found it, 0 being the threads
	place      protocol.Place
	header     hashing.Header
	hash       hashing.Hash
	solves     bool
}

// miner runs one device on what the dispenser has.
type miner struct {
	device    device
	dispenser *dispenser
	finds     *finds
	by        int // as a find says
	hits      []hashing.Hit
	on        *assignment // the last
	first     int         // slices of it that will give way
}

// run mines until the dispenser is closed, or until the device fails.
func (m *miner) run() error {
	m.hits = make([]hashing.Hit, 4*hashing.MaxVersions)
	for {
		t, ok := m.dispenser.take(m.device.slice)
		if !ok {
			return nil
		}
		if t.assignment != m.on {
			m.on, m.first = t.assignment, firstSlices
		}
		err := m.search(&t)
		m.dispenser.put(&t)
		if err != nil {
			return err
		}
	}
}

// search scans t slice by slice until it is done or the dispenser changed its mind.
func (m *miner) search(t *task) error {
	slice := uint64(m.device.slice(t.assignment.job.Rolls))
	for t.at < t.to {
		m.giveWay()
		if m.dispenser.gen.Load() != t.gen {
			return nil
		}
		point := t.loan.First + protocol.Point(t.at)
		n := min(slice, t.to-t.at)
		done, found, err := m.device.scan(t.ctx, t.search, point.Nonce(), int(n), m.hits)
		for _, hit := range m.hits[:found] {
			m.report(t, point, hit)
		}
		t.at += uint64(done)
		if err != nil {
			return err
		}
	}
	return nil
}

// giveWay lets whoever waits for this core have it first, while a job is new: another
// worker on the machine may be waiting for it to notice that its job is over, which it
// would get milliseconds later from a thread that never yields.
func (m *miner) giveWay() {
	if m.first > 0 {
		m.first--
		yield()
	}
}

// report passes a hit on after building its header the way the coordinator will
// and hashing it with other code than the kernel's.
func (m *miner) report(t *task, from protocol.Point, hit hashing.Hit) {
	a := t.assignment
	point := protocol.Point(from.Column())<<32 | protocol.Point(hit.Nonce)
	header := a.job.Header(point, hit.Version)
	hash := header.Hash()
	if !t.loan.target.MetBy(hash) {
		m.finds.wrong()
		return
	}
	m.finds.add(find{
		assignment: a, terms: t.loan.terms, by: m.by,
		place:  protocol.Place{JobID: a.job.JobID, Point: point, Roll: hit.Version},
		header: header, hash: hash, solves: a.target.MetBy(hash),
	})
}

// finds is what the miners found and the session has not taken up yet. Safe for
// concurrent use.
type finds struct {
	ready chan struct{} // gets a token when there is something

	mu      sync.Mutex
	waiting []find
	dropped uint64
	errors  uint64
}

func newFinds() *finds { return &finds{ready: make(chan struct{}, 1)} }

// add appends a find. Past maxFinds shares are dropped; solutions have as much
// room again, and where they fill it there are plenty.
func (f *finds) add(found find) {
	f.mu.Lock()
	if len(f.waiting) < maxFinds || found.solves && len(f.waiting) < 2*maxFinds {
		f.waiting = append(f.waiting, found)
	} else {
		f.dropped++
	}
	f.mu.Unlock()
	select {
	case f.ready <- struct{}{}:
	default:
	}
}

// wrong counts a hit that is none: a broken kernel, or a broken machine.
func (f *finds) wrong() {
	f.mu.Lock()
	f.errors++
	f.mu.Unlock()
}

// take returns what waits.
func (f *finds) take() []find {
	f.mu.Lock()
	defer f.mu.Unlock()
	waiting := f.waiting
	f.waiting = nil
	return waiting
}

// counts returns how many finds were dropped and how many hits were wrong.
func (f *finds) counts() (dropped, errors uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.dropped, f.errors
}
