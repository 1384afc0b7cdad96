package worker

import "time"

const (
	meterStep   = time.Second
	meterWindow = 15 * time.Minute
)

// meter turns a running count of hashes into rates over the last while. Pure: the
// times it gets only grow. The zero meter starts with its first count.
type meter struct {
	marks []mark // one a step, oldest first, covering meterWindow
	last  mark
}

// mark is the count at a moment.
type mark struct {
	at     time.Time
	hashes uint64
}

// count says that hashes is the total so far.
func (m *meter) count(now time.Time, hashes uint64) {
	m.last = mark{now, hashes}
	if n := len(m.marks); n == 0 || now.Sub(m.marks[n-1].at) >= meterStep {
		m.marks = append(m.marks, m.last)
	}
	// The first mark at or before the window's start is still needed.
	drop := 0
	for drop+1 < len(m.marks) && now.Sub(m.marks[drop+1].at) >= meterWindow {
		drop++
	}
	m.marks = append(m.marks[:0], m.marks[drop:]...)
}

// rate returns hashes a second over the last window, or since the first count
// where that is younger. Idle time counts: it is what was done, not what the
// machine could do.
func (m *meter) rate(window time.Duration) float64 {
	from := m.last
	for i := len(m.marks) - 1; i >= 0; i-- {
		from = m.marks[i]
		if m.last.at.Sub(from.at) >= window {
			break
		}
	}
	seconds := m.last.at.Sub(from.at).Seconds()
	if seconds <= 0 {
		return 0
	}
	return float64(m.last.hashes-from.hashes) / seconds
}
