package main

import (
	"strings"
	"time"

	"github.com/klauspost/cpuid/v2"
	"github.com/spf13/cobra"

	"github.com/jbcnet/jbc/bench"
	"github.com/jbcnet/jbc/hashing"
)

// kernelRateTime is how long jbc kernels measures each of them.
const kernelRateTime = 200 * time.Millisecond

// kernelRow is one kernel as jbc kernels lists it.
type kernelRow struct {
	Name      string   `json:"name"`
	About     string   `json:"about"`
	Lanes     int      `json:"lanes"`
	Versions  int      `json:"versions"`
	Features  []string `json:"features"` // of the CPU that it needs
	Missing   []string `json:"missing"`  // those that this machine lacks
	Supported bool     `json:"supported"`
	Chosen    bool     `json:"chosen"` // what runs where no --kernel is given
	MHS       float64  `json:"mhs"`    // one thread, measured just now
}

func newKernels(s *shell) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "kernels",
		Short: "List the kernels and what they do on this machine",
		Long: "List the kernels, slowest first: which this machine can run, which one runs where\n" +
			"--kernel names none, and a quick measurement of each on one thread.",
		Args: exactArgs(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			rows := []kernelRow{}
			chosen := hashing.FastestKernel(usualVersions).Name
			for _, k := range hashing.Kernels() {
				row := describeKernel(k, chosen)
				if row.Supported {
					row.MHS = bench.KernelRate(cmd.Context(), k, kernelRateTime) / 1e6
				}
				if cmd.Context().Err() != nil {
					return errInterrupted
				}
				rows = append(rows, row)
			}
			if asJSON {
				return printJSON(s.out, rows)
			}
			return table(s.out, func(line func(string, ...any)) {
				line("\tKERNEL\tLANES\tVERSIONS\tMH/S\tNEEDS\tABOUT")
				for _, r := range rows {
					mark, needs := "", strings.Join(r.Features, " ")
					if r.Chosen {
						mark = "*"
					}
					if needs == "" {
						needs = "any CPU"
					}
					if !r.Supported {
						line("%s\t%s\t%d\t%d\t-\t%s (lacks %s)\t%s", mark, r.Name, r.Lanes, r.Versions, needs, strings.Join(r.Missing, " "), r.About)
						continue
					}
					line("%s\t%s\t%d\t%d\t%.2f\t%s\t%s", mark, r.Name, r.Lanes, r.Versions, r.MHS, needs, r.About)
				}
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON list")
	return cmd
}

func describeKernel(k hashing.Kernel, chosen string) kernelRow {
	row := kernelRow{
		Name: k.Name, About: k.About, Lanes: k.Lanes, Versions: k.Versions,
		Features: []string{}, Missing: []string{},
		Supported: k.Supported(), Chosen: k.Name == chosen,
	}
	for _, f := range k.Features {
		row.Features = append(row.Features, f.String())
		if !cpuid.CPU.Supports(f) {
			row.Missing = append(row.Missing, f.String())
		}
	}
	return row
}
