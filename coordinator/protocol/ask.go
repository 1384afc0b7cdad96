package protocol

import (
	"encoding/json"
	"fmt"
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
	maxText    = 64
	maxThreads = 1 << 16
	maxRate    = 1e18 // hashes a second: a bound on nonsense, not on hope
	maxSlot    = 1 << 24
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

// Answer returns the head of any reply.
func (r *Reply) Answer() *Reply { return r }
