package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/jbcnet/jbc/hashing"
	"github.com/jbcnet/jbc/hashing/gpu"
)

// deviceList is what jbc devices prints for programs.
type deviceList struct {
	State   gpu.State   `json:"state"`
	Why     string      `json:"why"` // there is no device, empty where there is one
	Devices []deviceRow `json:"devices"`
	Closed  []string    `json:"closed"` // device files without permission
}

// deviceRow is one device as jbc devices lists it.
type deviceRow struct {
	Index    int         `json:"index"`
	Backend  gpu.Backend `json:"backend"`
	Name     string      `json:"name"`
	Kind     gpu.Kind    `json:"kind"`
	Vendor   string      `json:"vendor"`
	Platform string      `json:"platform"`
	Driver   string      `json:"driver"`
	Address  string      `json:"address,omitempty"` // on the PCI bus
	Memory   uint64      `json:"memory"`            // bytes
	Units    int         `json:"units"`             // compute units
}

func newDevices(s *shell) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "devices",
		Short: "List the graphics cards and other devices that can hash",
		Long: "List the graphics cards and other devices that can hash by CUDA or OpenCL, or say why\n" +
			"there is none, which is no error. jbc scan --device takes a name, a part of it, or a number.",
		Args: exactArgs(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			listing, err := findDevices(cmd.Context())
			if err != nil {
				return err
			}
			list := describeDevices(&listing)
			if asJSON {
				return printJSON(s.out, list)
			}
			return list.print(s.out)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON object")
	return cmd
}

func describeDevices(listing *gpu.Listing) deviceList {
	list := deviceList{
		State: listing.State, Why: listing.Why(),
		Devices: []deviceRow{}, Closed: append([]string{}, listing.Closed...),
	}
	for _, d := range listing.Devices {
		list.Devices = append(list.Devices, deviceRow{
			Index: d.Index, Backend: d.Backend, Name: d.Name, Kind: d.Kind, Vendor: d.Vendor,
			Platform: d.Platform, Driver: d.Driver, Address: d.Address, Memory: d.Memory, Units: d.Units,
		})
	}
	return list
}

// print is for people.
func (l *deviceList) print(w io.Writer) error {
	if l.State != gpu.Found {
		_, err := fmt.Fprintln(w, l.Why)
		return err
	}
	err := table(w, func(line func(string, ...any)) {
		line("NO\tDEVICE\tKIND\tMEMORY\tUNITS\tDRIVER\tPLATFORM")
		for _, d := range l.Devices {
			line("%d\t%s\t%s\t%.1f GiB\t%d\t%s\t%s", d.Index, d.Name, d.Kind, float64(d.Memory)/(1<<30), d.Units, d.Driver, d.Platform)
		}
	})
	if len(l.Closed) > 0 {
		fmt.Fprintf(w, "no permission to use %s\n", strings.Join(l.Closed, ", "))
	}
	return err
}

// scanLaunch is how long jbc scan lets a launch take: nobody waits for its end but a
// Ctrl-C.
const scanLaunch = 10 * time.Millisecond

// openDevice makes the device that wanted names ready for searches of n versions.
func openDevice(ctx context.Context, wanted string, n int) (*gpu.Device, error) {
	listing, err := findDevices(ctx)
	if err != nil {
		return nil, err
	}
	if listing.State != gpu.Found {
		return nil, withHint(errors.New(listing.Why()), "jbc scan without --device hashes with the CPU's cores")
	}
	info, err := chooseDevice(listing.Devices, wanted)
	if err != nil {
		return nil, usageError(err, "jbc devices lists them")
	}
	d, err := gpu.Open(ctx, info, gpu.Options{Versions: gpu.Versions(n), Launch: scanLaunch})
	if err == nil {
		if _, err = d.Rate(ctx, min(n, hashing.MaxVersions), deviceSlice); err != nil { // launches find their size
			err = errors.Join(err, d.Close())
		}
	}
	if ctx.Err() != nil {
		return nil, fmt.Errorf("%w before device %s was ready", errInterrupted, info.Name)
	}
	if err != nil {
		return nil, withHint(err, "jbc scan without --device hashes with the CPU's cores")
	}
	return d, nil
}

// chooseDevice returns the one that wanted means: a number of the list, a name, or a
// part that only one name has.
func chooseDevice(devices []gpu.Info, wanted string) (gpu.Info, error) {
	if wanted == "" {
		return gpu.Info{}, errors.New("a device without a name")
	}
	if i, err := strconv.Atoi(wanted); err == nil && i >= 0 && i < len(devices) {
		return devices[i], nil // else it can be of a name, as 4090 is
	}
	wanted = strings.ToLower(wanted)
	for _, fits := range []func(name string) bool{
		func(name string) bool { return name == wanted },
		func(name string) bool { return strings.Contains(name, wanted) },
	} {
		var found []gpu.Info
		for _, d := range devices {
			if fits(strings.ToLower(d.Name)) {
				found = append(found, d)
			}
		}
		switch len(found) {
		case 0:
			continue
		case 1:
			return found[0], nil
		}
		return gpu.Info{}, fmt.Errorf("%d devices fit %q: give the number of one", len(found), wanted)
	}
	return gpu.Info{}, fmt.Errorf("no device %q", wanted)
}
