package chain

import (
	"github.com/jbcnet/jbc/hashing"
)

// node is a block in the index: one whose header, place and encoding were found
// good. All but invalid is fixed when it is made. There is one for every header,
// so it is kept small: 160 bytes, and about 30 more for what points to it.
type node struct {
	hash       hashing.Hash
	merkleRoot hashing.Hash
	work       Work   // of the chain up to here
	parent     *node  // nil for genesis
	anchor     *node  // of ScheduleASERT; itself for an anchor, nil for genesis
	skip       *node  // an ancestor further back, see skipTo
	sequence   uint64 // counts the blocks as they came: of two with equal work the lower is the tip
	height     uint32
	median     uint32 // median time past of a child: over this block and up to ten before it
	version    uint32
	time       uint32
	bits       hashing.Bits
	nonce      uint32
	failed     bool // broke a rule of context, or descends from one that did: for good, and on disk
	invalid    bool // failed or excluded
	excluded   bool // a checkpoint that came later is another block, or it descends from one for which that is so
}

// newNode makes the node of a block on parent, nil for genesis, without its skip.
func (p *Params) newNode(hash hashing.Hash, header *hashing.Header, parent *node, sequence uint64) *node {
	n := &node{
		hash: hash, merkleRoot: header.MerkleRoot(),
		parent: parent, sequence: sequence,
		version: header.Version(), time: header.Time(), bits: header.Bits(), nonce: header.Nonce(),
	}
	if parent != nil {
		n.height = parent.height + 1
		n.anchor = parent.anchor
		if _, anchored := p.required(parent); anchored {
			n.anchor = n
		}
	}
	n.work = n.chainwork()
	n.median = n.medianTime()
	return n
}

// chainwork adds the work of n to that of its parent. Most blocks have the bits of
// their parent, whose work is a subtraction away: much cheaper than a division.
func (n *node) chainwork() Work {
	parent := n.parent
	if parent == nil {
		return WorkOf(n.bits)
	}
	if parent.parent != nil && parent.bits == n.bits {
		return parent.work.Add(parent.work.sub(parent.parent.work))
	}
	return parent.work.Add(WorkOf(n.bits))
}

// header puts the header together again.
func (n *node) header() hashing.Header {
	var h hashing.Header
	h.SetVersion(n.version)
	if n.parent != nil {
		h.SetPrev(n.parent.hash)
	}
	h.SetMerkleRoot(n.merkleRoot)
	h.SetTime(n.time)
	h.SetBits(n.bits)
	h.SetNonce(n.nonce)
	return h
}

func (n *node) medianTime() uint32 {
	var times [medianTimeSpan]uint32
	count := 0
	for b := n; b != nil && count < medianTimeSpan; b = b.parent {
		times[count] = b.time
		count++
	}
	return MedianTime(times[:count])
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
	anchorParentTime := int64(anchor.time) - int64(p.Spacing.Seconds())
	elapsed := int64(parent.time) - anchorParentTime
	return schedule.Next(anchor.bits, elapsed, int64(parent.height-anchor.height))
}

func (p *Params) requiredBitcoin(parent *node) hashing.Bits {
	if (parent.height+1)%retargetBlocks != 0 {
		return parent.bits
	}
	first := parent.ancestor(parent.height - (retargetBlocks - 1))
	return BitcoinRetarget(parent.bits, first.time, parent.time, p.Spacing, p.PowLimit)
}

// ancestor returns the block at height on the way from n to genesis: height is
// not above n's. It takes a number of steps that grows with the logarithm of the
// distance.
func (n *node) ancestor(height uint32) *node {
	for n.height > height {
		// Down the skip where it does not go too far, and where the parent's would
		// not go further.
		s := skipTo(n.height)
		p := skipTo(n.height - 1)
		if n.skip != nil && (s == height || s > height && !(p+2 < s && p >= height)) {
			n = n.skip
		} else {
			n = n.parent
		}
	}
	return n
}

// link sets the skip of n, whose ancestors are all there.
func (n *node) link() {
	if n.parent != nil {
		n.skip = n.parent.ancestor(skipTo(n.height))
	}
}

// skipTo says which ancestor a block at height points to besides its parent:
// the pattern of Bitcoin Core's chain index, by which any ancestor is near.
func skipTo(height uint32) uint32 {
	dropLowest := func(n uint32) uint32 { return n & (n - 1) }
	switch {
	case height < 2:
		return 0
	case height&1 == 1:
		return dropLowest(dropLowest(height-1)) + 1
	default:
		return dropLowest(height)
	}
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
