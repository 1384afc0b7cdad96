package bench

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// Kinds of rows.
const (
	KindKernel   = "kernel"   // a kernel of package hashing
	KindBaseline = "baseline" // a library, used as anybody would
	KindLive     = "live"     // a worker on a running job, by its own count
	KindCancel   = "cancel"   // how long a solution takes to stop a worker
	KindLeases   = "leases"   // how many leases a coordinator grants
)

// Row is one line of a report.
type Row struct {
	Kind string `json:"kind"`
	Name string `json:"name"`
	// Threads and Versions say how it was run: on so many threads, with so many
	// header versions over one second block.
	Threads  int `json:"threads,omitempty"`
	Versions int `json:"versions,omitempty"`
	// MHS is the median of the rounds in million hashes (SHA-256d of a header) a
	// second; MinMHS and MaxMHS are its slowest and its fastest round.
	MHS    float64 `json:"mhs,omitempty"`
	MinMHS float64 `json:"mhs_min,omitempty"`
	MaxMHS float64 `json:"mhs_max,omitempty"`
	// OfKernel is the median of a live row's rates over the bare kernel's in the
	// same round.
	OfKernel float64 `json:"of_kernel,omitempty"`
	// P50us and P99us are how long a stop took, in microseconds, medians over the
	// rounds; the control's are a raw message and a bare flag in the same run.
	P50us        float64 `json:"p50_us,omitempty"`
	P99us        float64 `json:"p99_us,omitempty"`
	ControlP50us float64 `json:"control_p50_us,omitempty"`
	ControlP99us float64 `json:"control_p99_us,omitempty"`
	// PerSecond is what a leases row counts.
	PerSecond float64 `json:"per_second,omitempty"`
}

// WriteTable prints rows for people.
func WriteTable(w io.Writer, rows []Row) error {
	tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tw, "kind\tname\tthreads\tversions\tMH/s\tslowest\tfastest\t")
	for _, r := range rows {
		fmt.Fprintf(tw, "%s\t%s\t%d\t%d\t%.2f\t%.2f\t%.2f\t\n", r.Kind, r.Name, r.Threads, r.Versions, r.MHS, r.MinMHS, r.MaxMHS)
	}
	return tw.Flush()
}
