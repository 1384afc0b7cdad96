package bench

import (
	"bytes"
	"testing"
)

func TestWriteTable(t *testing.T) {
	rows := []Row{
		{Kind: KindKernel, Name: "plain", Threads: 1, Versions: 16, MHS: 2, MinMHS: 1.5, MaxMHS: 2.25, Cycles: 2000, OfLimit: 0.934},
		{Kind: KindDevice, Name: "H200", Versions: 4, MHS: 8, MinMHS: 7, MaxMHS: 9},
		{Kind: KindRival, Name: "minerd", Threads: 2, MHS: 1, MinMHS: 1, MaxMHS: 1, Scaling: 1.9, Kernel: "plain", KernelOver: 2.004},
		{Kind: KindLive, Name: "plain", Threads: 2, Versions: 16, MHS: 3.9, MinMHS: 3.8, MaxMHS: 4, OfKernel: 0.975},
		{Kind: KindCancel, Name: "solution", Threads: 2, P50us: 300, P99us: 1900, ControlP50us: 200, ControlP99us: 800},
		{Kind: KindLeases, Name: "granted", PerSecond: 6106},
	}
	var got bytes.Buffer
	if err := WriteTable(&got, rows); err != nil {
		t.Fatal(err)
	}
	const want = "    kind    name  threads  versions  MH/s  slowest  fastest  cycles  of limit  scaling\n" +
		"  kernel   plain        1        16  2.00     1.50     2.25  2000.0      93 %\n" +
		"  device    H200                  4  8.00     7.00     9.00\n" +
		"   rival  minerd        2            1.00     1.00     1.00                       1.90\n" +
		"    live   plain        2        16  3.90     3.80     4.00\n" +
		"plain is 2.00 times as fast as minerd on 2 thread(s), in turn with it.\n" +
		"A worker on a running job makes 97.5 % of its kernel's rate.\n" +
		"A solution stops a worker of 2 threads in 300 us (median), 1900 us (99 of 100);\n" +
		"a raw message and a bare flag take 200 us and 800 us.\n" +
		"A coordinator grants 6106 leases a second.\n"
	if got.String() != want {
		t.Errorf("got:\n%swant:\n%s", got.String(), want)
	}

	got.Reset()
	if err := WriteTable(&got, rows[5:]); err != nil || got.String() != "A coordinator grants 6106 leases a second.\n" {
		t.Errorf("one row that is no rate: got %q, error %v", got.String(), err)
	}
}

func TestRunRefusesUnknownParts(t *testing.T) {
	if _, err := Run(t.Context(), Options{}, "kernels", "everything"); err == nil {
		t.Error("Run takes a part that is not there")
	}
}
