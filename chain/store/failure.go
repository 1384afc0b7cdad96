package store

import "sync"

// failure is the one-way switch that ends a store. It has two steps: a store
// that is failed writes nothing new, but what it applied still reaches the disk;
// one that is frozen met a fault below Pebble, and nothing more of Pebble runs.
type failure struct {
	mu     sync.Mutex
	err    error
	failed chan struct{}
	frozen chan struct{}
	ice    bool // frozen is closed
}

func newFailure() *failure {
	return &failure{failed: make(chan struct{}), frozen: make(chan struct{})}
}

// fail ends the store; the first error stays.
func (f *failure) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		f.err = err
		close(f.failed)
	}
}

// freeze ends the store for a fault below Pebble.
func (f *failure) freeze(err error) {
	f.fail(err)
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.ice {
		f.ice = true
		close(f.frozen)
	}
}

// cause returns why the store ended, or nil.
func (f *failure) cause() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

func (f *failure) isFrozen() bool {
	select {
	case <-f.frozen:
		return true
	default:
		return false
	}
}

// park blocks for ever. It is where a goroutine of Pebble ends that met a fault:
// returning the fault would have Pebble end the process, or panic with its locks
// held.
func park() { select {} }
