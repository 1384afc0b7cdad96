package store

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// faultFS fails operations of one kind while armed.
type faultFS struct {
	vfs.FS
	op    string // "write", "sync" or "create"
	armed atomic.Bool
}

func (f *faultFS) fault(op string) error {
	if f.armed.Load() && f.op == op {
		return &os.PathError{Op: op, Path: "file", Err: syscall.ENOSPC}
	}
	return nil
}

func (f *faultFS) wrap(file vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return &faultFile{file, f}, nil
}

func (f *faultFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if err := f.fault("create"); err != nil {
		return nil, err
	}
	return f.wrap(f.FS.Create(name, c))
}

func (f *faultFS) ReuseForWrite(from, to string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if err := f.fault("create"); err != nil {
		return nil, err
	}
	return f.wrap(f.FS.ReuseForWrite(from, to, c))
}

type faultFile struct {
	vfs.File
	fs *faultFS
}

func (f *faultFile) Write(p []byte) (int, error) {
	if err := f.fs.fault("write"); err != nil {
		return 0, err
	}
	return f.File.Write(p)
}

func (f *faultFile) Sync() error {
	if err := f.fs.fault("sync"); err != nil {
		return err
	}
	return f.File.Sync()
}

func (f *faultFile) SyncData() error { return f.Sync() }

// TestWriteFailure fills a store until the fault is met, also in the middle of
// changing logs and of writing tables: nobody hangs, the process lives, and what
// was acknowledged is there afterwards.
func TestWriteFailure(t *testing.T) {
	for _, op := range []string{"write", "sync", "create"} {
		for _, size := range []int{100, 1 << 20} {
			t.Run(fmt.Sprintf("%s/%d", op, size), func(t *testing.T) {
				fs := &faultFS{FS: vfs.NewMem(), op: op}
				s := mustOpen(t, fs)
				value := string(make([]byte, size))
				acknowledged := 0
				for ; acknowledged < 5; acknowledged++ {
					if err := put(s, fmt.Sprint(acknowledged), value); err != nil {
						t.Fatal(err)
					}
				}
				fs.armed.Store(true)
				var err error
				for err == nil && acknowledged < 200 {
					if err = put(s, fmt.Sprint(acknowledged), value); err == nil {
						acknowledged++
					}
				}
				if op == "create" && size == 100 {
					if err != nil { // no file was made
						t.Fatal(err)
					}
				} else {
					wantFailed(t, s, err)
				}
				s.Close()
				fs.armed.Store(false)

				s = mustOpen(t, fs)
				defer s.Close()
				for i := range acknowledged {
					wantValue(t, s, fmt.Sprint(i), value)
				}
				t.Logf("%d acknowledged, then %v", acknowledged, err)
			})
		}
	}
}

func wantFailed(t *testing.T, s *Store, err error) {
	t.Helper()
	if !errors.As(err, new(*FailedError)) || !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("write: %v, want a FailedError of ENOSPC", err)
	}
	select {
	case <-s.Failed():
	case <-time.After(10 * time.Second):
		t.Fatal("Failed is not closed")
	}
	if !errors.As(s.Err(), new(*FailedError)) {
		t.Errorf("Err: %v, want a FailedError", s.Err())
	}
	if again := put(s, "later", ""); !errors.Is(again, syscall.ENOSPC) {
		t.Errorf("write after it: %v, want the same", again)
	}
	if _, err := s.Get(Chain, []byte("0")); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("read after it: %v, want the same", err)
	}
}

// fullFS reports little free space.
type fullFS struct {
	vfs.FS
	free atomic.Uint64
}

func (f *fullFS) GetDiskUsage(string) (vfs.DiskUsage, error) {
	return vfs.DiskUsage{AvailBytes: f.free.Load()}, nil
}

func TestReserve(t *testing.T) {
	fs := &fullFS{FS: vfs.NewMem()}
	fs.free.Store(DefaultReserve)
	s := mustOpen(t, fs)
	b := s.NewBatch()
	b.Set(Chain, []byte("before"), []byte("v"))
	pending, err := b.Apply()
	if err != nil {
		t.Fatal(err)
	}
	fs.free.Store(DefaultReserve - 1)
	var space *SpaceError
	if err := put(s, "k", "v"); !errors.As(err, &space) || space.Free != DefaultReserve-1 {
		t.Fatalf("write: %v, want a SpaceError of %d bytes", err, DefaultReserve-1)
	}
	<-s.Failed()
	if err := pending.Wait(); err != nil {
		t.Errorf("what was applied before: %v, want it synced", err)
	}
	fs.free.Store(1 << 40)
	if err := put(s, "k", "v"); !errors.As(err, &space) {
		t.Errorf("write after space came back: %v, want the same: a failed store stays failed", err)
	}
	wantValue(t, s, "before", "v")
	if err := s.Close(); err != nil {
		t.Errorf("close: %v, want it clean", err)
	}
	fs.free.Store(0)
	if _, err := open(t, fs, "net-1"); !errors.As(err, &space) {
		t.Errorf("open: %v, want a SpaceError", err)
	}
}
