//go:build !nogpu && ((linux && !android) || darwin) && (amd64 || arm64)

package gpu

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// handle is a device as the library knows it.
type handle struct {
	cl     *opencl
	device object
}

// Names of clGetPlatformInfo and clGetDeviceInfo.
const (
	platformName    = 0x0902
	deviceType      = 0x1000
	deviceUnits     = 0x1002
	deviceMemory    = 0x101f
	deviceAvailable = 0x1027
	deviceName      = 0x102b
	deviceVendor    = 0x102c
	driverVersion   = 0x102d

	anyDevice = 0xffffffff
)

// findOpenCL lists the devices of every driver that OpenCL's loader knows, given what
// signals did before.
func findOpenCL(names []string, before *signals) finding {
	cl, err := loadOpenCL(names)
	if err != nil {
		return finding{err: err}
	}
	cl.signals = before
	devices, err := cl.list()
	return finding{loaded: true, devices: devices, err: err}
}

// list asks every platform for its devices. One that fails hides no other.
func (cl *opencl) list() ([]Info, error) {
	var count uint32
	code := cl.getPlatformIDs(0, nil, &count)
	if code == platformNotFound || code == 0 && count == 0 {
		return nil, errors.New("no OpenCL driver")
	}
	if err := failed("clGetPlatformIDs", code); err != nil {
		return nil, err
	}
	platforms := make([]object, count)
	if err := failed("clGetPlatformIDs", cl.getPlatformIDs(count, &platforms[0], nil)); err != nil {
		return nil, err
	}
	var infos []Info
	var errs []error
	for _, p := range platforms {
		name := text(query(func(size uintptr, value *byte, used *uintptr) status {
			return cl.getPlatformInfo(p, platformName, size, value, used)
		}))
		devices, err := cl.devices(p)
		if err != nil {
			errs = append(errs, fmt.Errorf("platform %s: %w", name, err))
		}
		for _, device := range devices {
			if info := cl.info(device); info.Name != "" {
				info.Platform = name
				infos = append(infos, info)
			}
		}
	}
	return infos, errors.Join(errs...)
}

// devices returns those of a platform.
func (cl *opencl) devices(platform object) ([]object, error) {
	var count uint32
	code := cl.getDeviceIDs(platform, anyDevice, 0, nil, &count)
	if code == deviceNotFound || code == 0 && count == 0 {
		return nil, nil
	}
	if err := failed("clGetDeviceIDs", code); err != nil {
		return nil, err
	}
	devices := make([]object, count)
	return devices, failed("clGetDeviceIDs", cl.getDeviceIDs(platform, anyDevice, count, &devices[0], nil))
}

// info describes a device; one that is not available has no name.
func (cl *opencl) info(device object) Info {
	get := func(name uint32) []byte {
		return query(func(size uintptr, value *byte, used *uintptr) status {
			return cl.getDeviceInfo(device, name, size, value, used)
		})
	}
	number := func(name uint32) uint64 {
		var whole [8]byte
		copy(whole[:], get(name))
		return binary.LittleEndian.Uint64(whole[:])
	}
	if number(deviceAvailable) == 0 {
		return Info{}
	}
	return Info{
		Backend: OpenCL, Name: text(get(deviceName)), Vendor: text(get(deviceVendor)), Driver: text(get(driverVersion)),
		Kind: kindOf(number(deviceType)), Memory: number(deviceMemory), Units: int(number(deviceUnits)),
		opener: handle{cl, device},
	}
}

// kindOf reads the bits of a device's type.
func kindOf(bits uint64) Kind {
	switch {
	case bits&(1<<2) != 0:
		return GPU
	case bits&(1<<3) != 0:
		return Accelerator
	case bits&(1<<1) != 0:
		return CPU
	}
	return Other
}
