package script

import (
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcec/v2/ecdsa"
	"github.com/btcsuite/btcd/wire/v2"
)

// BenchmarkBatch checks 5,000 inputs of 100 transactions, all P2WPKH, on all cores:
// as scripts, and then only their signatures, by goroutines that share nothing but
// a counter, which is what signature checking allows. The two take turns, so that
// what else the machine does falls on both.
func BenchmarkBatch(b *testing.B) {
	const transactions, inputs = 100, 50
	s := newSigner(b, 60)
	var txs []*wire.MsgTx
	var outs [][]*wire.TxOut
	for range transactions {
		tx, spent := s.spend(slices.Repeat([]kind{payToWitnessKeyHash}, inputs)...)
		txs, outs = append(txs, tx), append(outs, spent)
	}
	checks := rawSignatures(b, txs, outs)
	batch := New(Options{}).Batch()
	var scripts, signatures time.Duration
	for b.Loop() {
		// A tenth at a time is a turn.
		for part := range 10 {
			start := time.Now()
			for i := part * transactions / 10; i < (part+1)*transactions/10; i++ {
				batch.Add(i, txs[i], outs[i], allForks)
			}
			if err := batch.Wait(); err != nil {
				b.Fatal(err)
			}
			middle := time.Now()
			turn := checks[part*len(checks)/10 : (part+1)*len(checks)/10]
			if bad := onAllCores(len(turn), func(i int) bool { return turn[i].valid() }); bad != 0 {
				b.Fatalf("%d bad signatures", bad)
			}
			scripts += middle.Sub(start)
			signatures += time.Since(middle)
		}
	}
	total := float64(transactions * inputs * b.N)
	b.ReportMetric(total/scripts.Seconds(), "inputs/s")
	b.ReportMetric(total/signatures.Seconds(), "signatures/s")
	b.ReportMetric(100*signatures.Seconds()/scripts.Seconds(), "%ofsignatures")
	b.ReportMetric(0, "ns/op") // both together: says nothing
}

// BenchmarkSmallBatch checks blocks of very few inputs.
func BenchmarkSmallBatch(b *testing.B) {
	for _, inputs := range []int{1, 2, 3, 8} {
		b.Run(fmt.Sprintf("inputs=%d", inputs), func(b *testing.B) {
			tx, spent := newSigner(b, 61).spend(slices.Repeat([]kind{payToPubKeyHash}, inputs)...)
			c := New(Options{})
			for b.Loop() {
				batch := c.Batch()
				batch.Add(0, tx, spent, allForks)
				if err := batch.Wait(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// A rawSignature is all that checking a signature takes: bytes.
type rawSignature struct{ hash, signature, key []byte }

func (r *rawSignature) valid() bool {
	key, err := btcec.ParsePubKey(r.key)
	if err != nil {
		return false
	}
	signature, err := ecdsa.ParseDERSignature(r.signature)
	return err == nil && signature.Verify(r.hash, key)
}

func rawSignatures(b *testing.B, txs []*wire.MsgTx, outs [][]*wire.TxOut) (checks []rawSignature) {
	for n, tx := range txs {
		s, err := NewSpend(tx, outs[n])
		if err != nil {
			b.Fatal(err)
		}
		for i, in := range tx.TxIn {
			sum, err := s.WitnessSighash(i, outs[n][i].PkScript, SighashAll)
			if err != nil {
				b.Fatal(err)
			}
			signature := in.Witness[0][:len(in.Witness[0])-1]
			checks = append(checks, rawSignature{slices.Clone(sum[:]), signature, in.Witness[1]})
		}
	}
	return checks
}

// onAllCores returns how many of n checks fail.
func onAllCores(n int, valid func(i int) bool) (bad int64) {
	var next, failed atomic.Int64
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				if !valid(i) {
					failed.Add(1)
				}
			}
		})
	}
	workers.Wait()
	return failed.Load()
}
