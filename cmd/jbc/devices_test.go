package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/jbcnet/jbc/hashing/gpu"
)

func TestChooseDevice(t *testing.T) {
	devices := []gpu.Info{
		{Index: 0, Name: "NVIDIA H200"},
		{Index: 1, Name: "NVIDIA H200 NVL"},
		{Index: 2, Name: "gfx1100"},
		{Index: 3, Name: "gfx1100"},
		{Index: 4, Name: "RTX 4090"},
	}
	tests := []struct {
		wanted string
		index  int
		err    string
	}{
		{"0", 0, ""},
		{"3", 3, ""},
		{"NVIDIA H200", 0, ""}, // a whole name, though part of another
		{"nvidia h200 nvl", 1, ""},
		{"NVL", 1, ""},
		{"nvidia", 0, `2 devices fit "nvidia": give the number of one`},
		{"gfx1100", 0, `2 devices fit "gfx1100": give the number of one`},
		{"4", 4, ""},
		{"4090", 4, ""},
		{"1100", 0, `2 devices fit "1100": give the number of one`},
		{"5", 0, `no device "5"`},
		{"-1", 0, `no device "-1"`},
		{"", 0, "a device without a name"},
		{"Arc", 0, `no device "arc"`},
	}
	for _, test := range tests {
		got, err := chooseDevice(devices, test.wanted)
		switch {
		case test.err == "" && (err != nil || got.Index != test.index):
			t.Errorf("%q: device %d, %v; want %d", test.wanted, got.Index, err, test.index)
		case test.err != "" && (err == nil || err.Error() != test.err):
			t.Errorf("%q: error %v, want %s", test.wanted, err, test.err)
		}
	}
}

// TestDevicesSaysWhy prints listings that this machine can't have all at once.
func TestDevicesSaysWhy(t *testing.T) {
	tests := []struct {
		listing gpu.Listing
		want    string
	}{
		{gpu.Listing{State: gpu.NotBuilt}, "this build of jbc can't use devices\n"},
		{gpu.Listing{State: gpu.NoLibrary}, "no OpenCL library and no CUDA driver on this machine\n"},
		{gpu.Listing{State: gpu.NoDevice, Detail: "no driver"}, "no OpenCL or CUDA device on this machine (no driver)\n"},
		{gpu.Listing{State: gpu.NoPermission, Closed: []string{"/dev/kfd"}}, "no permission to use /dev/kfd\n"},
	}
	for _, test := range tests {
		list := describeDevices(&test.listing)
		var out bytes.Buffer
		if err := list.print(&out); err != nil || out.String() != test.want {
			t.Errorf("%s: %q, %v; want %q", test.listing.State, out.String(), err, test.want)
		}
	}
	list := describeDevices(&gpu.Listing{
		State: gpu.Found, Devices: []gpu.Info{{Name: "NVIDIA H200", Kind: gpu.GPU, Memory: 141 << 30, Units: 132}}, Closed: []string{"/dev/kfd"},
	})
	var out bytes.Buffer
	if err := list.print(&out); err != nil || !strings.Contains(out.String(), "141.0 GiB") || !strings.HasSuffix(out.String(), "\nno permission to use /dev/kfd\n") {
		t.Errorf("%s%v", out.String(), err)
	}
}
