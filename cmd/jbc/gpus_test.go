package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jbcnet/jbc/hashing/gpu"
)

func TestWantedDevices(t *testing.T) {
	all := []gpu.Info{
		{Index: 0, Name: "NVIDIA H200", Kind: gpu.GPU}, {Index: 1, Name: "NVIDIA H200", Kind: gpu.GPU},
		{Index: 2, Name: "gfx1100", Kind: gpu.GPU}, {Index: 3, Name: "pthread-EPYC", Kind: gpu.CPU}, {Index: 4, Name: "FPGA", Kind: gpu.Accelerator},
	}
	for _, test := range []struct {
		which string
		want  []int
		err   string
	}{
		{"", []int{0, 1, 2, 4}, ""}, // never the CPU itself
		{"all", []int{0, 1, 2, 3, 4}, ""},
		{"none", nil, ""},
		{"1", []int{1}, ""},
		{"gfx,0", []int{2, 0}, ""},
		{" 0, pthread ,0", []int{0, 3}, ""},
		{"h200", nil, `2 devices fit "h200": give the number of one`},
		{"5", nil, `no device "5"`},
		{"0,", nil, "a device without a name"},
		{"0,voodoo", nil, `no device "voodoo"`},
	} {
		got, err := wantedDevices(all, test.which)
		var indexes []int
		for _, d := range got {
			indexes = append(indexes, d.Index)
		}
		if said := errorText(err); said != test.err || !reflect.DeepEqual(indexes, test.want) {
			t.Errorf("--gpu %q: devices %v, %q; want %v, %q", test.which, indexes, said, test.want, test.err)
		}
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestThreadsBesideDevices(t *testing.T) {
	cpus := runtime.NumCPU()
	for _, test := range []struct {
		name           string
		asked, devices int
		given          bool
		want           int
	}{
		{"no device", 0, 0, false, cpus},
		{"no device, none given", 0, 0, true, cpus},
		{"a device", 0, 1, false, max(1, cpus-1)},
		{"more devices than cores", 0, cpus + 3, false, 1},
		{"threads given", 3, 1, true, 3},
		{"only devices", 0, 1, true, 0},
	} {
		m, err := newMining(test.asked, "")
		if err != nil {
			t.Fatal(err)
		}
		m.useDevices(&shell{log: slog.New(slog.DiscardHandler)}, &gpuFlags{}, make([]gpu.Info, test.devices), test.given)
		if m.threads != test.want || len(m.devices) != test.devices {
			t.Errorf("%s: %d threads and %d devices, want %d and %d", test.name, m.threads, len(m.devices), test.want, test.devices)
		}
	}
}

func TestBestWidth(t *testing.T) {
	h200 := measured{HS: map[int]int{1: 7400, 2: 8000, 4: 8500, 8: 6000}}
	for versions, want := range map[int]int{16: 4, 64: 4, 4: 4, 2: 2, 3: 1, 1: 1, 5: 1, 15: 4} {
		if got := h200.best(versions); got != want {
			t.Errorf("for %d versions: width %d, want %d", versions, got, want)
		}
	}
	only := measured{HS: map[int]int{8: 100}}
	if got := only.best(1); got != 8 {
		t.Errorf("where one width builds: %d, want 8", got)
	}
}

// TestWidthsAreKept reads back what was written, and nothing of what is damaged.
func TestWidthsAreKept(t *testing.T) {
	var log strings.Builder
	path := filepath.Join(t.TempDir(), "new", "devices.json")
	w := &widths{path: path, log: slog.New(slog.NewTextHandler(&log, nil))}
	if kept := w.read(); len(kept) != 0 || log.Len() > 0 {
		t.Errorf("before the first: %v, %s", kept, log.String())
	}
	var all []measured
	for i := range maxMeasured + 1 {
		all = append(all, measured{Name: "card", Driver: string(rune('a' + i)), Program: "p", HS: map[int]int{1: 5, 8: 7}, whole: true})
	}
	w.keep(all)
	if kept := w.read(); !reflect.DeepEqual(kept, all[1:]) || log.Len() > 0 {
		t.Errorf("kept %d of %d, %s", len(kept), len(all), log.String())
	}
	for name, damage := range map[string]string{
		"cut":             `[{"name":"card","hs":{"1"`,
		"another file":    `{"name":"card"}`,
		"no rate":         `[{"name":"card"}]`,
		"a rate of 0":     `[{"name":"card","hs":{"1":0}}]`,
		"a negative rate": `[{"name":"card","hs":{"1":-5}}]`,
		"another width":   `[{"name":"card","hs":{"3":5}}]`,
		"too long":        strings.Repeat(" ", maxWidthsFile) + "[]",
	} {
		log.Reset()
		if err := os.WriteFile(path, []byte(damage), 0o600); err != nil {
			t.Fatal(err)
		}
		if kept := w.read(); len(kept) != 0 || !strings.Contains(log.String(), "measuring devices anew") {
			t.Errorf("%s: kept %v, log %q", name, kept, log.String())
		}
	}
}

// TestWidthsAreMeasuredOnce cuts a measuring short, as a start does that takes too long,
// and has another device's driver hang meanwhile.
func TestWidthsAreMeasuredOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "devices.json")
	var made []int
	enough := 2
	ctx, cancel := context.WithCancel(t.Context())
	hung, hanging := make(chan struct{}), make(chan error, 1)
	w := &widths{path: path, log: slog.New(slog.DiscardHandler)}
	w.rate = func(ctx context.Context, info gpu.Info, opts gpu.Options) (float64, error) {
		if info.Name == "hung" {
			close(hung)
			<-ctx.Done()
			return 0, ctx.Err()
		}
		if len(made) == enough {
			cancel()
			return 0, ctx.Err()
		}
		made = append(made, opts.Versions)
		return 100 * float64(opts.Versions), nil
	}
	never, end := context.WithCancel(t.Context())
	go func() {
		_, err := w.of(never, gpu.Info{Name: "hung"}, time.Millisecond)
		hanging <- err
	}()
	<-hung
	if _, err := w.of(ctx, gpu.Info{Name: "card"}, time.Millisecond); !errors.Is(err, context.Canceled) || len(w.read()) > 0 {
		t.Errorf("cut short: %v, kept %v", err, w.read())
	}
	enough = len(gpu.Widths())
	want := map[int]int{1: 100, 2: 200, 4: 400, 8: 800}
	for _, again := range []*widths{w, w, {path: path, log: w.log}} { // the last after another start
		if got, err := again.of(t.Context(), gpu.Info{Name: "card"}, time.Millisecond); err != nil || !reflect.DeepEqual(got.HS, want) {
			t.Errorf("measured %v, %v; want %v", got.HS, err, want)
		}
	}
	if !slices.Equal(made, gpu.Widths()) {
		t.Errorf("measured widths %v, want each once", made)
	}
	end()
	if err := <-hanging; !errors.Is(err, context.Canceled) {
		t.Errorf("the hung device: %v", err)
	}
}

// TestWidthsCountForOneDevice has another driver, program or card measured anew.
func TestWidthsCountForOneDevice(t *testing.T) {
	one := measured{Name: "card", Platform: "CUDA", Driver: "1", Program: "p"}
	for _, other := range []measured{
		{Name: "card 2", Platform: "CUDA", Driver: "1", Program: "p"},
		{Name: "card", Platform: "OpenCL", Driver: "1", Program: "p"},
		{Name: "card", Platform: "CUDA", Driver: "2", Program: "p"},
		{Name: "card", Platform: "CUDA", Driver: "1", Program: "q"},
	} {
		if one.isOf(&other) {
			t.Errorf("%+v counts for %+v", one, other)
		}
	}
	if same := one; !one.isOf(&same) {
		t.Error("it does not count for itself")
	}
}
