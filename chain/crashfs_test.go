package chain_test

import (
	"strings"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// cutFS counts the changes that are made to a file system, writes and syncs of
// files among them, and calls cut before one of them: the same number meets any
// step of any operation, in the foreground or behind its back.
type cutFS struct {
	vfs.FS
	forgetful bool // syncs of the log do nothing
	left      atomic.Int64
	cut       func()
}

// arm has cut called before the n-th change from now, once.
func (f *cutFS) arm(n int, cut func()) {
	f.cut = cut
	f.left.Store(int64(n))
}

func (f *cutFS) change() {
	if f.left.Add(-1) == 0 {
		f.cut()
	}
}

func (f *cutFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f.change()
	file, err := f.FS.Create(name, category)
	return f.file(name, file, err)
}

func (f *cutFS) ReuseForWrite(from, to string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f.change()
	file, err := f.FS.ReuseForWrite(from, to, category)
	return f.file(to, file, err)
}

func (f *cutFS) OpenDir(name string) (vfs.File, error) {
	file, err := f.FS.OpenDir(name)
	return f.file(name, file, err)
}

func (f *cutFS) Rename(from, to string) error {
	f.change()
	return f.FS.Rename(from, to)
}

func (f *cutFS) Remove(name string) error {
	f.change()
	return f.FS.Remove(name)
}

func (f *cutFS) Unwrap() vfs.FS { return f.FS }

func (f *cutFS) file(name string, file vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return &cutFile{File: file, fs: f, forgetful: f.forgetful && strings.HasSuffix(name, ".log")}, nil
}

type cutFile struct {
	vfs.File
	fs        *cutFS
	forgetful bool
}

func (f *cutFile) Write(p []byte) (int, error) {
	f.fs.change()
	return f.File.Write(p)
}

func (f *cutFile) Sync() error {
	f.fs.change()
	if f.forgetful {
		return nil
	}
	return f.File.Sync()
}

func (f *cutFile) SyncData() error {
	f.fs.change()
	if f.forgetful {
		return nil
	}
	return f.File.SyncData()
}

func (f *cutFile) SyncTo(length int64) (bool, error) {
	f.fs.change()
	if f.forgetful {
		return true, nil
	}
	return f.File.SyncTo(length)
}
