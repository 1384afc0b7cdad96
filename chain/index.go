package chain

import (
	"github.com/jbcnet/jbc/hashing"
)

// node is a block in the index: one whose header, place and encoding were found
// good. All but invalid is fixed when it is made.
type node struct {
	hash     hashing.Hash
	header   hashing.Header
	parent   *node // nil for genesis
	height   uint32
	sequence uint64 // counts the blocks as they came: of two with equal work the lower is the tip
	median   uint32 // median time past of a child: over this block and up to ten before it
	work     Work   // of the chain up to here
	anchor   *node  // of ScheduleASERT; itself for an anchor, nil for genesis
	invalid  bool   // failed its context, or descends from one that did
}

// newNode makes the node of a block on parent, nil for genesis.
func (p *Params) newNode(hash hashing.Hash, header hashing.Header, parent *node, sequence uint64) *node {
	n := &node{hash: hash, header: header, parent: parent, sequence: sequence, work: WorkOf(header.Bits())}
	if parent != nil {
		n.height = parent.height + 1
		n.work = n.work.Add(parent.work)
		n.anchor = parent.anchor
		if _, anchored := p.required(parent); anchored {
			n.anchor = n
		}
	}
	n.median = n.medianTime()
	return n
}

func (n *node) medianTime() uint32 {
	times := make([]uint32, 0, medianTimeSpan)
	for b := n; b != nil && len(times) < medianTimeSpan; b = b.parent {
		times = append(times, b.header.Time())
	}
	return MedianTime(times)
}

// required returns the bits of a block on parent, and whether such a block is an
// anchor of the ASERT schedule: block 1 is, and so is each that falls to the
// limit. An anchor's parent counts as one spacing older than the anchor, whatever
// its time, so a network that stood still starts from the floor as if it never had.
func (p *Params) required(parent *node) (bits hashing.Bits, anchored bool) {
	switch {
	case p.Schedule == ScheduleNone:
		return p.PowLimit, false
	case p.Schedule == ScheduleBitcoin:
		return p.requiredBitcoin(parent), false
	case parent.anchor == nil:
		return p.PowLimit, true
	}
	schedule := ASERT{Spacing: p.Spacing, HalfLife: p.HalfLife, Limit: p.PowLimit}
	anchor := parent.anchor
	anchorParentTime := int64(anchor.header.Time()) - int64(p.Spacing.Seconds())
	elapsed := int64(parent.header.Time()) - anchorParentTime
	return schedule.Next(anchor.header.Bits(), elapsed, int64(parent.height-anchor.height))
}

func (p *Params) requiredBitcoin(parent *node) hashing.Bits {
	if (parent.height+1)%retargetBlocks != 0 {
		return parent.header.Bits()
	}
	first := parent.ancestor(parent.height - (retargetBlocks - 1))
	return BitcoinRetarget(parent.header.Bits(), first.header.Time(), parent.header.Time(), p.Spacing, p.PowLimit)
}

// ancestor returns the block at height on the way from n to genesis: height is
// not above n's.
func (n *node) ancestor(height uint32) *node {
	for n.height > height {
		n = n.parent
	}
	return n
}

// better says whether the chain up to n should be the main one rather than that
// up to m: more work, or as much and seen first.
func (n *node) better(m *node) bool {
	if c := n.work.Cmp(m.work); c != 0 {
		return c > 0
	}
	return n.sequence < m.sequence
}

// forkOf returns the last block that the chains up to n and m share.
func forkOf(n, m *node) *node {
	for n != m {
		if n.height >= m.height {
			n = n.parent
		} else {
			m = m.parent
		}
	}
	return n
}
