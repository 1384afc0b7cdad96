package access

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/jbcnet/jbc/coordinator/protocol"
)

// TestChangeLog changes and drops keys at random, while somebody reads on in pages now
// and then: in the end it knows the last number of every key.
func TestChangeLog(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4)) // fixed seed: failures repeat
	l := newChangeLog()
	heard, from, longest := map[string]bool{}, uint64(0), 0
	read := func(n int) (more bool) {
		keys, next, more := l.after(from, n)
		if len(keys) > n || next < from || more && len(keys) != n {
			t.Fatalf("after %d: %d keys of at most %d, next %d, more %v", from, len(keys), n, next, more)
		}
		for _, key := range keys {
			heard[key] = true
		}
		from = next
		return more
	}
	changed := map[string]bool{} // since somebody heard of it, and not dropped
	for range 20_000 {
		key := fmt.Sprint(rng.IntN(50))
		switch rng.IntN(10) {
		case 0:
			l.drop(key)
			delete(changed, key)
		case 1:
			clear(heard)
			for read(1 + rng.IntN(7)) {
			}
			if !maps.Equal(heard, changed) {
				t.Fatalf("heard of %v, want %v", heard, changed)
			}
			clear(changed)
		default:
			l.note(key)
			changed[key] = true
		}
		longest = max(longest, len(l.order))
	}
	if l.count < 10_000 || longest > 64+2*50+1 {
		t.Errorf("%d changes, a log of up to %d", l.count, longest)
	}
	if keys, next, more := l.after(l.count+5, 9); len(keys) != 0 || next != l.count || more {
		t.Errorf("after what is to come: %v, %d, %v", keys, next, more)
	}
}

// TestChanges tells everything in pages, then what is new, and everything again of
// another epoch.
func TestChanges(t *testing.T) {
	mem := vfs.NewMem()
	k, st := openKeeper(t, mem)
	var told []protocol.Machine
	for i := range 2*protocol.MaxMachines + 3 {
		told = append(told, toldOf(t, fmt.Sprintf("m%d m%d beta %d", i, i, i))...)
	}
	if _, err := k.Merge(testNow, "beta", told); err != nil {
		t.Fatal(err)
	}
	epoch, after := uint64(0), uint64(0)
	read := func() (sizes []int, seen map[string]bool) {
		seen = map[string]bool{}
		for more := true; more; {
			var machines []protocol.Machine
			machines, epoch, after, more = k.Changes(epoch, after)
			sizes = append(sizes, len(machines))
			for _, m := range machines {
				seen[m.Key] = true
			}
		}
		return sizes, seen
	}
	if sizes, seen := read(); fmt.Sprint(sizes) != fmt.Sprintf("[%d %d 3]", protocol.MaxMachines, protocol.MaxMachines) || len(seen) != len(told) {
		t.Errorf("pages of %v, %d machines, want %d", sizes, len(seen), len(told))
	}
	if sizes, _ := read(); fmt.Sprint(sizes) != "[0]" {
		t.Errorf("no news are pages of %v", sizes)
	}
	if _, err := k.Revoke(testNow, "m7"); err != nil {
		t.Fatal(err)
	}
	if sizes, seen := read(); fmt.Sprint(sizes) != "[1]" || !seen[publicOf(t, "m7")] {
		t.Errorf("a revocation is pages of %v", sizes)
	}
	if current, count := k.Count(); current != epoch || count != after {
		t.Errorf("counted %d in epoch %x, told %d in %x", count, current, after, epoch)
	}
	if _, err := k.Issue(testNow, protocol.RoleWorker, time.Hour); err != nil {
		t.Fatal(err)
	}
	if _, count := k.Count(); count != after {
		t.Error("a token counts as a change of machines")
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	k, st = openKeeper(t, mem)
	defer func() { _ = st.Close() }()
	if _, seen := read(); len(seen) != len(told) {
		t.Errorf("after a restart %d machines, want all %d again", len(seen), len(told))
	}
}

// TestMergeIsWritten takes the power away after machines were told of.
func TestMergeIsWritten(t *testing.T) {
	mem := vfs.NewCrashableMem()
	k, st := openKeeper(t, mem)
	defer func() { _ = st.Close() }()
	if _, err := k.Merge(testNow, "beta", toldOf(t, "a rig beta 10", "b box beta 10")); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Merge(testNow, "beta", toldOf(t, "a rig beta 10 500000")); err != nil {
		t.Fatal(err)
	}
	again, other := openKeeper(t, mem.CrashClone(vfs.CrashCloneCfg{}))
	defer func() { _ = other.Close() }()
	if got, want := written(t, again.book, "a", "b"), "a rig beta 10 500000, b box beta 10"; got != want {
		t.Errorf("after a power loss %s, want %s", got, want)
	}
	for _, b := range []*book{k.book, again.book} {
		if b.told["beta"] != 2 || b.elses != 1 {
			t.Errorf("beta told of %d machines, %d were not revoked, want 2 and 1", b.told["beta"], b.elses)
		}
	}
}
