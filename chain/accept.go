package chain

import (
	"errors"
	"time"

	"github.com/jbcnet/jbc/chain/store"
	"github.com/jbcnet/jbc/hashing"
)

// Status is what became of a block.
type Status uint8

// What can become of a block that broke no rule.
const (
	Extended    Status = iota + 1 // it lies on the main chain now, and no block left it
	Reorganised                   // it lies on the main chain now, and others left it
	Side                          // it is stored beside the main chain
	Known                         // it was there already
	Orphan                        // its parent is not known; it is held in memory for a while
)

func (s Status) String() string {
	names := [...]string{"unknown", "extended", "reorganised", "side", "known", "orphan"}
	if int(s) >= len(names) {
		s = 0
	}
	return names[s]
}

// Ref names a block of the index.
type Ref struct {
	Hash   hashing.Hash
	Height uint32
}

// Accepted says what became of a block, and of the orphans that waited for it.
type Accepted struct {
	Status Status
	Hash   hashing.Hash
	Tip    Tip // after it

	Connected    []Ref // what came to the main chain, lowest first
	Disconnected []Ref // what left it, highest first

	Refused []Refusal // orphans that waited for the block and broke a rule

	pending *store.Pending
}

// Refusal is a block that had waited for its parent, and what rule it broke. It is
// not held any more.
type Refusal struct {
	Hash hashing.Hash
	Err  error // a RuleError
}

// Wait returns nil when the block would survive a power loss, and with it every
// block that was accepted before it: only then may anybody be told that it was
// accepted. An error means that this is not known. For an orphan there is nothing
// to wait for, and nothing is kept.
func (a Accepted) Wait() error { return a.pending.Wait() }

// Accept judges a block at this time of the clock and takes it in. An error is a
// [RuleError], or the machine's, after which nothing is accepted any more.
//
// Memory is up to date and the write is on its way when Accept returns; it is on
// disk when [Accepted.Wait] does. Between the two a caller may go on to the next
// block, but acknowledge nothing.
//
// A block that breaks a rule of sanity or position is forgotten, and may be right
// the next time: its bytes can be wrong where its header is not, and a clock can
// catch up. One that breaks a rule of context is remembered as invalid.
func (c *Chain) Accept(b *Block, now time.Time) (Accepted, error) {
	checked, err := c.params.sanity(b)
	if err != nil {
		return Accepted{}, err
	}
	c.writing.Lock()
	defer c.writing.Unlock()
	if c.broken != nil {
		return Accepted{}, c.broken
	}
	if n := c.nodes.get(checked.hash); n != nil {
		return c.acceptKnown(n)
	}
	parent := c.nodes.get(b.Header.Prev())
	if parent == nil {
		if err := c.params.checkOrphanWitness(b); err != nil {
			return Accepted{}, err
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.orphans.add(checked, now)
		return Accepted{Status: Orphan, Hash: checked.hash, Tip: c.tip().snapshot()}, nil
	}
	return c.acceptNew(checked, parent, now)
}

func (c *Chain) acceptKnown(n *node) (Accepted, error) {
	if n.invalid {
		return Accepted{}, broken(RuleKnownInvalid, n.height, "%s", n.hash)
	}
	return Accepted{Status: Known, Hash: n.hash, Tip: c.tip().snapshot(), pending: c.last}, nil
}

// acceptNew takes in a block on a known parent, and the orphans that waited for
// it, in one batch.
func (c *Chain) acceptNew(b *sane, parent *node, now time.Time) (Accepted, error) {
	old := c.tip()
	if err := c.checkPosition(b, parent, old, now); err != nil {
		return Accepted{}, err
	}
	if err := c.store.Writable(); err != nil { // before memory changes
		return Accepted{}, err
	}
	u := c.newUpdate()
	defer u.abandon()
	verdict := c.add(u, b, parent)
	if verdict != nil && !errors.As(verdict, new(*RuleError)) {
		return Accepted{}, verdict
	}
	var refused []Refusal
	if verdict == nil {
		var err error
		if refused, err = c.adopt(u, b.hash, now); err != nil {
			return Accepted{}, err
		}
	}
	if err := c.commit(u, false); err != nil {
		return Accepted{}, err
	}
	if n := c.nodes.get(b.hash); verdict == nil && n.invalid {
		verdict = c.verdictOn(n, refused)
	}
	if verdict != nil {
		return Accepted{}, verdict
	}
	a := c.accepted(c.nodes.get(b.hash), old)
	a.Refused = refused
	return a, nil
}

// verdictOn says why n is invalid, which turned out when a block that had waited for
// it made its chain the better one.
func (c *Chain) verdictOn(n *node, refused []Refusal) error {
	var broke *RuleError
	for _, r := range refused {
		if errors.As(r.Err, &broke) && broke.Cause != nil {
			break
		}
	}
	if broke == nil || broke.Cause == nil {
		return broken(RuleKnownInvalid, n.height, "%s", n.hash)
	}
	if broke.Cause.Height == n.height {
		return broke.Cause
	}
	return &RuleError{Rule: RuleInvalidAncestor, Height: n.height, Cause: broke.Cause}
}

// checkPosition is the second tier, with what depends on the tip that this node
// has: forks that come too late.
func (c *Chain) checkPosition(b *sane, parent, tip *node, now time.Time) error {
	if err := c.params.checkDepth(parent, tip); err != nil {
		return err
	}
	return c.params.checkPosition(b, parent, now)
}

// accepted describes the way from the tip before to the tip now.
func (c *Chain) accepted(n, old *node) Accepted {
	a := Accepted{Status: Side, Hash: n.hash, Tip: c.tip().snapshot(), pending: c.last}
	fork := forkOf(old, c.tip())
	for b := old; b != fork; b = b.parent {
		a.Disconnected = append(a.Disconnected, Ref{b.hash, b.height})
	}
	for _, b := range c.main[fork.height+1:] {
		a.Connected = append(a.Connected, Ref{b.hash, b.height})
	}
	if c.onMain(n) {
		a.Status = Extended
		if len(a.Disconnected) > 0 {
			a.Status = Reorganised
		}
	}
	return a
}

// adopt adds the orphans that wait for hash, those that wait for them, and so on.
// One that breaks a rule is dropped.
func (c *Chain) adopt(u *update, hash hashing.Hash, now time.Time) (refused []Refusal, err error) {
	parents := []hashing.Hash{hash}
	for len(parents) > 0 {
		parent := c.nodes.get(parents[0])
		c.mu.Lock()
		children := c.orphans.take(parents[0])
		c.mu.Unlock()
		for _, child := range children {
			b, err := DecodeBlock(child.raw)
			if err != nil {
				return refused, err
			}
			checked := trusted(b)
			if err = c.checkPosition(checked, parent, u.tip, now); err == nil {
				err = c.add(u, checked, parent)
			}
			switch {
			case err == nil:
				parents = append(parents, child.hash)
			case errors.As(err, new(*RuleError)):
				refused = append(refused, Refusal{child.hash, err})
			default:
				return refused, err
			}
		}
		parents = parents[1:]
	}
	return refused, nil
}
