package worker

import (
	"slices"

	"github.com/jbcnet/jbc/coordinator/protocol"
	"github.com/jbcnet/jbc/hashing"
)

// loan is a lease in hand and how far it is. Points are given out in order, but
// come back searched in any: several miners are at work in it, and one that is
// stopped hands back the rest of its task.
type loan struct {
	protocol.Lease
	terms  uint64         // that were in force when it was granted
	share  hashing.Target // of those terms
	target hashing.Target // what miners look for: the easier of share and block

	next uint64   // the first point never given out
	out  []uint64 // where each task begins that a miner has
	rest []span   // handed back unsearched
}

// span is an interval of offsets from a lease's first point.
type span struct{ from, to uint64 }

// newLoans makes loans of leases granted on a job under terms.
func newLoans(job *protocol.Job, terms *protocol.Terms, leases []protocol.Lease) []*loan {
	share, err := terms.ShareBits.Target()
	if err != nil {
		panic("worker: terms not validated: " + err.Error())
	}
	target := share
	if block := job.Target(); block.Cmp(share) > 0 {
		target = block // a block must not slip through a share target that is too hard
	}
	var loans []*loan
	for _, l := range leases {
		if l.Points > 0 {
			loans = append(loans, &loan{Lease: l, terms: terms.Number, share: share, target: target})
		}
	}
	return loans
}

// cut gives out up to n points of one column.
func (l *loan) cut(n uint64) (from, to uint64, ok bool) {
	if len(l.rest) > 0 {
		s := &l.rest[0]
		from, to = s.from, min(s.to, s.from+n)
		s.from = to
		if s.from == s.to {
			l.rest = slices.Delete(l.rest, 0, 1)
		}
	} else {
		column := protocol.ColumnPoints - uint64((l.First + protocol.Point(l.next)).Nonce())
		from, to = l.next, l.next+min(n, column, l.Points-l.next)
		l.next = to
	}
	if from == to {
		return 0, 0, false
	}
	l.out = append(l.out, from)
	return from, to, true
}

// back ends the task that began at from: it is searched up to at, of to.
func (l *loan) back(from, at, to uint64) {
	i := slices.Index(l.out, from)
	l.out = slices.Delete(l.out, i, i+1)
	if at < to {
		l.rest = append(l.rest, span{at, to})
	}
}

// done returns how many points from the first on are searched without a gap.
func (l *loan) done() uint64 {
	done := l.next
	for _, from := range l.out {
		done = min(done, from)
	}
	for _, s := range l.rest {
		done = min(done, s.from)
	}
	return done
}

// left returns how many points no miner has.
func (l *loan) left() uint64 {
	left := l.Points - l.next
	for _, s := range l.rest {
		left += s.to - s.from
	}
	return left
}
