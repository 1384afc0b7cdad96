package bench

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jbcnet/jbc/hashing"
)

func TestThreadCounts(t *testing.T) {
	tests := []struct {
		most int
		want []int
	}{
		{1, []int{1}},
		{2, []int{1, 2}},
		{8, []int{1, 2, 3, 4, 5, 6, 7, 8}},
		{9, []int{1, 2, 4, 8, 9}},
		{64, []int{1, 2, 4, 8, 16, 32, 64}},
	}
	for _, test := range tests {
		if got := threadCounts(test.most); !slices.Equal(got, test.want) {
			t.Errorf("threadCounts(%d) = %v, want %v", test.most, got, test.want)
		}
	}
}

func TestHashing(t *testing.T) {
	progress := 0.0
	rows, err := Hashing(t.Context(), Options{
		Threads: 2, Time: 5 * time.Millisecond, Progress: func(done float64) { progress = done },
	})
	if err != nil {
		t.Fatal(err)
	}
	if progress != 1 {
		t.Errorf("progress ends at %v, want 1", progress)
	}
	type place struct {
		kind, name        string
		threads, versions int
	}
	seen := map[place]bool{}
	for _, r := range rows {
		if !(r.MinMHS > 0 && r.MinMHS <= r.MHS && r.MHS <= r.MaxMHS) {
			t.Errorf("row %+v: want 0 < slowest <= median <= fastest", r)
		}
		p := place{r.Kind, r.Name, r.Threads, r.Versions}
		if seen[p] {
			t.Errorf("row %+v is there twice", p)
		}
		seen[p] = true
	}
	for _, k := range hashing.Kernels() {
		for _, threads := range []int{1, 2} {
			for _, versions := range []int{1, manyVersions} {
				if p := (place{KindKernel, k.Name, threads, versions}); seen[p] != k.Supported() {
					t.Errorf("row %+v: there %t, supported %t", p, seen[p], k.Supported())
				}
			}
		}
	}
	for _, name := range []string{"crypto/sha256", "crypto/sha256+midstate", "sha256-simd"} {
		if p := (place{KindBaseline, name, 2, 1}); !seen[p] {
			t.Errorf("row %+v is missing", p)
		}
	}

	var table bytes.Buffer
	if err := WriteTable(&table, rows); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(table.String(), "sha256-simd") {
		t.Errorf("the table lacks a baseline:\n%s", table.String())
	}
}

func TestHashingStops(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	begin := time.Now()
	_, err := Hashing(ctx, Options{Threads: 1, Time: 100 * time.Millisecond, Progress: func(float64) { cancel() }})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("it took %s to stop", took)
	}
}

// TestContendersCount runs one slice of each and looks at what it says it did.
func TestContendersCount(t *testing.T) {
	for _, c := range slices.Concat(baselines(), kernelContenders(hashing.Kernels())) {
		step := c.start()
		if got := step(); got == 0 || got%uint64(c.versions) != 0 {
			t.Errorf("%s %s: a slice made %d hashes under %d versions", c.kind, c.name, got, c.versions)
		}
	}
}
