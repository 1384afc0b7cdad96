package coordinator

import (
	"sync"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// testDisk is a file system in memory of which a test decides when it syncs and
// whether it works.
type testDisk struct {
	vfs.FS
	mem *vfs.MemFS

	mu      sync.Mutex
	stalled chan struct{} // open while syncs have to wait
	broken  error         // what every write and sync gives
	full    bool
}

func newTestDisk() *testDisk {
	d := &testDisk{mem: vfs.NewCrashableMem()}
	d.FS = errorfs.Wrap(d.mem, errorfs.InjectorFunc(d.before))
	return d
}

// before is called before every operation.
func (d *testDisk) before(op errorfs.Op) error {
	switch op.Kind { //nolint:exhaustive // the others can't fail here
	case errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo:
		d.mu.Lock()
		stalled := d.stalled
		d.mu.Unlock()
		if stalled != nil {
			<-stalled
		}
	case errorfs.OpFileWrite, errorfs.OpFileWriteAt, errorfs.OpCreate:
	default:
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.broken
}

// stall has every sync wait until the returned function is called.
func (d *testDisk) stall() (goOn func()) {
	stalled := make(chan struct{})
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stalled = stalled
	return sync.OnceFunc(func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.stalled = nil
		close(stalled)
	})
}

// fail has every write fail from now on.
func (d *testDisk) fail() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.broken = syscall.EIO
}

// fill leaves no room from now on.
func (d *testDisk) fill() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.full = true
}

// GetDiskUsage implements [vfs.FS].
func (d *testDisk) GetDiskUsage(string) (vfs.DiskUsage, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.full {
		return vfs.DiskUsage{AvailBytes: 1 << 20, TotalBytes: 1 << 40}, nil
	}
	return vfs.DiskUsage{AvailBytes: 1 << 39, TotalBytes: 1 << 40}, nil
}

// afterPowerLoss returns the disk as it would be if the power went now: with what
// was synced and nothing else.
func (d *testDisk) afterPowerLoss() *vfs.MemFS { return d.mem.CrashClone(vfs.CrashCloneCfg{}) }
