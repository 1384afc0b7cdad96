package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jbcnet/jbc/hashing"
)

// Other CPU miners that are on PATH run beside the best kernel, in turn with it. To
// add one build it and put it on PATH: cpuminer (cpuminer-opt,
// https://github.com/JayDDee/cpuminer-opt) or minerd (https://github.com/pooler/cpuminer).

// rival is another miner.
type rival struct {
	name string // of the program
	args func(threads int) []string
}

func rivals() []rival {
	benchmark := func(threads int) []string {
		return []string{"-a", "sha256d", "--benchmark", "-t", strconv.Itoa(threads)}
	}
	return []rival{{"cpuminer", benchmark}, {"minerd", benchmark}}
}

const (
	rivalTurns = 3
	// rivalTime is how long a turn is. Miners print a rate every few seconds; the
	// first comes from a calibration and is too high, and is dropped.
	rivalTime = 13 * time.Second
)

// Rivals measures the miners on PATH on one thread and on all, each turn followed
// by one of this machine's best kernel. There are no rows where there are none.
func Rivals(ctx context.Context, o Options) ([]Row, error) {
	if o.Threads == 0 {
		o.Threads = runtime.NumCPU()
	}
	var found []rival
	for _, r := range rivals() {
		if _, err := exec.LookPath(r.name); err == nil {
			found = append(found, r)
		}
	}
	if len(found) == 0 {
		return nil, nil
	}
	best := bestContender(ctx)
	counts := slices.Compact([]int{1, o.Threads})
	turns := rivalTurns
	if len(found)*len(counts) > 2 {
		turns = 2
	}
	var rows []Row
	for c, threads := range counts {
		for i, r := range found {
			var theirs, ours []float64
			for turn := range turns {
				rate, err := r.measure(ctx, threads)
				if err != nil {
					return rows, err
				}
				theirs = append(theirs, rate/1e6)
				ours = append(ours, measure(ctx, best.start, threads, time.Second)/1e6)
				if ctx.Err() != nil {
					return rows, ctx.Err()
				}
				if o.Progress != nil {
					o.Progress(float64((c*len(found)+i)*turns+turn+1) / float64(len(counts)*len(found)*turns))
				}
			}
			row := rateRow(KindRival, r.name, threads, 0, theirs)
			row.KernelOver = median(ratios(ours, theirs))
			row.Kernel = best.name
			rows = append(rows, row)
		}
	}
	return rows, nil
}

// bestContender returns the kernel that is fastest with as many versions as jobs
// have.
func bestContender(ctx context.Context) contender {
	var best contender
	rate := -1.0
	for _, k := range hashing.Kernels() {
		if !k.Supported() {
			continue
		}
		c := kernelContender(k, manyVersions)
		if r := measure(ctx, c.start, 1, 50*time.Millisecond); r > rate {
			best, rate = c, r
		}
	}
	return best
}

// measure runs the program for a turn and returns the median of the rates that it
// printed, in hashes a second.
func (r rival) measure(ctx context.Context, threads int) (float64, error) {
	ctx, stop := context.WithTimeout(ctx, rivalTime)
	defer stop()
	cmd := exec.CommandContext(ctx, r.name, r.args(threads)...) //nolint:gosec // one of the names above, where PATH has it
	out, w := io.Pipe()
	cmd.Stdout, cmd.Stderr = w, w
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("rival: %w", err)
	}
	go func() {
		err := cmd.Wait() // killed, as a rule
		_ = w.CloseWithError(errors.Join(io.EOF, err))
	}()
	var rates []float64
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if rate, ok := totalRate(lines.Text()); ok {
			rates = append(rates, rate)
		}
	}
	if len(rates) < 2 {
		return 0, fmt.Errorf("rival %s printed %d rates in %v, want 2", r.name, len(rates), rivalTime)
	}
	return median(rates[1:]), nil
}

var totalLine = regexp.MustCompile(`Total: *([0-9.]+) *(k|M|G|)(?:H|hash)/s`)

// totalRate reads "Total: 12.5 MH/s" and the like.
func totalRate(line string) (hashes float64, ok bool) {
	m := totalLine.FindStringSubmatch(line)
	if m == nil {
		return 0, false
	}
	n, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		return 0, false
	}
	return n * map[string]float64{"": 1, "k": 1e3, "M": 1e6, "G": 1e9}[m[2]], true
}

// RivalHint says how to have rivals measured, where none is there.
func RivalHint() string {
	var names []string
	for _, r := range rivals() {
		names = append(names, r.name)
	}
	return "no other miner was measured: put " + strings.Join(names, " or ") + " on PATH (github.com/JayDDee/cpuminer-opt, github.com/pooler/cpuminer)"
}
