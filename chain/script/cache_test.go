package script

import (
	"bytes"
	"reflect"
	"runtime"
	"testing"

	"github.com/btcsuite/btcd/txscript/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

func wait(t *testing.T, c *Checker, tx *wire.MsgTx, spent []*wire.TxOut) error {
	t.Helper()
	b := c.Batch()
	b.Add(0, tx, spent, allForks)
	return b.Wait()
}

// TestRemembered shows that a signature in the cache is not checked again, by
// putting a wrong one there.
func TestRemembered(t *testing.T) {
	s := newSigner(t, 20)
	tx, spent := s.spend(anyone, payToWitnessKeyHash)
	spoil(tx, 1)
	sum, err := (&Spend{tx: tx, spent: spent}).WitnessSighash(1, spent[1].PkScript, SighashAll)
	if err != nil {
		t.Fatal(err)
	}
	signature := tx.TxIn[1].Witness[0]
	c := New(Options{CacheEntries: 10})
	if err := wait(t, c, tx, spent); err == nil {
		t.Fatal("a wrong signature passes")
	}
	if c.cache.Exists(sum, signature[:len(signature)-1], s.pub) {
		t.Fatal("a wrong signature was remembered")
	}
	c.cache.Add(sum, signature[:len(signature)-1], s.pub)
	if err := wait(t, c, tx, spent); err != nil {
		t.Errorf("the cache was not asked: %v", err)
	}
	if err := Verify(tx, 1, spent, allForks); err == nil {
		t.Error("Verify asked a cache")
	}
	if err := wait(t, New(Options{}), tx, spent); err == nil {
		t.Error("a checker without a cache asked one")
	}
}

// TestCacheHoldsItsOwnMemory overwrites a transaction after it was judged: what is
// remembered of it lies elsewhere.
func TestCacheHoldsItsOwnMemory(t *testing.T) {
	for k := payToPubKey; k < kinds; k++ {
		s := newSigner(t, 21)
		tx, spent := s.spend(anyone, k)
		c := New(Options{CacheEntries: 10})
		if err := wait(t, c, tx, spent); err != nil {
			t.Fatal(err)
		}
		for _, script := range append([][]byte{tx.TxIn[1].SignatureScript, spent[1].PkScript}, tx.TxIn[1].Witness...) {
			clear(script)
		}
		entries := held(c)
		if len(entries) != 1 {
			t.Fatalf("kind %d: %d signatures remembered, want 1", k, len(entries))
		}
		for _, field := range []string{"sig", "pubKey"} {
			if got := entries[0].FieldByName(field).Bytes(); len(got) < 32 || bytes.Count(got, []byte{0}) == len(got) {
				t.Errorf("kind %d: %s %x is gone with the transaction", k, field, got)
			}
		}
	}
}

// TestLongScriptsAreNotRemembered pushes so much below a signature that the input
// gets too large.
func TestLongScriptsAreNotRemembered(t *testing.T) {
	s := newSigner(t, 22)
	for _, c := range []struct {
		name    string
		pushed  int
		entries int
	}{{"a short input", 900, 1}, {"a long one", 950, 0}} {
		tx, spent := s.spend(payToPubKey)
		tx.TxIn[0].SignatureScript = append(bytes.Repeat([]byte{txscript.OP_1}, c.pushed), tx.TxIn[0].SignatureScript...)
		checker := New(Options{CacheEntries: 10})
		if err := wait(t, checker, tx, spent); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if got := len(held(checker)); got != c.entries {
			t.Errorf("%s: %d signatures remembered, want %d", c.name, got, c.entries)
		}
	}
}

// TestCacheIsBounded hands over more than there is room for.
func TestCacheIsBounded(t *testing.T) {
	s := newSigner(t, 23)
	c := New(Options{CacheEntries: 5})
	for range 4 {
		tx, spent := s.spend(payToPubKeyHash, payToWitnessKeyHash, taprootKey)
		if err := wait(t, c, tx, spent); err != nil {
			t.Fatal(err)
		}
	}
	if got := len(held(c)); got != 5 {
		t.Errorf("%d signatures remembered of 12, want 5", got)
	}
}

// TestCacheRoom holds the size that the documentation of Options gives.
func TestCacheRoom(t *testing.T) {
	const n = 50_000
	if c := New(Options{CacheEntries: n}); c.cache != nil {
		t.Error("room was taken before the first script")
	}
	c := New(Options{CacheEntries: n})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	c.signatures()
	runtime.ReadMemStats(&after)
	perEntry := float64(after.TotalAlloc-before.TotalAlloc) / n
	t.Logf("%.0f bytes an entry of %d", perEntry, n)
	if perEntry < 100 || perEntry > 130 {
		t.Errorf("%.0f bytes an entry, want 100 to 130", perEntry)
	}
	runtime.KeepAlive(c)
}

// held returns what the cache holds, which it tells nobody.
func held(c *Checker) (entries []reflect.Value) {
	for it := reflect.ValueOf(c.cache).Elem().FieldByName("validSigs").MapRange(); it.Next(); {
		entries = append(entries, it.Value())
	}
	return entries
}
