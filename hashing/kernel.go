package hashing

import (
	"fmt"
	"strings"
	"time"

	"github.com/klauspost/cpuid/v2"
)

// ScanBudget is how long one call of [Kernel.Scan] should take. It bounds how late
// a cancelled job is noticed and, since assembly can't be preempted, how long a
// garbage collection waits. Half a millisecond is the limit; a busy machine can make
// a call take several times what was calibrated. Kernels reach their full rate in
// a tenth of it.
const ScanBudget = 125 * time.Microsecond

// Kernel is code for one instruction set that tries nonces.
type Kernel struct {
	// Name is what --kernel takes.
	Name string
	// About is one line for people.
	About string
	// Features are all that the code needs of the CPU.
	Features []cpuid.FeatureID
	// Lanes is how many nonces are hashed side by side.
	Lanes int
	// Versions is how many versions a search should hold for the best rate.
	Versions int
	// Work is what a hash costs, for limits; empty where nobody counted.
	Work []Operation
	// Scan tries nonces [first, first+n), modulo 2^32, under every version of s
	// and writes what meets s.Target into hits, in no order. It returns how many
	// nonces are done, fewer than n only when hits is full: a nonce is done with
	// all its versions or not at all, so hits needs room for at least as many as
	// s has versions. It is a pure function of its arguments, safe for
	// concurrent use, and can't be preempted while it runs: keep n short.
	Scan func(s *Search, first uint32, n int, hits []Hit) (done, found int)

	text []func() (from, to uintptr) // where the code of its assembly lies
}

// Operation is how often a kernel uses an instruction of those that its CPU's ports
// limit.
type Operation struct {
	// Name is the mnemonic and the register class, such as "VPADDD Z".
	Name string
	// Batch is how often for one version of a vector of nonces, Vector how often on
	// top for all versions of it.
	Batch, Vector int
}

// Kernels returns every kernel of this build, slowest first.
func Kernels() []Kernel {
	return append([]Kernel{
		{
			Name: "plain", About: "plain Go, the specification",
			Lanes: 1, Versions: 1, Scan: scanPlain,
		},
		{
			Name: "stdlib", About: "crypto/sha256 from a midstate",
			Lanes: 1, Versions: 1, Scan: scanLibrary,
		},
	}, assemblyKernels()...)
}

// Supported says whether this machine's CPU has every feature that k needs.
func (k Kernel) Supported() bool { return cpuid.CPU.Supports(k.Features...) }

// BestKernel returns the last kernel of [Kernels] that this machine can run.
func BestKernel() Kernel {
	best := Kernels()[0]
	for _, k := range Kernels() {
		if k.Supported() {
			best = k
		}
	}
	return best
}

// KernelByName returns the kernel called name. The error says that there is
// none, or which CPU features this machine lacks for it.
func KernelByName(name string) (Kernel, error) {
	for _, k := range Kernels() {
		if k.Name != name {
			continue
		}
		if k.Supported() {
			return k, nil
		}
		return Kernel{}, fmt.Errorf("kernel %q needs CPU features that this machine lacks: %s", name, strings.Join(k.missing(), " "))
	}
	return Kernel{}, fmt.Errorf("no kernel %q", name)
}

// missing names the features that k needs and this machine lacks.
func (k Kernel) missing() []string {
	var names []string
	for _, f := range k.Features {
		if !cpuid.CPU.Supports(f) {
			names = append(names, f.String())
		}
	}
	return names
}

// Calibrate returns how many nonces of s one call of k.Scan can try within
// budget, at least one. It measures for about five times the budget, and takes the
// fastest of its tries, which a busy machine disturbs least.
func (k Kernel) Calibrate(s *Search, budget time.Duration) int {
	hits := make([]Hit, max(64, len(s.Midstates)))
	unmeetable := *s
	unmeetable.Target = Target{} // hits would cut a call short

	n := k.Lanes
	for {
		best := time.Duration(1<<63 - 1)
		for range 3 {
			start := time.Now()
			k.Scan(&unmeetable, 0, n, hits)
			best = min(best, time.Since(start))
		}
		if best >= budget/2 || n >= 1<<30 { // sooner, and filling a pipeline would count for too much
			fit := int(float64(n) * float64(budget) / float64(max(best, 1)))
			return max(k.Lanes, fit-fit%k.Lanes)
		}
		n *= 2
	}
}
