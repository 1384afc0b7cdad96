package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

func open(t *testing.T, fs vfs.FS, network string) (*Store, error) {
	t.Helper()
	return Open(Options{Dir: "dir", Network: network, FS: fs})
}

func mustOpen(t *testing.T, fs vfs.FS) *Store {
	t.Helper()
	s, err := open(t, fs, "net-1")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// put applies one key and waits for the disk.
func put(s *Store, key, value string) error {
	b := s.NewBatch()
	b.Set(Chain, []byte(key), []byte(value))
	p, err := b.Apply()
	if err != nil {
		return err
	}
	return p.Wait()
}

func wantValue(t *testing.T, s *Store, key, want string) {
	t.Helper()
	if got, err := s.Get(Chain, []byte(key)); err != nil || string(got) != want {
		t.Errorf("key %q: %q, %v, want %q", key, got, err, want)
	}
}

func TestBatch(t *testing.T) {
	s := mustOpen(t, vfs.NewMem())
	defer s.Close()
	b := s.NewBatch()
	for _, k := range []string{"b2", "a", "b1", "c"} {
		b.Set(Chain, []byte(k), []byte("v"+k))
		b.Set(Coordinator, []byte(k), []byte("other"))
	}
	b.Delete(Chain, []byte("c"))
	p, err := b.Apply()
	if err != nil {
		t.Fatal(err)
	}
	wantValue(t, s, "b1", "vb1") // visible before the wait
	var waiters sync.WaitGroup
	for range 4 {
		waiters.Go(func() {
			if err := p.Wait(); err != nil {
				t.Error(err)
			}
		})
	}
	waiters.Wait()
	if _, err := s.Get(Chain, []byte("c")); !errors.Is(err, ErrNotFound) {
		t.Errorf("deleted key: %v, want %v", err, ErrNotFound)
	}
	var got []string
	if err := s.Iterate(Chain, []byte("b"), func(k, v []byte) error { got = append(got, string(k)+"="+string(v)); return nil }); err != nil {
		t.Fatal(err)
	}
	if want := "[b1=vb1 b2=vb2]"; fmt.Sprint(got) != want {
		t.Errorf("iterated %v, want %s", got, want)
	}
	stop := errors.New("stop")
	if err := s.Iterate(Coordinator, nil, func(_, _ []byte) error { return stop }); err != stop {
		t.Errorf("iterate: %v, want the visitor's error", err)
	}
	if p, err := s.NewBatch().Apply(); err != nil || p.Wait() != nil {
		t.Errorf("empty batch: %v", err)
	}
}

func TestOpenErrors(t *testing.T) {
	fs := vfs.NewMem()
	s := mustOpen(t, fs)
	if err := put(s, "k", "v"); err != nil {
		t.Fatal(err)
	}
	var locked *LockedError
	if _, err := open(t, fs, "net-1"); !errors.As(err, &locked) {
		t.Errorf("second open: %v, want a LockedError", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); !errors.Is(err, ErrClosed) {
		t.Errorf("second close: %v, want %v", err, ErrClosed)
	}

	var network *NetworkError
	if _, err := open(t, fs, "net-2"); !errors.As(err, &network) || network.Have != "net-1" || network.Want != "net-2" {
		t.Errorf("other network: %v, want a NetworkError of net-1 and net-2", err)
	}
	s = mustOpen(t, fs)
	wantValue(t, s, "k", "v")

	tests := []struct {
		name, key, value string
		as               any
	}{
		{"newer format", "format", "\x00\x00\x00\x63", new(*FormatError)},
		{"format of three bytes", "format", "\x00\x00\x01", new(*DamageError)},
	}
	for _, tt := range tests {
		b := s.NewBatch()
		b.Set(meta, []byte(tt.key), []byte(tt.value))
		if p, err := b.Apply(); err != nil || p.Wait() != nil {
			t.Fatal(err)
		}
		s.Close()
		if _, err := open(t, fs, "net-1"); !errors.As(err, tt.as) {
			t.Errorf("%s: %v, want a %T", tt.name, err, tt.as)
		}
		s = reset(t, fs)
	}
	b := s.NewBatch()
	b.Delete(meta, formatKey())
	if p, err := b.Apply(); err != nil || p.Wait() != nil {
		t.Fatal(err)
	}
	s.Close()
	if _, err := open(t, fs, "net-1"); !errors.As(err, new(*DamageError)) {
		t.Errorf("no format record: %v, want a DamageError", err)
	}
}

// reset opens a directory whose meta records were changed, by replacing it.
func reset(t *testing.T, fs vfs.FS) *Store {
	t.Helper()
	if err := fs.RemoveAll("dir"); err != nil {
		t.Fatal(err)
	}
	return mustOpen(t, fs)
}

func TestOpenRealDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	s, err := Open(Options{Dir: dir, Network: "n"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Options{Dir: dir, Network: "n"}); !errors.As(err, new(*LockedError)) {
		t.Errorf("second open: %v, want a LockedError", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Options{Dir: file, Network: "n"}); !errors.As(err, new(*AccessError)) {
		t.Errorf("a file: %v, want an AccessError", err)
	}
	if os.Getuid() != 0 { // root may read everything
		if err := os.Chmod(dir, 0); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(Options{Dir: dir, Network: "n"}); !errors.As(err, new(*AccessError)) {
			t.Errorf("no permission: %v, want an AccessError", err)
		}
	}
}
