package main

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestRun measures everything in small, both sides, and wants a figure in each
// place that has one.
func TestRun(t *testing.T) {
	var stdout, stderr strings.Builder
	args := []string{"-json", "-turns", "1", "-dir", t.TempDir(), "-file", mainnetBlocks, "-depths", "7,20", "-headers", "20000"}
	if code := run(t.Context(), args, &stdout, &stderr); code != 0 {
		t.Fatalf("exit code %d\n%s", code, stderr.String())
	}
	var r report
	if err := json.Unmarshal([]byte(stdout.String()), &r); err != nil {
		t.Fatal(err)
	}
	if r.Machine.Btcd != "v0.26.2" || r.Machine.Turns != 1 || r.Machine.CacheBytes != 64<<20 {
		t.Errorf("machine %+v", r.Machine)
	}
	// Which sides have a figure, and whether there is a ratio.
	want := []struct {
		part, name, unit  string
		jbc, btcd, ratios bool
	}{
		{"import", "2015 blocks", "blocks/s", true, true, true},
		{"import", "111 inputs", "inputs/s", true, true, true},
		{"reorg", "depth 7", "blocks/s", true, true, true},
		{"reorg", "depth 8, back", "blocks/s", true, true, true},
		{"reorg", "depth 20", "blocks/s", true, true, true},
		{"reorg", "depth 21, back", "blocks/s", true, true, true},
		{"headers", "20000 headers", "headers/s", true, true, true},
		{"headers", "its index in memory", "bytes/header", true, true, true},
		{"inputs", "5000 P2WPKH, connected", "ms", true, true, true},
		{"inputs", "P2WPKH, connected and safe on disk", "ms", true, false, false},
		{"inputs", "P2WPKH, signatures alone on all cores", "ms", true, true, false},
		{"inputs", "P2WPKH, these over connected", "%", true, true, false},
		{"inputs", "P2WPKH, with keys parsed beforehand", "%", true, true, false},
		{"inputs", "P2WPKH, least of these over least connected", "%", true, true, false},
		{"inputs", "5000 P2PKH, connected", "ms", true, true, true},
		{"inputs", "P2PKH, connected and safe on disk", "ms", true, false, false},
		{"inputs", "P2PKH, signatures alone on all cores", "ms", true, true, false},
		{"inputs", "P2PKH, these over connected", "%", true, true, false},
		{"inputs", "P2PKH, with keys parsed beforehand", "%", true, true, false},
		{"inputs", "P2PKH, least of these over least connected", "%", true, true, false},
	}
	if len(r.Rows) != len(want) {
		t.Fatalf("%d rows, want %d", len(r.Rows), len(want))
	}
	for i, w := range want {
		got := r.Rows[i]
		if got.Part != w.part || got.Name != w.name || got.Unit != w.unit {
			t.Errorf("row %d: %s, %s, %s; want %s, %s, %s", i, got.Part, got.Name, got.Unit, w.part, w.name, w.unit)
		}
		if (got.JBC != nil) != w.jbc || (got.Btcd != nil) != w.btcd || (got.Ratio > 0) != w.ratios {
			t.Errorf("%s, %s: jbc %v, btcd %v, ratio %g", got.Part, got.Name, got.JBC, got.Btcd, got.Ratio)
		}
		for _, f := range []*Figure{got.JBC, got.Btcd} {
			if f != nil && (f.Min <= 0 || f.Median < f.Min || f.Max < f.Median) {
				t.Errorf("%s, %s: figure %+v", got.Part, got.Name, *f)
			}
		}
	}
}

// TestRefused names what the command line does not take.
func TestRefused(t *testing.T) {
	for _, test := range []struct {
		args string
		want string // the first line of the complaint
	}{
		{"mempool", `bench-chain: no part "mempool"; there are import, reorg, headers and inputs`},
		{"-sides jbc,core", `bench-chain: no side "core"; there are jbc and btcd`},
		{"-turns 0", "bench-chain: 0 turns, 1000000 headers, cache of 64 MiB: want at least one of each"},
		{"-cache-mib 0", "bench-chain: 5 turns, 1000000 headers, cache of 0 MiB: want at least one of each"},
		{"-depths 10,x", `invalid value "10,x" for flag -depths: depth "x": want a number of blocks`},
		{"-depths 0", `invalid value "0" for flag -depths: depth "0": want a number of blocks`},
	} {
		var stdout, stderr strings.Builder
		if code := run(t.Context(), strings.Fields(test.args), &stdout, &stderr); code != 2 {
			t.Errorf("%s: exit code %d, want 2", test.args, code)
		}
		if got, _, _ := strings.Cut(stderr.String(), "\n"); got != test.want {
			t.Errorf("%s: %s\nwant %s", test.args, got, test.want)
		}
	}
}

// TestRatio turns samples into a row.
func TestRatio(t *testing.T) {
	for _, test := range []struct {
		name         string
		m            metric
		ours, theirs []float64
		want         float64
	}{
		{"a rate", metric{}, []float64{30, 10, 20}, []float64{10, 10, 40}, 1},
		{"a time", metric{less: true}, []float64{2, 4}, []float64{4, 4}, 1.5},
		{"no better one", metric{noRatio: true}, []float64{2}, []float64{4}, 0},
		{"one side", metric{}, []float64{2}, nil, 0},
		{"neither side", metric{}, nil, nil, 0},
	} {
		if got := newRow("part", test.m, test.ours, test.theirs).Ratio; got != test.want {
			t.Errorf("%s: ratio %g, want %g", test.name, got, test.want)
		}
	}
}

// TestLeastShare takes the fastest turn of each, and of the signatures that of
// whichever side came upon it.
func TestLeastShare(t *testing.T) {
	figure := func(least float64) *Figure { return &Figure{Min: least, Median: 500, Max: 900} }
	for _, test := range []struct {
		name                  string
		connected, signatures Row
		jbc, btcd             float64 // zero: none
	}{
		{"both", Row{JBC: figure(100), Btcd: figure(200)}, Row{JBC: figure(90), Btcd: figure(80)}, 80, 40},
		{"ours", Row{JBC: figure(100)}, Row{JBC: figure(90)}, 90, 0},
		{"btcd's", Row{Btcd: figure(100)}, Row{Btcd: figure(95)}, 0, 95},
	} {
		row := leastShare("share", test.connected, test.signatures)
		for i, side := range []*Figure{row.JBC, row.Btcd} {
			want := []float64{test.jbc, test.btcd}[i]
			if side == nil && want != 0 || side != nil && *side != (Figure{want, want, want}) {
				t.Errorf("%s: %v, want %g", test.name, side, want)
			}
		}
	}
}
