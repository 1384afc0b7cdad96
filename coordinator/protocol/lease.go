package protocol

import (
	"errors"
	"fmt"
	"math"
)

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
	if len(leases) > MaxListed {
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
	// DeclaredHS takes the place of what the worker declared when it joined, unless it
	// is 0: a device came or went. Devices are told whenever there are any.
	DeclaredHS float64      `json:"declared_hs,omitempty"`
	Devices    list[Device] `json:"devices,omitzero"`
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
	if len(p.Leases) > MaxListed {
		return fmt.Errorf("%d leases", len(p.Leases))
	}
	if err := checkDevices(p.Devices); err != nil {
		return err
	}
	return errors.Join(checkRate(p.RateHS), checkRate(p.DeclaredHS))
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
	if len(r.Gone) > MaxListed {
		return fmt.Errorf("%d leases gone", len(r.Gone))
	}
	if err := r.Terms.check(); err != nil {
		return err
	}
	return checkLeases(r.Leases)
}
