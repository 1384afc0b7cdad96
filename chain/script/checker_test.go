package script

import (
	"runtime"
	"slices"
	"testing"
	"time"
)

// TestForgotten leaves a batch without Wait and Drop: its workers end by themselves.
func TestForgotten(t *testing.T) {
	c := New(Options{Workers: 2})
	tx, spent := newSigner(t, 8).spend(slices.Repeat([]kind{payToWitnessKeyHash}, 40)...)
	c.Batch().Add(1, tx, spent, allForks)
	if c.running.Load() == 0 {
		t.Fatal("no worker for 40 inputs")
	}
	for end := time.Now().Add(20 * time.Second); c.running.Load() != 0; runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatalf("%d workers still run", c.running.Load())
		}
	}
}

func TestWorkersAreBounded(t *testing.T) {
	c := New(Options{Workers: 2})
	for i, want := range []bool{true, true, false, false} {
		if got := c.acquire(); got != want {
			t.Fatalf("place %d: %t, want %t", i, got, want)
		}
	}
	c.release()
	if !c.acquire() {
		t.Fatal("a place that was given back is not free")
	}
	// All places taken by others: the caller does it alone.
	tx, spent := newSigner(t, 9).spend(slices.Repeat([]kind{anyone}, 20)...)
	b := c.Batch()
	b.Add(0, tx, spent, allForks)
	if b.running != 0 {
		t.Errorf("%d workers beyond the bound", b.running)
	}
	spoil(tx, 19)
	if err := b.Wait(); err == nil {
		t.Error("no error: the last input was not run")
	}
	if got := New(Options{}).limit; got != int64(runtime.GOMAXPROCS(0)) {
		t.Errorf("%d workers by default, want %d", got, runtime.GOMAXPROCS(0))
	}
}
