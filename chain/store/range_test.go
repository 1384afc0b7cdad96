package store

import (
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

func TestSnapshotRange(t *testing.T) {
	s := mustOpen(t, vfs.NewMem())
	defer s.Close()
	b := s.NewBatch()
	empty := b.Size()
	for _, k := range []string{"a", "b", "b1", "b2", "b3", "c"} {
		b.Set(Chain, []byte(k), []byte("v"))
	}
	if b.Size() <= empty+6 {
		t.Errorf("batch of %d bytes, %d before six keys", b.Size(), empty)
	}
	if p, err := b.Apply(); err != nil || p.Wait() != nil {
		t.Fatal(err)
	}
	snapshot, err := s.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer snapshot.Close()
	if err := put(s, "b9", "later"); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		from []byte
		down bool
		most int
		want string
	}{
		{"up", nil, false, 9, "[b b1 b2 b3]"},
		{"up from a key", []byte("b1"), false, 9, "[b1 b2 b3]"},
		{"up from between", []byte("b1\x00"), false, 9, "[b2 b3]"},
		{"up, stopped", nil, false, 2, "[b b1]"},
		{"down", nil, true, 9, "[b3 b2 b1 b]"},
		{"down from a key", []byte("b2"), true, 9, "[b1 b]"},
		{"down, stopped", nil, true, 1, "[b3]"},
	}
	for _, tt := range tests {
		walk := snapshot.Ascend
		if tt.down {
			walk = snapshot.Descend
		}
		var got []string
		err := walk(Chain, []byte("b"), tt.from, func(key, _ []byte) bool {
			got = append(got, string(key))
			return len(got) < tt.most
		})
		if err != nil || fmt.Sprint(got) != tt.want {
			t.Errorf("%s: %v, %v, want %s", tt.name, got, err, tt.want)
		}
	}
}

func TestDeletePrefix(t *testing.T) {
	s := mustOpen(t, vfs.NewMem())
	defer s.Close()
	for _, k := range []string{"a", "b", "b\xff\xff", "c"} {
		if err := put(s, k, "v"); err != nil {
			t.Fatal(err)
		}
	}
	b := s.NewBatch()
	b.DeletePrefix(Chain, []byte("b"))
	if p, err := b.Apply(); err != nil || p.Wait() != nil {
		t.Fatal(err)
	}
	var left []string
	if err := s.Iterate(Chain, nil, func(key, _ []byte) error { left = append(left, string(key)); return nil }); err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(left), "[a c]"; got != want {
		t.Errorf("left %s, want %s", got, want)
	}
}
