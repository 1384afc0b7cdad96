//go:build !nogpu && ((linux && !android) || darwin) && (amd64 || arm64)

package gpu

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jbcnet/jbc/hashing"
)

// anyInfo returns the first device of this machine. Without one a test is skipped,
// and fails where CI=true says that nothing may be missing.
func anyInfo(t testing.TB) Info {
	t.Helper()
	listing := Find()
	if len(listing.Devices) > 0 {
		return listing.Devices[0]
	}
	why := listing.Why() + "; PoCL is one that any CPU can run: apt-get install pocl-opencl-icd ocl-icd-libopencl1"
	if os.Getenv("CI") == "true" {
		t.Fatal(why)
	}
	t.Skip(why)
	return Info{}
}

// eachWidth runs f with a device that tries 1, 2, 4 and 8 versions at once.
func eachWidth(t *testing.T, f func(t *testing.T, d *Device)) {
	info := anyInfo(t)
	for _, versions := range []int{1, 2, 4, 8} {
		t.Run(fmt.Sprintf("versions=%d", versions), func(t *testing.T) {
			d, err := Open(t.Context(), info, Options{Versions: versions})
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := d.Close(); err != nil {
					t.Error(err)
				}
			}()
			f(t, d)
		})
	}
}

// scanAll has d try n nonces, with room for only so many hits a call, and holds it to
// the contract of Scan on the way.
func scanAll(t *testing.T, d *Device, s *hashing.Search, first uint32, n, room int) []hashing.Hit {
	t.Helper()
	var all []hashing.Hit
	buffer := make([]hashing.Hit, room+1) // the last one is a tripwire
	tripwire := hashing.Hit{Nonce: 0xdeadbeef, Version: -1}
	buffer[room] = tripwire
	for start, left := first, n; left > 0; {
		done, found, err := d.Scan(t.Context(), s, start, left, buffer[:room:room])
		switch {
		case err != nil:
			t.Fatal(err)
		case done < 1 || done > left || found < 0 || found > room:
			t.Fatalf("Scan of %d nonces with room for %d returned done %d, found %d", left, room, done, found)
		case done < left && found == 0:
			t.Fatalf("Scan stopped at %d of %d without a hit", done, left)
		case buffer[room] != tripwire:
			t.Fatal("Scan wrote past its hits")
		}
		for _, h := range buffer[:found] {
			if h.Nonce-start >= uint32(done) {
				t.Fatalf("hit %+v is not among the %d nonces done from %d on", h, done, start)
			}
		}
		all = append(all, buffer[:found]...)
		start, left = start+uint32(done), left-done
	}
	return sorted(all, first)
}

func TestDeviceFindsWhatPlainFinds(t *testing.T) {
	eachWidth(t, func(t *testing.T, d *Device) {
		if d.Versions() < 1 || d.Info().Name == "" {
			t.Errorf("%d versions, %+v", d.Versions(), d.Info())
		}
		rng := rand.New(rand.NewPCG(7, 2)) // fixed seed: failures repeat
		found := 0
		for range 150 {
			s := randomSearch(rng, math.Exp2(12*rng.Float64()))
			first, n := rng.Uint32(), rng.IntN(300)
			room := len(s.Midstates) + rng.IntN(40)
			got, want := scanAll(t, d, &s, first, n, room), allPlain(&s, first, n)
			if !slices.Equal(got, want) {
				t.Fatalf("search %+v, nonces %d+%d, room %d:\nhits %v\nplain Go says %v", s, first, n, room, got, want)
			}
			found += len(want)
		}
		if found < 1000 {
			t.Errorf("only %d hits in all searches: the test proves little", found)
		}
	})
}

// TestDeviceEdges pins what random intervals rarely meet.
func TestDeviceEdges(t *testing.T) {
	tests := []struct {
		name  string
		first uint32
		n     int
		oneIn float64
	}{
		{"no nonce", 5, 0, 1},
		{"one nonce", 5, 1, 1},
		{"the last nonce", math.MaxUint32, 1, 1},
		{"one less than a group", 5, group - 1, 4},
		{"a group", 5, group, 4},
		{"one more than a group", 5, group + 1, 4},
		{"over the end of the nonces", math.MaxUint32 - 20, 64, 4},
		{"over the middle of the nonces", math.MaxInt32 - 20, 64, 4},
		{"as many hits as fit", 77, capacity, 1},
		{"one more hit than fits", 77, capacity + 1, 1},
		{"far more hits than fit", 1 << 31, 1500, 1.5},
		{"more than the first launch", math.MaxUint32 - firstLaunch, 2*firstLaunch + 1, 300},
		{"nothing is a hit", 0, 1000, math.Inf(1)},
	}
	eachWidth(t, func(t *testing.T, d *Device) {
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				rng := rand.New(rand.NewPCG(7, 3))
				for range 2 {
					s := randomSearch(rng, test.oneIn)
					want := allPlain(&s, test.first, test.n)
					for _, room := range []int{len(s.Midstates), 64, len(want) + len(s.Midstates)} {
						got := scanAll(t, d, &s, test.first, test.n, max(room, len(s.Midstates)))
						if !slices.Equal(got, want) {
							t.Fatalf("%d versions, room %d: %d hits, plain Go has %d:\n%v\n%v", len(s.Midstates), room, len(got), len(want), got, want)
						}
					}
				}
			})
		}
	})
}

// TestBufferOverflows asks a device for more hits than fit into its buffer, which
// Scan rarely does.
func TestBufferOverflows(t *testing.T) {
	eachWidth(t, func(t *testing.T, d *Device) {
		s := randomSearch(rand.New(rand.NewPCG(7, 5)), 1)
		p, versions := d.scanner.parameters(&s)[0], d.Versions()
		for i, test := range []struct {
			hits     int
			overflow bool
		}{{capacity, false}, {capacity + versions, true}, {100 * capacity, true}, {capacity - versions, false}, {8, false}} {
			n, slot := test.hits/versions, i%slots
			var found []candidate
			var overflow bool
			var err error
			d.call(func() {
				if err = d.scanner.launcher.start(slot, p, math.MaxUint32-3, uint32(n)); err == nil {
					found, overflow, err = d.scanner.launcher.wait(slot)
				}
			})
			if err != nil || overflow != test.overflow || !overflow && len(found) != test.hits {
				t.Errorf("%d hits: found %d, overflow %t, %v", test.hits, len(found), overflow, err)
			}
			if overflow {
				continue
			}
			seen := map[candidate]bool{}
			for _, c := range found {
				if seen[c] || c.nonce-(math.MaxUint32-3) >= uint32(n) || c.version >= uint32(versions) {
					t.Errorf("%d hits: %+v is one too many", test.hits, c)
				}
				seen[c] = true
			}
		}
	})
}

// TestDeviceFindsRealNonces looks for those of blocks that Bitcoin really has.
func TestDeviceFindsRealNonces(t *testing.T) {
	blocks := []struct {
		name, header string
		nonce        uint32
	}{
		{"genesis", "0100000000000000000000000000000000000000000000000000000000000000000000003ba3edfd7a7b12b27ac72c3e67768f617fc81bc3888a51323a9fb8aa4b1e5e4a29ab5f49ffff001d1dac2b7c", 2083236893},
		{"125552", "0100000081cd02ab7e569e8bcd9317e2fe99f2de44d49ab2b8851ba4a308000000000000e320b6c2fffc8d750423db8b1eb942ae710e951ed797f7affc8892b0f1fc122bc7f5d74df2b9441a42a14695", 2504433986},
	}
	eachWidth(t, func(t *testing.T, d *Device) {
		for _, block := range blocks {
			h, err := hashing.ParseHeader(block.header)
			if err != nil {
				t.Fatal(err)
			}
			target, err := h.Bits().Target()
			if err != nil {
				t.Fatal(err)
			}
			versions := []uint32{hashing.RollVersion(h.Version(), 0xffff), h.Version(), hashing.RollVersion(h.Version(), 1)}
			s := hashing.NewSearch(h, versions, target)
			got := scanAll(t, d, &s, block.nonce-30000, 50000, 3)
			if want := []hashing.Hit{{Nonce: block.nonce, Version: 1}}; !slices.Equal(got, want) {
				t.Errorf("block %s: hits %v, want %v", block.name, got, want)
			}
		}
	})
}

// TestDeviceMeetsTargetsExactly takes a hash itself for the target, which is met, and
// the number below, which is not, though the device sees no difference.
func TestDeviceMeetsTargetsExactly(t *testing.T) {
	eachWidth(t, func(t *testing.T, d *Device) {
		rng := rand.New(rand.NewPCG(7, 6))
		for range 20 {
			s := randomSearch(rng, 1)
			nonce, version := rng.Uint32(), rng.IntN(len(s.Midstates))
			if err := s.Target.UnmarshalText([]byte(s.Hash(version, nonce).String())); err != nil {
				t.Fatal(err)
			}
			at := hashing.Hit{Nonce: nonce, Version: version}
			if got := scanAll(t, d, &s, nonce, 1, 16); !slices.Contains(got, at) {
				t.Errorf("nonce %d is missed under its own hash: %v", nonce, got)
			}
			s.Target = hashing.TargetFromBig(new(big.Int).Sub(s.Target.Big(), big.NewInt(1)))
			if got := scanAll(t, d, &s, nonce, 1, 16); slices.Contains(got, at) {
				t.Errorf("nonce %d is a hit under one less than its hash", nonce)
			}
		}
	})
}

func TestDeviceStopsWhenTold(t *testing.T) {
	d, err := Open(t.Context(), anyInfo(t), Options{Versions: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	s := hashing.NewSearch(hashing.Header{}, []uint32{1}, hashing.Target{})
	hits := make([]hashing.Hit, 1)

	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if done, found, err := d.Scan(ended, &s, 0, 1<<20, hits); done != 0 || found != 0 || err != nil {
		t.Errorf("Scan under an ended context = %d, %d, %v", done, found, err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	var told time.Time
	time.AfterFunc(50*time.Millisecond, func() { told = time.Now(); cancel() })
	done, _, err := d.Scan(ctx, &s, 0, 1<<32-1, hits)
	if done == 0 || done >= 1<<32-1 || err != nil {
		t.Fatalf("Scan = %d, %v", done, err)
	}
	took := time.Since(told)
	if t.Logf("stopped after %s, launches of %d nonces", took, d.scanner.nonces.Load()); took > 2*time.Second { // a busy machine
		t.Errorf("it took %s to stop", took)
	}
}

func TestDeviceClosesTwice(t *testing.T) {
	d, err := Open(t.Context(), anyInfo(t), Options{Versions: 1})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := d.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	s := hashing.NewSearch(hashing.Header{}, []uint32{1}, hashing.Target{})
	if _, _, err := d.Scan(t.Context(), &s, 0, 1, make([]hashing.Hit, 1)); !errors.Is(err, ErrClosed) {
		t.Errorf("Scan of a closed device: %v, want %v", err, ErrClosed)
	}
}

// TestDeviceIsShared scans and closes from several goroutines at once.
func TestDeviceIsShared(t *testing.T) {
	d, err := Open(t.Context(), anyInfo(t), Options{Versions: 2})
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(7, 4))
	s := randomSearch(rng, 50)
	var scans sync.WaitGroup
	for range 4 {
		scans.Go(func() {
			for range 5 {
				hits := make([]hashing.Hit, 3200)
				done, found, err := d.Scan(t.Context(), &s, 100, 200, hits)
				if err != nil || done < 1 || !slices.Equal(hits[:found], allPlain(&s, 100, done)) {
					t.Errorf("Scan = %d, %d, %v", done, found, err)
				}
			}
		})
	}
	scans.Wait()
	for range 2 {
		scans.Go(func() {
			if err := d.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	scans.Wait()
}

// opens opens a device with another program.
func opens(ctx context.Context, t *testing.T, info Info, opts Options, source string) (*Device, error) {
	t.Helper()
	h, ok := info.opener.(handle)
	if !ok {
		t.Skipf("%s is no OpenCL device", info.Name)
	}
	info.opener = opening{h, source}
	return Open(ctx, info, opts)
}

func TestProgramThatDoesNotBuild(t *testing.T) {
	info := anyInfo(t)
	d, err := opens(t.Context(), t, info, Options{}, "__kernel void scan( { nonsense }")
	var build *BuildError
	if d != nil || !errors.As(err, &build) || build.Log == "" || !strings.Contains(err.Error(), info.Name) {
		t.Fatalf("device %v, error %v", d, err)
	}
	var call *callError
	if !errors.As(err, &call) || call.code != buildProgramFailure {
		t.Errorf("error %v, want OpenCL's %d", err, buildProgramFailure)
	}

	// One that builds, and computes something else.
	wrong := strings.Replace(program, "0xd807aa98", "0xd807aa99", 1)
	if d, err := opens(t.Context(), t, info, Options{Versions: 1}, wrong); d != nil || !errors.Is(err, ErrWrong) {
		t.Errorf("another constant: device %v, error %v, want %v", d, err, ErrWrong)
	}
	// One without the kernel.
	if d, err := opens(t.Context(), t, info, Options{Versions: 1}, "__kernel void other(void) {}"); d != nil || err == nil {
		t.Errorf("another kernel: device %v, error %v", d, err)
	}
}

func TestOpenOfNoListing(t *testing.T) {
	if d, err := Open(t.Context(), Info{Name: "made up"}, Options{}); d != nil || err == nil {
		t.Errorf("device %v, error %v", d, err)
	}
	if d, err := Open(t.Context(), anyInfo(t), Options{Versions: 3}); d != nil || err == nil {
		t.Errorf("three versions at once: device %v, error %v", d, err)
	}
}

// TestOpenGivesUp interrupts the driver at a program that it has not compiled before.
func TestOpenGivesUp(t *testing.T) {
	info := anyInfo(t)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(10*time.Millisecond, cancel)
	source := fmt.Sprintf("#define RUN %d\n%s\n__constant uint run = RUN;\n", time.Now().UnixNano()%1_000_000_000, program)
	begin := time.Now()
	d, err := opens(ctx, t, info, Options{Versions: 8}, source)
	if d != nil || !errors.Is(err, context.Canceled) {
		t.Fatalf("device %v, error %v", d, err)
	}
	t.Logf("gave up after %s", time.Since(begin))

	// The driver is still at it, and takes another program meanwhile.
	d, err = Open(t.Context(), info, Options{Versions: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

func TestNoLibrary(t *testing.T) {
	nobodyHas := []string{"libnobody-has-this.so.1", "libnor-this.so"}
	listing := find(nobodyHas, nobodyHas)
	if listing.State != NoLibrary || len(listing.Devices) != 0 || !strings.Contains(listing.Why(), "libnobody-has-this.so.1") {
		t.Errorf("%+v: %q", listing, listing.Why())
	}
	if _, err := loadOpenCL(openCLNames); err != nil {
		t.Skip("the next fact needs the OpenCL library")
	}
	if listing := find(nobodyHas, append(nobodyHas, openCLNames...)); listing.State == NoLibrary {
		t.Errorf("the third name was not tried: %q", listing.Why())
	}
}

// TestNoDriver starts this test again with a loader that knows no driver: it reads
// its configuration once a process.
func TestNoDriver(t *testing.T) {
	if os.Getenv("JBC_TEST_NO_DRIVER") != "" {
		listing := find(nil, openCLNames)
		fmt.Println("state", listing.State)
		fmt.Println("why", listing.Why())
		return
	}
	anyInfo(t) // there is a loader to be asked
	cmd := exec.Command(os.Args[0], "-test.run", "^TestNoDriver$")
	cmd.Env = append(os.Environ(), "JBC_TEST_NO_DRIVER=1", "OCL_ICD_VENDORS="+t.TempDir()+"/none", "OCL_ICD_FILENAMES=")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "state no-device\nwhy no OpenCL or CUDA device on this machine (no OpenCL driver)\n") {
		t.Errorf("%v: %s", err, out)
	}
}

// FuzzScan lets the fuzzer choose the search: a device must agree with plain Go.
func FuzzScan(f *testing.F) {
	info := anyInfo(f)
	devices := map[int]*Device{}
	for _, versions := range []int{1, 2, 4, 8} {
		d, err := Open(f.Context(), info, Options{Versions: versions})
		if err != nil {
			f.Fatal(err)
		}
		f.Cleanup(func() { d.Close() })
		devices[versions] = d
	}
	f.Add(uint64(1), uint32(math.MaxUint32-5), uint16(40), uint8(3), uint8(2))
	f.Add(uint64(2), uint32(0), uint16(1000), uint8(0), uint8(3))
	f.Fuzz(func(t *testing.T, seed uint64, first uint32, n uint16, log2, width uint8) {
		rng := rand.New(rand.NewPCG(seed, 7))
		s := randomSearch(rng, math.Exp2(float64(log2%20)))
		count := int(n % 2048)
		got := scanAll(t, devices[1<<(width%4)], &s, first, count, len(s.Midstates)+rng.IntN(20))
		if want := allPlain(&s, first, count); !slices.Equal(got, want) {
			t.Fatalf("hits %v, plain Go says %v", got, want)
		}
	})
}
