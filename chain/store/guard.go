package store

import (
	"errors"
	"io/fs"
	"strings"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// guardFS hands everything to a file system, and freezes the store at the first
// change that fails: see the package comment. Until it is armed, errors go to
// Pebble, which returns them from Open.
//
// Removing a file may fail, as may hints to the kernel: nothing depends on them.
type guardFS struct {
	vfs.FS
	dir     string
	failure *failure
	armed   atomic.Bool
}

// check passes err on, or parks. Errors that Pebble expects and handles (a file
// to reuse that is gone, one to create that is there) pass.
func (g *guardFS) check(op, name string, err error) error {
	if !g.armed.Load() {
		return err
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrExist) {
		g.failure.freeze(&FailedError{Dir: g.dir, Op: op + " " + g.PathBase(name), Err: err})
	}
	g.gate()
	return err
}

// gate parks whoever comes after a fault.
func (g *guardFS) gate() {
	if g.failure.isFrozen() {
		park()
	}
}

func (g *guardFS) file(op, name string, f vfs.File, err error) (vfs.File, error) {
	if err = g.check(op, name, err); err != nil {
		return nil, err
	}
	return &guardFile{File: f, name: name, guard: g}, nil
}

func (g *guardFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	g.gate()
	if strings.HasPrefix(g.PathBase(name), "marker.") {
		if err := g.syncNames(g.PathDir(name)); err != nil {
			return nil, g.check("sync directory for", name, err)
		}
	}
	f, err := g.FS.Create(name, category)
	return g.file("create", name, f, err)
}

// syncNames makes the names in a directory last. Pebble syncs a new manifest, makes a
// marker that points to it, and then syncs the directory for both together: where
// a file system may keep the one name and lose the other, the store would not
// open after a power loss between. The names are made to last before there is a marker.
func (g *guardFS) syncNames(dir string) error {
	d, err := g.FS.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (g *guardFS) ReuseForWrite(from, to string, category vfs.DiskWriteCategory) (vfs.File, error) {
	g.gate()
	f, err := g.FS.ReuseForWrite(from, to, category)
	return g.file("reuse", to, f, err)
}

func (g *guardFS) OpenReadWrite(name string, category vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	g.gate()
	f, err := g.FS.OpenReadWrite(name, category, opts...)
	return g.file("open", name, f, err)
}

func (g *guardFS) OpenDir(name string) (vfs.File, error) {
	f, err := g.FS.OpenDir(name)
	return g.file("open directory", name, f, err)
}

func (g *guardFS) Link(from, to string) error {
	g.gate()
	return g.check("link", to, g.FS.Link(from, to))
}

func (g *guardFS) Rename(from, to string) error {
	g.gate()
	return g.check("rename", to, g.FS.Rename(from, to))
}

func (g *guardFS) MkdirAll(dir string, perm fs.FileMode) error {
	g.gate()
	return g.check("make directory", dir, g.FS.MkdirAll(dir, perm))
}

// Unwrap lets Pebble find the file system below.
func (g *guardFS) Unwrap() vfs.FS { return g.FS }

// guardFile is a file that was opened through a guardFS.
type guardFile struct {
	vfs.File
	name  string
	guard *guardFS
}

func (f *guardFile) Write(p []byte) (int, error) {
	f.guard.gate()
	n, err := f.File.Write(p)
	return n, f.guard.check("write", f.name, err)
}

func (f *guardFile) WriteAt(p []byte, off int64) (int, error) {
	f.guard.gate()
	n, err := f.File.WriteAt(p, off)
	return n, f.guard.check("write", f.name, err)
}

func (f *guardFile) Sync() error {
	f.guard.gate()
	return f.guard.check("sync", f.name, f.File.Sync())
}

func (f *guardFile) SyncData() error {
	f.guard.gate()
	return f.guard.check("sync", f.name, f.File.SyncData())
}

func (f *guardFile) SyncTo(length int64) (bool, error) {
	f.guard.gate()
	full, err := f.File.SyncTo(length)
	return full, f.guard.check("sync", f.name, err)
}
