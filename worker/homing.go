package worker

import "time"

const (
	// returnEvery is how often a worker asks whether the coordinator that it prefers
	// is back, and returnApart how far apart it must have answered twice, with no
	// question unanswered between.
	returnEvery = 5 * time.Second
	returnApart = 3 * time.Second
	// A coordinator that was left again within homeFor of a return is not returned to
	// for firstRest, twice as long each time up to longestRest.
	homeFor     = time.Minute
	firstRest   = 10 * time.Second
	longestRest = 5 * time.Minute
)

// homing decides when a worker goes back to the coordinator that it prefers. It is
// pure: times are arguments.
type homing struct {
	vary        func(time.Duration) time.Duration // a random part of it
	due         time.Time                         // when to ask again
	waiting     bool                              // for an answer
	first, last time.Time                         // answers in a row
	came        time.Time                         // the last return
	rest        time.Duration
	from        time.Time // not before
}

// leave notes that the worker leaves the coordinator that it prefers.
func (h *homing) leave(now time.Time) {
	if h.came.IsZero() || now.Sub(h.came) >= homeFor {
		h.rest = 0
	} else {
		h.rest = min(max(2*h.rest, firstRest), longestRest)
	}
	h.from = now.Add(h.rest)
	h.waiting, h.first, h.last = false, time.Time{}, time.Time{}
	h.due = now.Add(returnEvery + h.vary(spread))
}

// arrive notes that the worker goes back.
func (h *homing) arrive(now time.Time) { h.came = now }

// answer notes that it answered a question who is there.
func (h *homing) answer(now time.Time) {
	h.waiting = false
	if now.Before(h.from) {
		return
	}
	if h.first.IsZero() {
		h.first = now
	}
	h.last = now
}

// look says whether to ask who is there, and whether the preferred one is back.
func (h *homing) look(now time.Time) (ping, back bool) {
	if !now.Before(h.due) {
		if h.waiting {
			h.first, h.last = time.Time{}, time.Time{}
		}
		h.due = now.Add(returnEvery + h.vary(returnEvery/5))
		h.waiting, ping = true, true
	}
	return ping, h.last.Sub(h.first) >= returnApart
}
