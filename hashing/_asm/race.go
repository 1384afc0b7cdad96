package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// race builds one program of all candidates, runs it and prints the fastest. It
// returns the candidates' places in cs, fastest first.
func race(cs []candidate) (order []int, err error) {
	dir, err := os.MkdirTemp("", "tune-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	var calls strings.Builder
	for i, c := range cs {
		call, err := c.write(dir, i)
		if err != nil {
			return nil, err
		}
		calls.WriteString(call)
	}
	program := strings.Replace(raceProgram, "CALLS", calls.String(), 1)
	for name, content := range map[string]string{"main.go": program, "go.mod": "module race\n\ngo 1.26\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			return nil, err
		}
	}
	cmd := exec.Command("go", "run", ".")
	cmd.Dir, cmd.Stderr = dir, os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, err
	}
	for in := bytes.NewReader(out); ; {
		var cycles float64
		var i int
		if _, err := fmt.Fscan(in, &i, &cycles); err != nil {
			return order, nil
		}
		if order = append(order, i); len(order) <= parents {
			fmt.Printf("%.2f cycles %s\n", cycles, cs[i].about)
		}
	}
}

// write writes c's kernel into dir under a name of its own, and returns how the
// program calls it, and for how many hashes.
func (c candidate) write(dir string, i int) (call string, err error) {
	k, err := c.build()
	if err != nil {
		return "", err
	}
	name := fmt.Sprintf("%s%d", k.name, i)
	k.decl = strings.Replace(k.decl, k.name+"(", name+"(", 1)
	repeat := ""
	if k.oneShot {
		repeat = "for range 64 "
	}
	args, hashes := "common, versions, slots, masks, 512", 512*16
	if strings.Contains(k.decl, "tables") {
		args = "common, versions, slots, tables, masks, 32, 16"
	}
	if c.call != "" {
		args, hashes = c.call, c.hashes
	}
	k.name, k.file = name, fmt.Sprintf("k%d", i)
	return fmt.Sprintf("\t{func() { %s{ %s(%s) } }, %d},\n", repeat, name, args, hashes), k.writeAs(dir, "main", false)
}

// raceProgram times every candidate in turn, in cycles: the clock is measured right
// before and after, and a turn in which it changed does not count. Of ten turns of
// four calls, the fastest of which counts, it takes the third: what else the machine
// does only adds to it.
const raceProgram = `package main

import (
	"fmt"
	"math/rand"
	"slices"
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

var candidates = []struct {
	call   func()
	hashes float64
}{
CALLS}

func fastest(calls int, f func()) float64 {
	best := time.Hour
	for range calls {
		start := time.Now()
		f()
		best = min(best, time.Since(start))
	}
	return best.Seconds()
}

var sink uint64

// clock multiplies and adds, each time what it has: four cycles a turn on amd64.
func clock() float64 {
	const turns = 2500
	return 4 * turns / fastest(5, func() {
		x := sink
		for range turns {
			x = x*x + 1
		}
		sink = x
	})
}

func main() {
	rand.Read(buffer)
	cycles := make([][]float64, len(candidates)) // a hash
	for range 10 {
		for _, i := range rand.Perm(len(candidates)) {
			for range 20 {
				before := clock()
				seconds := fastest(4, candidates[i].call)
				after := clock()
				if max(before, after) < 1.01*min(before, after) {
					cycles[i] = append(cycles[i], seconds*(before+after)/2/candidates[i].hashes)
					break
				}
			}
		}
	}
	third := func(i int) float64 {
		if len(cycles[i]) == 0 {
			return 1e9
		}
		slices.Sort(cycles[i])
		return cycles[i][len(cycles[i])/4]
	}
	order := rand.Perm(len(candidates))
	sort.Slice(order, func(a, b int) bool { return third(order[a]) < third(order[b]) })
	for _, i := range order {
		fmt.Println(i, third(i))
	}
}
`
