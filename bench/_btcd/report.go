package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"text/tabwriter"
)

// report is what the program prints.
type report struct {
	Machine machine `json:"machine"`
	Rows    []Row   `json:"rows"`
}

// machine says what the figures were measured on.
type machine struct {
	CPU        string `json:"cpu"`
	Cores      int    `json:"cores"`
	Go         string `json:"go"`
	Btcd       string `json:"btcd"`
	Turns      int    `json:"turns"`
	CacheBytes int64  `json:"cache_bytes"`
	Signatures uint   `json:"signature_cache_entries"`
	LoadBefore string `json:"load_before"` // averages of 1, 5 and 15 minutes
	LoadAfter  string `json:"load_after"`
}

// Row compares one figure of both sides.
type Row struct {
	Part string  `json:"part"`
	Name string  `json:"name"`
	Unit string  `json:"unit"`
	JBC  *Figure `json:"jbc,omitempty"`
	Btcd *Figure `json:"btcd,omitempty"`
	// Ratio is the median over the turns of how many times as good ours was.
	Ratio float64 `json:"ratio,omitempty"`
}

// Figure is the median of the turns, and the least and most of them.
type Figure struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

func newRow(part string, m metric, ours, theirs []float64) Row {
	r := Row{Part: part, Name: m.name, Unit: m.unit, JBC: newFigure(ours), Btcd: newFigure(theirs)}
	if !m.noRatio && len(ours) != 0 && len(ours) == len(theirs) {
		ratios := make([]float64, len(ours))
		for i := range ours {
			if ratios[i] = ours[i] / theirs[i]; m.less {
				ratios[i] = theirs[i] / ours[i]
			}
		}
		r.Ratio = median(ratios)
	}
	return r
}

// newFigure returns nil where nothing was measured.
func newFigure(values []float64) *Figure {
	if len(values) == 0 {
		return nil
	}
	return &Figure{Median: median(values), Min: slices.Min(values), Max: slices.Max(values)}
}

// median returns the middle one of values, of two their mean.
func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	half := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[half]
	}
	return (sorted[half-1] + sorted[half]) / 2
}

func (r *report) write(w io.Writer, asJSON bool) error {
	if asJSON {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(r)
	}
	m := r.Machine
	fmt.Fprintf(w, "%s, %d cores, %s, btcd %s\n", m.CPU, m.Cores, m.Go, m.Btcd)
	fmt.Fprintf(w, "medians (least to most) of %d turns; caches of %d MiB and %d signatures; load %s before, %s after\n\n",
		m.Turns, m.CacheBytes>>20, m.Signatures, m.LoadBefore, m.LoadAfter)
	tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(tw, "part\tcase\tunit\tjbc\tbtcd\tjbc is better")
	for _, row := range r.Rows {
		ratio := "-"
		if row.Ratio != 0 {
			ratio = fmt.Sprintf("%.2f times", row.Ratio)
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%s\n", row.Part, row.Name, row.Unit, row.JBC, row.Btcd, ratio)
	}
	return tw.Flush()
}

func (f *Figure) String() string {
	if f == nil {
		return "-"
	}
	digits := 0
	if f.Median < 1000 {
		digits = 1
	}
	return fmt.Sprintf("%.*f (%.*f to %.*f)", digits, f.Median, digits, f.Min, digits, f.Max)
}

func thisMachine(o *options) machine {
	return machine{
		CPU: cpuName(), Cores: runtime.GOMAXPROCS(0), Go: runtime.Version(), Btcd: rivalVersion(),
		Turns: o.turns, CacheBytes: o.cacheBytes, Signatures: o.signatures, LoadBefore: load(),
	}
}

// rivalVersion returns the version of btcd in this program.
func rivalVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			if m.Path == rivalModule {
				return m.Version
			}
		}
	}
	return "of unknown version"
}

// cpuName returns what Linux calls the processor.
func cpuName() string {
	info, _ := os.ReadFile("/proc/cpuinfo") // not there: not known
	for line := range strings.Lines(string(info)) {
		if key, name, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(name)
		}
	}
	return runtime.GOARCH
}

// load returns the averages of runnable processes over 1, 5 and 15 minutes.
func load() string {
	line, _ := os.ReadFile("/proc/loadavg") // not there: not known
	fields := strings.Fields(string(line))
	if len(fields) < 3 {
		return "unknown"
	}
	return strings.Join(fields[:3], " ")
}
