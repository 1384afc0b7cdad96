package coordinator

import (
	"cmp"
	"errors"
	"math"
	"slices"
	"time"

	"github.com/jbcnet/jbc/coordinator/protocol"
)

// homePoints is the part of a job's line that belongs to home leases: the columns
// below 2^24, one a slot.
const homePoints = maxSlots * protocol.ColumnPoints

// wholeLine is how many points a job's line has for the ledger. The very last
// point is left out, so that ends of intervals fit 64 bits.
const wholeLine = math.MaxUint64

// interval is the points [first, first+n).
type interval struct{ first, n uint64 }

func (iv interval) end() uint64 { return iv.first + iv.n }

func (iv interval) has(point uint64) bool { return point >= iv.first && point-iv.first < iv.n }

// lease is an interval on loan to a slot. Its first done points are searched.
type lease struct {
	slot     uint32
	id       uint64
	interval interval
	done     uint64
	deadline time.Time
}

func (l *lease) rest() interval { return interval{l.interval.first + l.done, l.interval.n - l.done} }

// homeLease is the id of the lease that every live slot has from the start of a
// job.
const homeLease = 0

// maxLeases is how many leases a slot may have at once. An honest worker has a
// few, and a message can list twice as many.
const maxLeases = 32

// ledger keeps the account of one job's line of points: what is on loan to whom,
// what came back unsearched, what nobody had yet. No point is on loan twice at
// once and none is lost. It is not safe for concurrent use.
type ledger struct {
	fresh    interval              // never leased
	returned []interval            // came back, longest ago first: goes out again before anything fresh
	waiting  uint64                // points in returned
	leases   map[uint32][]*lease   // on loan, by slot, in the order of their ids
	held     map[uint32][]interval // all that a slot ever had: its shares may come late
	lastID   uint64
	searched uint64 // points reported as searched
}

// newLedger makes the account of a line of size points, of which the first home
// are for home leases only.
func newLedger(home, size uint64) *ledger {
	return &ledger{
		fresh:  interval{home, size - home},
		leases: map[uint32][]*lease{},
		held:   map[uint32][]interval{},
	}
}

// Book lends a slot its home lease. To be called before anything else is done
// with the ledger, at most once a slot.
func (l *ledger) Book(slot uint32, home interval, deadline time.Time) {
	if home.n == 0 {
		return
	}
	l.enter(&lease{slot: slot, id: homeLease, interval: home, deadline: deadline})
}

// Lease lends a slot n points: first what came back, the oldest first, in at most
// maxPieces intervals, then one fresh interval for what is missing, so that nobody
// is kept short by crumbs. It lends less where the slot has [maxLeases] or the line
// is used up.
func (l *ledger) Lease(slot uint32, n uint64, maxPieces int, deadline time.Time) []*lease {
	var lent []*lease
	for len(lent) < maxPieces && len(l.returned) > 0 && n > 0 && len(l.leases[slot]) < maxLeases {
		piece := l.takeReturned(n)
		n -= piece.n
		lent = append(lent, l.lend(slot, piece, deadline))
	}
	if n = min(n, l.fresh.n); n > 0 && len(l.leases[slot]) < maxLeases {
		piece := interval{l.fresh.first, n}
		l.fresh = interval{piece.end(), l.fresh.n - n}
		lent = append(lent, l.lend(slot, piece, deadline))
	}
	return lent
}

// takeReturned removes up to n points of what came back longest ago.
func (l *ledger) takeReturned(n uint64) interval {
	oldest := &l.returned[0]
	piece := interval{oldest.first, min(n, oldest.n)}
	*oldest = interval{piece.end(), oldest.n - piece.n}
	if oldest.n == 0 {
		l.returned = l.returned[1:]
	}
	l.waiting -= piece.n
	return piece
}

// lend makes a lease of a piece.
func (l *ledger) lend(slot uint32, piece interval, deadline time.Time) *lease {
	l.lastID++
	granted := &lease{slot: slot, id: l.lastID, interval: piece, deadline: deadline}
	l.enter(granted)
	return granted
}

// maxHeld is how many intervals are remembered of what a slot had. An honest
// worker has a few a minute; of one that asks for crumbs the oldest are forgotten.
const maxHeld = 1024

func (l *ledger) enter(granted *lease) {
	l.leases[granted.slot] = append(l.leases[granted.slot], granted)
	had := l.held[granted.slot]
	if last := len(had) - 1; last >= 0 && had[last].end() == granted.interval.first {
		had[last].n += granted.interval.n
		return
	}
	if len(had) == maxHeld {
		had = slices.Delete(had, 0, 1)
	}
	l.held[granted.slot] = append(had, granted.interval)
}

// errProgress says that a slot reported more points as searched than its lease
// has.
var errProgress = errors.New("more points done than leased")

// Progress notes that the first done points of a lease are searched, and lends it
// until the new deadline. It returns [protocol.LeaseGone] when the slot has no such
// lease, or no longer. A report that says less than an earlier one changes nothing
// but the deadline.
func (l *ledger) Progress(slot uint32, id, done uint64, deadline time.Time) error {
	own := l.leases[slot]
	at := slices.IndexFunc(own, func(loan *lease) bool { return loan.id == id })
	switch {
	case at < 0:
		return protocol.LeaseGone
	case done > own[at].interval.n:
		return errProgress
	}
	loan := own[at]
	if done > loan.done {
		l.searched += done - loan.done
		loan.done = done
	}
	loan.deadline = deadline
	if loan.done == loan.interval.n {
		l.leases[slot] = slices.Delete(own, at, at+1)
	}
	return nil
}

// Expire takes back the unsearched rest of every lease whose deadline is not
// after now, and returns those leases by deadline, then slot and id.
func (l *ledger) Expire(now time.Time) []*lease {
	var expired []*lease
	for slot, own := range l.leases {
		if !slices.ContainsFunc(own, func(loan *lease) bool { return !loan.deadline.After(now) }) {
			continue
		}
		l.leases[slot] = slices.DeleteFunc(own, func(loan *lease) bool {
			if loan.deadline.After(now) {
				return false
			}
			expired = append(expired, loan)
			return true
		})
	}
	slices.SortFunc(expired, func(a, b *lease) int {
		return cmp.Or(a.deadline.Compare(b.deadline), cmp.Compare(a.slot, b.slot), cmp.Compare(a.id, b.id))
	})
	l.takeBack(expired)
	return expired
}

// Release takes back what a slot has not searched.
func (l *ledger) Release(slot uint32) []*lease {
	released := l.leases[slot]
	delete(l.leases, slot)
	l.takeBack(released)
	return released
}

// takeBack puts the rests of leases behind what came back before, neighbours in
// one piece.
func (l *ledger) takeBack(back []*lease) {
	for _, loan := range back {
		rest := loan.rest()
		l.waiting += rest.n
		if last := len(l.returned) - 1; last >= 0 && l.returned[last].end() == rest.first {
			l.returned[last].n += rest.n
			continue
		}
		l.returned = append(l.returned, rest)
	}
}

// MayFind says whether a slot may claim what it finds at a point: one in its own
// column, or one that was ever lent to it. That a lease has run out
// since does not matter: its share was found while it lasted, or costs nobody
// anything.
func (l *ledger) MayFind(slot uint32, point protocol.Point) bool {
	return point.Column() == slot ||
		slices.ContainsFunc(l.held[slot], func(iv interval) bool { return iv.has(uint64(point)) })
}

// LeasesOf returns a slot's leases, by id.
func (l *ledger) LeasesOf(slot uint32) []*lease { return slices.Clone(l.leases[slot]) }

// OnLoan returns how many points a slot has on loan and did not report as searched.
func (l *ledger) OnLoan(slot uint32) (points uint64) {
	for _, loan := range l.leases[slot] {
		points += loan.rest().n
	}
	return points
}

// Returned returns how many points came back unsearched and wait for a slot.
func (l *ledger) Returned() (points uint64) { return l.waiting }
