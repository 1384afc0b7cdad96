// Command _btcd measures package chain beside the blockchain package of btcd
// v0.26.2, in one process and in turns: import of a block file, reorganisations,
// headers, and a block with thousands of signatures. It is a module of its own, so
// that ours does not depend on btcd.
//
//	go run . [flags] [import] [reorg] [headers] [inputs]
//
// Both sides get the same bytes, a fresh directory on the same disk for each turn,
// equal caches of unspent outputs and of signatures, and check every script.
// Neither has indexes. Every turn ends with a look at the tip.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// part is one of the things that are measured.
type part struct {
	name string
	run  func(context.Context, *options) ([]Row, error)
}

func parts() []part {
	return []part{{"import", measureImport}, {"reorg", measureReorg}, {"headers", measureHeaders}, {"inputs", measureInputs}}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parse(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		fmt.Fprintf(stderr, "bench-chain: %v\n", err)
		return 2
	}
	if err := measure(ctx, o, stdout); err != nil {
		fmt.Fprintf(stderr, "bench-chain: %v\n", err)
		return 1
	}
	return 0
}

// measure runs the parts that were asked for and prints what it has, also when
// something ends it early.
func measure(ctx context.Context, o *options, stdout io.Writer) error {
	r := report{Machine: thisMachine(o)}
	var failed error
	for _, p := range parts() {
		if len(o.parts) > 0 && !slices.Contains(o.parts, p.name) {
			continue
		}
		rows, err := p.run(ctx, o)
		r.Rows = append(r.Rows, rows...)
		if err != nil {
			failed = fmt.Errorf("%s: %w", p.name, err)
			break
		}
	}
	r.Machine.LoadAfter = load()
	return errors.Join(failed, r.write(stdout, o.json))
}

// options is what the command line says.
type options struct {
	settings
	parts    []string
	sides    []contender
	turns    int
	dir      string // where the directories are made
	file     string // of blocks, from genesis
	depths   []int  // of the reorganisations
	headers  int
	json     bool
	progress io.Writer
}

// settings are what both sides are opened with.
type settings struct {
	cacheBytes int64 // of unspent outputs
	signatures uint  // entries of the signature cache
}

func parse(args []string, stderr io.Writer) (*options, error) {
	o := &options{progress: stderr}
	fs := flag.NewFlagSet("bench-chain", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.IntVar(&o.turns, "turns", 5, "how often each side runs each case")
	fs.StringVar(&o.dir, "dir", os.TempDir(), "make the chains' directories below this one, on the disk to measure")
	fs.StringVar(&o.file, "file", "", "import these blocks (.dat, or .bz2 of it); the file of btcd's own tests where empty")
	fs.IntVar(&o.headers, "headers", 1_000_000, "length of the header chain")
	fs.BoolVar(&o.json, "json", false, "print JSON")
	cache := fs.Int64("cache-mib", 64, "cache of unspent outputs of each side, in MiB")
	signatures := fs.Uint("sigcache", 100_000, "entries of the signature cache of each side")
	sides := fs.String("sides", "jbc,btcd", "which sides run; a ratio needs both")
	fs.Func("depths", "depths of the reorganisations (default 1000,10000)", o.setDepths)
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	o.settings = settings{cacheBytes: *cache << 20, signatures: *signatures}
	if len(o.depths) == 0 {
		o.depths = []int{1000, 10_000}
	}
	if o.turns < 1 || o.headers < 1 || *cache < 1 {
		return nil, fmt.Errorf("%d turns, %d headers, cache of %d MiB: want at least one of each", o.turns, o.headers, *cache)
	}
	for name := range strings.SplitSeq(*sides, ",") {
		i := slices.IndexFunc(contenders(), func(c contender) bool { return c.name == name })
		if i < 0 {
			return nil, fmt.Errorf("no side %q; there are jbc and btcd", name)
		}
		o.sides = append(o.sides, contenders()[i])
	}
	for _, name := range fs.Args() {
		if !slices.ContainsFunc(parts(), func(p part) bool { return p.name == name }) {
			return nil, fmt.Errorf("no part %q; there are import, reorg, headers and inputs", name)
		}
		o.parts = append(o.parts, name)
	}
	return o, nil
}

// setDepths reads a list like "1000,10000".
func (o *options) setDepths(list string) error {
	o.depths = nil
	for item := range strings.SplitSeq(list, ",") {
		var depth int
		if _, err := fmt.Sscanf(item, "%d", &depth); err != nil || depth < 1 {
			return fmt.Errorf("depth %q: want a number of blocks", item)
		}
		o.depths = append(o.depths, depth)
	}
	return nil
}
