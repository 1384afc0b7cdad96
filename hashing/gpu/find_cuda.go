//go:build !nogpu && linux && !android && (amd64 || arm64)

package gpu

import (
	"errors"
	"fmt"
	"os"
)

// cudaNames are what NVIDIA's driver is called, and where containers and Windows'
// Linux have it out of the loader's sight.
var cudaNames = []string{
	"libcuda.so.1",
	"/usr/local/nvidia/lib64/libcuda.so.1",
	"/usr/lib/wsl/lib/libcuda.so.1",
}

// Names of cuDeviceGetAttribute.
const (
	cudaUnits = 16 // multiprocessors
	cudaMajor = 75 // of the compute capability
	cudaMinor = 76
)

// oldestCard is the compute capability that the PTX is compiled for.
const oldestCard = 70

// findCUDA lists the cards that NVIDIA's driver offers to CUDA and that the PTX runs on,
// given what signals did before.
func findCUDA(names []string, before *signals) finding {
	cu, err := loadCUDA(names)
	if err != nil {
		return finding{err: err}
	}
	devices, err := cu.list(before)
	return finding{loaded: true, devices: devices, err: err}
}

// list asks for all cards. One that fails hides no other.
func (cu *cuda) list(before *signals) ([]Info, error) {
	if err := cu.failed("cuInit", cu.init(0)); err != nil {
		return nil, err
	}
	var version, count int32
	if err := cu.failed("cuDriverGetVersion", cu.driverGetVersion(&version)); err != nil {
		return nil, err
	}
	if err := cu.failed("cuDeviceGetCount", cu.deviceGetCount(&count)); err != nil {
		return nil, err
	}
	var infos []Info
	var errs []error
	for i := range count {
		info, capability, err := cu.info(i, before)
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("card %d: %w", i, err))
			continue
		case capability < oldestCard:
			errs = append(errs, fmt.Errorf("card %d, %s, is older than compute capability %d.%d", i, info.Name, oldestCard/10, oldestCard%10))
			continue
		}
		info.Platform = fmt.Sprintf("CUDA %d.%d, sm_%d", version/1000, version%1000/10, capability)
		infos = append(infos, info)
	}
	return infos, errors.Join(errs...)
}

// info describes a card. Its compute capability is ten times what people call it.
func (cu *cuda) info(index int32, before *signals) (info Info, capability int32, err error) {
	var device, units, major, minor int32
	var memory uintptr
	var name, address [256]byte
	if err := cu.failed("cuDeviceGet", cu.deviceGet(&device, index)); err != nil {
		return Info{}, 0, err
	}
	for _, ask := range []struct {
		call string
		code result
	}{
		{"cuDeviceGetName", cu.deviceGetName(&name[0], int32(len(name)), device)},
		{"cuDeviceGetPCIBusId", cu.deviceGetPCIBusID(&address[0], int32(len(address)), device)},
		{"cuDeviceTotalMem", cu.deviceTotalMem(&memory, device)},
		{"cuDeviceGetAttribute", cu.deviceGetAttribute(&units, cudaUnits, device)},
		{"cuDeviceGetAttribute", cu.deviceGetAttribute(&major, cudaMajor, device)},
		{"cuDeviceGetAttribute", cu.deviceGetAttribute(&minor, cudaMinor, device)},
	} {
		if err := cu.failed(ask.call, ask.code); err != nil {
			return Info{}, 0, err
		}
	}
	return Info{
		Backend: CUDA, Name: text(name[:]), Vendor: "NVIDIA Corporation", Driver: nvidiaVersion(), Address: text(address[:]),
		Kind: GPU, Memory: uint64(memory), Units: int(units),
		opener: &card{cu, device, before},
	}, 10*major + minor, nil
}

// nvidiaVersion returns that of the driver, which CUDA does not tell, or nothing where
// there is no kernel module.
func nvidiaVersion() string {
	version, err := os.ReadFile("/sys/module/nvidia/version")
	if err != nil {
		return ""
	}
	return text(version[:min(len(version), 64)])
}
