package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/jbcnet/jbc/hashing/gpu"
	"github.com/jbcnet/jbc/worker"
)

// What --gpu takes besides a list. Where it is not given, all cards are used that are
// not the CPU itself.
const (
	allGPUs = "all"
	noGPUs  = "none"
)

const (
	leastLaunch = 50 * time.Microsecond
	mostLaunch  = time.Second
)

// gpuFlags say which devices to mine with.
type gpuFlags struct {
	which  string
	launch time.Duration
}

func (f *gpuFlags) add(flags *pflag.FlagSet) {
	flags.StringVar(&f.which, "gpu", "", "`devices` to mine with beside the threads: all, none, or numbers and parts of names with commas (default every graphics card; jbc devices lists them)")
	flags.DurationVar(&f.launch, "gpu-launch", gpu.UsualLaunch, "`time` that a device is given work for, during which it can't be stopped")
}

func (f *gpuFlags) check() error {
	if f.launch < leastLaunch || f.launch > mostLaunch {
		return usageError(fmt.Errorf("launches of %s", f.launch), fmt.Sprintf("--gpu-launch takes %s to %s", leastLaunch, mostLaunch))
	}
	return nil
}

// find returns the devices to mine with.
func (f *gpuFlags) find(ctx context.Context, log *slog.Logger) ([]gpu.Info, error) {
	if f.which == noGPUs || f.which == "" && !gpu.Likely() {
		return nil, nil
	}
	listing, err := findDevices(ctx)
	if errors.Is(err, gpu.ErrHung) && (f.which == "" || f.which == allGPUs) {
		log.Warn("mining without devices", "err", err)
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if f.which == "" || f.which == allGPUs {
		if len(listing.Closed) > 0 {
			log.Warn("no permission to use graphics cards", "files", strings.Join(listing.Closed, ", "))
		}
		if listing.State != gpu.Found && f.which == allGPUs {
			log.Warn("no device to mine with", "why", listing.Why())
		}
	} else if listing.State != gpu.Found {
		return nil, withHint(errors.New(listing.Why()), "leave --gpu out to mine with the CPU's cores")
	}
	devices, err := wantedDevices(listing.Devices, f.which)
	if err != nil {
		return nil, usageError(err, "jbc devices lists them; --gpu takes all, none, or numbers and parts of names with commas")
	}
	return devices, nil
}

// wantedDevices returns those of all that --gpu means.
func wantedDevices(all []gpu.Info, which string) ([]gpu.Info, error) {
	var wanted []gpu.Info
	switch which {
	case allGPUs:
		return all, nil
	case noGPUs:
		return nil, nil
	case "":
		for _, d := range all {
			if d.Kind != gpu.CPU {
				wanted = append(wanted, d)
			}
		}
		return wanted, nil
	}
	for name := range strings.SplitSeq(which, ",") {
		d, err := chooseDevice(all, strings.TrimSpace(name))
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(wanted, func(w gpu.Info) bool { return w.Index == d.Index }) {
			wanted = append(wanted, d)
		}
	}
	return wanted, nil
}

// findDevices lists the devices of this machine.
func findDevices(ctx context.Context) (gpu.Listing, error) {
	listing, err := gpu.FindContext(ctx)
	switch {
	case ctx.Err() != nil:
		return listing, fmt.Errorf("%w while looking for devices", errInterrupted)
	case err != nil:
		return listing, withHint(err, "a restart of the machine helps where a driver hangs; until then mine with --gpu none")
	}
	return listing, nil
}

// deviceLabel is a device's name, with its number where another has the same.
func deviceLabel(info gpu.Info, all []gpu.Info) string {
	if slices.ContainsFunc(all, func(d gpu.Info) bool { return d.Name == info.Name && d.Index != info.Index }) {
		return fmt.Sprintf("%s #%d", info.Name, info.Index)
	}
	return info.Name
}

// useDevices takes the devices to mine with. A thread less is used for each, which
// feeds it, unless their number was given; given as none, only devices mine.
func (m *mining) useDevices(s *shell, f *gpuFlags, devices []gpu.Info, threadsGiven bool) {
	if len(devices) == 0 {
		return
	}
	switch {
	case m.asked == 0 && threadsGiven:
		m.threads = 0
	case m.asked == 0:
		m.threads = max(1, m.threads-len(devices))
	}
	widths := &widths{path: s.widthsPath(), log: s.log, rate: rateOf}
	for _, info := range devices {
		m.devices = append(m.devices, worker.DeviceSource{
			Name: deviceLabel(info, devices),
			Open: func(ctx context.Context, rolls int) (worker.Device, error) {
				d, err := widths.open(ctx, info, rolls, f.launch)
				if err != nil {
					return nil, err // a nil device is no nil interface
				}
				return d, nil
			},
		})
	}
}
