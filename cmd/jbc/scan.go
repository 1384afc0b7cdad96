package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"github.com/jbcnet/jbc/hashing"
	"github.com/jbcnet/jbc/worker"
)

const allNonces = 1 << 32

// scanHit is a winning header as jbc scan prints it for programs.
type scanHit struct {
	Nonce   uint32       `json:"nonce"`
	Version uint32       `json:"version"` // the whole field
	Hash    hashing.Hash `json:"hash"`
}

// scanFlags are what jbc scan takes besides the header.
type scanFlags struct {
	start, count uint64
	versions     uint32
	kernel       string
	device       string
	threads      int
	json         bool
}

func newScan(s *shell) *cobra.Command {
	var f scanFlags
	cmd := &cobra.Command{
		Use:   "scan HEADERHEX",
		Short: "Find the nonces of a raw 80-byte header",
		Long: `Find the nonces of a raw 80-byte header, given as 160 hex digits, whatever nonce
it holds. A nonce wins when the hash meets the target that the header's own bits
say. With --versions N every nonce is tried under N consecutive values of the
version's BIP320 field (bits 13 to 28), from the header's own on.

Winners are printed as they are found, in no order. The exit status is 1 when
there is none.`,
		Example: "  jbc scan 0100000000000000000000000000000000000000000000000000000000000000000000003ba3edfd7a7b12b27ac72c3e67768f617fc81bc3888a51323a9fb8aa4b1e5e4a29ab5f49ffff001d00000000 --start 2083000000 --count 1000000",
		Args:    exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			w, err := f.sweep(cmd, args[0])
			if err != nil {
				return err
			}
			return f.run(cmd, s, w)
		},
	}
	cmd.Flags().Uint64Var(&f.start, "start", 0, "first nonce")
	cmd.Flags().Uint64Var(&f.count, "count", allNonces, "how many nonces (default: all from the first on)")
	cmd.Flags().Lookup("count").DefValue = "" // it depends on --start
	cmd.Flags().Uint32Var(&f.versions, "versions", 1, "how many versions to try each nonce under")
	cmd.Flags().IntVar(&f.threads, "threads", 0, "threads to hash with (0: one for every CPU)")
	cmd.Flags().StringVar(&f.kernel, "kernel", "", "kernel to hash with (default the fastest; jbc kernels lists them)")
	cmd.Flags().StringVar(&f.device, "device", "", "`name`, part of it or number of a device to hash with instead (jbc devices lists them)")
	cmd.Flags().BoolVar(&f.json, "json", false, "print a JSON object for each winner")
	return cmd
}

// sweep turns the command line into what is to be tried, by no hasher yet.
func (f *scanFlags) sweep(cmd *cobra.Command, text string) (*sweep, error) {
	header, err := hashing.ParseHeader(text)
	if err != nil {
		return nil, usageError(err, "usage: "+cmd.UseLine())
	}
	target, err := header.Bits().Target()
	if err != nil {
		return nil, usageError(err, "the bits are bytes 72 to 75 of the header, least significant first: genesis has ffff001d")
	}
	if f.start >= allNonces {
		return nil, usageError(fmt.Errorf("nonce %d is over 32 bits", f.start), "--start takes 0 to 4294967295")
	}
	if !cmd.Flags().Changed("count") && f.count == allNonces {
		f.count -= f.start
	}
	if f.count == 0 || f.count > allNonces-f.start {
		return nil, usageError(fmt.Errorf("%d nonces from %d on: there are 2^32 nonces", f.count, f.start),
			fmt.Sprintf("--count takes 1 to %d here", allNonces-f.start))
	}
	versions, err := rollVersions(header.Version(), f.versions)
	if err != nil {
		return nil, err
	}
	return &sweep{header: header, target: target, versions: versions, start: f.start, count: f.count}, nil
}

// hasher takes the device that is asked for, or else this machine's cores.
func (f *scanFlags) hasher(cmd *cobra.Command, log *slog.Logger) (h hasher, release func() error, err error) {
	if f.device != "" {
		for _, other := range []string{"kernel", "threads"} {
			if cmd.Flags().Changed(other) {
				return nil, nil, usageError(fmt.Errorf("--device and --%s are both given", other), "a device takes the place of kernel and threads")
			}
		}
		d, err := openDevice(cmd.Context(), f.device, int(f.versions))
		if err != nil {
			return nil, nil, err
		}
		return device{d}, d.Close, nil
	}
	m, err := newMining(f.threads, f.kernel)
	if err != nil {
		return nil, nil, err
	}
	m.choose(log)
	return cores{m}, func() error { return nil }, nil
}

// rollVersions returns n versions whose BIP320 fields count up from that of
// version, past its 16 bits around to zero.
func rollVersions(version, n uint32) ([]uint32, error) {
	if n < 1 || n > 1<<hashing.VersionRollBits {
		return nil, usageError(fmt.Errorf("%d versions", n), "--versions takes 1 to 65536, all that BIP320 leaves to miners")
	}
	field := version & hashing.VersionRollMask >> hashing.VersionRollShift
	versions := make([]uint32, n)
	for i := range versions {
		versions[i] = hashing.RollVersion(version, field+uint32(i))
	}
	return versions, nil
}

// run sweeps, prints what is found, and says at the end how much was tried.
func (f *scanFlags) run(cmd *cobra.Command, s *shell, w *sweep) (err error) {
	ctx := cmd.Context()
	var release func() error
	if w.hasher, release, err = f.hasher(cmd, s.log); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, release()) }()
	found := 0
	w.hit = func(h hashing.Header) error {
		found++
		if line, onTerminal := s.err.(*statusLine); onTerminal {
			line.Clear() // both may be the same terminal
		}
		return f.print(s.out, h)
	}
	begin := time.Now()
	err = watch(s, w, func() error { return w.run(ctx) })
	elapsed := time.Since(begin)

	tried := fmt.Sprintf("%d of %d hashes (nonces %d to %d, %d version(s)) with %s, %s",
		w.done.Load(), w.total(), w.start, w.start+w.count-1, len(w.versions), w.hasher,
		worker.Rate(float64(w.done.Load())/elapsed.Seconds()))
	switch {
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("%w after %s: %d found", errInterrupted, tried, found)
	case err != nil:
		return err
	case found == 0:
		return fmt.Errorf("no winner: tried %s", tried)
	}
	if !f.json {
		fmt.Fprintf(s.err, "tried %s\n", tried)
	}
	return nil
}

func (f *scanFlags) print(w io.Writer, h hashing.Header) error {
	hit := scanHit{Nonce: h.Nonce(), Version: h.Version(), Hash: h.Hash()}
	if f.json {
		return json.NewEncoder(w).Encode(hit)
	}
	_, err := fmt.Fprintf(w, "nonce %d  version %08x  hash %s\n", hit.Nonce, hit.Version, hit.Hash)
	return err
}

// watch runs work, with a status line where somebody is looking.
func watch(s *shell, w *sweep, work func() error) error {
	line, onTerminal := s.err.(*statusLine)
	if !onTerminal {
		return work()
	}
	defer line.Clear()
	begin, ended := time.Now(), make(chan error, 1)
	go func() { ended <- work() }()
	tick := time.NewTicker(statusEvery)
	defer tick.Stop()
	for {
		select {
		case err := <-ended:
			return err
		case now := <-tick.C:
			line.Show(describeSweep(w.done.Load(), w.total(), now.Sub(begin)))
		}
	}
}

// describeSweep is the status line: how far, how fast, how long still.
func describeSweep(done, total uint64, elapsed time.Duration) string {
	rate := float64(done) / elapsed.Seconds()
	left := time.Duration(float64(total-done) / max(rate, 1) * float64(time.Second))
	return fmt.Sprintf("%5.1f %%  %s  %s left", 100*float64(done)/float64(total), worker.Rate(rate), left.Round(time.Second))
}
