package chain

import (
	"container/list"
	"slices"
	"time"

	"github.com/jbcnet/jbc/hashing"
)

// What is held of blocks whose parent is not known. Each has cost its maker the
// work that its header shows, but on a young network that is little.
const (
	maxOrphans     = 512
	maxOrphanBytes = 32 << 20
	maxOrphanAge   = 20 * time.Minute
	// maxBodies is how many bodies are held for one hash. Anybody can change the
	// witnesses of a block under its hash, and only its place says which are right.
	maxBodies = 8
)

// orphans holds blocks until their parent comes. The oldest goes first when there
// are too many: a parent that comes later is no orphan, and is not kept out.
type orphans struct {
	byAge    *list.List // of *orphan, oldest first
	byHash   map[hashing.Hash][]*list.Element
	byParent map[hashing.Hash][]*list.Element // in the order they came
	bytes    int
}

type orphan struct {
	block *sane
	size  int
	since time.Time
}

func newOrphans() *orphans {
	return &orphans{
		byAge:    list.New(),
		byHash:   map[hashing.Hash][]*list.Element{},
		byParent: map[hashing.Hash][]*list.Element{},
	}
}

// add holds b, unless it is held already.
func (o *orphans) add(b *sane, now time.Time) {
	o.expire(now)
	held := o.byHash[b.hash]
	if len(held) == maxBodies {
		return
	}
	for _, e := range held {
		if sameBody(e.Value.(*orphan).block, b) {
			return
		}
	}
	e := o.byAge.PushBack(&orphan{block: b, size: b.Size(), since: now})
	o.byHash[b.hash] = append(held, e)
	prev := b.Header.Prev()
	o.byParent[prev] = append(o.byParent[prev], e)
	o.bytes += b.Size()
	for o.byAge.Len() > maxOrphans || o.bytes > maxOrphanBytes {
		o.remove(o.byAge.Front())
	}
}

// sameBody says whether two blocks with one hash have the same witnesses too.
func sameBody(a, b *sane) bool {
	for i, tx := range a.Transactions {
		if tx.WitnessHash() != b.Transactions[i].WitnessHash() {
			return false
		}
	}
	return true
}

// take returns the children of parent, first come first, and forgets them.
func (o *orphans) take(parent hashing.Hash) []*orphan {
	elements := slices.Clone(o.byParent[parent])
	children := make([]*orphan, len(elements))
	for i, e := range elements {
		children[i] = o.remove(e)
	}
	return children
}

// expire forgets what has waited too long.
func (o *orphans) expire(now time.Time) {
	for e := o.byAge.Front(); e != nil && now.Sub(e.Value.(*orphan).since) > maxOrphanAge; e = o.byAge.Front() {
		o.remove(e)
	}
}

func (o *orphans) remove(e *list.Element) *orphan {
	gone := o.byAge.Remove(e).(*orphan)
	without(o.byHash, gone.block.hash, e)
	without(o.byParent, gone.block.Header.Prev(), e)
	o.bytes -= gone.size
	return gone
}

// without takes e out of one of the lists of m.
func without(m map[hashing.Hash][]*list.Element, key hashing.Hash, e *list.Element) {
	left := slices.DeleteFunc(m[key], func(other *list.Element) bool { return other == e })
	if len(left) == 0 {
		delete(m, key)
		return
	}
	m[key] = left
}
