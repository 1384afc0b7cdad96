package worker

import (
	"cmp"
	"hash/fnv"

	"github.com/jbcnet/jbc/coordinator/protocol"
)

// trust says whom a worker may work for besides the coordinator that it prefers.
type trust struct {
	// open says that no key was given to the worker: then it takes any coordinator of
	// the network, by the key that it met it with first.
	open bool
	// vouched has the keys of the nodes that a trusted coordinator named last, and met
	// those of the coordinators that the worker worked for, by their names.
	vouched, met map[string]string
}

// allows says whether the worker may work for f: never for another key than the one
// that it knows the name by.
func (t *trust) allows(preferred, f protocol.Found) bool {
	if f.Network != preferred.Network {
		return false
	}
	if f.Name == preferred.Name {
		return f.Key == preferred.Key
	}
	key, known := t.vouched[f.Name]
	if met, ok := t.met[f.Name]; t.open && ok {
		key, known = met, true
	}
	return known && f.Key == key || !known && t.open
}

// vouch replaces what was vouched for.
func (t *trust) vouch(nodes []protocol.Node) {
	t.vouched = map[string]string{}
	for _, n := range nodes {
		t.vouched[n.Name] = n.Key
	}
}

// meet remembers the key of one that the worker works for.
func (t *trust) meet(f protocol.Found) {
	if t.met == nil {
		t.met = map[string]string{}
	}
	t.met[f.Name] = f.Key
}

// better orders coordinators for a worker, the best first: by the work of their
// chains, then the fewest workers, then in an order of the worker's own, so that a
// fleet spreads.
func better(worker string) func(a, b protocol.Found) int {
	return func(a, b protocol.Found) int {
		return cmp.Or(
			cmp.Compare(b.Work, a.Work), // as many digits each, or none
			cmp.Compare(a.Workers, b.Workers),
			cmp.Compare(lot(worker, a.Name), lot(worker, b.Name)),
			cmp.Compare(a.Name, b.Name),
			cmp.Compare(a.Key, b.Key),
		)
	}
}

// lot is what a worker draws for a coordinator, the same each time.
func lot(worker, coordinator string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(worker + "\n" + coordinator)) // never fails
	x := h.Sum64()
	// FNV hardly mixes what came last: the finalizer of MurmurHash3 does.
	x = (x ^ x>>33) * 0xff51afd7ed558ccd
	x = (x ^ x>>33) * 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}
