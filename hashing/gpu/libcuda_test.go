//go:build !nogpu && linux && !android && (amd64 || arm64)

package gpu

import (
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/jbcnet/jbc/hashing"
)

// looksLike is the environment variable that says how testdata/libcuda.c is to fail; in
// a test's process, that it has that library.
const looksLike = "CUDA_LOOKS_LIKE"

// TestCUDALibrary loads a library that looks like NVIDIA's, from testdata/libcuda.c, as
// a program would: by its name, and with the calls of cuda.h. Since a process looks for
// it once, every kind gets one of its own.
func TestCUDALibrary(t *testing.T) {
	kinds := map[string]func(*testing.T){
		"sound":        soundLibrary,
		"no device":    libraryWithoutDevice,
		"bad compiler": libraryThatDoesNotCompile,
		"small card":   libraryThatDoesNotLaunch,
		"lost card":    libraryThatLosesItsCard,
	}
	if kind := os.Getenv(looksLike); kind != "" {
		kinds[kind](t)
		return
	}
	dir := compileLookAlike(t)
	for kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command(os.Args[0], "-test.v", "-test.run", "^TestCUDALibrary$")
			cmd.Env = append(os.Environ(), looksLike+"="+kind, "LD_LIBRARY_PATH="+dir, "OCL_ICD_VENDORS="+dir+"/none", "OCL_ICD_FILENAMES=")
			out, err := cmd.CombinedOutput()
			if err != nil || !strings.Contains(string(out), "--- PASS: TestCUDALibrary ") {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// compileLookAlike returns the folder of a libcuda.so.1.
func compileLookAlike(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	compiler, err := exec.LookPath("gcc")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skipf("needs a C compiler (apt-get install gcc libc6-dev): %v", err)
	}
	out, err := exec.Command(compiler, "-Wall", "-Wextra", "-Werror", "-O2", "-shared", "-fPIC", "-pthread",
		"-o", filepath.Join(dir, "libcuda.so.1"), "testdata/libcuda.c").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return dir
}

// findLookAlike returns the card that the library lists.
func findLookAlike(t *testing.T) Info {
	t.Helper()
	before := readSignals()
	listing := Find()
	if len(listing.Devices) != 1 {
		t.Fatalf("listing %+v", listing)
	}
	got := listing.Devices[0]
	want := Info{
		Backend: CUDA, Name: "NVIDIA Look-alike", Vendor: "NVIDIA Corporation", Driver: nvidiaVersion(), Platform: "CUDA 13.1, sm_90",
		Address: "0000:17:00.0", Kind: GPU, Memory: 141 << 30, Units: 132, opener: got.opener,
	}
	if got != want {
		t.Errorf("device %+v, want %+v", got, want)
	}
	if want := "card 1, NVIDIA Ancient, is older than compute capability 7.0"; !strings.Contains(listing.Detail, want) {
		t.Errorf("detail %q, want %q", listing.Detail, want)
	}
	if *readSignals() != *before {
		t.Error("the library's signal handlers stay")
	}
	return got
}

func soundLibrary(t *testing.T) {
	info := findLookAlike(t)
	var devices sync.WaitGroup
	for _, versions := range Widths() { // four at once, on one card
		devices.Go(func() {
			d, err := Open(t.Context(), info, Options{Versions: versions})
			if err != nil {
				t.Error(err)
				return
			}
			rng := rand.New(rand.NewPCG(9, uint64(versions)))
			for range 20 {
				s := randomSearch(rng, math.Exp2(10*rng.Float64()))
				first, n := rng.Uint32(), rng.IntN(500)
				hits := make([]hashing.Hit, (n+1)*len(s.Midstates))
				var got []hashing.Hit
				for done := 0; done < n; {
					more, found, err := d.Scan(t.Context(), &s, first+uint32(done), n-done, hits)
					if err != nil || more == 0 {
						t.Errorf("Scan = %d, %v", more, err)
						return
					}
					got, done = append(got, hits[:found]...), done+more
				}
				if want := allPlain(&s, first, n); !slices.Equal(got, want) {
					t.Errorf("%d versions at once, search %+v, nonces %d+%d:\nhits %v\nplain Go says %v", versions, s, first, n, got, want)
				}
			}
			if err := d.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	devices.Wait()
}

func libraryWithoutDevice(t *testing.T) {
	listing := Find()
	const want = "cuInit: CUDA_ERROR_NO_DEVICE, no CUDA-capable device is detected"
	if len(listing.Closed) == 0 && listing.State != NoDevice || !strings.Contains(listing.Why(), want) || len(listing.Devices) > 0 {
		t.Errorf("%s, %q; want %s with %q", listing.State, listing.Why(), NoDevice, want)
	}
}

func libraryThatDoesNotCompile(t *testing.T) {
	d, err := Open(t.Context(), findLookAlike(t), Options{})
	var build *BuildError
	if d != nil || !errors.As(err, &build) || build.Log != "ptxas fatal : looks alike" {
		t.Errorf("device %v, error %v", d, err)
	}
	const want = "device NVIDIA Look-alike: program: cuModuleLoadDataEx: CUDA_ERROR_INVALID_PTX, so it seems: ptxas fatal : looks alike"
	if err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

func libraryThatDoesNotLaunch(t *testing.T) {
	const want = "device NVIDIA Look-alike: cuLaunchKernel: CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES, so it seems"
	d, err := Open(t.Context(), findLookAlike(t), Options{})
	if d != nil || err == nil || err.Error() != want {
		t.Errorf("device %v, error %v, want %s", d, err, want)
	}
}

// libraryThatLosesItsCard has it work again once everything of it was given back.
func libraryThatLosesItsCard(t *testing.T) {
	info := findLookAlike(t)
	s := hashing.NewSearch(hashing.Header{}, []uint32{1}, hashing.Target{})
	for try, works := range []bool{false, true} {
		d, err := Open(t.Context(), info, Options{Versions: 1})
		if err != nil {
			t.Fatal(err)
		}
		hits := make([]hashing.Hit, 1)
		for range 30 {
			if _, _, err = d.Scan(t.Context(), &s, 0, 100, hits); err != nil {
				break
			}
		}
		var lost *cudaError
		if is := errors.As(err, &lost) && lost.name == "CUDA_ERROR_LAUNCH_FAILED"; is == works {
			t.Errorf("try %d: %v", try, err)
		}
		if err := d.Close(); err != nil {
			t.Errorf("try %d: Close: %v", try, err)
		}
	}
}
