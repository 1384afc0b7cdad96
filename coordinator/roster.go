package coordinator

import (
	"container/heap"
	"iter"
	"slices"
	"time"

	"github.com/jbcnet/jbc/coordinator/protocol"
)

const (
	// maxSlots is how many slots a roster can have: each has a column of its own
	// below 2^24.
	maxSlots = 1 << 24
	// silenceLimit is how long a slot may be silent before it is taken away; its
	// leases run out sooner.
	silenceLimit = 10 * time.Second
	// slotRest is how long a number is kept back after its slot was last heard:
	// longer than a worker starts unasked on what its coordinator broadcasts.
	slotRest = 15 * time.Second
)

// slot is a worker's standing place in an epoch.
type slot struct {
	number   uint32
	worker   protocol.Join
	secret   []byte
	heard    time.Time
	terms    protocol.Terms
	previous protocol.Terms // the terms before, whose shares may still be on their way
	meter    shareMeter
	shares   uint64
	blocks   uint64
	refused  uint64
}

// termsNumbered returns the terms with that number if a share may still name them.
func (s *slot) termsNumbered(n uint64) (protocol.Terms, bool) {
	switch n {
	case s.terms.Number:
		return s.terms, true
	case s.previous.Number:
		return s.previous, n != 0
	}
	return protocol.Terms{}, false
}

// roster knows who has which slot. It is not safe for concurrent use.
type roster struct {
	slots   map[uint32]*slot
	byName  map[string][]*slot // of each worker, the oldest first
	byOwner map[string][]*slot // of each owner, the oldest first
	owner   func(worker string) string
	resting restingNumbers // a heap
	next    uint32         // the lowest number never given
	limit   int            // of slots at once
}

type restingNumber struct {
	number uint32
	until  time.Time
}

// restingNumbers is a heap (container/heap), the one that rested enough first on top.
type restingNumbers []restingNumber

func (h restingNumbers) Len() int           { return len(h) }
func (h restingNumbers) Less(i, j int) bool { return h[i].until.Before(h[j].until) }
func (h restingNumbers) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push implements heap.Interface.
func (h *restingNumbers) Push(x any) { *h = append(*h, x.(restingNumber)) }

// Pop implements heap.Interface.
func (h *restingNumbers) Pop() any {
	last := len(*h) - 1
	x := (*h)[last]
	*h = (*h)[:last]
	return x
}

// newRoster makes a roster with room for so many slots at once. owner returns whom a
// worker belongs to; nil says to itself.
func newRoster(limit int, owner func(worker string) string) *roster {
	if owner == nil {
		owner = func(worker string) string { return worker }
	}
	return &roster{
		slots: map[uint32]*slot{}, byName: map[string][]*slot{}, byOwner: map[string][]*slot{},
		owner: owner, limit: min(limit, maxSlots),
	}
}

// Join gives a worker a slot, or returns [protocol.Full].
func (r *roster) Join(now time.Time, worker protocol.Join, secret []byte, terms protocol.Terms) (*slot, error) {
	if len(r.slots) >= r.limit {
		return nil, protocol.Full
	}
	number, ok := r.freeNumber(now)
	if !ok {
		return nil, protocol.Full
	}
	s := &slot{number: number, worker: worker, secret: secret, heard: now, terms: terms, meter: newShareMeter(now)}
	r.slots[number] = s
	owner := r.owner(worker.Name)
	r.byName[worker.Name] = append(r.byName[worker.Name], s)
	r.byOwner[owner] = append(r.byOwner[owner], s)
	return s, nil
}

func (r *roster) freeNumber(now time.Time) (uint32, bool) {
	if len(r.resting) > 0 && !r.resting[0].until.After(now) {
		return heap.Pop(&r.resting).(restingNumber).number, true
	}
	if r.next >= maxSlots {
		return 0, false
	}
	r.next++
	return r.next - 1, true
}

// Heard notes that a worker spoke for a slot. It returns [protocol.UnknownSlot]
// when the slot is not that worker's, and [protocol.BadMAC] when somebody else
// spoke in its name: neither counts as a word from it.
func (r *roster) Heard(now time.Time, number uint32, from sender) (*slot, error) {
	s := r.slots[number]
	if s == nil || s.worker.Name != from.worker {
		return nil, protocol.UnknownSlot
	}
	if !from.sealed(s.secret) {
		return nil, protocol.BadMAC
	}
	s.heard = now
	return s, nil
}

// Leave takes a slot away.
func (r *roster) Leave(number uint32) {
	if s := r.slots[number]; s != nil {
		delete(r.slots, number)
		without(r.byName, s.worker.Name, s)
		without(r.byOwner, r.owner(s.worker.Name), s)
		heap.Push(&r.resting, restingNumber{number, s.heard.Add(slotRest)})
	}
}

// without takes a slot off the list of that key.
func without(lists map[string][]*slot, key string, s *slot) {
	if own := slices.DeleteFunc(lists[key], func(o *slot) bool { return o == s }); len(own) > 0 {
		lists[key] = own
	} else {
		delete(lists, key)
	}
}

// Silent takes away the slots that were not heard for [silenceLimit] and returns
// them by number.
func (r *roster) Silent(now time.Time) []*slot {
	gone := r.sorted(func(s *slot) bool { return now.Sub(s.heard) >= silenceLimit })
	for _, s := range gone {
		r.Leave(s.number)
	}
	return gone
}

// Live returns the slots that were heard recently enough to be booked a home
// lease, by number.
func (r *roster) Live(now time.Time) []*slot {
	return r.sorted(func(s *slot) bool { return now.Sub(s.heard) < leaseTime })
}

// DeclaredHS returns the rate that all slots together declared.
func (r *roster) DeclaredHS() (rate float64) {
	for _, s := range r.slots {
		rate += s.worker.DeclaredHS
	}
	return rate
}

// Of returns a worker's slots, the oldest first.
func (r *roster) Of(worker string) []*slot { return slices.Clone(r.byName[worker]) }

// OwnedBy returns all slots of whom a worker belongs to, the oldest first.
func (r *roster) OwnedBy(worker string) []*slot { return slices.Clone(r.byOwner[r.owner(worker)]) }

// From goes through the slots by number, from the first that is not below number
// on. Numbers are given out from the lowest, so there are few gaps.
func (r *roster) From(number uint32) iter.Seq[*slot] {
	return func(yield func(*slot) bool) {
		for ; number < r.next; number++ {
			if s := r.slots[number]; s != nil && !yield(s) {
				return
			}
		}
	}
}

// sorted returns the slots that keep wants, by number.
func (r *roster) sorted(keep func(*slot) bool) []*slot {
	var kept []*slot
	for s := range r.From(0) {
		if keep(s) {
			kept = append(kept, s)
		}
	}
	return kept
}
