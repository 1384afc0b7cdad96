package gpu

import (
	"math"
	"testing"
	"testing/synctest"
	"time"
)

// paced is a launcher that takes as long as a card with a rate: time passes, nothing is
// hashed.
type paced struct {
	versions int
	hs       float64
	free     time.Time // when the card has done what it was given
	ends     [slots]time.Time
}

const (
	cardDelay = 5 * time.Microsecond  // between two launches
	hostDelay = 50 * time.Microsecond // until the host sees that one has ended
)

func (p *paced) start(slot int, _ *parameters, _, n uint32) error {
	if now := time.Now(); p.free.Before(now) {
		p.free = now
	}
	p.free = p.free.Add(cardDelay + time.Duration(float64(n)*float64(p.versions)/p.hs*float64(time.Second)))
	p.ends[slot] = p.free
	return nil
}

func (p *paced) wait(slot int) ([]candidate, bool, error) {
	time.Sleep(time.Until(p.ends[slot].Add(hostDelay)))
	return nil, false, nil
}

func (p *paced) close() error { return nil }

// TestRateOfAFastDevice measures cards for which the first launches are far too small,
// and one for which they are large.
func TestRateOfAFastDevice(t *testing.T) {
	for _, test := range []struct {
		hs              float64
		width, versions int
	}{
		{8e9, 1, 1},
		{8e9, 1, 16},
		{8e9, 2, 16},
		{8e9, 4, 16},
		{8e9, 8, 16},
		{30e9, 4, 16},
		{1e6, 8, 16},
	} {
		synctest.Test(t, func(t *testing.T) {
			d := ready(&paced{versions: test.width, hs: test.hs}, test.width)
			got, err := d.Rate(t.Context(), test.versions, 200*time.Millisecond)
			if err != nil || math.Abs(got/test.hs-1) > 0.05 {
				t.Errorf("%g hashes a second by %d of %d versions: measured %g, %v", test.hs, test.width, test.versions, got, err)
			}
			if err := d.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// ready is a device that was opened, whatever l computes.
func ready(l launcher, versions int) *Device {
	d := &Device{patience: Patience, work: make(chan func()), gone: make(chan struct{})}
	d.scanner = &scanner{launcher: l, versions: versions, budget: UsualLaunch}
	d.scanner.nonces.Store(firstLaunch)
	go func() {
		defer close(d.gone)
		for f := range d.work {
			f()
		}
	}()
	return d
}
