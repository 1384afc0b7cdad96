package chain

import (
	"errors"
	"time"

	"github.com/jbcnet/jbc/hashing"
)

// Branch is a chain of headers that somebody offers, judged while it passes by:
// nothing of it is kept but the headers that the next ones are judged by, and a
// hash for every thousand. So a long chain of little work costs its maker work and
// us next to nothing, and one that proves to have more work than ours can be asked
// for again, headers and blocks, and be seen to be the same ([Branch.Again]).
//
// It belongs to one goroutine.
type Branch struct {
	params *Params
	fork   *node
	tip    *node
	kept   []*node        // the last ones, whose parents are let go
	marks  []hashing.Hash // of every branchMark-th header
	count  int
	must   []hashing.Hash // what marks have to be, of a branch that passes again
}

const (
	branchMark = 1000
	// branchKept is as far back as a header is judged by: a retarget of Bitcoin's.
	branchKept = retargetBlocks + medianTimeSpan
)

// ErrOtherBranch says that a branch is not the one that passed before.
var ErrOtherBranch = errors.New("other headers than before")

// Branch returns an empty branch on a block that is known. The error is a
// [RuleError]: [RuleOrphan] where it is not, [RuleInvalidAncestor] where it is
// invalid, [RuleFinality] or [RuleCheckpoint] where the main chain is final above it.
func (c *Chain) Branch(on hashing.Hash) (*Branch, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	n := c.nodes.get(on)
	switch {
	case n == nil:
		return nil, broken(RuleOrphan, 0, "no block %s", on)
	case n.invalid:
		return nil, broken(RuleInvalidAncestor, n.height+1, "block %s is invalid", on)
	}
	if err := c.params.checkDepth(n, c.tip()); err != nil {
		return nil, err
	}
	return &Branch{params: c.params, fork: n, tip: n}, nil
}

// Again returns an empty branch on the same block, which takes the headers that b
// took and no others: where the thousandth differs Add ends with [ErrOtherBranch].
func (b *Branch) Again() *Branch {
	return &Branch{params: b.params, fork: b.fork, tip: b.fork, must: b.marks}
}

// Add takes headers, each on the one before, at this time of the clock. The error is
// a [RuleError], or [ErrOtherBranch]; those before it were taken.
func (b *Branch) Add(headers []hashing.Header, now time.Time) error {
	hashes := make([]hashing.Hash, len(headers))
	hashing.HashHeaders(hashes, headers)
	latest := now.Add(b.params.MaxFuture()).Unix()
	for i := range headers {
		if err := b.params.checkNext(&headers[i], hashes[i], b.tip, latest); err != nil {
			return err
		}
		b.take(b.params.newNode(hashes[i], &headers[i], b.tip, 0))
		if b.count%branchMark != 0 {
			continue
		}
		at := len(b.marks)
		if b.marks = append(b.marks, hashes[i]); at < len(b.must) && b.must[at] != hashes[i] {
			return ErrOtherBranch
		}
	}
	return nil
}

// take makes n the tip and lets the oldest go.
func (b *Branch) take(n *node) {
	b.tip = n
	b.count++
	if b.kept = append(b.kept, n); len(b.kept) < 2*branchKept {
		return
	}
	old := b.kept[len(b.kept)-branchKept]
	old.parent = nil
	b.kept = append(make([]*node, 0, 2*branchKept), b.kept[len(b.kept)-branchKept:]...)
}

// On returns the block that the branch is on.
func (b *Branch) On() hashing.Hash { return b.fork.hash }

// Fork returns the height of the block that the branch is on.
func (b *Branch) Fork() uint32 { return b.fork.height }

// Tip returns the last header, or the block that the branch is on.
func (b *Branch) Tip() Tip { return b.tip.snapshot() }
