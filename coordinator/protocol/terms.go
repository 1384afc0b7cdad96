package protocol

import (
	"fmt"

	"github.com/jbcnet/jbc/hashing"
)

// Terms are what a slot's shares are judged by and its home lease sized by. They
// change only by a reply; a share names the terms that it was found under.
type Terms struct {
	Number    uint64       `json:"terms"`
	ShareBits hashing.Bits `json:"share_bits"` // never harder than the block's
	// HomePoints is how long the slot's home lease of every coming job is.
	HomePoints uint64 `json:"home_points"`
}

func (t *Terms) check() error {
	if t.HomePoints > ColumnPoints {
		return fmt.Errorf("home_points %d", t.HomePoints)
	}
	_, err := t.ShareBits.Target()
	return err
}

// Target returns the share target on a job: that of the terms, but never one that
// is harder than the block's.
func (t *Terms) Target(j *Job) hashing.Target {
	share, err := t.ShareBits.Target()
	if err != nil {
		panic("protocol: terms not validated: " + err.Error())
	}
	if block := j.Target(); share.Cmp(block) < 0 {
		return block
	}
	return share
}

// Home returns a slot's home lease under these terms, which starts with every job.
func (t *Terms) Home(slot uint32) Lease {
	return Lease{First: Point(slot) << 32, Points: t.HomePoints}
}
