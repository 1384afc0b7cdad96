package coordinator

import (
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/jbcnet/jbc/coordinator/protocol"
)

// tally is the naive ledger: one entry a point.
type tally struct {
	owner []int // slot, or -1
	done  []int // how often reported as searched
}

// TestLedgerAgainstTally plays random histories on a line small enough to keep an
// account point by point: no point is lent twice at once, none is lost, and a line
// that is worked off to the end was searched everywhere.
func TestLedgerAgainstTally(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 1))
		size := 1 + rng.Uint64N(300)
		l := newLedger(0, size)
		c := tally{owner: make([]int, size), done: make([]int, size)}
		for i := range c.owner {
			c.owner[i] = -1
		}
		now := time.Unix(0, 0)
		for range 300 {
			slot := uint32(rng.IntN(5))
			switch rng.IntN(6) {
			case 0, 1:
				c.lend(t, l.Lease(slot, 1+rng.Uint64N(40), 1+rng.IntN(4), now.Add(leaseTime)))
			case 2, 3:
				c.progress(t, rng, l, slot, now)
			case 4:
				c.back(t, l.Release(slot))
			case 5:
				now = now.Add(time.Duration(rng.IntN(3000)) * time.Millisecond)
				c.back(t, l.Expire(now))
			}
		}
		c.finish(t, l, now)
		for point, times := range c.done {
			if times == 0 {
				t.Fatalf("seed %d: point %d of %d was never searched", seed, point, size)
			}
		}
	}
}

func (c *tally) lend(t *testing.T, leases []*lease) {
	t.Helper()
	for _, granted := range leases {
		for p := granted.interval.first; p < granted.interval.end(); p++ {
			if c.owner[p] != -1 {
				t.Fatalf("point %d lent to slot %d while slot %d has it", p, granted.slot, c.owner[p])
			}
			if c.done[p] != 0 {
				t.Fatalf("point %d lent again although it is searched", p)
			}
			c.owner[p] = int(granted.slot)
		}
	}
}

func (c *tally) progress(t *testing.T, rng *rand.Rand, l *ledger, slot uint32, now time.Time) {
	t.Helper()
	own := l.LeasesOf(slot)
	if len(own) == 0 {
		return
	}
	loan := own[rng.IntN(len(own))]
	c.report(t, l, loan, loan.done+rng.Uint64N(loan.interval.n-loan.done+1), now)
}

func (c *tally) report(t *testing.T, l *ledger, loan *lease, done uint64, now time.Time) {
	t.Helper()
	for p := loan.interval.first + loan.done; p < loan.interval.first+done; p++ {
		c.done[p]++
		c.owner[p] = -1
	}
	if err := l.Progress(loan.slot, loan.id, done, now.Add(leaseTime)); err != nil {
		t.Fatalf("progress of lease %d to %d: %v", loan.id, done, err)
	}
}

func (c *tally) back(t *testing.T, leases []*lease) {
	t.Helper()
	for _, loan := range leases {
		for p := loan.rest().first; p < loan.rest().end(); p++ {
			if c.owner[p] != int(loan.slot) {
				t.Fatalf("point %d came back from slot %d, but slot %d had it", p, loan.slot, c.owner[p])
			}
			c.owner[p] = -1
		}
	}
}

// finish has one diligent slot work off all that is left.
func (c *tally) finish(t *testing.T, l *ledger, now time.Time) {
	t.Helper()
	c.back(t, l.Expire(now.Add(time.Hour)))
	for {
		granted := l.Lease(9, 1000, 100, now)
		if len(granted) == 0 {
			return
		}
		c.lend(t, granted)
		for _, loan := range granted {
			c.report(t, l, loan, loan.interval.n, now)
		}
	}
}

// TestLedgerRefuses has what a slot may not report.
func TestLedgerRefuses(t *testing.T) {
	now := time.Unix(0, 0)
	l := newLedger(0, 100)
	granted := l.Lease(1, 10, 1, now.Add(leaseTime))[0]
	for _, tt := range []struct {
		name     string
		slot     uint32
		id, done uint64
		want     error
	}{
		{"another slot's lease", 2, granted.id, 5, protocol.LeaseGone},
		{"a lease never granted", 1, granted.id + 1, 5, protocol.LeaseGone},
		{"more than was leased", 1, granted.id, 11, errProgress},
		{"all of it", 1, granted.id, 10, nil},
		{"all of it again", 1, granted.id, 10, protocol.LeaseGone},
	} {
		if got := l.Progress(tt.slot, tt.id, tt.done, now); !errors.Is(got, tt.want) {
			t.Errorf("%s: Progress = %v, want %v", tt.name, got, tt.want)
		}
	}
}
