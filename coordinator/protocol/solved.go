package protocol

import (
	"encoding/hex"
	"fmt"

	"github.com/jbcnet/jbc/hashing"
)

// Kinds of what is published to everybody.
const (
	KindSolved    = "solved"    // a job is solved: stop
	KindAnnounced = "announced" // a block is in a coordinator's chain
)

// Place names one header of one coordinator's job.
type Place struct {
	JobID
	Point Point `json:"point"`
	Roll  int   `json:"roll"`
}

// Validate implements [Message].
func (p *Place) Validate() error {
	if p.Epoch == 0 || p.Number == 0 || p.Roll < 0 || p.Roll >= MaxRolls {
		return fmt.Errorf("place: job %s, roll %d", p.JobID, p.Roll)
	}
	return nil
}

// Solved announces to everybody that a job is solved.
type Solved struct {
	Kind        string         `json:"kind"`        // KindSolved
	Coordinator string         `json:"coordinator"` // whose job it was
	Header      hashing.Header `json:"header"`
	Place
}

// Validate implements [Message].
func (s *Solved) Validate() error {
	if s.Kind != KindSolved {
		return fmt.Errorf("kind %.40q of a solution", s.Kind)
	}
	if err := CheckName(s.Coordinator); err != nil {
		return err
	}
	return s.Place.Validate()
}

// BlockAnnounced says that a block is in a coordinator's chain, safely stored.
type BlockAnnounced struct {
	Kind        string         `json:"kind"` // KindAnnounced
	Coordinator string         `json:"coordinator"`
	Height      uint32         `json:"height"`
	Hash        hashing.Hash   `json:"hash"`
	Header      hashing.Header `json:"header"`
	// Chainwork is that of the chain up to it, 64 hex digits; empty where an older
	// coordinator does not tell.
	Chainwork string `json:"chainwork,omitempty"`
}

// Validate implements [Message].
func (b *BlockAnnounced) Validate() error {
	if b.Kind != KindAnnounced {
		return fmt.Errorf("kind %.40q of an announcement", b.Kind)
	}
	if b.Chainwork != "" && !isWork(b.Chainwork) {
		return fmt.Errorf("chainwork %.70q, want 64 hex digits", b.Chainwork)
	}
	return CheckName(b.Coordinator)
}

// isWork says whether s is a chainwork in hex.
func isWork(s string) bool {
	_, err := hex.DecodeString(s)
	return err == nil && len(s) == 64
}
