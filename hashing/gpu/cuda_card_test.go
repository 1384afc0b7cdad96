//go:build !nogpu && linux && !android && (amd64 || arm64)

package gpu

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/jbcnet/jbc/hashing"
)

// TestNVIDIACard is what only a real card tells. Nothing else is skipped for want of one.
func TestNVIDIACard(t *testing.T) {
	cuda := findCUDA(cudaNames, readSignals())
	if len(cuda.devices) == 0 {
		t.Skipf("needs an NVIDIA card and its driver: %v", cuda.err)
	}
	info := cuda.devices[0]
	for _, versions := range Widths() {
		t.Run(fmt.Sprintf("versions=%d", versions), func(t *testing.T) { cardFindsAll(t, info, versions) })
	}
	t.Run("listed once", func(t *testing.T) {
		openCL := findOpenCL(openCLNames, readSignals())
		if !slices.ContainsFunc(openCL.devices, func(d Info) bool { return strings.Contains(d.Vendor, "NVIDIA") }) {
			t.Skipf("needs NVIDIA's OpenCL driver: %v", openCL.err)
		}
		for _, d := range merge(nil, cuda, openCL).Devices {
			if d.Backend == OpenCL && strings.Contains(d.Vendor, "NVIDIA") {
				t.Errorf("OpenCL's %+v is one that CUDA does not have: %+v", d, cuda.devices)
			}
		}
	})
	t.Run("PTX that does not build", func(t *testing.T) {
		broken := info
		broken.opener = changedOpener{info.opener.(*card), ".version 6.0\n.target sm_70\n.address_size 64\nnonsense\n"}
		d, err := Open(t.Context(), broken, Options{})
		var build *BuildError
		if d != nil || !errors.As(err, &build) || build.Log == "" {
			t.Errorf("device %v, error %v", d, err)
		}
	})
	t.Run("opened again", func(t *testing.T) { cardIsOpenedAgain(t, info) })
}

// cardFindsAll compares launches of the size that they come to with the CPU.
func cardFindsAll(t *testing.T, info Info, versions int) {
	d, err := Open(t.Context(), info, Options{Versions: versions})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}()
	rng := rand.New(rand.NewPCG(8, 3))
	empty := randomSearch(rng, 1)
	empty.Target = hashing.Target{}
	if _, _, err := d.Scan(t.Context(), &empty, 0, 1<<30, make([]hashing.Hit, 1)); err != nil { // launches grow
		t.Fatal(err)
	}
	const nonces = 1 << 22
	s := randomSearch(rng, 1<<18)
	first := rng.Uint32()
	hits := make([]hashing.Hit, 4096)
	kernel := hashing.FastestKernel(len(s.Midstates))
	found := 0
	for at := uint32(0); at < nonces; at += 1 << 14 { // a call can't be interrupted
		done, more := kernel.Scan(&s, first+at, 1<<14, hits[found:])
		if found += more; done != 1<<14 {
			t.Fatalf("the CPU found %d hits in %d nonces", found, at)
		}
	}
	if found == 0 {
		t.Fatal("the CPU found nothing: the test proves little")
	}
	if got, want := scanAll(t, d, &s, first, nonces, 64), sorted(hits[:found], first); !slices.Equal(got, want) {
		t.Errorf("launches of up to %d nonces: hits %v, the CPU says %v", d.Nonces(len(s.Midstates), UsualLaunch), got, want)
	}
}

// cardIsOpenedAgain has a program write where it may not, which the card's context does
// not survive.
func cardIsOpenedAgain(t *testing.T, info Info) {
	bad := info
	bad.opener = changedOpener{info.opener.(*card), changedPTX(t, hitCount, strayCount)}
	d, err := Open(t.Context(), bad, Options{Versions: 1})
	var call *cudaError
	if d != nil || !errors.As(err, &call) {
		t.Fatalf("device %v, error %v", d, err)
	}
	t.Log(err)
	if d, err = Open(t.Context(), info, Options{Versions: 1}); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}
