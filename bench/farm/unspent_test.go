//go:build linux

package farm

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jbcnet/jbc/hashing"
)

// verified is what jbc chain verify says of a directory.
type verified struct {
	Height   uint32       `json:"height"`
	Tip      hashing.Hash `json:"tip"`
	UTXOHash hashing.Hash `json:"utxo_hash"`
}

// sameUnspent wants the directories of coordinators that ended to have one tip, and
// what is unspent there to be what it is after a fresh import of that chain.
func (f *farm) sameUnspent(t *testing.T, network string, dirs ...string) verified {
	t.Helper()
	blocks, fresh := filepath.Join(t.TempDir(), "blocks.dat"), t.TempDir()
	f.mustRun(t, "chain", "export", blocks, "--network", network, "--data-dir", dirs[0])
	f.imported(t, network, fresh, blocks)
	want := f.verify(t, network, fresh)
	if want.UTXOHash.IsZero() || want.Height == 0 {
		t.Fatalf("the fresh import has %+v", want)
	}
	for _, dir := range dirs {
		if got := f.verify(t, network, dir); got != want {
			t.Errorf("%s has %+v, a fresh import %+v", filepath.Base(dir), got, want)
		}
	}
	return want
}

func (f *farm) verify(t *testing.T, network, dir string) (v verified) {
	t.Helper()
	out := f.mustRun(t, "chain", "verify", "--json", "--network", network, "--data-dir", dir)
	if err := json.Unmarshal([]byte(out), &v); err != nil {
		t.Fatalf("jbc chain verify: %v in %s", err, out)
	}
	return v
}

// imported takes a block file into a directory and returns how long the process took,
// and what it said.
func (f *farm) imported(t *testing.T, network, dir, blocks string) (took time.Duration, said string) {
	t.Helper()
	began := time.Now()
	out := f.mustRun(t, "chain", "import", blocks, "--network", network, "--data-dir", dir)
	return time.Since(began), strings.Join(strings.Fields(lines(out)[0]), " ")
}

// mustRun runs jbc to its end, which has to be a good one, and returns what it wrote.
func (f *farm) mustRun(t *testing.T, args ...string) string {
	t.Helper()
	out, errs, status := f.run(t, args...)
	if status != 0 {
		t.Fatalf("jbc %s: status %d: %s%s", strings.Join(args, " "), status, out, errs)
	}
	return out
}
