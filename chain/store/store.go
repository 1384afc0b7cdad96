package store

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// A Space is a set of keys with one owner. Keys of different spaces never meet.
type Space byte

// The spaces of a node's directory.
const (
	Chain       Space = 'c' // blocks and their index: package chain
	Coordinator Space = 'k' // the coordinator's own records
	meta        Space = 'm' // network and format
)

// key returns the key as Pebble has it.
func (s Space) key(k []byte) []byte { return append([]byte{byte(s)}, k...) }

// end returns the first key after all that start with prefix.
func (s Space) end(prefix []byte) []byte {
	end := s.key(prefix)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i]++; end[i] != 0 {
			return end[:i+1]
		}
	}
	return nil // prefixes of 0xff bytes only, which no space is
}

// Options say what to open.
type Options struct {
	// Dir is the directory, made where it is missing.
	Dir string
	// Network is the id of the network whose records the directory holds.
	Network string
	// FS is the file system, the machine's where nil.
	FS vfs.FS
	// Reserve is how many bytes of the disk must stay free, DefaultReserve where
	// zero. Below it the store fails with a SpaceError.
	Reserve uint64
	// Logger hears what Pebble says. Nil is silence.
	Logger *slog.Logger
}

// DefaultReserve is enough for Pebble to close and to open again: twice its
// memory table, for what it writes on opening.
const DefaultReserve = 2 * memTableSize

// memTableSize is how much Pebble keeps in memory before it writes a table.
const memTableSize = 16 << 20

// Store is one open directory. It is safe for concurrent use.
type Store struct {
	dir     string
	fs      vfs.FS
	reserve uint64
	db      *pebble.DB
	lock    *pebble.Lock
	guard   *guardFS
	failure *failure

	order    sync.Mutex     // one batch is applied at a time
	closed   bool           // guarded by order
	inFlight sync.WaitGroup // batches that are not synced yet
}

// Dir returns the directory.
func (s *Store) Dir() string { return s.dir }

// Failed is closed when the store has failed: nothing more can be written, and
// the process should end. [Store.Err] says why.
func (s *Store) Failed() <-chan struct{} { return s.failure.failed }

// Err returns why the store failed, nil as long as it has not: a [SpaceError], a
// [FailedError] or a [DamageError].
func (s *Store) Err() error { return s.failure.cause() }

// Writable returns nil when a batch may be applied. Otherwise the store has
// failed, now or before.
func (s *Store) Writable() error {
	if err := s.Err(); err != nil {
		return err
	}
	if err := s.checkSpace(); err != nil {
		s.failure.fail(err)
		return err
	}
	return nil
}

// checkSpace asks the file system for its free space. One that can't tell is
// taken to have enough.
func (s *Store) checkSpace() error {
	usage, err := s.fs.GetDiskUsage(s.dir)
	if err == nil && usage.AvailBytes < s.reserve {
		return &SpaceError{Dir: s.dir, Free: usage.AvailBytes, Reserve: s.reserve}
	}
	return nil
}

// Get returns a copy of the value of key, or [ErrNotFound].
func (s *Store) Get(space Space, key []byte) ([]byte, error) {
	if s.failure.isFrozen() {
		return nil, s.Err()
	}
	value, closer, err := s.db.Get(space.key(key))
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, s.readError(fmt.Sprintf("key %c %x", space, key), err)
	}
	defer closer.Close()
	return slices.Clone(value), nil
}

// Iterate calls visit for every key that starts with prefix, in order, as they
// are when it is called. key is without its space; key and value are only valid
// during the call. An error of visit ends the iteration and is returned.
func (s *Store) Iterate(space Space, prefix []byte, visit func(key, value []byte) error) error {
	return s.iterate(s.db, space, prefix, visit)
}

func (s *Store) iterate(r pebble.Reader, space Space, prefix []byte, visit func(key, value []byte) error) (err error) {
	if s.failure.isFrozen() {
		return s.Err()
	}
	where := fmt.Sprintf("keys %c %x", space, prefix)
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: space.key(prefix), UpperBound: space.end(prefix)})
	if err != nil {
		return s.readError(where, err)
	}
	defer func() {
		if closeErr := it.Close(); err == nil && closeErr != nil {
			err = s.readError(where, closeErr)
		}
	}()
	for it.First(); it.Valid(); it.Next() {
		if err := visit(it.Key()[1:], it.Value()); err != nil {
			return err
		}
	}
	return nil
}

// readError turns an error of reading into damage where it is.
func (s *Store) readError(where string, err error) error {
	if pebble.IsCorruptionError(err) {
		return &DamageError{Dir: s.dir, Where: where, What: "unreadable", Err: err}
	}
	return fmt.Errorf("%s: reading %s: %w", s.dir, where, err)
}

// Close waits for the batches in flight and closes the directory. After a fault
// it closes nothing but the lock, and returns the fault. Close must be called
// once, when no other call runs.
func (s *Store) Close() error {
	s.order.Lock()
	if s.closed {
		s.order.Unlock()
		return ErrClosed
	}
	s.closed = true
	s.order.Unlock()

	closed := make(chan error, 1)
	go func() {
		s.inFlight.Wait()
		closed <- s.db.Close()
	}()
	select {
	case err := <-closed:
		return errors.Join(err, s.lock.Close())
	case <-s.failure.frozen:
		s.lock.Close() // once for Pebble, which will not,
		s.lock.Close() // and once for us
		return s.Err()
	}
}
