package script

import (
	"math/rand/v2"
	"testing"

	"github.com/btcsuite/btcd/wire/v2"
)

// TestQueue compares the queue with a list, whatever it is asked in whatever order.
func TestQueue(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	type place struct {
		j     *job
		input int
	}
	var q queue
	var want []place
	for range 5_000 {
		if rng.IntN(3) == 0 && q.inputs < 200 {
			n := rng.IntN(40)
			j := &job{Spend: Spend{tx: &wire.MsgTx{TxIn: make([]*wire.TxIn, n)}}}
			q.push(j)
			for i := range n {
				want = append(want, place{j, i})
			}
			continue
		}
		j, first, end := q.take(1+rng.IntN(4), func(*job, int) bool { return false })
		if j == nil && len(want) != 0 {
			t.Fatalf("nothing, want %d inputs", len(want))
		}
		for i := first; i < end; i++ {
			if want[0] != (place{j, i}) {
				t.Fatalf("input %d of %p, want %v", i, j, want[0])
			}
			want = want[1:]
		}
		for i, held := range q.jobs[:cap(q.jobs)] {
			if held != nil && (i < q.head || i >= len(q.jobs)) {
				t.Fatalf("a transaction is held at %d, outside of %d to %d", i, q.head, len(q.jobs))
			}
		}
		if q.inputs != len(want) || end-first > 16 {
			t.Fatalf("%d inputs left after taking %d, want %d", q.inputs, end-first, len(want))
		}
	}
}
