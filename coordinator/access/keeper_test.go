package access

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/jbcnet/jbc/chain/store"
	"github.com/jbcnet/jbc/coordinator/protocol"
)

func openKeeper(t *testing.T, fs vfs.FS) (*Keeper, *store.Store) {
	t.Helper()
	st, err := store.Open(store.Options{Dir: "node", Network: "regtest-1a2b3c4d", FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	k, err := OpenKeeper(st, "alpha", "owner")
	if err != nil {
		t.Fatal(err)
	}
	return k, st
}

// told is what a list says, without what counts time.
func told(k *Keeper, now time.Time) string {
	entries, _ := k.List(now, "")
	text, _ := json.Marshal(entries)
	return string(text)
}

// TestKeeperPowerLoss takes the power away after every call that returned: what it
// said still holds.
func TestKeeperPowerLoss(t *testing.T) {
	mem := vfs.NewCrashableMem()
	k, st := openKeeper(t, mem)
	defer func() { _ = st.Close() }()
	now := time.Unix(1_000_000, 0)

	survives := func(step string) {
		t.Helper()
		again, st := openKeeper(t, mem.CrashClone(vfs.CrashCloneCfg{}))
		if got, want := told(again, now), told(k, now); got != want {
			t.Errorf("%s: after a power loss\n%s\nwant\n%s", step, got, want)
		}
		if err := st.Close(); err != nil {
			t.Fatal(err)
		}
	}
	var tokens []*Issued
	for range 3 {
		token, err := k.Issue(now, protocol.RoleWorker, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		tokens = append(tokens, token)
		survives("issue")
	}
	if want := now.Add(time.Hour); !tokens[0].Expires.Equal(want) {
		t.Errorf("a token until %v, want %v", tokens[0].Expires, want)
	}
	for i, machine := range []string{"m1", "m2"} {
		who, err := k.Enrol(now, enrolWith(t, tokens[i].Seed, machine))
		if err != nil || who.Role != protocol.RoleWorker {
			t.Fatalf("enrol: %+v, %v", who, err)
		}
		survives("enrol")
	}
	for _, what := range []string{"rig", publicOf(t, "m2"), TokenID(mustPublic(t, tokens[2].Seed))} {
		if _, err := k.Revoke(now, what); err != nil {
			t.Fatalf("revoke %s: %v", what, err)
		}
		survives("revoke")
	}
	now = now.Add(2 * keepOver)
	if _, err := k.Issue(now, protocol.RoleWorker, time.Hour); err != nil {
		t.Fatal(err)
	}
	survives("issue and forget")
	if got := told(k, now); strings.Count(got, `"key"`) != 1 {
		t.Errorf("after two weeks the list is %s, want the new token alone", got)
	}
}

func enrolWith(t *testing.T, seed, machine string) *protocol.Enrol {
	t.Helper()
	e := enrolOf(t, "any", machine, "rig", protocol.RoleWorker)
	e.Token = mustPublic(t, seed)
	pair := keyFrom(t, seed)
	var err error
	if e.Proof, err = pair.Sign(e.Proven()); err != nil {
		t.Fatal(err)
	}
	return e
}

// TestKeeperHoldsNoSeed looks for the token's seed in every file of the store.
func TestKeeperHoldsNoSeed(t *testing.T) {
	mem := vfs.NewMem()
	k, st := openKeeper(t, mem)
	token, err := k.Issue(time.Now(), protocol.RoleWorker, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	raw := rawSeed(t, token.Seed)
	public, found := mustPublic(t, token.Seed), false
	files, err := mem.List("node")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		f, err := mem.Open(mem.PathJoin("node", name))
		if err != nil {
			t.Fatal(err)
		}
		info, err := f.Stat()
		if err != nil {
			t.Fatal(err)
		}
		data := make([]byte, info.Size())
		if _, err := f.ReadAt(data, 0); err != nil && info.Size() > 0 {
			t.Fatal(err)
		}
		if strings.Contains(string(data), token.Seed) || strings.Contains(string(data), raw) {
			t.Errorf("%s holds the seed", name)
		}
		found = found || strings.Contains(string(data), public)
	}
	if !found {
		t.Errorf("no file of %v holds the public key: the seed was looked for in the wrong place", files)
	}
}

// TestKeeperBrokenDisk says that it can't, and keeps what it knew.
func TestKeeperBrokenDisk(t *testing.T) {
	k, st := openKeeper(t, vfs.NewMem())
	now := time.Unix(1_000_000, 0)
	token, err := k.Issue(now, protocol.RoleWorker, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	before := told(k, now)
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Enrol(now, enrolWith(t, token.Seed, "m1")); !errors.Is(err, protocol.Unavailable) || !errors.Is(err, store.ErrClosed) {
		t.Errorf("enrol: %v, want %v", err, protocol.Unavailable)
	}
	if _, err := k.Issue(now, protocol.RoleWorker, time.Hour); !errors.Is(err, protocol.Unavailable) {
		t.Errorf("issue: %v, want %v", err, protocol.Unavailable)
	}
	if got := told(k, now); got != before {
		t.Errorf("what could not be written is told: %s, want %s", got, before)
	}
	if _, in := k.Who(publicOf(t, "m1")); in {
		t.Error("a machine that could not be written is let in")
	}
}

// TestKeeperUnused says when a first machine is to be invited.
func TestKeeperUnused(t *testing.T) {
	k, st := openKeeper(t, vfs.NewMem())
	defer func() { _ = st.Close() }()
	now := time.Unix(1_000_000, 0)
	want := func(step string, unused bool) {
		t.Helper()
		if got := k.Unused(now, protocol.RoleWorker); got != unused {
			t.Errorf("%s: unused %v, want %v", step, got, unused)
		}
	}
	want("at first", true)
	if _, err := k.Issue(now, protocol.RoleObserver, time.Hour); err != nil {
		t.Fatal(err)
	}
	want("with a token for an observer", true)
	token, err := k.Issue(now, protocol.RoleWorker, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	want("with a token for a worker", false)
	now = now.Add(time.Hour)
	want("when it ran out", true)
	now = now.Add(-time.Minute)
	if _, err := k.Enrol(now, enrolWith(t, token.Seed, "m1")); err != nil {
		t.Fatal(err)
	}
	now = now.Add(time.Hour)
	want("with a machine", false)
}

// TestKeeperShadowed names the machines whose name the coordinator took.
func TestKeeperShadowed(t *testing.T) {
	k, st := openKeeper(t, vfs.NewMem())
	defer func() { _ = st.Close() }()
	now := time.Unix(1_000_000, 0)
	token, err := k.Issue(now, protocol.RoleWorker, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.Enrol(now, enrolWith(t, token.Seed, "m1")); err != nil {
		t.Fatal(err)
	}
	again, err := OpenKeeper(st, "rig_miner")
	if err != nil {
		t.Fatal(err)
	}
	if got := again.Shadowed(); len(got) != 1 || got[0] != "rig" {
		t.Errorf("shadowed %v, want rig", got)
	}
	if _, in := again.Who(publicOf(t, "m1")); in {
		t.Error("it is let in")
	}
	if got := k.Shadowed(); len(got) != 0 {
		t.Errorf("shadowed under another name: %v", got)
	}
}

// TestKeeperDamaged does not guess at what a record said.
func TestKeeperDamaged(t *testing.T) {
	_, st := openKeeper(t, vfs.NewMem())
	defer func() { _ = st.Close() }()
	batch := st.NewBatch()
	batch.Set(store.Coordinator, []byte(machineKeys+"U"), []byte("{"))
	if _, err := batch.Apply(); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenKeeper(st); err == nil || !strings.Contains(err.Error(), "record access/machine/U") {
		t.Errorf("OpenKeeper = %v, want the record named", err)
	}
}
