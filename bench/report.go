package bench

import (
	"fmt"
	"io"
	"slices"
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

// WriteTable prints rows for people: rates first, then what is no rate.
func WriteTable(w io.Writer, rows []Row) error {
	tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', tabwriter.AlignRight)
	if slices.ContainsFunc(rows, func(r Row) bool { return r.MHS > 0 }) {
		fmt.Fprintln(tw, "kind\tname\tthreads\tversions\tMH/s\tslowest\tfastest\t")
	}
	var rest []string
	for _, r := range rows {
		switch r.Kind {
		case KindCancel:
			rest = append(rest, fmt.Sprintf("A %s stops a worker of %d threads in %.0f us (median), %.0f us (99 of 100);\na raw message and a bare flag take %.0f us and %.0f us.",
				r.Name, r.Threads, r.P50us, r.P99us, r.ControlP50us, r.ControlP99us))
		case KindLeases:
			rest = append(rest, fmt.Sprintf("A coordinator grants %.0f leases a second.", r.PerSecond))
		case KindLive:
			rest = append(rest, fmt.Sprintf("A worker on a running job makes %.1f %% of its kernel's rate.", 100*r.OfKernel))
			fallthrough
		default:
			fmt.Fprintf(tw, "%s\t%s\t%d\t%d\t%.2f\t%.2f\t%.2f\t\n", r.Kind, r.Name, r.Threads, r.Versions, r.MHS, r.MinMHS, r.MaxMHS)
		}
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	for _, line := range rest {
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	return nil
}
