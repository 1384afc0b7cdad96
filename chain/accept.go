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

	pending *store.Pending
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
	if err := checkSanity(b, c.params.PowLimit); err != nil {
		return Accepted{}, err
	}
	if err := checkSupported(b); err != nil {
		return Accepted{}, err
	}
	hash := b.Hash()

	c.mu.Lock()
	defer c.mu.Unlock()
	if c.broken != nil {
		return Accepted{}, c.broken
	}
	if n, known := c.index[hash]; known {
		return c.acceptKnown(n)
	}
	parent, known := c.index[b.Header.Prev()]
	if !known {
		c.orphans.add(hash, b, now)
		return Accepted{Status: Orphan, Hash: hash, Tip: c.tip().snapshot()}, nil
	}
	return c.acceptNew(hash, b, parent, now)
}

func (c *Chain) acceptKnown(n *node) (Accepted, error) {
	if n.invalid {
		return Accepted{}, broken(RuleKnownInvalid, n.height, "%s", n.hash)
	}
	return Accepted{Status: Known, Hash: n.hash, Tip: c.tip().snapshot(), pending: c.last}, nil
}

// acceptNew takes in a block on a known parent, and the orphans that waited for
// it, in one batch.
func (c *Chain) acceptNew(hash hashing.Hash, b *Block, parent *node, now time.Time) (Accepted, error) {
	if err := c.params.checkPosition(b, parent, now); err != nil {
		return Accepted{}, err
	}
	if err := c.store.Writable(); err != nil { // before memory changes
		return Accepted{}, err
	}
	u := &update{batch: c.store.NewBatch(), bodies: map[hashing.Hash]*Block{}}
	old := c.tip()
	verdict := c.add(u, hash, b, parent)
	if verdict != nil && !errors.As(verdict, new(*RuleError)) {
		return Accepted{}, verdict
	}
	if verdict == nil {
		if err := c.adopt(u, hash, now); err != nil {
			return Accepted{}, err
		}
	}
	if c.tip() != old {
		setTip(u.batch, c.tip())
	}
	if err := c.apply(u.batch); err != nil {
		return Accepted{}, err
	}
	if verdict != nil {
		return Accepted{}, verdict
	}
	return c.accepted(c.index[hash], old), nil
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
func (c *Chain) adopt(u *update, hash hashing.Hash, now time.Time) error {
	parents := []hashing.Hash{hash}
	for len(parents) > 0 {
		parent := c.index[parents[0]]
		for _, child := range c.orphans.take(parents[0]) {
			err := c.params.checkPosition(child.block, parent, now)
			if err == nil {
				err = c.add(u, child.hash, child.block, parent)
			}
			switch {
			case err == nil:
				parents = append(parents, child.hash)
			case errors.As(err, new(*RuleError)):
				c.log.Info("orphan refused", "hash", child.hash.String(), "err", err)
			default:
				return err
			}
		}
		parents = parents[1:]
	}
	return nil
}
