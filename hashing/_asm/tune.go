package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// candidate is one setting of a kernel's dials, and how to build it.
type candidate struct {
	about string
	build func() (*kernel, error)
	// call are the arguments to race it with, and hashes how many that is; without,
	// those of the AVX-512 kernels.
	call   string
	hashes int
}

// tune builds candidates, times them against each other on this machine and prints
// them, fastest first. What wins is written into kernels.go by hand: nothing
// chooses by itself, so that the files stay the same wherever they are made.
func tune(name string, rounds, each int, seed uint64) error {
	rng := rand.New(rand.NewPCG(seed, 1))
	for range rounds {
		var found []candidate
		for len(found) < each {
			c, ok := draw(name, rng)
			if !ok {
				return fmt.Errorf("no kernel %q to tune", name)
			}
			if _, err := c.build(); err == nil {
				found = append(found, c)
			}
		}
		if err := race(found); err != nil {
			return err
		}
	}
	return nil
}

func pick[T any](rng *rand.Rand, from ...T) T { return from[rng.IntN(len(from))] }

// draw returns a random candidate.
func draw(name string, rng *rand.Rand) (candidate, bool) {
	t := tuning{
		window: pick(rng, 15, 20, 25, 30, 40), registers: pick(rng, 29, 30, 31, 32),
		latency: pick(rng, 2, 3, 3, 4, 5), storeLatency: pick(rng, 8, 12, 16),
		noise: pick(rng, 0.0, 2, 4), seed: rng.Uint64N(1000), shiftBonus: pick(rng, 0.0, 1, 2),
		tail: pick(rng, 12, 20), headroom: pick(rng, 3, 4, 6, 8),
	}
	p := plan{ahead: pick(rng, 1, 2, 3, 4)}
	switch name {
	case "avx512One":
		switch rng.IntN(3) {
		case 0:
			p.cutSecond = []int{pick(rng, 28, 30, 32)}
			p.memory = pick(rng, "cdgh", "dh", "bcdfgh")
		case 1:
			p.cutFirst, p.cutSecond = []int{pick(rng, 30, 32, 34)}, []int{pick(rng, 26, 28, 30, 32)}
			p.memory = pick(rng, "cdgh", "dh", "bcdgh", "bcdfgh")
		}
		if p.memory == "" {
			p.memory = pick(rng, "", "", "dh", "cdgh")
		}
		return candidate{about: fmt.Sprintf("%+v %+v", p, t), build: func() (*kernel, error) { return oneVersion(p, t) }}, true
	case "avx512Many":
		p.cutFirst, p.cutSecond = []int{pick(rng, 28, 30, 32, 34, 36)}, []int{pick(rng, 26, 28, 30, 32, 34)}
		p.memory = pick(rng, "cdgh", "cdgh", "dh", "bcdgh", "cdfgh", "bcdfgh")
		tt := tuning{window: 60, registers: 31, latency: 2, storeLatency: 8, tail: 12, headroom: 3}
		return candidate{about: fmt.Sprintf("%+v %+v", p, t), build: func() (*kernel, error) { return manyVersions(p, t, tt) }}, true
	case "avx512Mix":
		p.memory = pick(rng, "", "", "w", "dh")
		return candidate{
			about: fmt.Sprintf("%+v %+v", p, t), build: func() (*kernel, error) { return mixMessages(p, t) },
			call: "common, slots, tables, at(12 << 12)", hashes: 64 * 32,
		}, true
	case "avx2One", "avx2Many", "avx2Second":
		return drawAVX2(name, rng), true
	case "sha2One", "sha2Many":
		return drawStreams(name, rng), true
	}
	return candidate{}, false
}

// race builds one program of all candidates and runs it.
func race(cs []candidate) error {
	dir, err := os.MkdirTemp("", "tune-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	var calls, abouts strings.Builder
	for i, c := range cs {
		k, err := c.build()
		if err != nil {
			return err
		}
		name := fmt.Sprintf("%s%d", k.name, i)
		k.decl = strings.Replace(k.decl, k.name+"(", name+"(", 1)
		repeat := ""
		if k.oneShot {
			repeat = "for range 64 "
		}
		call := "common, versions, slots, masks, 1024"
		if strings.Contains(k.decl, "tables") {
			call = "common, versions, slots, tables, masks, 64, 16"
		}
		hashes := 1024 * 16
		if c.call != "" {
			call, hashes = c.call, c.hashes
		}
		k.name, k.file = name, fmt.Sprintf("k%d", i)
		if err := k.writeAs(dir, "main", false); err != nil {
			return err
		}
		fmt.Fprintf(&calls, "\tfunc() { %s{ %s(%s) } },\n", repeat, name, call)
		fmt.Fprintf(&abouts, "\t{%q, %d},\n", c.about, hashes)
	}
	program := strings.NewReplacer("CALLS", calls.String(), "ABOUTS", abouts.String()).Replace(raceProgram)
	for name, content := range map[string]string{"main.go": program, "go.mod": "module race\n\ngo 1.26\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			return err
		}
	}
	cmd := exec.Command("go", "run", ".")
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, os.Stdout, os.Stderr
	return cmd.Run()
}

// raceProgram times every candidate in turn, many times over, and takes the
// fastest time of each: what else the machine does only adds to it.
const raceProgram = `package main

import (
	"fmt"
	"math/rand"
	"sort"
	"time"
	"unsafe"
)

var buffer = make([]byte, 1<<18)

func at(offset int) *byte {
	p := uintptr(unsafe.Pointer(&buffer[0]))
	return &buffer[offset+int(-p&4095)]
}

var (
	common   = (*uint32)(unsafe.Pointer(at(0)))
	versions = (*uint32)(unsafe.Pointer(at(4096)))
	slots    = at(5 << 12)
	tables   = at(10 << 12)
	masks    = (*uint16)(unsafe.Pointer(at(16 << 12)))
)

var calls = []func(){
CALLS}

var abouts = []struct {
	text   string
	hashes float64
}{
ABOUTS}

func main() {
	rand.Read(buffer)
	best := make([]time.Duration, len(calls))
	for i := range best {
		best[i] = time.Hour
	}
	for round := 0; round < 60; round++ {
		for i, call := range calls {
			for k := 0; k < 6; k++ {
				start := time.Now()
				call()
				if d := time.Since(start); d < best[i] {
					best[i] = d
				}
			}
		}
	}
	order := make([]int, len(calls))
	for i := range order {
		order[i] = i
	}
	sort.Slice(order, func(a, b int) bool { return best[order[a]] < best[order[b]] })
	for n, i := range order {
		if n < 4 {
			fmt.Printf("%.2f MH/s %s\n", abouts[i].hashes/float64(best[i].Nanoseconds())*1000, abouts[i].text)
		}
	}
}
`
