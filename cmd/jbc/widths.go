package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/jbcnet/jbc/coordinator/access"
	"github.com/jbcnet/jbc/hashing/gpu"
	"github.com/jbcnet/jbc/worker"
)

const (
	// widthTime is how long each width of a device is measured.
	widthTime = 200 * time.Millisecond
	// maxWidthsFile and maxMeasured bound what is kept of devices.
	maxWidthsFile = 1 << 16
	maxMeasured   = 64
)

// measured is what a device made of its program, by how many versions it tries at once.
// It counts for that device with that driver and that program.
type measured struct {
	Name     string      `json:"name"`
	Platform string      `json:"platform"`
	Driver   string      `json:"driver"`
	Program  string      `json:"program"`
	HS       map[int]int `json:"hs"` // hashes a second by width, those that can be built

	whole bool // every width is measured, as in all that are kept
}

func (m *measured) isOf(o *measured) bool {
	return m.Name == o.Name && m.Platform == o.Platform && m.Driver == o.Driver && m.Program == o.Program
}

// best returns the width that is fastest with so many versions: places that these leave
// free hash in vain.
func (m *measured) best(versions int) (width int) {
	fastest := 0.0
	for _, w := range slices.Sorted(maps.Keys(m.HS)) {
		tried := (versions + w - 1) / w * w
		if useful := float64(m.HS[w]) * float64(versions) / float64(tried); useful > fastest {
			width, fastest = w, useful
		}
	}
	return width
}

// check says what of a kept measurement can't be.
func (m *measured) check() error {
	if len(m.HS) == 0 {
		return errors.New("no width")
	}
	for w, hs := range m.HS {
		if !slices.Contains(gpu.Widths(), w) || hs <= 0 {
			return fmt.Errorf("%d hashes a second with %d versions", hs, w)
		}
	}
	return nil
}

// widths knows how many versions devices should try at once, and keeps what it measured
// for the next start. It is safe for concurrent use.
type widths struct {
	path string // empty: nothing is kept
	log  *slog.Logger
	rate func(context.Context, gpu.Info, gpu.Options) (hs float64, err error)

	// mu guards what was measured since the start, though no measuring: a device whose
	// driver hangs holds up no other.
	mu   sync.Mutex
	here []measured
}

// widthsPath returns where that is kept, empty where no place is known.
func (s *shell) widthsPath() string {
	base := s.env("XDG_CACHE_HOME")
	if base == "" {
		home := s.env("HOME")
		if home == "" {
			return ""
		}
		base = filepath.Join(home, ".cache")
	}
	return filepath.Join(base, "jbc", "devices.json")
}

// open opens a device with the width that suits so many versions, which it measures the
// first time.
func (w *widths) open(ctx context.Context, info gpu.Info, versions int, launch time.Duration) (*gpu.Device, error) {
	known, err := w.of(ctx, info, launch)
	if err != nil {
		return nil, err
	}
	return gpu.Open(ctx, info, gpu.Options{Versions: known.best(versions), Launch: launch})
}

// of returns what a device's widths make, measured now or earlier. What an attempt that is
// cut short has measured the next one need not.
func (w *widths) of(ctx context.Context, info gpu.Info, launch time.Duration) (measured, error) {
	m := w.known(&measured{Name: info.Name, Platform: info.Platform, Driver: info.Driver, Program: gpu.ProgramID()})
	if m.whole {
		return m, nil
	}
	var failed error
	for _, width := range gpu.Widths() {
		if m.HS[width] > 0 {
			continue
		}
		hs, err := w.rate(ctx, info, gpu.Options{Versions: width, Launch: launch})
		if ctx.Err() != nil {
			return measured{}, ctx.Err()
		}
		if err != nil {
			failed = err // others may do
			continue
		}
		m.HS[width] = max(1, int(hs))
		w.note(&m)
		w.log.Debug("measured", "device", info.Name, "versions", width, "rate", worker.Rate(hs))
	}
	if len(m.HS) == 0 {
		return measured{}, failed
	}
	if failed == nil { // else it is tried again next time
		m.whole = true
		w.note(&m)
	}
	return m, nil
}

// known returns what is known of a device, whose widths may still have to be measured.
func (w *widths) known(m *measured) measured {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, kept := range [][]measured{w.here, w.read()} {
		if i := slices.IndexFunc(kept, func(o measured) bool { return m.isOf(&o) }); i >= 0 {
			found := kept[i]
			found.HS = maps.Clone(found.HS)
			return found
		}
	}
	found := *m
	found.HS = map[int]int{}
	return found
}

// note remembers m, and keeps it for the next start once it is whole.
func (w *widths) note(m *measured) {
	w.mu.Lock()
	defer w.mu.Unlock()
	noted := *m
	noted.HS = maps.Clone(m.HS)
	w.here = append(slices.DeleteFunc(w.here, func(o measured) bool { return noted.isOf(&o) }), noted)
	if noted.whole {
		w.keep(append(slices.DeleteFunc(w.read(), func(o measured) bool { return noted.isOf(&o) }), noted))
	}
}

// rateOf opens a device and measures it with as many versions as jobs usually have.
func rateOf(ctx context.Context, info gpu.Info, opts gpu.Options) (hs float64, err error) {
	d, err := gpu.Open(ctx, info, opts)
	if err != nil {
		return 0, err
	}
	hs, err = d.Rate(ctx, usualVersions, widthTime)
	return hs, errors.Join(err, d.Close())
}

// read returns what was kept, nothing where that is damaged.
func (w *widths) read() []measured {
	if w.path == "" {
		return nil
	}
	kept, err := readWidths(w.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		w.log.Warn("measuring devices anew", "err", err)
	}
	return kept
}

func readWidths(path string) ([]measured, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxWidthsFile+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxWidthsFile {
		return nil, fmt.Errorf("%s: over %d bytes", path, maxWidthsFile)
	}
	var kept []measured
	if err := json.Unmarshal(data, &kept); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	for i := range kept {
		if err := kept[i].check(); err != nil {
			return nil, fmt.Errorf("%s: device %q: %w", path, kept[i].Name, err)
		}
		kept[i].whole = true
	}
	return kept, nil
}

// keep writes the newest of all, as far as that can be done.
func (w *widths) keep(all []measured) {
	if w.path == "" {
		return
	}
	all = all[max(0, len(all)-maxMeasured):]
	data, err := json.MarshalIndent(all, "", "  ")
	if err == nil {
		err = os.MkdirAll(filepath.Dir(w.path), 0o700)
	}
	if err == nil {
		err = access.WriteSecret(w.path, append(data, '\n')) // whole or not at all
	}
	if err != nil {
		w.log.Warn("what devices make is not kept", "err", err)
	}
}
