package main

import (
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcec/v2/ecdsa"
)

// signature is one as a block has it, with what it signs.
type signature struct{ digest, der, key []byte }

// limit is how long all signatures of a block take on all cores: the least that
// connecting it can take with this library.
type limit struct {
	whole time.Duration // from the bytes in the block
	bare  time.Duration // with keys and signatures parsed beforehand
}

// verify checks every signature twice, with what each signs computed beforehand.
func (s *signedBlock) verify() (l limit, err error) {
	type parsed struct {
		signature *ecdsa.Signature
		key       *btcec.PublicKey
	}
	all := make([]parsed, len(s.signatures))
	var bad atomic.Int64
	l.whole = onAllCores(len(all), func(i int) {
		key, keyErr := btcec.ParsePubKey(s.signatures[i].key)
		sig, sigErr := ecdsa.ParseDERSignature(s.signatures[i].der)
		if keyErr != nil || sigErr != nil || !sig.Verify(s.signatures[i].digest, key) {
			bad.Add(1)
			return
		}
		all[i] = parsed{sig, key}
	})
	if bad.Load() != 0 {
		return l, errors.New("a signature that was made is not good")
	}
	l.bare = onAllCores(len(all), func(i int) {
		if !all[i].signature.Verify(s.signatures[i].digest, all[i].key) {
			bad.Add(1)
		}
	})
	if bad.Load() != 0 {
		return l, errors.New("a signature that was good is not any more")
	}
	return l, nil
}

// onAllCores calls do for 0 to n-1 and returns how long all of them took.
func onAllCores(n int, do func(i int)) time.Duration {
	start := time.Now()
	var next atomic.Int64
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				do(int(i))
			}
		})
	}
	workers.Wait()
	return time.Since(start)
}
