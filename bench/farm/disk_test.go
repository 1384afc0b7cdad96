//go:build linux

package farm

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/jbcnet/jbc/chain"
)

// smallDisk mounts a file system of so many MiB.
func smallDisk(t *testing.T, mib string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+mib+"m"); err != nil {
		t.Skipf("a small file system needs root, and a kernel that lets it mount: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Errorf("unmount %s: %v", dir, err)
		}
	})
	return dir
}

// TestFullDisk fills the disk under a mining coordinator: up to what it keeps in
// reserve, and to the last byte. It stops with a line that says so, does not start
// before there is room, and then goes on with every block that was announced.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		left int64 // bytes that stay free
	}{
		{"nearly", 24 << 20},
		{"to the last byte", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFarm(t)
			disk := smallDisk(t, "80")
			o := f.observe(t, chain.Dev(), hooks{})
			args := []string{"--mine", "--threads", "1", "--data-dir", filepath.Join(disk, "data")}
			first := f.coordinator(t, args...)
			eventually(t, luck, "a block is announced", func() bool { return len(o.blocks()) > 0 })

			filler := filepath.Join(disk, "filler")
			fill(t, disk, filler, test.left)
			first.wait(t, failed)
			wantLastLines(t, first, "free some space and start again: nothing that was acknowledged is lost", "disk")
			announced := o.blocks()

			again := f.coordinator(t, args...)
			again.wait(t, failed)
			wantLastLines(t, again, "start again: nothing that was acknowledged is lost", "disk")

			if err := os.Remove(filler); err != nil {
				t.Fatal(err)
			}
			f.coordinator(t, args...)
			o.discovered(t)
			checkAnnounced(t, o, announced)
			eventually(t, luck, "it mines on", func() bool { return len(o.blocks()) > len(announced) })
		})
	}
}

// fill writes a file until only so many bytes are left.
func fill(t *testing.T, disk, path string, left int64) {
	t.Helper()
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for {
		var st syscall.Statfs_t
		if err := syscall.Statfs(disk, &st); err != nil {
			t.Fatal(err)
		}
		n := min(int64(st.Bavail)*st.Bsize-left, 1<<20)
		if n <= 0 {
			return
		}
		if _, err := io.CopyN(file, zeros{}, n); errors.Is(err, syscall.ENOSPC) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// wantLastLines wants a process to have ended with one line about what and one hint.
func wantLastLines(t *testing.T, p *process, hint, what string) {
	t.Helper()
	all := p.out.all()
	if len(all) < 2 || !all[len(all)-2].has("jbc: ", what) || !all[len(all)-1].has("jbc: hint: ", hint) || len(p.out.with("jbc: ")) != 2 {
		t.Errorf("%s ended with\n%s\nwant one line about the %s and one hint: %s", p.name, p.out.tail(6), what, hint)
	}
}
