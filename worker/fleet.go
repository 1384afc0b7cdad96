package worker

import (
	"time"

	"github.com/jbcnet/jbc/coordinator/protocol"
)

// fleet is what a session knows of its worker's devices.
type fleet struct {
	feeders   []*feeder
	meters    []meter
	threadsHS float64 // of the CPU, measured at the start
}

func newFleet(feeders []*feeder, threadsHS float64) fleet {
	return fleet{feeders: feeders, meters: make([]meter, len(feeders)), threadsHS: threadsHS}
}

// lookAtDevices brings the stats up to date. Where a device comes or goes the rate that
// the worker declares changes, which its coordinator should know soon.
func (s *session) lookAtDevices(now time.Time) {
	declared := s.fleet.threadsHS
	for i, f := range s.fleet.feeders {
		st, m := &s.stats.Devices[i], &s.fleet.meters[i]
		state, rate, err := f.look()
		declared += rate
		m.count(now, f.hashes.Load())
		if state != st.State {
			s.work.reportDue = now
		}
		st.Name, st.State, st.Rate10s = f.source.Name, state, m.rate(10*time.Second)
		if err != nil {
			st.Failure = err.Error()
		}
	}
	s.stats.DeclaredHS = declared
}

// countShare counts an accepted share for the device that found it.
func (s *session) countShare(by int) {
	if by > 0 {
		s.stats.Devices[by-1].Shares++
	}
}

// devicesOnWire returns the devices as messages tell of them.
func (s *session) devicesOnWire() []protocol.Device {
	var out []protocol.Device
	for _, d := range s.stats.Devices[:min(len(s.stats.Devices), protocol.MaxDevices)] {
		out = append(out, protocol.Device{
			Name: protocol.DeviceName(d.Name), State: string(d.State), RateHS: d.Rate10s, Shares: d.Shares,
		})
	}
	return out
}
