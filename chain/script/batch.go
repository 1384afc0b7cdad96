package script

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/btcsuite/btcd/wire/v2"
	"github.com/jbcnet/jbc/hashing"
)

// startAt is how many inputs must lie in the queue before a worker is started for
// them ahead of [Batch.Wait]. Fewer are checked by its caller in less time than it
// takes to wake and join somebody.
const startAt = 4

// A Batch is transactions whose scripts are being run. All methods belong to one
// goroutine; workers exist only while there is something in the queue, so a batch
// that is forgotten leaves nothing behind.
type Batch struct {
	checker *Checker
	added   int // transactions handed over
	pending int // their inputs

	dropped atomic.Bool
	first   atomic.Pointer[failure] // the lowest so far

	mu      sync.Mutex
	idle    sync.Cond // running became 0
	queue   queue
	running int // workers of this batch, its owner aside
}

// A failure is an input whose scripts failed.
type failure struct {
	job   *job
	input int
	err   error
}

// Add hands over a transaction whose inputs spend these outputs, in the order of
// its inputs. tag orders failures. The transaction and the outputs must not be
// changed until [Batch.Wait] or [Batch.Drop]. A coinbase spends nothing and has no
// place here. It panics where the numbers of inputs and outputs differ.
func (b *Batch) Add(tag int, tx *wire.MsgTx, spent []*wire.TxOut, flags Flags) {
	if len(spent) != len(tx.TxIn) {
		panic(fmt.Sprintf("script: %d spent outputs for %d inputs", len(spent), len(tx.TxIn)))
	}
	j := &job{Spend: Spend{tx: tx, spent: spent}, tag: tag, order: b.added, flags: flags}
	b.added++
	b.pending += len(tx.TxIn)
	if b.settled(j, 0) {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.queue.push(j)
	b.startMore()
}

// Len returns how many inputs were handed over since the last Wait or Drop.
func (b *Batch) Len() int { return b.pending }

// Wait blocks until every script was run and returns nil or the [*Error] of the
// lowest tag, of its transactions the one added first, and of its inputs the lowest.
// Scripts that come after it need not have been run. The batch can be used again.
func (b *Batch) Wait() error {
	b.mu.Lock() // no defer, as in worker
	counted := b.checker.acquire()
	for b.running < b.queue.inputs-1 && b.start() {
	}
	if counted || b.running == 0 {
		b.work()
	}
	if counted {
		b.checker.release()
	}
	b.join()
	failed := b.first.Load()
	b.reset()
	b.mu.Unlock()

	if failed == nil {
		return nil
	}
	return &Error{failed.job.tag, hashing.Hash(failed.job.tx.TxHash()), failed.input, failed.err}
}

// Drop ends the batch without an answer, leaves what has not begun and blocks until
// what has is through. The batch can be used again.
func (b *Batch) Drop() {
	b.dropped.Store(true)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.queue = queue{}
	b.join()
	b.reset()
	b.dropped.Store(false)
}

// join waits for the workers. The caller holds b.mu.
func (b *Batch) join() {
	for b.running > 0 {
		b.idle.Wait()
	}
}

// reset empties the batch. The caller holds b.mu and has joined.
func (b *Batch) reset() {
	b.added, b.pending = 0, 0
	b.first.Store(nil)
}

// startMore starts a worker where enough waits for one. Every worker asks as well,
// so that a large queue has all of them soon. The caller holds b.mu.
func (b *Batch) startMore() {
	if b.queue.inputs >= startAt {
		b.start()
	}
}

// start starts a worker, if there is a place for one. The caller holds b.mu.
func (b *Batch) start() bool {
	if !b.checker.acquire() {
		return false
	}
	b.running++
	go b.worker()
	return true
}

// worker runs what is in the queue until it is empty. It is counted as running until
// then, to the moment, so what is queued while somebody runs will be run.
func (b *Batch) worker() {
	b.mu.Lock() // no defer: a panic in a script would meet the lock open
	b.work()
	b.checker.release()
	if b.running--; b.running == 0 {
		b.idle.Broadcast()
	}
	b.mu.Unlock()
}

// work runs what is in the queue until it is empty. The caller holds b.mu, and holds
// it again afterwards: no lock is given back between seeing nothing and returning.
func (b *Batch) work() {
	w := &workspace{cache: b.checker.signatures()}
	for {
		j, first, end := b.queue.take(int(b.checker.limit), b.settled)
		if j == nil {
			return
		}
		b.startMore()
		b.mu.Unlock()
		b.run(j, first, end, w)
		b.mu.Lock()
	}
}

// run runs inputs [first, end) of one transaction.
func (b *Batch) run(j *job, first, end int, w *workspace) {
	for i := first; i < end && !b.dropped.Load() && !b.settled(j, i); i++ {
		if err := j.check(i, w); err != nil {
			b.fail(&failure{j, i, err})
		}
	}
}

// settled says that the answer no longer depends on this input and those after it.
func (b *Batch) settled(j *job, input int) bool {
	f := b.first.Load()
	return f != nil && f.before(j, input)
}

func (b *Batch) fail(f *failure) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if now := b.first.Load(); now == nil || f.before(now.job, now.input) {
		b.first.Store(f)
	}
}

// before says that the failure comes before an input in the order of answers.
func (f *failure) before(j *job, input int) bool {
	switch {
	case f.job.tag != j.tag:
		return f.job.tag < j.tag
	case f.job != j:
		return f.job.order < j.order
	}
	return f.input < input
}
