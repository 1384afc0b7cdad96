package protocol

import (
	"fmt"
	"math/bits"

	"github.com/jbcnet/jbc/hashing"
)

// Kinds of what a coordinator publishes on its job subject.
const (
	KindJob      = "job"      // work on a new parent: drop everything
	KindRefresh  = "refresh"  // the same parent, a newer time: shares of the last job still count
	KindHold     = "hold"     // stay idle until the next job
	KindRejected = "rejected" // a solution was none: go on
)

// MaxRolls is the most versions a job may ask for at each point.
const MaxRolls = hashing.MaxVersions

const (
	extranonceSize  = 4
	maxBranch       = 32
	maxCoinbaseHalf = 1 << 10 // of which twice as much is sent: hex
)

// MaxPayScript is the longest script that a coinbase can pay to: next to it are a
// witness commitment and a text of 100 bytes at the most.
const MaxPayScript = maxCoinbaseHalf - 256

// JobID names a job of one coordinator. Epochs count its starts and numbers the
// jobs of an epoch, so the pair only ever grows.
type JobID struct {
	Epoch  uint64 `json:"epoch"`
	Number uint64 `json:"number"`
}

// Before says whether j was published before k.
func (j JobID) Before(k JobID) bool {
	return j.Epoch < k.Epoch || j.Epoch == k.Epoch && j.Number < k.Number
}

// String returns epoch.number.
func (j JobID) String() string { return fmt.Sprintf("%d.%d", j.Epoch, j.Number) }

// Job is a template ready for hashing.
type Job struct {
	Kind        string `json:"kind"` // KindJob or KindRefresh
	Coordinator string `json:"coordinator"`
	JobID
	Height  uint32       `json:"height"`
	Prev    hashing.Hash `json:"prev"`
	Version uint32       `json:"version"` // its BIP320 bits are zero where Rolls is over 1
	Bits    hashing.Bits `json:"bits"`
	// Time is what the header says. A solution to the same parent by anybody may
	// say MinTime to MaxTime.
	Time    uint32 `json:"time"`
	MinTime uint32 `json:"min_time"`
	MaxTime uint32 `json:"max_time"`
	// Coinbase1 and Coinbase2 enclose the 4 big-endian bytes of the extranonce in
	// the coinbase transaction, as its id is computed. Branch leads from that id
	// to the merkle root.
	Coinbase1 Bytes              `json:"coinbase1"`
	Coinbase2 Bytes              `json:"coinbase2"`
	Branch    list[hashing.Hash] `json:"branch"`
	// Rolls is how many versions are tried at each point: a power of two, 1 where
	// the chain forbids rolling.
	Rolls int `json:"rolls"`
	// SpacingMS is the network's block interval, by which waits are bounded.
	SpacingMS int64 `json:"spacing_ms"`
}

// Validate implements [Message].
func (j *Job) Validate() error {
	switch {
	case j.Kind != KindJob && j.Kind != KindRefresh:
		return fmt.Errorf("kind %.40q of a job", j.Kind)
	case j.Epoch == 0 || j.Number == 0:
		return fmt.Errorf("job id %s", j.JobID)
	case j.Rolls < 1 || j.Rolls > MaxRolls || bits.OnesCount(uint(j.Rolls)) != 1:
		return fmt.Errorf("rolls %d, want a power of two up to %d", j.Rolls, MaxRolls)
	case j.Rolls > 1 && j.Version&hashing.VersionRollMask != 0:
		return fmt.Errorf("version %08x has rolled bits", j.Version)
	case len(j.Branch) > maxBranch:
		return fmt.Errorf("branch of %d hashes, at most %d", len(j.Branch), maxBranch)
	case len(j.Coinbase1) > maxCoinbaseHalf || len(j.Coinbase2) > maxCoinbaseHalf:
		return fmt.Errorf("coinbase halves of %d and %d bytes, at most %d", len(j.Coinbase1), len(j.Coinbase2), maxCoinbaseHalf)
	case j.MinTime > j.Time || j.Time > j.MaxTime:
		return fmt.Errorf("time %d outside %d to %d", j.Time, j.MinTime, j.MaxTime)
	case j.SpacingMS < 1 || j.SpacingMS > 1<<40:
		return fmt.Errorf("spacing_ms %d", j.SpacingMS)
	}
	if err := CheckName(j.Coordinator); err != nil {
		return err
	}
	_, err := j.Bits.Target()
	return err
}

// Target returns the block target. It panics on bits that Validate refuses.
func (j *Job) Target() hashing.Target {
	t, err := j.Bits.Target()
	if err != nil {
		panic("protocol: job not validated: " + err.Error())
	}
	return t
}

// groups is how many columns one extranonce has: the version field's 16 rollable
// bits divided among them.
func (j *Job) groups() uint32 {
	if j.Rolls == 1 {
		return 1
	}
	return 1 << hashing.VersionRollBits / uint32(j.Rolls)
}

// Header returns the header of one point under one roll, 0 <= roll < j.Rolls. It
// is the only place where a job's header is put together: workers search what it
// returns and the coordinator judges it.
func (j *Job) Header(p Point, roll int) hashing.Header {
	h := j.column(p.Column())
	h.SetVersion(j.Versions(p.Column())[roll])
	h.SetNonce(p.Nonce())
	return h
}

// Search prepares a column for the kernels: version i of it is roll i.
func (j *Job) Search(column uint32, target hashing.Target) hashing.Search {
	return hashing.NewSearch(j.column(column), j.Versions(column), target)
}

// Versions returns the header versions that are tried at every point of a column,
// one a roll.
func (j *Job) Versions(column uint32) []uint32 {
	if j.Rolls == 1 {
		return []uint32{j.Version}
	}
	group := column % j.groups()
	versions := make([]uint32, j.Rolls)
	for roll := range versions {
		versions[roll] = hashing.RollVersion(j.Version, group*uint32(j.Rolls)+uint32(roll))
	}
	return versions
}

// Extranonce returns what the coinbase of a column holds between its halves.
func (j *Job) Extranonce(column uint32) uint32 { return column / j.groups() }

// column returns the header of a column, version and nonce still to be set.
func (j *Job) column(column uint32) (h hashing.Header) {
	e := j.Extranonce(column)
	coinbase := make([]byte, 0, len(j.Coinbase1)+extranonceSize+len(j.Coinbase2))
	coinbase = append(coinbase, j.Coinbase1...)
	coinbase = append(coinbase, byte(e>>24), byte(e>>16), byte(e>>8), byte(e))
	coinbase = append(coinbase, j.Coinbase2...)

	h.SetPrev(j.Prev)
	h.SetMerkleRoot(hashing.FoldBranch(hashing.Sum256d(coinbase), j.Branch))
	h.SetTime(j.Time)
	h.SetBits(j.Bits)
	return h
}
