package store

import "github.com/cockroachdb/pebble/v2"

// A Batch collects changes that are made together or not at all. It belongs to
// one goroutine.
type Batch struct {
	store *Store
	batch *pebble.Batch
}

// NewBatch returns an empty batch.
func (s *Store) NewBatch() *Batch { return &Batch{store: s, batch: s.db.NewBatch()} }

// Set gives key a value, both of which are copied.
func (b *Batch) Set(space Space, key, value []byte) {
	must(b.batch.Set(space.key(key), value, nil))
}

// Delete takes a key out, if it is there.
func (b *Batch) Delete(space Space, key []byte) {
	must(b.batch.Delete(space.key(key), nil))
}

// must stops on an error that collecting changes in memory cannot give.
func must(err error) {
	if err != nil {
		panic("store: collecting a batch: " + err.Error())
	}
}

// Apply makes the changes, which everybody sees when it returns, and has them
// written to the disk behind its back, in the order of the calls: when one
// batch is synced, so is every batch before it. The batch is used up.
//
// An error means that nothing was changed, and that the store has failed.
func (b *Batch) Apply() (*Pending, error) {
	s := b.store
	s.order.Lock()
	defer s.order.Unlock()
	if s.closed {
		return nil, ErrClosed
	}
	if err := s.Writable(); err != nil {
		return nil, err
	}
	p := &Pending{failure: s.failure, done: make(chan struct{})}
	if b.batch.Empty() {
		close(p.done)
		return p, nil
	}
	applied := make(chan struct{})
	s.inFlight.Add(1)
	go p.write(s, b.batch, applied)
	select {
	case <-applied:
		return p, nil
	case <-s.failure.frozen: // the writer is parked
		return nil, s.Err()
	}
}

// Pending is a batch on its way to the disk.
type Pending struct {
	failure *failure
	done    chan struct{}
	err     error // of the sync; set before done is closed
}

// Wait returns nil when the batch, and every one before it, would survive a
// power loss. An error means that this is not known. It may be called by any
// number of goroutines, any number of times. A nil Pending is long synced.
func (p *Pending) Wait() error {
	if p == nil {
		return nil
	}
	select {
	case <-p.done:
		return p.err
	case <-p.failure.frozen:
	}
	select { // both may be ready: what is synced stays synced
	case <-p.done:
		return p.err
	default:
		return p.failure.cause()
	}
}

// write takes one batch through Pebble. It may be parked there.
func (p *Pending) write(s *Store, batch *pebble.Batch, applied chan<- struct{}) {
	defer s.inFlight.Done()
	if err := s.db.ApplyNoSyncWait(batch, pebble.Sync); err != nil {
		s.failure.freeze(&FailedError{Dir: s.dir, Op: "apply batch", Err: err})
		return
	}
	close(applied)
	if p.err = batch.SyncWait(); p.err != nil {
		p.err = &FailedError{Dir: s.dir, Op: "sync batch", Err: p.err}
		s.failure.freeze(p.err)
	}
	close(p.done)
	if p.err == nil {
		_ = batch.Close() // gives its memory back
	}
}
