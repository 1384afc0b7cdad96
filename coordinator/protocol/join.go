package protocol

import (
	"errors"
	"fmt"
)

// Join asks for a slot. It is the one request without a MAC: the secret of the slot
// comes from it.
type Join struct {
	Ask
	Name       string  `json:"name"`
	Version    string  `json:"version"` // of the program
	Kernel     string  `json:"kernel"`
	Threads    int     `json:"threads"`
	DeclaredHS float64 `json:"declared_hs"` // hashes a second, measured at start
	// Host tells apart workers of the same machine from those of others.
	Host string `json:"host"`
	// Exchange is the worker's public value, see [Exchange].
	Exchange Bytes `json:"exchange"`
	// Devices are what it hashes with beside its threads.
	Devices list[Device] `json:"devices,omitzero"`
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
	case len(j.Exchange) != exchangeBytes:
		return fmt.Errorf("exchange of %d bytes", len(j.Exchange))
	}
	if err := checkDevices(j.Devices); err != nil {
		return err
	}
	return checkRate(j.DeclaredHS)
}

// JoinReply gives a slot. Of Job and Hold at most one is set: the work of the
// moment.
type JoinReply struct {
	Reply
	Epoch uint64 `json:"epoch"`
	Slot  uint32 `json:"slot"`
	// Exchange is the coordinator's public value, and Yours repeats the worker's:
	// the slot's secret follows from both, see [Exchange].
	Exchange Bytes `json:"exchange,omitempty"`
	Yours    Bytes `json:"yours,omitempty"`
	Terms    Terms `json:"share_terms"`
	Job      *Job  `json:"job,omitempty"`
	Hold     *Hold `json:"hold,omitempty"`
	// Leases are the slot's on Job, its home lease first.
	Leases list[Lease] `json:"leases"`
}

// Validate implements [Message].
func (r *JoinReply) Validate() error {
	if err := r.Reply.Validate(); err != nil || r.Code != OK {
		return err
	}
	if r.Epoch == 0 || r.Slot >= maxSlot {
		return fmt.Errorf("epoch %d, slot %d", r.Epoch, r.Slot)
	}
	if len(r.Exchange) != exchangeBytes || len(r.Yours) != exchangeBytes {
		return fmt.Errorf("exchange of %d bytes and %d", len(r.Exchange), len(r.Yours))
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

func checkRate(hs float64) error {
	if !(hs >= 0 && hs <= maxRate) {
		return fmt.Errorf("rate %g hashes a second", hs)
	}
	return nil
}
