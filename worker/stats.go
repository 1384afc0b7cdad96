package worker

import (
	"fmt"
	"slices"
	"time"

	"github.com/jbcnet/jbc/coordinator/protocol"
	"github.com/jbcnet/jbc/hashing"
)

// State is what a worker is doing.
type State string

// The states.
const (
	Looking State = "looking" // for a coordinator
	Joining State = "joining" // asking it for a slot
	Mining  State = "mining"
	Holding State = "holding" // idle by the coordinator's word, or for want of a job
	Stopped State = "stopped" // somebody solved the job; waiting for the next
	Offline State = "offline" // no connection, or no answer; what is leased is still being mined
)

// Stats is a worker at one moment.
type Stats struct {
	State       State
	Network     string
	Coordinator string // that it works for
	Key         string // the coordinator's pinned one
	Preferred   string // the coordinator that it returns to, empty before it was found
	Moves       uint64 // from one coordinator to another, returns included
	Job         protocol.JobID
	Height      uint32
	Bits        hashing.Bits

	Hashes     uint64  // since the start
	DeclaredHS float64 // hashes a second, measured at the start, and of each device as it comes
	// Hashes a second over the last 10 s, 60 s and 15 min, or since the start
	// where that is less. Idle time counts.
	Rate10s, Rate60s, Rate15m float64

	Leases int
	Dry    uint64 // how often the session found the miners out of points

	// SharesAccepted counts accepted solutions too, as the coordinator does.
	SharesAccepted, SharesRefused uint64
	// SharesLost were never answered, or given up before they were sent.
	SharesLost                                 uint64
	BlocksFound, BlocksAccepted, BlocksRefused uint64
	// Ignored counts messages that claimed to be from the coordinator and were
	// not signed by it, or made no sense.
	Ignored uint64
	// OtherKeys counts how often somebody with another key than the pinned one said
	// that it is the coordinator.
	OtherKeys uint64
	// WrongHits counts what the kernel called a hit and is none: not zero means
	// broken hardware or a broken kernel.
	WrongHits uint64
	LastStop  Stop
	// Devices are those of [Config], in that order.
	Devices []DeviceStats
}

// DeviceStats is a device at one moment.
type DeviceStats struct {
	Name    string
	State   DeviceState
	Rate10s float64 // hashes a second over the last 10 s
	Shares  uint64  // accepted ones that it found, solutions too
	Failure string  // the last, empty before the first
}

// Stop is one time that a published solution stopped the miners.
type Stop struct {
	Count   uint64       // stops so far, this one included
	By      hashing.Hash // the solution
	Decided time.Time    // when the message had been judged
	Parked  time.Time    // when the last miner had let go of the solved job; zero until then
}

// Stats returns the state of the moment. It is safe to call at any time.
func (w *Worker) Stats() Stats {
	w.mu.Lock()
	s := w.stats
	w.mu.Unlock()
	acc := w.dispenser.account()
	s.Hashes, s.LastStop, s.Leases = acc.hashes, acc.stop, len(acc.done)
	dropped, wrong := w.finds.counts()
	s.SharesLost += dropped
	s.WrongHits = wrong
	return s
}

// state is what the session is doing.
func (s *session) state() State {
	switch {
	case s.offline || s.seat.silent:
		return Offline
	case !s.search.settled:
		return Looking
	case !s.seat.taken || s.seat.wanted:
		return Joining
	case s.cancel.held || s.work.current == nil:
		return Holding
	case s.cancel.stopped:
		return Stopped
	}
	return Mining
}

// publish makes the session's state what [Worker.Stats] returns.
func (s *session) publish() {
	s.stats.State = s.state()
	if c := s.work.current; c != nil {
		s.stats.Job, s.stats.Height, s.stats.Bits = c.job.JobID, c.job.Height, c.job.Bits
	}
	s.stats.Rate10s = s.meter.rate(10 * time.Second)
	s.stats.Rate60s = s.meter.rate(time.Minute)
	s.stats.Rate15m = s.meter.rate(meterWindow)
	shown := s.stats
	shown.Devices = slices.Clone(s.stats.Devices)
	s.worker.mu.Lock()
	s.worker.stats = shown
	s.worker.mu.Unlock()
}

// Rate is hashes a second as people read them.
type Rate float64

// String returns for example "12.3 MH/s".
func (r Rate) String() string {
	units := []string{"H/s", "kH/s", "MH/s", "GH/s", "TH/s"}
	i := 0
	for r >= 999.5 && i < len(units)-1 { // which three digits round to 1000
		r /= 1000
		i++
	}
	return fmt.Sprintf("%.3g %s", float64(r), units[i])
}
