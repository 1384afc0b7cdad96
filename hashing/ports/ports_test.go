package ports

import (
	"math"
	"testing"

	"github.com/jbcnet/jbc/hashing"
)

func TestLimit(t *testing.T) {
	table := Table{"VPADDD Z": 4, "VPXOR Z": 3.9, "VPRORD Z": 2, "VPSRLD Z": 1.6, "SHA256RNDS2 X": 0.5}
	tests := []struct {
		name     string
		lanes    int
		work     []hashing.Operation
		versions int
		want     float64
	}{
		{"all ports", 16, []hashing.Operation{{Name: "VPADDD Z", Batch: 600}, {Name: "VPRORD Z", Batch: 40}}, 1, 640.0 / 4 / 16},
		{"the widest counts for all", 16, []hashing.Operation{{Name: "VPADDD Z", Batch: 8}, {Name: "VPXOR Z", Batch: 632}}, 1, 640.0 / 4 / 16},
		{"shifts and rotations share their ports", 8, []hashing.Operation{{Name: "VPADDD Z", Batch: 8}, {Name: "VPRORD Z", Batch: 80}, {Name: "VPSRLD Z", Batch: 16}}, 1, (80/2.0 + 16/1.6) / 8},
		{"rounds have their own", 1, []hashing.Operation{{Name: "VPADDD Z", Batch: 40}, {Name: "SHA256RNDS2 X", Batch: 58}}, 1, 116},
		{"versions share a table", 16, []hashing.Operation{{Name: "VPADDD Z", Batch: 640, Vector: 640}}, 16, (640 + 40.0) / 4 / 16},
		{"an instruction that nobody measured", 16, []hashing.Operation{{Name: "VPADDD Z", Batch: 640}, {Name: "VPMULLD Z", Batch: 1}}, 1, 0},
		{"a kernel that nobody counted", 16, nil, 1, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			k := hashing.Kernel{Lanes: tt.lanes, Work: tt.work}
			if got := table.Limit(k, tt.versions); math.Abs(got-tt.want) > 1e-9 {
				t.Errorf("limit %v cycles a hash, want %v", got, tt.want)
			}
		})
	}
}

// TestMeasure measures this machine. Whatever else it does, no core starts more
// than eight vector instructions a cycle or runs at 20 GHz.
func TestMeasure(t *testing.T) {
	if chainLoop == nil {
		t.Skip("this build has no loops to measure with")
	}
	if hz := Clock(); !(hz > 1e7 && hz < 2e10) {
		t.Errorf("clock of %g Hz", hz)
	}
	table := Measure(hashing.Kernels()...)
	for name, rate := range table {
		if !(rate > 0 && rate < 8) {
			t.Errorf("%s: %g a cycle", name, rate)
		}
	}
	for _, k := range hashing.Kernels() {
		if len(k.Work) == 0 || !k.Supported() {
			continue
		}
		one, many := table.Limit(k, 1), table.Limit(k, 16)
		if !(one > 0 && many > 0 && many <= one) {
			t.Errorf("%s: limits of %g cycles with one version and %g with 16", k.Name, one, many)
		}
		if share := Share(k, 16); !(share > 0) {
			t.Errorf("%s: share %g of its limit", k.Name, share)
		}
	}
}
