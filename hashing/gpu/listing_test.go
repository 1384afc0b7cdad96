package gpu

import (
	"errors"
	"slices"
	"testing"
)

func TestWhyThereIsNone(t *testing.T) {
	var (
		cudaMissing   = finding{err: errors.New("libcuda.so.1: no such file")}
		openCLMissing = finding{err: errors.New("libOpenCL.so.1: no such file\nlibOpenCL.so: no such file")}
		noCard        = finding{loaded: true, err: errors.New("cuInit: CUDA_ERROR_NO_DEVICE")}
		noDriver      = finding{loaded: true, err: errors.New("no OpenCL driver")}
		silent        = finding{loaded: true}
		kfd           = []string{"/dev/kfd", "/dev/dri/renderD128"}
	)
	tests := []struct {
		name         string
		closed       []string
		cuda, openCL finding
		want         State
		why          string
	}{
		{"a device", kfd, cudaMissing, finding{loaded: true, devices: []Info{{}}}, Found, ""},
		{"a card", kfd, finding{loaded: true, devices: []Info{{}}}, openCLMissing, Found, ""},
		{"no library", nil, cudaMissing, openCLMissing, NoLibrary, "no OpenCL library and no CUDA driver on this machine (libOpenCL.so.1: no such file; libOpenCL.so: no such file; libcuda.so.1: no such file)"},
		{"no library, and no permission either", kfd, finding{}, finding{}, NoLibrary, "no OpenCL library and no CUDA driver on this machine"},
		{"no device of OpenCL", nil, cudaMissing, noDriver, NoDevice, "no OpenCL or CUDA device on this machine (no OpenCL driver)"},
		{"no device of CUDA", nil, noCard, openCLMissing, NoDevice, "no OpenCL or CUDA device on this machine (cuInit: CUDA_ERROR_NO_DEVICE)"},
		{"no device of either", nil, noCard, noDriver, NoDevice, "no OpenCL or CUDA device on this machine (no OpenCL driver; cuInit: CUDA_ERROR_NO_DEVICE)"},
		{"no permission", kfd, cudaMissing, silent, NoPermission, "no permission to use /dev/kfd"},
		{"no permission for a card", []string{"/dev/nvidiactl"}, noCard, openCLMissing, NoPermission, "no permission to use /dev/nvidiactl (cuInit: CUDA_ERROR_NO_DEVICE)"},
	}
	for _, test := range tests {
		listing := merge(test.closed, test.cuda, test.openCL)
		if got := listing.Why(); listing.State != test.want || got != test.why {
			t.Errorf("%s: %s, %q; want %s, %q", test.name, listing.State, got, test.want, test.why)
		}
	}
	not := Listing{State: NotBuilt}
	if got := not.Why(); got != "this build of jbc can't use devices" {
		t.Errorf("not built: %q", got)
	}
}

func TestCardsAreListedOnce(t *testing.T) {
	cards := func(backend Backend, names ...string) finding {
		f := finding{loaded: true}
		for _, name := range names {
			f.devices = append(f.devices, Info{Backend: backend, Name: name})
		}
		return f
	}
	tests := []struct {
		name         string
		cuda, openCL finding
		want         []string
	}{
		{"nothing", cards(CUDA), cards(OpenCL), nil},
		{"CUDA alone", cards(CUDA, "H200"), finding{}, []string{"CUDA H200"}},
		{"OpenCL alone", finding{}, cards(OpenCL, "H200", "pthread"), []string{"OpenCL H200", "OpenCL pthread"}},
		{"both", cards(CUDA, "H200"), cards(OpenCL, "H200"), []string{"CUDA H200"}},
		{"two of a kind", cards(CUDA, "H200", "H200"), cards(OpenCL, "H200", "H200"), []string{"CUDA H200", "CUDA H200"}},
		{"other devices come after", cards(CUDA, "H200"), cards(OpenCL, "pthread", "H200", "gfx1100"), []string{"CUDA H200", "OpenCL pthread", "OpenCL gfx1100"}},
		{"one too old for CUDA", cards(CUDA, "H200"), cards(OpenCL, "GTX 1080", "H200"), []string{"CUDA H200", "OpenCL GTX 1080"}},
	}
	for _, test := range tests {
		listing := merge(nil, test.cuda, test.openCL)
		var got []string
		for i, d := range listing.Devices {
			if d.Index != i {
				t.Errorf("%s: device %d has index %d", test.name, i, d.Index)
			}
			got = append(got, string(d.Backend)+" "+d.Name)
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}
