package chain

import (
	"container/list"
	"time"

	"github.com/jbcnet/jbc/hashing"
)

// What is held of blocks whose parent is not known. Each has cost its maker the
// work that its header shows, but on a young network that is little.
const (
	maxOrphans     = 512
	maxOrphanBytes = 32 << 20
	maxOrphanAge   = 20 * time.Minute
)

// orphans holds blocks until their parent comes. The oldest goes first when there
// are too many: a parent that comes later is no orphan, and is not kept out.
type orphans struct {
	byAge    *list.List // of *orphan, oldest first
	byHash   map[hashing.Hash]*list.Element
	byParent map[hashing.Hash][]*list.Element // in the order they came
	bytes    int
}

// orphan is a block that waits, as bytes: decoded it can take many times as much.
type orphan struct {
	hash, parent hashing.Hash
	raw          []byte
	since        time.Time
}

func newOrphans() *orphans {
	return &orphans{
		byAge:    list.New(),
		byHash:   map[hashing.Hash]*list.Element{},
		byParent: map[hashing.Hash][]*list.Element{},
	}
}

// add holds b, unless it is held already.
func (o *orphans) add(b *sane, now time.Time) {
	o.expire(now)
	if _, held := o.byHash[b.hash]; held {
		return
	}
	held := &orphan{hash: b.hash, parent: b.Header.Prev(), raw: b.Encode(), since: now}
	e := o.byAge.PushBack(held)
	o.byHash[held.hash] = e
	o.byParent[held.parent] = append(o.byParent[held.parent], e)
	o.bytes += len(held.raw)
	for o.byAge.Len() > maxOrphans || o.bytes > maxOrphanBytes {
		o.remove(o.byAge.Front())
	}
}

// take returns the children of parent, first come first, and forgets them.
func (o *orphans) take(parent hashing.Hash) []*orphan {
	elements := o.byParent[parent]
	children := make([]*orphan, len(elements))
	for i, e := range elements {
		children[i] = e.Value.(*orphan)
	}
	for _, child := range children {
		o.remove(o.byHash[child.hash])
	}
	return children
}

// expire forgets what has waited too long.
func (o *orphans) expire(now time.Time) {
	for e := o.byAge.Front(); e != nil && now.Sub(e.Value.(*orphan).since) > maxOrphanAge; e = o.byAge.Front() {
		o.remove(e)
	}
}

func (o *orphans) remove(e *list.Element) {
	gone := o.byAge.Remove(e).(*orphan)
	delete(o.byHash, gone.hash)
	o.bytes -= len(gone.raw)
	prev := gone.parent
	siblings := o.byParent[prev]
	for i, sibling := range siblings {
		if sibling == e {
			siblings = append(siblings[:i:i], siblings[i+1:]...)
			break
		}
	}
	if len(siblings) == 0 {
		delete(o.byParent, prev)
		return
	}
	o.byParent[prev] = siblings
}
