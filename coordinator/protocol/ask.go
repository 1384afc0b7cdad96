package protocol

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"

	"github.com/jbcnet/jbc/hashing"
)

// Kinds of what a worker asks.
const (
	KindJoin     = "join"
	KindCurrent  = "current"
	KindLease    = "lease"
	KindProgress = "progress"
	KindShare    = "share"
	KindSolution = "solution"
	KindLeave    = "leave"
)

const (
	maxText     = 64
	maxThreads  = 1 << 16
	maxRate     = 1e18 // hashes a second: a bound on nonsense, not on hope
	maxSlot     = 1 << 24
	secretBytes = 32
)

// Ask is what every request has: its kind and a number that the reply repeats, so
// that no reply can be passed off as another's.
type Ask struct {
	Kind string `json:"kind"`
	ID   Point  `json:"id"`
}

func (a *Ask) is(kind string) error {
	if a.Kind != kind {
		return fmt.Errorf("kind %.40q, want %q", a.Kind, kind)
	}
	return nil
}

// AskOf returns the head of a request, as far as it can be read: the reply that
// refuses the rest should still say what it answers.
func AskOf(data []byte) (a Ask) {
	if len(data) > MaxMessage || json.Unmarshal(data, &a) != nil || len(a.Kind) > maxName {
		return Ask{}
	}
	return a
}

// Reply is what every reply has. A Code that is not OK refuses the request;
// Detail says why, for people.
type Reply struct {
	Kind   string `json:"kind"` // of the request
	ID     Point  `json:"id"`   // of the request
	Code   Code   `json:"code"`
	Detail string `json:"detail,omitempty"`
}

// Validate implements [Message].
func (r *Reply) Validate() error {
	if len(r.Detail) > 1000 {
		return fmt.Errorf("detail of %d bytes", len(r.Detail))
	}
	return nil
}

// Join asks for a slot.
type Join struct {
	Ask
	Name       string  `json:"name"`
	Version    string  `json:"version"` // of the program
	Kernel     string  `json:"kernel"`
	Threads    int     `json:"threads"`
	DeclaredHS float64 `json:"declared_hs"` // hashes a second, measured at start
	// Host tells apart workers of the same machine from those of others.
	Host string `json:"host"`
}

// Validate implements [Message].
func (j *Join) Validate() error {
	if err := j.is(KindJoin); err != nil {
		return err
	}
	if err := CheckName(j.Name); err != nil {
		return err
	}
	switch {
	case len(j.Version) > maxText, len(j.Kernel) > maxText, len(j.Host) > maxText:
		return fmt.Errorf("version, kernel or host over %d bytes", maxText)
	case j.Threads < 0 || j.Threads > maxThreads:
		return fmt.Errorf("threads %d", j.Threads)
	}
	return checkRate(j.DeclaredHS)
}

// Terms are what a slot's shares are judged by and its home lease sized by. They
// change only by a reply; a share names the terms that it was found under.
type Terms struct {
	Number    uint64       `json:"terms"`
	ShareBits hashing.Bits `json:"share_bits"` // never harder than the block's
	// HomePoints is how long the slot's home lease of every coming job is.
	HomePoints uint64 `json:"home_points"`
}

func (t *Terms) check() error {
	if t.HomePoints > ColumnPoints {
		return fmt.Errorf("home_points %d", t.HomePoints)
	}
	_, err := t.ShareBits.Target()
	return err
}

// Target returns the share target on a job: that of the terms, but never one that
// is harder than the block's.
func (t *Terms) Target(j *Job) hashing.Target {
	share, err := t.ShareBits.Target()
	if err != nil {
		panic("protocol: terms not validated: " + err.Error())
	}
	if block := j.Target(); share.Cmp(block) < 0 {
		return block
	}
	return share
}

// Home returns a slot's home lease under these terms, which starts with every job.
func (t *Terms) Home(slot uint32) Lease {
	return Lease{First: Point(slot) << 32, Points: t.HomePoints}
}

// JoinReply gives a slot. Of Job and Hold at most one is set: the work of the
// moment.
type JoinReply struct {
	Reply
	Epoch  uint64 `json:"epoch"`
	Slot   uint32 `json:"slot"`
	Secret Bytes  `json:"secret"` // 32 bytes, the key of the slot's MACs
	Terms  Terms  `json:"share_terms"`
	Job    *Job   `json:"job,omitempty"`
	Hold   *Hold  `json:"hold,omitempty"`
	// Leases are the slot's on Job, its home lease first.
	Leases list[Lease] `json:"leases"`
}

// Validate implements [Message].
func (r *JoinReply) Validate() error {
	if err := r.Reply.Validate(); err != nil || r.Code != OK {
		return err
	}
	if r.Epoch == 0 || r.Slot >= maxSlot || len(r.Secret) != secretBytes {
		return fmt.Errorf("epoch %d, slot %d, secret of %d bytes", r.Epoch, r.Slot, len(r.Secret))
	}
	if err := r.Terms.check(); err != nil {
		return err
	}
	if err := checkLeases(r.Leases); err != nil {
		return err
	}
	return checkWork(r.Job, r.Hold)
}

// checkWork checks the work of the moment, of which there is one or none.
func checkWork(job *Job, hold *Hold) error {
	switch {
	case job != nil && hold != nil:
		return errors.New("both a job and a hold")
	case job != nil:
		return job.Validate()
	case hold != nil:
		return hold.Validate()
	}
	return nil
}

// Lease is an interval of points on loan. The loan runs out unless progress is
// reported.
type Lease struct {
	ID     uint64 `json:"lease"` // 0 for a home lease, which needs no name
	First  Point  `json:"first"`
	Points uint64 `json:"points"`
	// ExpiresMS is how long the loan lasts from this message on; every progress
	// report that names the lease starts it anew.
	ExpiresMS int64 `json:"expires_ms,omitempty"`
}

func checkLeases(leases []Lease) error {
	if len(leases) > maxListed {
		return fmt.Errorf("%d leases", len(leases))
	}
	for _, l := range leases {
		if l.Points > math.MaxUint64-uint64(l.First) {
			return fmt.Errorf("lease %d beyond the line", l.ID)
		}
	}
	return nil
}

// Sitting names the asker's place: its slot in an epoch and the job it is on.
type Sitting struct {
	JobID
	Slot uint32 `json:"slot"`
}

func (s *Sitting) check() error {
	if s.Epoch == 0 || s.Slot >= maxSlot {
		return fmt.Errorf("epoch %d, slot %d", s.Epoch, s.Slot)
	}
	return nil
}

// Current asks for the job of the moment, after one was missed.
type Current struct {
	Ask
	Sitting
}

// Validate implements [Message].
func (c *Current) Validate() error {
	if err := c.is(KindCurrent); err != nil {
		return err
	}
	return c.Sitting.check()
}

// CurrentReply gives it.
type CurrentReply struct {
	Reply
	Job    *Job        `json:"job,omitempty"`
	Hold   *Hold       `json:"hold,omitempty"`
	Leases list[Lease] `json:"leases"`
}

// Validate implements [Message].
func (r *CurrentReply) Validate() error {
	if err := r.Reply.Validate(); err != nil || r.Code != OK {
		return err
	}
	if err := checkLeases(r.Leases); err != nil {
		return err
	}
	return checkWork(r.Job, r.Hold)
}

// Done reports how far a lease is searched: its first Points points are, all of
// them under every roll.
type Done struct {
	ID     uint64 `json:"lease"`
	Points uint64 `json:"done"`
}

// Progress reports what was searched since the last report and asks for at least
// Want more points (0: none).
type Progress struct {
	Ask
	Sitting
	Leases list[Done] `json:"leases"`
	Want   uint64     `json:"want"`
	// RateHS is the worker's own count, hashes a second over the last minute.
	RateHS float64 `json:"rate_hs"`
}

// Validate implements [Message]. KindLease is a Progress too, sent out of turn
// because the worker needs points now.
func (p *Progress) Validate() error {
	if p.Kind != KindProgress && p.Kind != KindLease && p.Kind != KindLeave {
		return fmt.Errorf("kind %.40q of a progress", p.Kind)
	}
	if err := p.Sitting.check(); err != nil {
		return err
	}
	if len(p.Leases) > maxListed {
		return fmt.Errorf("%d leases", len(p.Leases))
	}
	return checkRate(p.RateHS)
}

// ProgressReply answers progress, lease and leave.
type ProgressReply struct {
	Reply
	Current JobID        `json:"current"`           // the job of the moment; another than the asker's: ask for it
	Holding bool         `json:"holding,omitempty"` // a hold is in force instead: ask for it
	Terms   Terms        `json:"share_terms"`
	Leases  list[Lease]  `json:"leases"` // granted now
	Gone    list[uint64] `json:"gone"`   // leases that ran out: drop them
}

// Validate implements [Message].
func (r *ProgressReply) Validate() error {
	if err := r.Reply.Validate(); err != nil || r.Code != OK {
		return err
	}
	if len(r.Gone) > maxListed {
		return fmt.Errorf("%d leases gone", len(r.Gone))
	}
	if err := r.Terms.check(); err != nil {
		return err
	}
	return checkLeases(r.Leases)
}

// Claim is a share or a solution: a place whose hash is said to meet the target.
type Claim struct {
	Ask // KindShare or KindSolution
	Place
	Slot  uint32 `json:"slot"`
	Terms uint64 `json:"terms"` // those the slot's share target came with
	MAC   Bytes  `json:"mac"`   // see [Claim.Seal]
}

// Validate implements [Message].
func (c *Claim) Validate() error {
	if c.Kind != KindShare && c.Kind != KindSolution {
		return fmt.Errorf("kind %.40q of a claim", c.Kind)
	}
	if c.Slot >= maxSlot || len(c.MAC) > secretBytes {
		return fmt.Errorf("slot %d, mac of %d bytes", c.Slot, len(c.MAC))
	}
	return c.Place.Validate()
}

// ClaimReply answers a claim. For a solution OK and Known mean that the block is
// safely stored; Height and Hash name it.
type ClaimReply struct {
	Reply
	Hash   hashing.Hash `json:"hash"`
	Height uint32       `json:"height,omitempty"`
}

func checkRate(hs float64) error {
	if !(hs >= 0 && hs <= maxRate) {
		return fmt.Errorf("rate %g hashes a second", hs)
	}
	return nil
}
