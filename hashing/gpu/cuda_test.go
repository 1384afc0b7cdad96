//go:build !nogpu && linux && !android && (amd64 || arm64)

package gpu

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/jbcnet/jbc/hashing"
)

// eachFake runs f with a fake card for every program. The PTX is run, so that it is
// as slow as an interpreter.
func eachFake(t *testing.T, f func(t *testing.T, d *Device)) {
	for _, versions := range Widths() {
		t.Run(fmt.Sprintf("versions=%d", versions), func(t *testing.T) {
			t.Parallel()
			info, driver := fakeCard(t)
			d, err := Open(t.Context(), info, Options{Versions: versions})
			if err != nil {
				t.Fatal(err)
			}
			f(t, d)
			if err := d.Close(); err != nil || driver.left() != "" {
				t.Errorf("Close: %v, left are %s", err, driver.left())
			}
			if driver.threads == 0 {
				t.Error("no PTX was run")
			}
		})
	}
}

func TestPTXFindsWhatPlainFinds(t *testing.T) {
	eachFake(t, func(t *testing.T, d *Device) {
		rng := rand.New(rand.NewPCG(8, 1)) // fixed seed: failures repeat
		found := 0
		for range 8 {
			s := randomSearch(rng, math.Exp2(8*rng.Float64()))
			first, n := rng.Uint32(), rng.IntN(80)
			room := len(s.Midstates) + rng.IntN(40)
			got, want := scanAll(t, d, &s, first, n, room), allPlain(&s, first, n)
			if !slices.Equal(got, want) {
				t.Fatalf("search %+v, nonces %d+%d, room %d:\nhits %v\nplain Go says %v", s, first, n, room, got, want)
			}
			found += len(want)
		}
		if found < 100 {
			t.Errorf("only %d hits in all searches: the test proves little", found)
		}
	})
}

func TestPTXFindsRealNonces(t *testing.T) {
	blocks := map[string]uint32{
		"0100000000000000000000000000000000000000000000000000000000000000000000003ba3edfd7a7b12b27ac72c3e67768f617fc81bc3888a51323a9fb8aa4b1e5e4a29ab5f49ffff001d1dac2b7c": 2083236893,
		"0100000081cd02ab7e569e8bcd9317e2fe99f2de44d49ab2b8851ba4a308000000000000e320b6c2fffc8d750423db8b1eb942ae710e951ed797f7affc8892b0f1fc122bc7f5d74df2b9441a42a14695": 2504433986,
	}
	eachFake(t, func(t *testing.T, d *Device) {
		for text, nonce := range blocks {
			h, err := hashing.ParseHeader(text)
			if err != nil {
				t.Fatal(err)
			}
			target, err := h.Bits().Target()
			if err != nil {
				t.Fatal(err)
			}
			s := hashing.NewSearch(h, []uint32{hashing.RollVersion(h.Version(), 0xffff), h.Version()}, target)
			got := scanAll(t, d, &s, nonce-100, 300, 2)
			if want := []hashing.Hit{{Nonce: nonce, Version: 1}}; !slices.Equal(got, want) {
				t.Errorf("header %s: hits %v, want %v", text, got, want)
			}
		}
	})
}

// TestPTXMeetsTargetsExactly takes a hash itself for the target: its top word is as high
// as the program lets pass.
func TestPTXMeetsTargetsExactly(t *testing.T) {
	eachFake(t, func(t *testing.T, d *Device) {
		rng := rand.New(rand.NewPCG(8, 2))
		for range 10 {
			s := randomSearch(rng, 1)
			at := hashing.Hit{Nonce: rng.Uint32(), Version: rng.IntN(len(s.Midstates))}
			if err := s.Target.UnmarshalText([]byte(s.Hash(at.Version, at.Nonce).String())); err != nil {
				t.Fatal(err)
			}
			if got := scanAll(t, d, &s, at.Nonce, 1, 16); !slices.Contains(got, at) {
				t.Errorf("nonce %d is missed under its own hash: %v", at.Nonce, got)
			}
		}
	})
}

// openFakeCard opens a fake card without a device around it, on this thread.
func openFakeCard(t *testing.T, versions int) launcher {
	t.Helper()
	runtime.LockOSThread()
	info, driver := fakeCard(t)
	l, err := info.opener.open(versions)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.close(); err != nil || driver.left() != "" {
			t.Errorf("close: %v, left are %s", err, driver.left())
		}
		runtime.UnlockOSThread()
	})
	return l
}

// TestPTXSaysThatHitsAreMissing fills the buffer to its end and beyond, in two slots at
// once.
func TestPTXSaysThatHitsAreMissing(t *testing.T) {
	tests := []struct {
		versions, nonces int
		overflow         bool
	}{
		{1, capacity, false}, {1, capacity + 1, true}, {1, 2 * capacity, true},
		{2, capacity / 2, false}, {2, capacity/2 + 1, true},
		{4, capacity / 4, false}, {4, capacity/4 + 1, true},
		{8, capacity / 8, false}, {8, capacity/8 + 1, true},
	}
	for _, test := range tests {
		l := openFakeCard(t, test.versions)
		s := hashing.NewSearch(hashing.Header{}, make([]uint32, test.versions), hashing.TargetForHashes(1))
		all := newParameters(&s, 0, test.versions, test.versions)
		none := newParameters(&s, 0, test.versions, test.versions)
		none.top = 0
		first := uint32(math.MaxUint32 - 20) // the nonces wrap around
		if err := errors.Join(l.start(1, all, first, uint32(test.nonces)), l.start(0, none, 0, 64)); err != nil {
			t.Fatal(err)
		}
		found, overflow, err := l.wait(1)
		if err != nil || overflow != test.overflow || !overflow && len(found) != test.versions*test.nonces {
			t.Errorf("%+v: %d hits, overflow %t, %v", test, len(found), overflow, err)
		}
		seen := map[candidate]bool{}
		for _, c := range found {
			if seen[c] || c.nonce-first >= uint32(test.nonces) || c.version >= uint32(test.versions) {
				t.Errorf("%+v: hit %+v is one too many", test, c)
			}
			seen[c] = true
		}
		if found, overflow, err := l.wait(0); len(found) != 0 || overflow || err != nil {
			t.Errorf("%+v: the other slot has %d hits, overflow %t, %v", test, len(found), overflow, err)
		}
	}
}

// TestCardThatFails has each of the driver's functions fail once, in opening a card and
// in scanning with it: the error names it, and nothing is left behind.
func TestCardThatFails(t *testing.T) {
	opening := []string{
		"cuDevicePrimaryCtxSetFlags", "cuDevicePrimaryCtxRetain", "cuCtxSetCurrent", "cuModuleLoadDataEx", "cuModuleGetFunction",
		"cuStreamCreate", "cuEventCreate", "cuMemAlloc", "cuMemHostAlloc",
	}
	scanning := []string{"cuMemsetD32Async", "cuLaunchKernel", "cuMemcpyDtoHAsync", "cuEventRecord", "cuEventSynchronize"}
	for _, call := range append(opening, scanning...) {
		t.Run(call, func(t *testing.T) {
			info, driver := fakeCard(t)
			failed := false
			driver.fail = func(name string) result {
				if name != call || failed {
					return 0
				}
				failed = true
				return outOfMemory
			}
			_, err := Open(t.Context(), info, Options{Versions: 1})
			want := fmt.Sprintf("device fake: %s: FAKE_2, said the fake", call)
			if call == "cuModuleLoadDataEx" {
				want = "device fake: program: cuModuleLoadDataEx: FAKE_2, said the fake: "
			}
			if err == nil || err.Error() != want {
				t.Errorf("error %v, want %s", err, want)
			}
			if driver.left() != "" {
				t.Errorf("left are %s", driver.left())
			}
		})
	}
}

func TestCardThatSomebodyElseUses(t *testing.T) {
	info, driver := fakeCard(t)
	driver.fail = func(call string) result {
		if call == "cuDevicePrimaryCtxSetFlags" {
			return contextActive
		}
		return 0
	}
	d, err := Open(t.Context(), info, Options{Versions: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

// TestCardThatIsLost has a launch fail, after which the driver answers every call with
// that.
func TestCardThatIsLost(t *testing.T) {
	info, driver := fakeCard(t)
	d, err := Open(t.Context(), info, Options{Versions: 1})
	if err != nil {
		t.Fatal(err)
	}
	driver.lost = launchFailed
	s := hashing.NewSearch(hashing.Header{}, []uint32{1}, hashing.Target{})
	_, _, err = d.Scan(t.Context(), &s, 0, 100, make([]hashing.Hit, 1))
	var call *cudaError
	if !errors.As(err, &call) || call.code != launchFailed {
		t.Errorf("Scan: %v, want %d", err, launchFailed)
	}
	if err := d.Close(); err != nil {
		t.Errorf("Close: %v, which Scan has said", err)
	}
	if driver.contexts != 0 {
		t.Error("the context is still held, so that the card stays lost")
	}
}

// changedPTX is the program for one version, with one part of it changed.
func changedPTX(t *testing.T, old, changed string) string {
	t.Helper()
	image, err := ptx.ReadFile(ptxName(1))
	if err != nil || !strings.Contains(string(image), old) {
		t.Fatalf("the PTX has no %q: %v", old, err)
	}
	return strings.Replace(string(image), old, changed, 1)
}

// A hit is counted, or that is tried a terabyte away.
const (
	hitCount   = "\tatom.global.add.u32 "
	strayCount = "\tadd.s64 \t%rd1, %rd1, 1099511627776;\n" + hitCount
)

// changedOpener is a card with another program.
type changedOpener struct {
	*card
	image string
}

func (c changedOpener) open(int) (launcher, error) { return c.load([]byte(c.image)) }

// TestCloseThatFails loses the card between launches: nobody has heard of it yet.
func TestCloseThatFails(t *testing.T) {
	info, driver := fakeCard(t)
	d, err := Open(t.Context(), info, Options{Versions: 1})
	if err != nil {
		t.Fatal(err)
	}
	driver.lost = launchFailed
	const want = "device fake: cuStreamSynchronize: FAKE_719, said the fake"
	if err := d.Close(); err == nil || err.Error() != want {
		t.Errorf("Close: %v, want %s", err, want)
	}
	if driver.contexts != 0 {
		t.Error("the context is still held, so that the card stays lost")
	}
}

func TestPTXThatIsWrong(t *testing.T) {
	tests := []struct {
		name, old, changed string
		log                string // of a program that does not build; empty where it builds and errs
	}{
		{"another constant", ", -670586216;", ", -670586215;", ""},
		{"another rotation", ", 26;", ", 25;", ""},
		{"another parameter", "[scan_param_20]", "[scan_param_19]", ""},
		{"another condition", "@%p1 bra", "@!%p1 bra", ""},
		{"another instruction", "xor.b32", "and.b32", ""},
		{"an unknown instruction", "xor.b32", "lop3.b32", "unknown instruction"},
		{"an unknown form of one", "add.s32", "add.sat.s32", "unknown instruction"},
		{"an unknown directive", ".address_size 64", ".address_size 32", "unknown directive"},
		{"an unknown register", "%ctaid.x;", "%laneid;", "%laneid is no register %r"},
		{"a register of another size", "add.s32 \t%r1,", "add.s32 \t%rd1,", "%rd1 is no register %r"},
		{"too few registers", ".reg .b32 \t%r<", ".reg .b32 \t%r<9>;//", "is no register %r"},
		{"no such parameter", "[scan_param_20]", "[scan_param_26]", "no such parameter"},
		{"no such label", "$L__BB0_5:", "$L__BB0_50:", "there is no label $L__BB0_5"},
		{"a write to nowhere", hitCount, strayCount, "cuEventSynchronize: FAKE_700"},
		{"no such kernel", ".entry scan(", ".entry other(", "cuModuleGetFunction: FAKE_500"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			info, _ := fakeCard(t)
			info.opener = changedOpener{info.opener.(*card), changedPTX(t, test.old, test.changed)}
			_, err := Open(t.Context(), info, Options{Versions: 1})
			switch {
			case test.log == "" && !errors.Is(err, ErrWrong):
				t.Errorf("error %v, want %v", err, ErrWrong)
			case test.log != "" && (err == nil || !strings.Contains(err.Error(), test.log)):
				t.Errorf("error %v, want one with %q", err, test.log)
			}
			var build *BuildError
			if want := strings.Contains(test.log, "unknown "); want && !errors.As(err, &build) {
				t.Errorf("error %v is no BuildError", err)
			}
		})
	}
}

// TestPTXInstructions holds the interpreter to what the manual of PTX says.
func TestPTXInstructions(t *testing.T) {
	tests := []struct {
		name          string
		a, b, c, want uint64
	}{
		{"add.s32", 0xffffffff, 2, 0, 1},
		{"add.s64", 0xffffffff, 2, 0, 0x100000001},
		{"mul.wide.u32", 0xffffffff, 4, 0, 0x3fffffffc},
		{"shl.b32", 0x80000001, 1, 0, 2},
		{"shl.b32", 1, 32, 0, 0}, // more than there are bits
		{"shr.u32", 0x80000001, 1, 0, 0x40000000},
		{"shr.u32", 0x80000001, 40, 0, 0},
		{"shf.l.wrap.b32", 0x12345678, 0x12345678, 8, 0x34567812},
		{"shf.l.wrap.b32", 0x80000000, 0x00000001, 1, 3}, // the first operand is the low half
		{"shf.l.wrap.b32", 0x80000000, 0x00000001, 33, 3},
		{"prmt.b32", 0x12345678, 0, 0x0123, 0x78563412},
		{"prmt.b32", 0x00000080, 0xaabbccdd, 0x7048, 0xaa80ddff}, // the digit 8 spreads the sign
		{"setp.gt.u32", 5, 5, 0, 0},
		{"setp.ge.u32", 5, 5, 0, 1},
	}
	for _, test := range tests {
		if got := ptxComputes[test.name].compute(test.a, test.b, test.c); got != test.want {
			t.Errorf("%s %#x, %#x, %#x = %#x, want %#x", test.name, test.a, test.b, test.c, got, test.want)
		}
	}
	var swapped [4]byte
	binary.BigEndian.PutUint32(swapped[:], 0x12345678)
	if got := ptxPermute(0x12345678, 0, 291); got != uint64(binary.LittleEndian.Uint32(swapped[:])) {
		t.Errorf("the permutation that the program uses gives %#x", got)
	}
}
