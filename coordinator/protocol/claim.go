package protocol

import (
	"fmt"

	"github.com/jbcnet/jbc/hashing"
)

// Claim is a share or a solution: a place whose hash is said to meet the target.
type Claim struct {
	Ask // KindShare or KindSolution
	Place
	Slot  uint32 `json:"slot"`
	Terms uint64 `json:"terms"` // those the slot's share target came with
}

// Validate implements [Message].
func (c *Claim) Validate() error {
	if c.Kind != KindShare && c.Kind != KindSolution {
		return fmt.Errorf("kind %.40q of a claim", c.Kind)
	}
	if c.Slot >= maxSlot {
		return fmt.Errorf("slot %d", c.Slot)
	}
	return c.Place.Validate()
}

// ClaimReply answers a claim. For a solution OK and Known mean that the block is
// safely stored; Height and Hash name it.
type ClaimReply struct {
	Reply
	Hash   hashing.Hash `json:"hash"`
	Height uint32       `json:"height,omitempty"`
}
