package store

import (
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// Ascend calls visit for the keys that start with prefix, from the first that is
// not below from on, until visit returns false. See [Store.Iterate] for its
// arguments. A nil from is the start.
func (s *Snapshot) Ascend(space Space, prefix, from []byte, visit func(key, value []byte) bool) error {
	opts := &pebble.IterOptions{LowerBound: space.key(prefix), UpperBound: space.end(prefix)}
	if from != nil {
		opts.LowerBound = space.key(from)
	}
	return s.walk(space, prefix, opts, (*pebble.Iterator).First, (*pebble.Iterator).Next, visit)
}

// Descend is Ascend downwards, from the last key below from. A nil from is the end.
func (s *Snapshot) Descend(space Space, prefix, from []byte, visit func(key, value []byte) bool) error {
	opts := &pebble.IterOptions{LowerBound: space.key(prefix), UpperBound: space.end(prefix)}
	if from != nil {
		opts.UpperBound = space.key(from)
	}
	return s.walk(space, prefix, opts, (*pebble.Iterator).Last, (*pebble.Iterator).Prev, visit)
}

func (s *Snapshot) walk(space Space, prefix []byte, opts *pebble.IterOptions, first, next func(*pebble.Iterator) bool, visit func(key, value []byte) bool) (err error) {
	if s.store.failure.isFrozen() {
		return s.store.Err()
	}
	where := fmt.Sprintf("keys %c %x", space, prefix)
	it, err := s.snap.NewIter(opts)
	if err != nil {
		return s.store.readError(where, err)
	}
	defer func() {
		if closeErr := it.Close(); err == nil && closeErr != nil {
			err = s.store.readError(where, closeErr)
		}
	}()
	for ok := first(it); ok; ok = next(it) {
		if !visit(it.Key()[1:], it.Value()) {
			break
		}
	}
	return nil
}

// DeletePrefix takes out every key that starts with prefix, in the time of one.
func (b *Batch) DeletePrefix(space Space, prefix []byte) {
	must(b.batch.DeleteRange(space.key(prefix), space.end(prefix), nil))
}

// Size is how many bytes the batch has.
func (b *Batch) Size() int { return b.batch.Len() }
