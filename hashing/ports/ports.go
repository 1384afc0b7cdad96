// Package ports measures what a CPU core can do at most: how many instructions of
// each kind it starts in a cycle, and from that how fast a kernel could be.
package ports

import (
	"math"
	"strings"
	"time"

	"github.com/jbcnet/jbc/hashing"
)

// loop runs one instruction over and over, on registers that wait for nothing.
type loop struct {
	name string // as in [hashing.Operation]
	run  func(turns int)
}

const (
	loopTurns  = 100 // of a loop: some 10 microseconds
	loopRounds = 25  // of which the fastest counts: other programs only slow it down
)

// Clock returns the cycles a second of the core that it runs on, measured in well
// under a millisecond, or zero where this build can't.
func Clock() float64 {
	if chainLoop == nil {
		return 0
	}
	return float64(loopTurns*chainBody) / fastest(chainLoop).Seconds()
}

func fastest(run func(turns int)) time.Duration {
	best := time.Duration(math.MaxInt64)
	for range loopRounds {
		start := time.Now()
		run(loopTurns)
		best = min(best, time.Since(start))
	}
	return best
}

// Table is what a core was measured to start in a cycle, by instruction.
type Table map[string]float64

// Measure measures the instructions that limit the kernels, as far as this CPU can
// run them, half a millisecond each. The table is empty where the build has no
// assembly.
func Measure(kernels ...hashing.Kernel) Table {
	used := map[string]bool{}
	for _, k := range kernels {
		if k.Supported() {
			for _, op := range k.Work {
				used[op.Name] = true
			}
		}
	}
	t := Table{}
	for _, l := range loops {
		if used[l.name] {
			hz := Clock() // each time: it changes with what the core does
			t[l.name] = float64(loopTurns*loopBody) / fastest(l.run).Seconds() / hz
		}
	}
	return t
}

// Limit returns the fewest cycles that a hash of k can take under so many versions,
// zero where that is not known. All vector instructions share the ports that the
// fastest of them can use. What fewer ports run (shifts, rotations and shuffles;
// SHA-256's own instructions) shares those. Loads, stores and copies are not
// counted: other parts of a core do them.
func (t Table) Limit(k hashing.Kernel, versions int) float64 {
	if len(k.Work) == 0 || versions == 0 {
		return 0
	}
	var all, widest float64
	groups := map[string]float64{}
	for _, op := range k.Work {
		rate := t[op.Name]
		if rate == 0 {
			return 0
		}
		n := (float64(op.Batch) + float64(op.Vector)/float64(versions)) / float64(k.Lanes)
		all += n
		widest = max(widest, rate)
		groups[group(op.Name)] += n / rate
	}
	cycles := all / widest
	for name, c := range groups {
		if name != "" {
			cycles = max(cycles, c)
		}
	}
	return cycles
}

// group names what an instruction shares its ports with, where those are not all
// that there are.
func group(name string) string {
	mnemonic, _, _ := strings.Cut(name, " ")
	switch mnemonic {
	case "SHA256RNDS2":
		return "rounds"
	case "SHA256MSG1", "SHA256MSG2":
		return "message"
	case "VPRORD", "VPSRLD", "VPSLLD", "PSRLL", "PSLLL":
		return "shifts"
	}
	return ""
}

// Poor is the share of its limit below which a kernel runs far below its own best:
// all reach more than 0.8 of it where nothing else is wrong.
const Poor = 0.7

// shareTime is how long a kernel runs to have its share measured.
const shareTime = 4 * time.Millisecond

// Share returns how much of what the ports of this core allow k reaches under so
// many versions, 1 to [hashing.MaxVersions], or zero where that is not known. It
// takes about 10 ms, of which it believes the fastest moments: what else the
// machine does matters little, unless it never stops.
func Share(k hashing.Kernel, versions int) float64 {
	limit := Measure(k).Limit(k, versions)
	if limit == 0 {
		return 0
	}
	hz := Clock()
	rate := k.Rate(versions, shareTime)
	return limit * rate / max(hz, Clock())
}
