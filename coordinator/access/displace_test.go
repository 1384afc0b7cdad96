package access

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/jbcnet/jbc/coordinator/protocol"
)

// TestNobodyIsDisplaced tells a coordinator of machines that joined earlier than it
// and its own, under their names: each keeps its name, and the others are barred.
func TestNobodyIsDisplaced(t *testing.T) {
	mem := vfs.NewMem()
	k, st := openKeeper(t, mem)
	self := selfOf(t, "self", "alpha", testNow.Unix())
	if err := k.Found(testNow, self); err != nil {
		t.Fatal(err)
	}
	if err := k.write(change{machines: []machine{{Key: publicOf(t, "rig"), Name: "rig", Role: protocol.RoleWorker, Joined: testNow.Unix()}}}); err != nil {
		t.Fatal(err)
	}
	check := func(step, barred string) {
		t.Helper()
		if !k.IsCoordinator(self.Key) {
			t.Errorf("%s: the coordinator does not trust itself", step)
		}
		if who, in := k.Who(publicOf(t, "rig")); !in || who.Name != "rig" {
			t.Errorf("%s: the machine that joined here is %+v, let in %v", step, who, in)
		}
		for _, label := range []string{"other self", "thief", "invented", "invented self"} {
			if _, in := k.Who(publicOf(t, label)); in || k.IsCoordinator(publicOf(t, label)) {
				t.Errorf("%s: %s is let in", step, label)
			}
		}
		var keys []string
		for _, label := range strings.Fields(barred) {
			keys = append(keys, publicOf(t, strings.ReplaceAll(label, "-", " ")))
		}
		var got []string
		for _, m := range k.Barred() {
			got = append(got, m.Key)
		}
		for _, key := range keys {
			if !strings.Contains(strings.Join(got, " "), key) || len(got) != len(keys) {
				t.Errorf("%s: barred %v, want %s", step, got, barred)
			}
		}
	}
	check("alone", "")
	evil := []protocol.Machine{
		{Key: publicOf(t, "other self"), Name: "alpha", Role: protocol.RoleCoordinator, Home: "beta"},
		{Key: publicOf(t, "thief"), Name: "rig", Role: protocol.RoleWorker, Home: "beta"},
		{Key: publicOf(t, "invented self"), Name: "alpha", Role: protocol.RoleCoordinator, Home: "alpha"},
		{Key: publicOf(t, "invented"), Name: "rig-9", Role: protocol.RoleWorker, Home: "alpha"},
		{Key: publicOf(t, "rig"), Name: "rig", Role: protocol.RoleWorker, Home: "beta"}, // joined elsewhere before
		{Key: self.Key, Name: "alpha", Role: protocol.RoleCoordinator, Home: "beta"},
	}
	if news, err := k.Merge(testNow, "beta", evil); err != nil || len(news) != 2 {
		t.Errorf("%d news, %v, want the two that are barred", len(news), err)
	}
	check("told", "other-self thief")
	if entries, _ := k.List(testNow, ""); len(entries) != 4 {
		t.Errorf("%d are listed, want 4", len(entries))
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	k, st = openKeeper(t, mem)
	defer func() { _ = st.Close() }()
	if err := k.Found(testNow, self); err != nil {
		t.Fatal(err)
	}
	check("after a restart", "other-self thief")
	if got := k.book.machines[publicOf(t, "thief")]; got.Told != "beta" || k.book.told["beta"] != 2 {
		t.Errorf("told of by %q, of %d in all, want beta, 2", got.Told, k.book.told["beta"])
	}
	if _, err := k.Revoke(testNow, publicOf(t, "rig")); err != nil {
		t.Fatal(err)
	}
	if who, in := k.Who(publicOf(t, "thief")); !in || who.Name != "rig" {
		t.Errorf("after the revocation of the first the other is %+v, let in %v", who, in)
	}
}

// TestFoundTakesItsName: the coordinator itself has its name, also where a machine that
// joined it earlier had that, and where an earlier version let others say how it came
// into the mesh.
func TestFoundTakesItsName(t *testing.T) {
	k, st := openKeeper(t, vfs.NewMem())
	defer func() { _ = st.Close() }()
	for _, m := range []machine{
		{Key: publicOf(t, "rig"), Name: "alpha", Role: protocol.RoleWorker, Joined: 1},
		{Key: publicOf(t, "self"), Name: "alpha", Role: protocol.RoleCoordinator, Joined: 5, Home: "beta"},
	} {
		if err := k.write(change{machines: []machine{m}}); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if err := k.Found(testNow, selfOf(t, "self", "alpha", 5)); err != nil {
			t.Fatal(err)
		}
		if got, want := written(t, k.book, "rig", "self"), "|rig alpha alpha 1, self alpha alpha 5 coordinator"; got != want || !k.IsCoordinator(publicOf(t, "self")) {
			t.Errorf("%s, want %s", got, want)
		}
	}
	if k.book.elses != 0 || fmt.Sprint(k.book.told) != "map[:0]" {
		t.Errorf("%d told of, %v", k.book.elses, k.book.told)
	}
}
