package store

import (
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// Snapshot is the store as it was at one moment. It must be closed. It is safe for
// concurrent use.
type Snapshot struct {
	store *Store
	snap  *pebble.Snapshot
}

// Snapshot keeps what the store holds now. The error is why the store failed.
func (s *Store) Snapshot() (*Snapshot, error) {
	if s.failure.isFrozen() {
		return nil, s.Err()
	}
	return &Snapshot{store: s, snap: s.db.NewSnapshot()}, nil
}

// Iterate is [Store.Iterate] on the snapshot.
func (s *Snapshot) Iterate(space Space, prefix []byte, visit func(key, value []byte) error) error {
	return s.store.iterate(s.snap, space, prefix, visit)
}

// Close lets go of the snapshot.
func (s *Snapshot) Close() error {
	if err := s.snap.Close(); err != nil {
		return fmt.Errorf("%s: closing a snapshot: %w", s.store.dir, err)
	}
	return nil
}
