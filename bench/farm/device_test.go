//go:build linux

package farm

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/coordinator/protocol"
	"github.com/jbcnet/jbc/hashing"
	"github.com/jbcnet/jbc/hashing/gpu"
)

// device is one as jbc devices --json tells of it.
type device struct {
	Name     string `json:"name"`
	Platform string `json:"platform"`
	Driver   string `json:"driver"`
}

// firstDevice returns the first device of this machine. Without one a test is skipped,
// and fails where CI=true says that nothing may be missing.
func (f *farm) firstDevice(t *testing.T) device {
	t.Helper()
	var list struct {
		Why     string   `json:"why"`
		Devices []device `json:"devices"`
	}
	f.runJSON(t, &list, "devices", "--json")
	if len(list.Devices) > 0 {
		return list.Devices[0]
	}
	why := list.Why + "; PoCL is one that any CPU can run: apt-get install pocl-opencl-icd ocl-icd-libopencl1"
	if os.Getenv("CI") == "true" {
		t.Fatal(why)
	}
	t.Skip(why)
	return device{}
}

// warmDevices has the device's driver find what it compiled for other tests, and the
// worker what it would measure first.
func (f *farm) warmDevices(t *testing.T, d device) {
	t.Helper()
	if cache, err := os.UserCacheDir(); err == nil {
		f.env = append(f.env, "POCL_CACHE_DIR="+filepath.Join(cache, "pocl", "kcache"))
	}
	known, err := json.Marshal([]map[string]any{{
		"name": d.Name, "platform": d.Platform, "driver": d.Driver, "program": gpu.ProgramID(), "hs": map[int]int{8: 1_000_000},
	}})
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(f.home, ".cache", "jbc")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "devices.json"), known, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestDevicesMine has one thread and a device mine blocks of the dev network side by
// side. Nothing that either finds is of a block that was solved before.
func TestDevicesMine(t *testing.T) {
	f := newFarm(t)
	d := f.firstDevice(t)
	f.warmDevices(t, d)
	o := f.observe(t, chain.Dev(), hooks{})
	f.coordinator(t)
	w := f.worker(t, "w1", 1, "--gpu", "0", "--kernel", "plain") // no faster than the device
	o.discovered(t)

	var last protocol.WorkerStatus
	eventually(t, luck, "the thread and the device have found blocks", func() bool {
		st := o.status()
		if st == nil || len(st.Workers) != 1 || len(st.Workers[0].Devices) != 1 {
			return false
		}
		last = st.Workers[0]
		byDevice := last.Devices[0].Shares
		return byDevice > 0 && last.Shares > byDevice && last.Blocks > 1
	})
	if got := last.Devices[0]; got.Name != protocol.DeviceName(d.Name) || got.State != "mining" || last.Threads != 1 {
		t.Errorf("%d threads beside %+v, want 1 beside %s", last.Threads, got, d.Name)
	}
	t.Logf("%d shares, %d of them by %s", last.Shares, last.Devices[0].Shares, d.Name)
	took := w.interrupt(t)
	t.Logf("Ctrl-C to end %v", took)

	parents := map[hashing.Hash]bool{}
	for _, s := range o.found() {
		if prev := s.prev; parents[prev] {
			t.Errorf("two solutions of the block after %s were published", prev)
		} else {
			parents[prev] = true
		}
	}
	if st := showStatus(t, f); st.Stale > 0 || len(parents) < 2 {
		t.Errorf("%d stale blocks, %d solutions", st.Stale, len(parents))
	}
}
