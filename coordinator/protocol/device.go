package protocol

import (
	"fmt"
	"strings"
)

const (
	// MaxDevices is the most devices that a worker tells of; it may have more.
	MaxDevices = 16

	maxDeviceName  = 40
	maxDeviceState = 16
)

// Device is a graphics card or the like that a worker hashes with, for people: nothing
// is decided by it.
type Device struct {
	Name   string  `json:"name"`    // see [DeviceName]
	State  string  `json:"state"`   // mining, or why it is not
	RateHS float64 `json:"rate_hs"` // the worker's own count, hashes a second lately
	Shares uint64  `json:"shares"`  // accepted ones that it found, by the worker's own count
}

// DeviceName makes of what a driver calls a device what a message may: 40 bytes of
// ASCII, none of which takes JSON more than one.
func DeviceName(name string) string {
	name = strings.Map(func(r rune) rune {
		if isOdd(r) {
			return '?'
		}
		return r
	}, name)
	return name[:min(len(name), maxDeviceName)]
}

func isOdd(r rune) bool { return r < ' ' || r > '~' || strings.ContainsRune(`"\<>&`, r) }

func checkDevices(devices []Device) error {
	if len(devices) > MaxDevices {
		return fmt.Errorf("%d devices, at most %d", len(devices), MaxDevices)
	}
	for _, d := range devices {
		if len(d.Name) > maxDeviceName || len(d.State) > maxDeviceState || strings.ContainsFunc(d.Name+d.State, isOdd) {
			return fmt.Errorf("device %.60q in state %.60q", d.Name, d.State)
		}
		if err := checkRate(d.RateHS); err != nil {
			return fmt.Errorf("device %q: %w", d.Name, err)
		}
	}
	return nil
}
