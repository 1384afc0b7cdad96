package worker

import "time"

const (
	// quietFor is how long nothing may come from a coordinator until it is asked
	// something, and answerWithin how long it has to answer.
	quietFor     = 1500 * time.Millisecond
	answerWithin = time.Second
	// spread is by how much each worker varies what all of a farm do after the same
	// event.
	spread = 200 * time.Millisecond
	// noneApart is how far apart the server must have said twice that nobody listens:
	// a coordinator whose connection just broke is back sooner.
	noneApart = 500 * time.Millisecond
	// blind is how long the worker may not have looked. Beyond, it was kept from
	// reading answers too, and nobody's silence is measured by that.
	blind = 500 * time.Millisecond
)

// Why a worker leaves a coordinator.
const (
	whyMute   = "it does not answer"
	whyNobody = "nobody listens in its name"
)

// vigil watches whether a coordinator is there. What it signed counts, be it an
// answer or its word to all: one that holds, or is slow within bounds, is there. It
// is pure: times are arguments.
type vigil struct {
	vary   func(time.Duration) time.Duration // a random part of it
	looked time.Time
	heard  time.Time // the last that it signed
	// asked is when the oldest question was sent that nothing came after, and
	// unanswered the oldest that no answer came after, zero for none. Shares and
	// solutions are no questions: they may take a coordinator longer.
	asked, unanswered time.Time
	none              time.Time // when the server said first that nobody listens
	quiet, patience   time.Duration
	why               string // it is silent, empty while it is not
}

// begin watches a coordinator from now on.
func (v *vigil) begin(now time.Time) {
	*v = vigil{vary: v.vary, looked: v.looked}
	v.hear(now)
}

// hear notes what the coordinator said to all its workers.
func (v *vigil) hear(now time.Time) {
	v.heard, v.asked, v.none = now, time.Time{}, time.Time{}
	v.quiet, v.patience = quietFor+v.vary(spread), answerWithin+v.vary(spread)
	v.why = ""
}

// answer notes that the coordinator answered.
func (v *vigil) answer(now time.Time) {
	v.hear(now)
	v.unanswered = time.Time{}
}

// ask notes that it was asked something.
func (v *vigil) ask(now time.Time) {
	if v.asked.IsZero() {
		v.asked = now
	}
	if v.unanswered.IsZero() {
		v.unanswered = now
	}
}

// nobody notes that the server says that nobody listens in the coordinator's name.
func (v *vigil) nobody(now time.Time) {
	v.asked = time.Time{}
	switch {
	case v.none.IsZero():
		v.none = now
	case now.Sub(v.none) >= noneApart:
		v.why = whyNobody
	}
}

// afresh notes that whatever was asked is forgotten.
func (v *vigil) afresh() { v.asked, v.unanswered, v.none = time.Time{}, time.Time{}, time.Time{} }

// late says whether an answer should be there by now: to a question that nothing came
// after, or from a coordinator that talks to all and not to this worker.
func (v *vigil) late(now time.Time) bool {
	return !v.asked.IsZero() && now.Sub(v.asked) >= v.patience ||
		!v.unanswered.IsZero() && now.Sub(v.unanswered) >= unasked
}

// look judges, and says whether the coordinator is to be asked something now.
func (v *vigil) look(now time.Time) (probe bool) {
	if away := now.Sub(v.looked); away > blind {
		for _, t := range []*time.Time{&v.asked, &v.unanswered} {
			if !t.IsZero() && !v.looked.IsZero() {
				*t = now
			}
		}
	}
	v.looked = now
	switch {
	case v.why != "":
	case v.late(now):
		v.why = whyMute
	case !v.asked.IsZero():
	case !v.none.IsZero():
		return now.Sub(v.none) >= noneApart
	default:
		return now.Sub(v.heard) >= v.quiet
	}
	return false
}
