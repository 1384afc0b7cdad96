package protocol

import (
	"errors"
	"fmt"

	"github.com/jbcnet/jbc/hashing"
)

// Kinds of what observers ask a coordinator.
const (
	KindStatus = "status"
	KindBlock  = "block"
)

// Get asks a coordinator for its status or for a block of its chain.
type Get struct {
	Ask
	// At is a height in decimal or a block hash, for KindBlock.
	At string `json:"at,omitempty"`
	// From is the first slot to list, for KindStatus: a long list comes in pages.
	From uint32 `json:"from,omitempty"`
}

// Validate implements [Message].
func (g *Get) Validate() error {
	if g.Kind != KindStatus && g.Kind != KindBlock {
		return fmt.Errorf("kind %.40q of a get", g.Kind)
	}
	if len(g.At) > maxText {
		return fmt.Errorf("at: %d characters", len(g.At))
	}
	return nil
}

// Status is a coordinator and its farm at one moment.
type Status struct {
	Network     string         `json:"network"`
	Height      uint32         `json:"height"`
	Tip         hashing.Hash   `json:"tip"`
	TipTime     uint32         `json:"tip_time"`
	Chainwork   string         `json:"chainwork"` // 64 hex digits
	Bits        hashing.Bits   `json:"bits"`      // of the next block
	Coordinator string         `json:"coordinator"`
	Key         string         `json:"key"`
	Version     string         `json:"version"`
	Job         JobID          `json:"job"`
	Holding     bool           `json:"holding"` // waiting for the clock, see Hold
	Workers     []WorkerStatus `json:"workers"`
	// Next is where the next page of workers starts, 0 on the last page.
	Next uint32 `json:"next,omitempty"`
	// Stale counts the blocks of own workers since the start that lie beside the main
	// chain now: another's came first, or a reorganisation took them out.
	Stale uint64 `json:"stale"`
	// Blocks counts those that lie on it.
	Blocks uint64 `json:"blocks"`
	Race   Race   `json:"race"`
	// Refused counts what was refused, by numeric code.
	Refused map[Code]uint64 `json:"refused"`
	Idle    IdleMS          `json:"idle_ms"`
	// Dropped are workers that sent too much that is bad and are not listened to for
	// a while, or the machines that they are of, by name: on the first page, as many as
	// fit, 50 at most.
	Dropped list[DroppedStatus] `json:"dropped"`
	// Others are the other coordinators that this one knows of: on the first page, as
	// many as fit, those that it ignores last. Known is how many there are,
	// told there too.
	Others list[OtherStatus] `json:"others"`
	Known  int               `json:"others_known"`
}

// StaleRate is the share of the blocks of own workers that did not make the main
// chain.
func (s *Status) StaleRate() float64 {
	if s.Stale == 0 {
		return 0
	}
	return float64(s.Stale) / float64(s.Stale+s.Blocks)
}

// Race is what racing with other coordinators came to since the start.
type Race struct {
	// Taken counts the blocks of others that came to the main chain.
	Taken uint64 `json:"taken"`
	// Reorgs counts the changes of the main chain that blocks left it by, the most at
	// once being DeepestReorg.
	Reorgs       uint64 `json:"reorgs"`
	DeepestReorg uint32 `json:"deepest_reorg"`
	// LostMS is how long the workers hashed in vain, or waited: at each change of the
	// tip, from what was first heard of it, be it the solution, to the next job's
	// departure. LostHashes is what all of them could have hashed meanwhile at the
	// rates that they declared. While there are no workers nothing is lost.
	LostMS     float64 `json:"lost_ms"`
	LostHashes float64 `json:"lost_hashes"`
	// Followed tells of the moves to blocks of other coordinators whose solutions were
	// heard: how long they took, from the solution to the next job's departure.
	Followed FollowedMS `json:"followed_ms"`
}

// FollowedMS is how many moves there were, and of the last 1,000 the median and the
// 99th percentile in ms.
type FollowedMS struct {
	Count  uint64  `json:"count"`
	Median float64 `json:"median"`
	P99    float64 `json:"p99"`
}

// OtherStatus is another coordinator as one knows it.
type OtherStatus struct {
	Name string `json:"name"`
	Key  string `json:"key"` // its public nkey
	// Height and Chainwork are what it says of its chain.
	Height    uint32 `json:"height"`
	Chainwork string `json:"chainwork"` // 64 hex digits
	HeardMS   int64  `json:"heard_ms"`  // since it was last heard
	// Score is what is held against it: at 10 it is ignored for a while, after which
	// it starts from 0.
	Score   float64 `json:"score"`
	UntilMS int64   `json:"ignored_until_ms"` // since 1970, 0 when it is not ignored
	Times   int     `json:"ignored_times"`
	// Faults counts by name what it did wrong.
	Faults map[string]uint64 `json:"faults"`
}

// DroppedStatus is a worker that is not listened to.
type DroppedStatus struct {
	Name    string `json:"name"`     // of the worker, or of its machine
	UntilMS int64  `json:"until_ms"` // since 1970
	Times   int    `json:"times"`    // in a row, this one included
	// Reasons counts the bad messages that led to it, by numeric code.
	Reasons map[Code]uint64 `json:"reasons"`
}

// IdleMS is what the last blocks cost the farm on average, in ms a block, from a
// solution's arrival to the next job's departure (validation, message), and to
// its synced write.
type IdleMS struct {
	Validation float64 `json:"validation"`
	Write      float64 `json:"write"`
	Message    float64 `json:"message"`
}

// WorkerStatus is one slot.
type WorkerStatus struct {
	Name       string  `json:"name"`
	Slot       uint32  `json:"slot"`
	Host       string  `json:"host"`
	Version    string  `json:"version"`
	Kernel     string  `json:"kernel"`
	Threads    int     `json:"threads"`
	DeclaredHS float64 `json:"declared_hs"`
	// MeasuredHS is the rate that the slot's shares prove over the last minute,
	// with its relative standard error.
	MeasuredHS  float64 `json:"measured_hs"`
	MeasuredErr float64 `json:"measured_err"`
	Shares      uint64  `json:"shares"`
	// Blocks counts the slot's solutions that were stored, late ones included.
	Blocks  uint64        `json:"blocks"`
	Refused uint64        `json:"refused"`
	HeardMS int64         `json:"heard_ms"` // since it was last heard
	Leases  []LeaseStatus `json:"leases"`   // 16 at most
	// Devices are what it hashes with beside its threads, as it says itself.
	Devices list[Device] `json:"devices,omitzero"`
}

// LeaseStatus is a lease and how much of it is reported as searched.
type LeaseStatus struct {
	Lease
	Done uint64 `json:"done"`
}

// StatusReply gives the status.
type StatusReply struct {
	Reply
	Status *Status `json:"status,omitempty"`
}

// Validate implements [Message].
func (r *StatusReply) Validate() error {
	if err := r.Reply.Validate(); err != nil || r.Code != OK {
		return err
	}
	if r.Status == nil {
		return errors.New("no status")
	}
	return nil
}

// BlockInfo is a block as people read it.
type BlockInfo struct {
	Height    uint32         `json:"height"`
	Hash      hashing.Hash   `json:"hash"`
	Header    hashing.Header `json:"header"`
	Prev      hashing.Hash   `json:"prev"`
	Time      uint32         `json:"time"`
	Data      string         `json:"data"`  // the text in its coinbase
	Miner     string         `json:"miner"` // the coordinator named there
	Address   string         `json:"address"`
	Chainwork string         `json:"chainwork"`
	Main      bool           `json:"main"` // part of the best chain
}

// BlockReply gives a block.
type BlockReply struct {
	Reply
	Block *BlockInfo `json:"block,omitempty"`
}

// Validate implements [Message].
func (r *BlockReply) Validate() error {
	if err := r.Reply.Validate(); err != nil || r.Code != OK {
		return err
	}
	if r.Block == nil {
		return errors.New("no block")
	}
	return nil
}
