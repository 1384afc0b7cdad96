package coordinator

import (
	"errors"
	"time"

	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/coordinator/protocol"
	"github.com/jbcnet/jbc/hashing"
)

// maxPieces bounds the intervals that one request is lent.
const maxPieces = 8

// farm decides about work: who has which slot, what is leased, which share
// counts. It is told the time, does no I/O and knows the chain only by the
// templates it is given. It is not safe for concurrent use.
type farm struct {
	name    string
	spacing time.Duration
	rolls   int
	roster  *roster
	jobs    jobBook
	hold    *protocol.Hold // in force instead of a job
	holdDue time.Time      // its end
	refused map[protocol.Code]uint64
}

// newFarm makes a farm without workers. Drops and the bounds on slots go by what owner
// makes of a worker's name; nil leaves it.
func newFarm(name string, params *chain.Params, epoch uint64, owner func(worker string) string) *farm {
	rolls := defaultRolls
	if !params.VersionRolling {
		rolls = 1
	}
	return &farm{
		name: name, spacing: params.Spacing, rolls: rolls,
		roster:  newRoster(maxLive, owner),
		jobs:    jobBook{epoch: epoch},
		refused: map[protocol.Code]uint64{},
	}
}

// Start makes t the job of the moment, and returns it with the jobs that it pushes
// out. [farm.Book] has to follow before anything else is asked of the farm.
func (f *farm) Start(now time.Time, t chain.Template) (started *job, dropped []*job) {
	kind := protocol.KindJob
	if current := f.jobs.Current(); current != nil && current.Prev == t.Prev && f.hold == nil {
		kind = protocol.KindRefresh
	}
	started = newJob(kind, f.name, f.jobs.NextID(), t, f.spacing, f.rolls, now)
	dropped = f.jobs.Add(started)
	f.hold = nil
	return started, dropped
}

// Book books every live slot its home lease of a job that was just started. It is
// apart from [farm.Start] so that a large fleet has the job meanwhile.
func (f *farm) Book(now time.Time, started *job) {
	for _, s := range f.roster.Live(now) {
		home := s.terms.Home(s.number)
		started.ledger.Book(s.number, interval{uint64(home.First), home.Points}, now.Add(leaseTime))
	}
}

// Hold puts an end to the job of the moment without a next one.
func (f *farm) Hold(now time.Time, prev hashing.Hash, until time.Time, reason string) *protocol.Hold {
	id := protocol.JobID{Epoch: f.jobs.epoch, Number: f.jobs.number}
	f.hold = &protocol.Hold{
		Kind: protocol.KindHold, Coordinator: f.name, JobID: id, Prev: prev,
		UntilMS: until.UnixMilli(), Reason: reason,
	}
	f.holdDue = now.Add(until.Sub(now))
	return f.hold
}

// sender is who sent a request.
type sender struct {
	worker string                   // the name on its subject
	sealed func(secret []byte) bool // says whether the request has the MAC of that secret
}

// agreed is what came of a join's exchange.
type agreed struct {
	secret   []byte
	exchange protocol.Bytes // the coordinator's public value
}

// Join gives a worker a slot and its first lease.
func (f *farm) Join(now time.Time, worker protocol.Join, agreed agreed) protocol.JoinReply {
	for own := f.roster.Of(worker.Name); len(own) >= maxOfName; own = own[1:] {
		f.takeAway(own[0])
	}
	for all := f.roster.OwnedBy(worker.Name); len(all) >= maxOfMachine; all = all[1:] {
		f.takeAway(all[0])
	}
	terms := termsFor(1, max(worker.DeclaredHS, minRate), f.rolls)
	s, err := f.roster.Join(now, worker, agreed.secret, terms)
	if err != nil {
		return protocol.JoinReply{Reply: f.refusal(&worker.Ask, err)}
	}
	reply := protocol.JoinReply{
		Reply: accepted(&worker.Ask), Epoch: f.jobs.epoch, Slot: s.number,
		Exchange: agreed.exchange, Yours: worker.Exchange, Terms: s.terms,
	}
	reply.Job, reply.Hold, reply.Leases = f.current(now, s)
	return reply
}

// Current returns the work of the moment and the slot's leases on it.
func (f *farm) Current(now time.Time, from sender, ask *protocol.Current) protocol.CurrentReply {
	s, err := f.heard(now, from, ask.Sitting)
	if err != nil {
		return protocol.CurrentReply{Reply: f.refusal(&ask.Ask, err)}
	}
	reply := protocol.CurrentReply{Reply: accepted(&ask.Ask)}
	reply.Job, reply.Hold, reply.Leases = f.current(now, s)
	return reply
}

func (f *farm) current(now time.Time, s *slot) (*protocol.Job, *protocol.Hold, []protocol.Lease) {
	j := f.jobs.Current()
	if f.hold != nil || j == nil {
		return nil, f.hold, nil
	}
	own := j.ledger.LeasesOf(s.number)
	if len(own) == 0 {
		own = j.ledger.Lease(s.number, leasePoints(s.rate(now), f.rolls), maxPieces, now.Add(leaseTime))
	}
	return &j.Job, nil, onWire(own)
}

// Progress books what a slot searched, lends it what it wants, and takes the slot
// away when it leaves.
func (f *farm) Progress(now time.Time, from sender, p *protocol.Progress) protocol.ProgressReply {
	s, err := f.heard(now, from, p.Sitting)
	if err != nil {
		return protocol.ProgressReply{Reply: f.refusal(&p.Ask, err)}
	}
	reply := protocol.ProgressReply{Reply: accepted(&p.Ask)}
	if j := f.jobs.Find(p.JobID); j != nil && j.ledger != nil {
		for _, d := range p.Leases {
			switch err := j.ledger.Progress(s.number, d.ID, d.Points, now.Add(leaseTime)); {
			case errors.Is(err, protocol.LeaseGone):
				reply.Gone = append(reply.Gone, d.ID)
			case err != nil:
				s.refused++
				return protocol.ProgressReply{Reply: f.refusal(&p.Ask, protocol.Malformed)}
			}
		}
	}
	s.redeclare(now, p)
	if p.Kind == protocol.KindLeave {
		f.takeAway(s)
		reply.Terms = s.terms
		return reply
	}
	s.reviseTerms(now, f.rolls)
	reply.Terms = s.terms
	f.grant(now, s, p, &reply)
	return reply
}

// grant adds what a slot wants to the reply, between a quarter of a lease's worth and
// two. What came back unsearched is not kept until somebody wants it: whoever reports
// next is lent it, as far as he holds less than four leases' worth.
func (f *farm) grant(now time.Time, s *slot, p *protocol.Progress, reply *protocol.ProgressReply) {
	j := f.jobs.Current()
	if j == nil {
		return
	}
	reply.Current, reply.Holding = j.JobID, f.hold != nil
	if f.hold != nil || p.JobID != j.JobID {
		return
	}
	lease := leasePoints(s.rate(now), f.rolls)
	want := p.Want
	if want > 0 {
		want = min(max(want, lease/4), 2*lease) // no crumbs
	}
	if held := j.ledger.OnLoan(s.number); held < 4*lease {
		want = max(want, min(j.ledger.Returned(), 4*lease-held))
	}
	if want == 0 {
		return
	}
	reply.Leases = onWire(j.ledger.Lease(s.number, want, maxPieces, now.Add(leaseTime)))
}

// Tick lets leases run out and silent slots go.
func (f *farm) Tick(now time.Time) (expired []*lease, silent []*slot) {
	if j := f.jobs.Current(); j != nil {
		expired = j.ledger.Expire(now)
	}
	silent = f.roster.Silent(now)
	for _, s := range silent {
		f.release(s)
	}
	return expired, silent
}

// Drop takes all slots away of whom a worker belongs to.
func (f *farm) Drop(worker string) {
	for _, s := range f.roster.OwnedBy(worker) {
		f.takeAway(s)
	}
}

// takeAway takes a slot away with all it has on loan.
func (f *farm) takeAway(s *slot) {
	f.release(s)
	f.roster.Leave(s.number)
}

// release takes back all that a slot has on loan.
func (f *farm) release(s *slot) {
	if j := f.jobs.Current(); j != nil {
		j.ledger.Release(s.number)
	}
}

// heard returns the slot that a worker of this epoch speaks for.
func (f *farm) heard(now time.Time, from sender, at protocol.Sitting) (*slot, error) {
	if at.Epoch != f.jobs.epoch {
		return nil, protocol.UnknownSlot
	}
	return f.roster.Heard(now, at.Slot, from)
}

// refusal counts why a request was refused and returns the reply that says so.
func (f *farm) refusal(ask *protocol.Ask, err error) protocol.Reply {
	code := protocol.CodeOf(err)
	f.refused[code]++
	return protocol.Reply{Kind: ask.Kind, ID: ask.ID, Code: code, Detail: code.String()}
}

func accepted(ask *protocol.Ask) protocol.Reply {
	return protocol.Reply{Kind: ask.Kind, ID: ask.ID}
}

// onWire returns leases as messages tell them, as many as fit in one.
func onWire(leases []*lease) []protocol.Lease {
	var out []protocol.Lease
	for _, l := range leases[:min(len(leases), protocol.MaxListed)] {
		out = append(out, protocol.Lease{
			ID: l.id, First: protocol.Point(l.interval.first), Points: l.interval.n,
			ExpiresMS: leaseTime.Milliseconds(),
		})
	}
	return out
}

// Due returns when the next job has to be made: a job is never older than one
// spacing, and a hold ends.
func (f *farm) Due() time.Time {
	if f.hold != nil {
		return f.holdDue
	}
	if j := f.jobs.Current(); j != nil {
		return j.made.Add(f.spacing)
	}
	return time.Time{}
}

// IsDue says whether the next job has to be made, by the monotonic clock or by the
// wall clock: a clock that was set back must not stretch a moment's hold to an hour,
// nor one that was set right leave the farm in a hold that it has no reason for; and
// a machine that slept has an old job, whatever its monotonic clock says.
func (f *farm) IsDue(now time.Time) bool {
	due := f.Due()
	return !now.Before(due) || !now.Round(0).Before(due.Round(0))
}
