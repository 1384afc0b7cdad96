package bench

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// Kinds of rows.
const (
	KindKernel   = "kernel"   // a kernel of package hashing
	KindDevice   = "device"   // a graphics card or the like
	KindBaseline = "baseline" // a library, used as anybody would
	KindRival    = "rival"    // another miner on PATH
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
	// Cycles is how many cycles of one core a hash took, and OfLimit the least that
	// the core's ports would allow over that, both zero where not known.
	Cycles  float64 `json:"cycles,omitempty"`
	OfLimit float64 `json:"of_limit,omitempty"`
	// Scaling is the rate over that of one thread.
	Scaling float64 `json:"scaling,omitempty"`
	// Kernel is what a rival ran in turn with, and KernelOver the median of that
	// kernel's rates over the rival's.
	Kernel     string  `json:"kernel,omitempty"`
	KernelOver float64 `json:"kernel_over,omitempty"`
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

// rateRow returns a row of rates in MH/s.
func rateRow(kind, name string, threads, versions int, mhs []float64) Row {
	return Row{
		Kind: kind, Name: name, Threads: threads, Versions: versions,
		MHS: median(mhs), MinMHS: slices.Min(mhs), MaxMHS: slices.Max(mhs),
	}
}

// median returns the middle one of values, the upper of two.
func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

// ratios returns a over b, turn by turn.
func ratios(a, b []float64) []float64 {
	out := make([]float64, len(a))
	for i := range a {
		out[i] = a[i] / b[i]
	}
	return out
}

// WriteTable prints rows for people: rates first, then what is no rate.
func WriteTable(w io.Writer, rows []Row) error {
	var text strings.Builder
	tw := tabwriter.NewWriter(&text, 0, 8, 2, ' ', tabwriter.AlignRight)
	if slices.ContainsFunc(rows, func(r Row) bool { return r.MHS > 0 }) {
		fmt.Fprintln(tw, "kind\tname\tthreads\tversions\tMH/s\tslowest\tfastest\tcycles\tof limit\tscaling\t")
	}
	var rest []string
	for _, r := range rows {
		if line := r.sentence(); line != "" {
			rest = append(rest, line)
		}
		if r.MHS > 0 {
			fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%.2f\t%.2f\t%.2f\t%s\t%s\t%s\t\n", r.Kind, r.Name, orBlank("%.0f", float64(r.Threads)), orBlank("%.0f", float64(r.Versions)),
				r.MHS, r.MinMHS, r.MaxMHS, orBlank("%.1f", r.Cycles), orBlank("%.0f %%", 100*r.OfLimit), orBlank("%.2f", r.Scaling))
		}
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	var lines []string
	for line := range strings.Lines(text.String()) {
		lines = append(lines, strings.TrimRight(line, " \n")) // columns at the end may be empty
	}
	for _, line := range append(lines, rest...) {
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	return nil
}

// sentence says what of a row is no column of the table.
func (r *Row) sentence() string {
	switch r.Kind {
	case KindCancel:
		return fmt.Sprintf("A %s stops a worker of %d threads in %.0f us (median), %.0f us (99 of 100);\na raw message and a bare flag take %.0f us and %.0f us.",
			r.Name, r.Threads, r.P50us, r.P99us, r.ControlP50us, r.ControlP99us)
	case KindLeases:
		return fmt.Sprintf("A coordinator grants %.0f leases a second.", r.PerSecond)
	case KindLive:
		return fmt.Sprintf("A worker on a running job makes %.1f %% of its kernel's rate.", 100*r.OfKernel)
	case KindRival:
		return fmt.Sprintf("%s is %.2f times as fast as %s on %d thread(s), in turn with it.", r.Kernel, r.KernelOver, r.Name, r.Threads)
	}
	return ""
}

// orBlank leaves out what is not known.
func orBlank(format string, value float64) string {
	if value == 0 {
		return ""
	}
	return fmt.Sprintf(format, value)
}
