package chain

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"time"

	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/jbcnet/jbc/hashing"
)

// A Schedule is how the required bits follow from the chain.
type Schedule uint8

// The schedules.
const (
	// ScheduleASERT is aserti3-2d per block, anchored at block 1 and at each block
	// that falls to the limit: see the package comment.
	ScheduleASERT Schedule = iota + 1
	// ScheduleBitcoin changes the bits every 2016 blocks.
	ScheduleBitcoin
	// ScheduleNone requires the limit's bits of every block.
	ScheduleNone
)

// Forks are the heights from which Bitcoin's soft forks hold. Zero is from the
// block after genesis, which no rule of position applies to.
type Forks struct {
	BIP16   uint32 // scripts that pay to a hash of a script are run
	BIP34   uint32 // version 2, height in the coinbase
	BIP66   uint32 // version 3, strict signature encoding
	BIP65   uint32 // version 4, OP_CHECKLOCKTIMEVERIFY
	CSV     uint32 // BIP68, BIP112 and BIP113: relative lock times, median-time-past for lock times
	SegWit  uint32 // witness commitment, programs of version 0 (BIP141, BIP143, BIP147)
	Taproot uint32 // programs of version 1 (BIP341, BIP342)

	// BIP30Exceptions are the blocks that may overwrite outputs which are still
	// unspent, by height. Bitcoin has two, made before BIP30 forbade it.
	BIP30Exceptions map[uint32]hashing.Hash
}

// Params define a network: two nodes with equal Params agree on every block.
// They are read by everybody and changed by nobody.
type Params struct {
	Name     string       // lower-case letters, digits and dashes
	Genesis  *Block       // height 0; only its proof of work and merkle root are checked
	PowLimit hashing.Bits // the easiest target
	Schedule Schedule
	Spacing  time.Duration // planned between blocks, whole seconds
	HalfLife time.Duration // of ScheduleASERT, whole seconds; zero otherwise

	InitialSubsidy  int64  // units that a coinbase may create at first
	HalvingInterval uint32 // blocks after which the subsidy halves; zero is never
	Maturity        uint32 // blocks after which a coinbase can be spent
	// MaxWeight is the most that a block may weigh; zero is [MaxBlockWeight].
	MaxWeight int

	Forks Forks
	// VersionRolling says that miners may choose the version bits of BIP320.
	VersionRolling bool

	// Checkpoints are the hashes that the blocks at some heights must have.
	Checkpoints map[uint32]hashing.Hash
	// MinimumWork is the chainwork that the real chain is known to have: below it
	// no template is made, so nothing is mined. Zero asks for none.
	MinimumWork Work
	// FinalityDepth is how many blocks below the tip the main chain is final: a block
	// that forks off deeper is refused, whatever its work. Zero lets forks of any
	// depth win.
	FinalityDepth uint32

	// Address has the prefixes of addresses and keys. Nothing else of it is used,
	// and it need not be registered with package chaincfg.
	Address *chaincfg.Params
}

// ID returns the network's name and the last 8 hex digits of its genesis hash as
// printed (the first are zeros): two networks of one name are told apart.
func (p *Params) ID() string {
	digits := p.Genesis.Hash().String()
	return p.Name + "-" + digits[len(digits)-8:]
}

// maxFuture is the furthest that a block may be ahead of the clock on any network.
const maxFuture = 2 * time.Hour

// MaxFuture returns how far a block's time may be ahead of the clock of whoever
// judges it: a 24th of the half-life, so that lying about the time can't buy
// much difficulty, and never over two hours, which is Bitcoin's limit and that of
// networks without a half-life.
func (p *Params) MaxFuture() time.Duration {
	if p.HalfLife == 0 {
		return maxFuture
	}
	return min(maxFuture, p.HalfLife/24)
}

// Subsidy returns how many units the coinbase at height may create.
func (p *Params) Subsidy(height uint32) int64 {
	return SubsidyAt(height, p.InitialSubsidy, p.HalvingInterval)
}

// BlockWeight returns the most that a block of this network may weigh.
func (p *Params) BlockWeight() int {
	if p.MaxWeight == 0 {
		return MaxBlockWeight
	}
	return p.MaxWeight
}

// minBlockWeight leaves room for a header and a coinbase of any form that a
// template has, three times over.
const minBlockWeight = 4_000

// Check says what is wrong with p: a network that anyone defined is refused
// before a block of it is.
func (p *Params) Check() error {
	if err := p.checkName(); err != nil {
		return err
	}
	for _, check := range []func() error{p.checkRules, p.checkGenesis, p.checkCheckpoints} {
		if err := check(); err != nil {
			return fmt.Errorf("network %s: %w", p.Name, err)
		}
	}
	return nil
}

var networkName = regexp.MustCompile(`^[a-z0-9-]{1,32}$`)

func (p *Params) checkName() error {
	if !networkName.MatchString(p.Name) {
		return fmt.Errorf("network name %.80q: want 1 to 32 of a-z, 0-9 and -", p.Name)
	}
	return nil
}

// checkRules checks all but the genesis block and what refers to blocks.
func (p *Params) checkRules() error {
	if p.Address == nil {
		return errors.New("no address prefixes")
	}
	if !wholeSeconds(p.Spacing) {
		return fmt.Errorf("spacing %v: want whole seconds, at least one", p.Spacing)
	}
	switch p.Schedule {
	case ScheduleASERT:
		if !wholeSeconds(p.HalfLife) {
			return fmt.Errorf("half-life %v: want whole seconds, at least one", p.HalfLife)
		}
	case ScheduleBitcoin, ScheduleNone:
		if p.HalfLife != 0 {
			return fmt.Errorf("half-life %v with a schedule that has none", p.HalfLife)
		}
	default:
		return fmt.Errorf("schedule %d is unknown", p.Schedule)
	}
	if p.InitialSubsidy < 0 || p.InitialSubsidy > maxMoney {
		return fmt.Errorf("subsidy of %d units: want 0 to %d", p.InitialSubsidy, int64(maxMoney))
	}
	if p.MaxWeight != 0 && (p.MaxWeight < minBlockWeight || p.MaxWeight > MaxBlockWeight) {
		return fmt.Errorf("block weight of %d: want %d to %d", p.MaxWeight, minBlockWeight, MaxBlockWeight)
	}
	return nil
}

func (p *Params) checkGenesis() error {
	if p.Genesis == nil {
		return errors.New("no genesis block")
	}
	if _, err := p.sanity(p.Genesis); err != nil {
		return fmt.Errorf("genesis: %w", err)
	}
	return nil
}

func (p *Params) checkCheckpoints() error {
	for height, hash := range p.Checkpoints {
		if hash.IsZero() {
			return fmt.Errorf("checkpoint %d is zero", height)
		}
		if genesis := p.Genesis.Hash(); height == 0 && hash != genesis {
			return fmt.Errorf("checkpoint 0 is %s, the genesis block is %s", hash, genesis)
		}
	}
	return nil
}

func wholeSeconds(d time.Duration) bool {
	return d >= time.Second && d%time.Second == 0 && d/time.Second <= math.MaxInt32
}
