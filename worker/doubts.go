package worker

import (
	"fmt"
	"time"

	"github.com/jbcnet/jbc/coordinator/protocol"
)

// doubtTime is how long it may take to find out why messages come that the
// coordinator did not sign.
const doubtTime = time.Second

// maxDoubtEvery is how many [lookEvery] there are at the most between two questions
// who is there.
const maxDoubtEvery = 10

// doubts are about who answers in the coordinator's name.
type doubts struct {
	since    time.Time // the first message that it did not sign, not accounted for yet
	unsigned uint64    // such messages so far
	warnAt   uint64    // how many make another warning
	due      time.Time // when to ask who is there
	asked    int       // how often it was, since all was well
	other    string    // the key that somebody has there, as far as it was said
}

// doubt asks who is there while the coordinator does not answer, or somebody else
// seems to: when it was started on new keys the person should know why nothing
// goes on.
func (s *session) doubt(now time.Time) {
	d := &s.doubts
	if s.seat.taken && !s.seat.silent && d.since.IsZero() {
		d.asked = 0
		return
	}
	if !now.Before(d.due) {
		d.asked = min(d.asked+1, maxDoubtEvery)
		d.due = now.Add(time.Duration(d.asked) * lookEvery) // the more seldom the longer it takes: a farm asks together
		s.ping()
	}
	if d.since.IsZero() || now.Sub(d.since) < doubtTime {
		return
	}
	d.since = time.Time{}
	if d.other == "" && d.unsigned >= d.warnAt {
		d.warnAt = 2 * d.unsigned
		s.log.Warn("messages that the coordinator did not sign are ignored",
			"coordinator", s.seat.with.Name, "key", s.seat.with.Key, "ignored", d.unsigned)
	}
}

// meet takes an answer to discovery after the worker has settled, and says once when
// somebody else has the coordinator's name. Nothing proves such an answer, and
// nothing follows from it.
func (s *session) meet(f protocol.Found) {
	with := s.seat.with
	if f.Name == s.choice.preferred.Name {
		with = s.choice.preferred
	}
	if f.Network != with.Network || f.Name != with.Name || f.Key == with.Key {
		return
	}
	s.stats.OtherKeys++
	if s.doubts.other == "" {
		s.doubts.other = f.Key
		s.log.Error(otherKeyError{f.Name, f.Key, with.Key}.Error(), "hint", otherKeyHint)
	}
}

// otherKeyHint is what to try after an [otherKeyError].
const otherKeyHint = "if the coordinator was meant to have new keys, join it again, or start the worker with --key and the new one"

// otherKeyError says that the coordinator asked for is not who it was.
type otherKeyError struct{ name, key, pinned string }

func (e otherKeyError) Error() string {
	return fmt.Sprintf("coordinator %q answers with another key (%s) than the one pinned (%s): not mining for it", e.name, e.key, e.pinned)
}
