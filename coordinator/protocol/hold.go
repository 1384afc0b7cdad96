package protocol

import (
	"fmt"

	"github.com/jbcnet/jbc/hashing"
)

// Hold tells workers to stay idle until the next job.
type Hold struct {
	Kind        string       `json:"kind"` // KindHold
	Coordinator string       `json:"coordinator"`
	JobID                    // of the last job, which this ends
	Prev        hashing.Hash `json:"prev"`
	// UntilMS is when the next job can be expected, in ms since 1970.
	UntilMS int64  `json:"until_ms"`
	Reason  string `json:"reason"`
}

// Validate implements [Message].
func (h *Hold) Validate() error {
	if h.Kind != KindHold || h.Epoch == 0 || len(h.Reason) > 200 {
		return fmt.Errorf("hold of kind %.40q, epoch %d, reason of %d bytes", h.Kind, h.Epoch, len(h.Reason))
	}
	return CheckName(h.Coordinator)
}

// Rejected tells workers that what somebody published as a solution is none:
// whoever stopped for it resumes at once.
type Rejected struct {
	Kind        string       `json:"kind"` // KindRejected
	Coordinator string       `json:"coordinator"`
	Epoch       uint64       `json:"epoch"`
	Hash        hashing.Hash `json:"hash"`
	Prev        hashing.Hash `json:"prev"`
	Code        Code         `json:"code"`
}

// Validate implements [Message].
func (r *Rejected) Validate() error {
	if r.Kind != KindRejected || r.Epoch == 0 {
		return fmt.Errorf("rejection of kind %.40q, epoch %d", r.Kind, r.Epoch)
	}
	return CheckName(r.Coordinator)
}
