package script

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/btcsuite/btcd/txscript/v2"
	"github.com/btcsuite/btcd/wire/v2"

	"github.com/jbcnet/jbc/hashing"
)

// TestKinds checks that what the signer makes passes, input by input, and that it
// fails once spoiled, so that the tests below tell good from bad.
func TestKinds(t *testing.T) {
	for k := range kinds {
		tx, spent := newSigner(t, 1).spend(k, anyone, k)
		for i := range tx.TxIn {
			if err := Verify(tx, i, spent, allForks); err != nil {
				t.Errorf("kind %d, input %d: %v", k, i, err)
			}
		}
		spoil(tx, 2)
		if err := Verify(tx, 2, spent, allForks); err == nil {
			t.Errorf("kind %d, spoiled: no error", k)
		}
	}
}

// A handed is what is added to a batch.
type handed struct {
	tag   int
	tx    *wire.MsgTx
	spent []*wire.TxOut
}

// sequential is the answer of running one after another.
func sequential(all []handed) error {
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(a, b handed) int { return a.tag - b.tag })
	for _, h := range all {
		for i := range h.tx.TxIn {
			if err := Verify(h.tx, i, h.spent, allForks); err != nil {
				return &Error{h.tag, hashing.Hash(h.tx.TxHash()), i, err}
			}
		}
	}
	return nil
}

func sameAnswer(a, b error) bool {
	var x, y *Error
	if !errors.As(a, &x) || !errors.As(b, &y) {
		return a == nil && b == nil
	}
	return x.Tag == y.Tag && x.Tx == y.Tx && x.Input == y.Input && x.Err.Error() == y.Err.Error()
}

// randomBatch draws transactions, of which few, many or none are spoiled.
func randomBatch(s *signer) (all []handed) {
	bad := []float64{0, 0.01, 0.2}[s.rng.IntN(3)]
	for range s.rng.IntN(12) {
		tx, spent := s.spend(s.mix(1 + s.rng.IntN(9))...)
		for i := range tx.TxIn {
			if s.rng.Float64() < bad {
				spoil(tx, i)
			}
		}
		all = append(all, handed{s.rng.IntN(4), tx, spent})
	}
	return all
}

func TestBatchSaysWhatOneByOneSays(t *testing.T) {
	for _, o := range []Options{{Workers: 1}, {Workers: 2}, {Workers: 7}, {Workers: 3, CacheEntries: 50}} {
		t.Run(fmt.Sprintf("%+v", o), func(t *testing.T) {
			t.Parallel()
			s, c := newSigner(t, uint64(o.Workers)), New(o)
			b, failures := c.Batch(), 0
			for round := range 30 {
				all := randomBatch(s)
				want, inputs := sequential(all), 0
				for _, h := range all {
					b.Add(h.tag, h.tx, h.spent, allForks)
					inputs += len(h.tx.TxIn)
				}
				if b.Len() != inputs {
					t.Fatalf("round %d: %d inputs, want %d", round, b.Len(), inputs)
				}
				if got := b.Wait(); !sameAnswer(got, want) {
					t.Fatalf("round %d: %v, want %v", round, got, want)
				}
				if want != nil {
					failures++
				}
				checkIdle(t, b)
			}
			if failures < 5 || failures > 25 {
				t.Errorf("%d of 30 rounds failed: too few of one sort", failures)
			}
		})
	}
}

// checkIdle wants nothing left of what a batch was given.
func checkIdle(t *testing.T, b *Batch) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	held := slices.ContainsFunc(b.queue.jobs[:cap(b.queue.jobs)], func(j *job) bool { return j != nil })
	if b.Len() != 0 || b.queue.inputs != 0 || b.running != 0 || b.first.Load() != nil || held {
		t.Errorf("after it ended: %d inputs, %d queued, %d workers, failure %v, transactions held %t",
			b.Len(), b.queue.inputs, b.running, b.first.Load(), held)
	}
}

// TestLowestAnswer gives the failure of the highest tag first, and waits until it
// is known.
func TestLowestAnswer(t *testing.T) {
	s := newSigner(t, 5)
	b := New(Options{Workers: 2}).Batch()
	var want hashing.Hash
	for tag := 3; tag >= 1; tag-- {
		tx, spent := s.spend(slices.Repeat([]kind{anyone}, 8)...)
		spoil(tx, 7)
		spoil(tx, 5)
		want = hashing.Hash(tx.TxHash())
		b.Add(tag, tx, spent, allForks)
		if f := lowest(b, tag); f == nil {
			t.Fatalf("tag %d: nothing ran before Wait", tag)
		}
	}
	later, spent := s.spend(anyone) // the same tag, but later, and a lower input
	spoil(later, 0)
	b.Add(1, later, spent, allForks)
	var failed *Error
	if err := b.Wait(); !errors.As(err, &failed) || failed.Tag != 1 || failed.Input != 5 || failed.Tx != want {
		t.Fatalf("%v of tag %d, want input 5 of %s of tag 1", failed, failed.Tag, want)
	}
	if !txscript.IsErrorCode(failed.Unwrap(), txscript.ErrEarlyReturn) {
		t.Errorf("%v, want what the script said", failed.Err)
	}
	wantText := fmt.Sprintf("input 5 of transaction %s: script returned early", want)
	if failed.Error() != wantText {
		t.Errorf("%q, want %q", failed, wantText)
	}
}

// lowest polls until a failure of this tag is known.
func lowest(b *Batch, tag int) *failure {
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); runtime.Gosched() {
		if f := b.first.Load(); f != nil && f.job.tag == tag {
			return f
		}
	}
	return nil
}

// TestSettledIsNotQueued hands over more after a failure of a lower tag is known.
func TestSettledIsNotQueued(t *testing.T) {
	s := newSigner(t, 6)
	b := New(Options{Workers: 1}).Batch()
	tx, spent := s.spend(slices.Repeat([]kind{anyone}, 8)...)
	spoil(tx, 0)
	b.Add(1, tx, spent, allForks)
	if lowest(b, 1) == nil {
		t.Fatal("nothing ran before Wait")
	}
	b.mu.Lock()
	b.queue.push(&job{Spend: Spend{tx: tx, spent: spent}, tag: 2})
	if j, _, _ := b.queue.take(1, b.settled); j != nil && j.tag == 2 {
		t.Error("a later tag was taken from the queue")
	}
	b.mu.Unlock()
	b.Add(2, tx, spent, allForks)
	if b.queue.inputs != 0 || b.Len() != 16 {
		t.Errorf("%d inputs queued of %d, want none of 16", b.queue.inputs, b.Len())
	}
	if err := b.Wait(); err == nil {
		t.Error("no error")
	}
}

func TestDrop(t *testing.T) {
	s := newSigner(t, 7)
	bad, badSpent := s.spend(slices.Repeat([]kind{payToWitnessKeyHash}, 30)...)
	spoil(bad, 29)
	good, goodSpent := s.spend(payToPubKeyHash)
	b := New(Options{Workers: 2}).Batch()
	b.Drop()
	few, fewSpent := s.spend(anyone) // too few for a worker
	spoil(few, 0)
	b.Add(0, few, fewSpent, allForks)
	b.Drop()
	checkIdle(t, b)
	for range 20 {
		for tag := range 5 {
			b.Add(tag, bad, badSpent, allForks)
		}
		b.Drop()
		checkIdle(t, b)
		b.Add(1, good, goodSpent, allForks)
		if err := b.Wait(); err != nil {
			t.Fatalf("after Drop: %v", err)
		}
		b.Drop()
		checkIdle(t, b)
	}
	if n := b.checker.running.Load(); n != 0 {
		t.Errorf("%d workers counted, want none", n)
	}
}

// TestManyBatches shares one checker with few workers: nobody waits for others.
func TestManyBatches(t *testing.T) {
	c := New(Options{Workers: 2, CacheEntries: 20})
	var all sync.WaitGroup
	for seed := range uint64(8) {
		all.Go(func() {
			s := newSigner(t, 100+seed)
			b := c.Batch()
			for round := range 6 {
				batch := randomBatch(s)
				want := sequential(batch)
				for _, h := range batch {
					b.Add(h.tag, h.tx, h.spent, allForks)
				}
				if s.rng.IntN(4) == 0 {
					b.Drop()
					continue
				}
				if got := b.Wait(); !sameAnswer(got, want) {
					t.Errorf("batch %d, round %d: %v, want %v", seed, round, got, want)
				}
			}
		})
	}
	all.Wait()
	if n := c.running.Load(); n != 0 {
		t.Errorf("%d workers counted, want none", n)
	}
}

// TestBefore holds the order of answers: tag, then transaction, then input.
func TestBefore(t *testing.T) {
	type place struct{ tag, order, input int }
	jobs := map[[2]int]*job{}
	at := func(p place) (*job, int) {
		key := [2]int{p.tag, p.order}
		if jobs[key] == nil {
			jobs[key] = &job{tag: p.tag, order: p.order}
		}
		return jobs[key], p.input
	}
	inOrder := []place{{1, 5, 9}, {2, 3, 8}, {2, 4, 0}, {2, 4, 1}, {3, 0, 0}}
	for i, p := range inOrder {
		for k, q := range inOrder {
			j, input := at(p)
			if got := (&failure{job: j, input: input}).before(at(q)); got != (i < k) {
				t.Errorf("%v before %v: %t", p, q, got)
			}
		}
	}
}

func TestAddWantsAllOutputs(t *testing.T) {
	tx, spent := newSigner(t, 10).spend(anyone, anyone)
	defer func() {
		if got := recover(); got != "script: 1 spent outputs for 2 inputs" {
			t.Errorf("panic %v", got)
		}
	}()
	New(Options{}).Batch().Add(0, tx, spent[:1], allForks)
}
