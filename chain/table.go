package chain

import (
	"hash/maphash"

	"github.com/jbcnet/jbc/hashing"
)

// nodeTable finds nodes by hash. It holds pointers only, for the nodes have
// their hashes: a Go map would hold those again, 32 bytes for each header.
// Places are drawn with a seed, so that nobody can mine headers that collide.
type nodeTable struct {
	seed  maphash.Seed
	slots []*node // a power of two, at most three quarters full
	count int
}

func newNodeTable() nodeTable {
	return nodeTable{seed: maphash.MakeSeed(), slots: make([]*node, 64)}
}

// at returns where the node of hash is, or would be put.
func (t *nodeTable) at(hash *hashing.Hash) int {
	mask := len(t.slots) - 1
	i := int(maphash.Bytes(t.seed, hash[:])) & mask
	for t.slots[i] != nil && t.slots[i].hash != *hash {
		i = (i + 1) & mask
	}
	return i
}

// get returns the node of hash, nil where there is none.
func (t *nodeTable) get(hash hashing.Hash) *node { return t.slots[t.at(&hash)] }

// put adds a node that is not there.
func (t *nodeTable) put(n *node) {
	if t.count++; 4*t.count > 3*len(t.slots) {
		old := t.slots
		t.slots = make([]*node, 2*len(old))
		for _, m := range old {
			if m != nil {
				t.slots[t.at(&m.hash)] = m
			}
		}
	}
	t.slots[t.at(&n.hash)] = n
}

// all calls visit for every node, in no order, until it returns false.
func (t *nodeTable) all(visit func(*node) bool) {
	for _, n := range t.slots {
		if n != nil && !visit(n) {
			return
		}
	}
}
