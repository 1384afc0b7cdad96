package hashing

import (
	"cmp"
	"crypto/sha256"
	"math"
	"math/big"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// requireKernel skips a kernel that this machine lacks, and fails where the
// environment says that it must be there: JBC_REQUIRE_KERNELS="plain stdlib".
func requireKernel(t testing.TB, k Kernel) {
	t.Helper()
	if k.Supported() {
		return
	}
	if slices.Contains(strings.Fields(os.Getenv("JBC_REQUIRE_KERNELS")), k.Name) {
		t.Fatalf("kernel %s is required and this machine lacks %v", k.Name, k.missing())
	}
	t.Skipf("this machine lacks %v", k.missing())
}

func TestRequiredKernelsExist(t *testing.T) {
	for _, name := range strings.Fields(os.Getenv("JBC_REQUIRE_KERNELS")) {
		if _, err := KernelByName(name); err != nil {
			t.Error(err)
		}
	}
}

// task is a random search with the header it was made from.
type task struct {
	header   Header
	versions []uint32
	search   Search
}

// randomTask makes a search of 1 to 16 versions that hashes about one time in
// oneIn meets.
func randomTask(rng *rand.Rand, oneIn float64) task {
	var w task
	for i := range w.header {
		w.header[i] = byte(rng.Uint32())
	}
	w.versions = make([]uint32, 1+rng.IntN(16))
	for i := range w.versions {
		w.versions[i] = rng.Uint32()
	}
	w.search = NewSearch(w.header, w.versions, TargetForHashes(oneIn))
	return w
}

// naiveHits hashes whole headers with the standard library and compares with
// math/big: nothing of this package but the header's layout.
func naiveHits(w *task, first uint32, n int) []Hit {
	target := w.search.Target.Big()
	var hits []Hit
	for i := range n {
		for version, v := range w.versions {
			h := w.header
			nonce := first + uint32(i)
			copy(h[0:], []byte{byte(v), byte(v >> 8), byte(v >> 16), byte(v >> 24)})
			copy(h[76:], []byte{byte(nonce), byte(nonce >> 8), byte(nonce >> 16), byte(nonce >> 24)})
			inner := sha256.Sum256(h[:])
			outer := sha256.Sum256(inner[:])
			slices.Reverse(outer[:])
			if new(big.Int).SetBytes(outer[:]).Cmp(target) <= 0 {
				hits = append(hits, Hit{Nonce: nonce, Version: version})
			}
		}
	}
	return sorted(hits, first)
}

// scanAll runs k until n nonces are done, with room for only that many hits a
// call, and holds it to the contract of Scan on the way.
func scanAll(t *testing.T, k Kernel, s *Search, first uint32, n, room int) []Hit {
	t.Helper()
	var all []Hit
	buffer := make([]Hit, room+1) // the last one is a tripwire
	tripwire := Hit{Nonce: 0xdeadbeef, Version: -1}
	buffer[room] = tripwire
	for start, left := first, n; left > 0; {
		done, found := k.Scan(s, start, left, buffer[:room:room])
		switch {
		case done < 0 || done > left || found < 0 || found > room:
			t.Fatalf("%s: Scan of %d nonces with room for %d returned done %d, found %d", k.Name, left, room, done, found)
		case done == 0:
			t.Fatalf("%s: Scan of %d nonces made no progress with room for %d hits under %d versions", k.Name, left, room, len(s.Midstates))
		case done < left && found+len(s.Midstates) <= room:
			t.Fatalf("%s: Scan stopped at %d of %d with room for %d more hits", k.Name, done, left, room-found)
		}
		if buffer[room] != tripwire {
			t.Fatalf("%s: Scan wrote past its hits", k.Name)
		}
		for _, h := range buffer[:found] {
			if h.Nonce-start >= uint32(done) {
				t.Fatalf("%s: hit %+v is not among the %d nonces done from %d on", k.Name, h, done, start)
			}
		}
		all = append(all, buffer[:found]...)
		start, left = start+uint32(done), left-done
	}
	return sorted(all, first)
}

// sorted orders hits by their distance from first, then by version.
func sorted(hits []Hit, first uint32) []Hit {
	slices.SortFunc(hits, func(a, b Hit) int {
		return cmp.Or(cmp.Compare(a.Nonce-first, b.Nonce-first), cmp.Compare(a.Version, b.Version))
	})
	return hits
}

func eachKernel(t *testing.T, f func(t *testing.T, k Kernel)) {
	for _, k := range Kernels() {
		t.Run(k.Name, func(t *testing.T) {
			t.Parallel() // kernels are values: nothing global is switched
			requireKernel(t, k)
			f(t, k)
		})
	}
}

func TestPlainIsSHA256d(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	plain := Kernels()[0]
	if plain.Name != "plain" {
		t.Fatalf("the slowest kernel is %s, want plain", plain.Name)
	}
	found := 0
	for range 100 {
		w, first, n := randomTask(rng, math.Exp2(10*rng.Float64())), rng.Uint32(), rng.IntN(100)
		got, want := scanAll(t, plain, &w.search, first, n, 1700), naiveHits(&w, first, n)
		if !slices.Equal(got, want) {
			t.Fatalf("plain: header %s, versions %08x, nonces %d+%d: hits %v, crypto/sha256 says %v", w.header, w.versions, first, n, got, want)
		}
		found += len(want)
	}
	if found < 100 {
		t.Errorf("only %d hits in all searches: the test proves little", found)
	}
}

func TestKernelsFindWhatPlainFinds(t *testing.T) {
	plain := Kernels()[0]
	eachKernel(t, func(t *testing.T, k Kernel) {
		rng := rand.New(rand.NewPCG(1, 2)) // fixed seed: failures repeat
		rounds := 300
		if testing.Short() {
			rounds = 60
		}
		for range rounds {
			w := randomTask(rng, math.Exp2(12*rng.Float64()))
			first, n := rng.Uint32(), rng.IntN(300)
			room := len(w.versions) + rng.IntN(40)
			got, want := scanAll(t, k, &w.search, first, n, room), scanAll(t, plain, &w.search, first, n, 16*300)
			if !slices.Equal(got, want) {
				t.Fatalf("header %s, versions %08x, target %s, nonces %d+%d, room %d:\nhits %v\nplain Go says %v",
					w.header, w.versions, w.search.Target, first, n, room, got, want)
			}
		}
	})
}

// TestKernelEdges pins what random intervals rarely meet.
func TestKernelEdges(t *testing.T) {
	plain := Kernels()[0]
	tests := []struct {
		name  string
		first uint32
		n     int
		oneIn float64
	}{
		{"no nonce", 5, 0, 1},
		{"one nonce", 5, 1, 1},
		{"one less than a vector", 5, 15, 4},
		{"one more than a vector", 5, 17, 4},
		{"over the end of the nonces", math.MaxUint32 - 20, 64, 4},
		{"the last nonce", math.MaxUint32, 1, 1},
		{"everything is a hit", 1 << 31, 67, 1},
		{"nothing is a hit", 0, 1000, math.Inf(1)},
	}
	eachKernel(t, func(t *testing.T, k Kernel) {
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				rng := rand.New(rand.NewPCG(1, 3))
				for range 8 {
					w := randomTask(rng, test.oneIn)
					want := scanAll(t, plain, &w.search, test.first, test.n, 20000)
					for _, room := range []int{len(w.versions), len(w.versions) + 1, 64, 2000} {
						got := scanAll(t, k, &w.search, test.first, test.n, max(room, len(w.versions)))
						if !slices.Equal(got, want) {
							t.Fatalf("versions %08x, room %d: hits %v, plain Go says %v", w.versions, room, got, want)
						}
					}
				}
			})
		}
	})
}

func TestHitsExactlyFull(t *testing.T) {
	plain := Kernels()[0]
	eachKernel(t, func(t *testing.T, k Kernel) {
		rng := rand.New(rand.NewPCG(1, 4))
		for range 40 {
			w, first, n := randomTask(rng, 8), rng.Uint32(), 1+rng.IntN(100)
			want := scanAll(t, plain, &w.search, first, n, 20000)
			for _, room := range []int{len(want) - 1, len(want), len(want) + 1} {
				if room < len(w.versions) {
					continue
				}
				if got := scanAll(t, k, &w.search, first, n, room); !slices.Equal(got, want) {
					t.Fatalf("room for %d of %d hits: got %v, want %v", room, len(want), got, want)
				}
			}
		}
	})
}

func TestScanChangesNothing(t *testing.T) {
	eachKernel(t, func(t *testing.T, k Kernel) {
		w := randomTask(rand.New(rand.NewPCG(1, 5)), 2)
		midstates, before := slices.Clone(w.search.Midstates), w.search
		scanAll(t, k, &w.search, 0, 100, 2000)
		if !slices.Equal(w.search.Midstates, midstates) || w.search.Tail != before.Tail || w.search.Target != before.Target {
			t.Error("Scan changed its search")
		}
	})
}

// realHeaders are blocks that Bitcoin really has.
var realHeaders = []struct {
	name, header string
	nonce        uint32
	hash         string
}{
	{
		"genesis",
		"0100000000000000000000000000000000000000000000000000000000000000000000003ba3edfd7a7b12b27ac72c3e67768f617fc81bc3888a51323a9fb8aa4b1e5e4a29ab5f49ffff001d1dac2b7c",
		2083236893, "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f",
	},
	{
		"125552",
		"0100000081cd02ab7e569e8bcd9317e2fe99f2de44d49ab2b8851ba4a308000000000000e320b6c2fffc8d750423db8b1eb942ae710e951ed797f7affc8892b0f1fc122bc7f5d74df2b9441a42a14695",
		2504433986, "00000000000000001e8d6829a8a21adc5d38d0a473b144b6765798e61f98bd1d",
	},
}

func TestKernelsFindRealNonces(t *testing.T) {
	eachKernel(t, func(t *testing.T, k Kernel) {
		for _, block := range realHeaders {
			h, err := ParseHeader(block.header)
			if err != nil {
				t.Fatal(err)
			}
			if got := h.Hash().String(); got != block.hash || h.Nonce() != block.nonce {
				t.Fatalf("block %s: hash %s, nonce %d; want %s, %d", block.name, got, h.Nonce(), block.hash, block.nonce)
			}
			target, err := h.Bits().Target()
			if err != nil {
				t.Fatal(err)
			}
			version := h.Version()
			versions := []uint32{RollVersion(version, 0xffff), version, RollVersion(version, 1)}
			h.SetNonce(0)
			s := NewSearch(h, versions, target)
			got := scanAll(t, k, &s, block.nonce-3000, 5000, 3)
			if want := []Hit{{Nonce: block.nonce, Version: 1}}; !slices.Equal(got, want) {
				t.Errorf("block %s: hits %v, want %v", block.name, got, want)
			}
		}
	})
}

func TestNewSearchRefusesVersionCounts(t *testing.T) {
	for _, n := range []int{0, MaxVersions + 1} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("NewSearch took %d versions", n)
				}
			}()
			NewSearch(Header{}, make([]uint32, n), MaxTarget)
		}()
	}
}

func TestKernelByName(t *testing.T) {
	for _, k := range Kernels() {
		got, err := KernelByName(k.Name)
		if k.Supported() != (err == nil) || err == nil && got.Name != k.Name {
			t.Errorf("KernelByName(%q) = %q, %v; supported: %t", k.Name, got.Name, err, k.Supported())
		}
	}
	if _, err := KernelByName("avx9000"); err == nil || !strings.Contains(err.Error(), `"avx9000"`) {
		t.Errorf("KernelByName of an unknown one: error %v does not name it", err)
	}
	if best := BestKernel(); !best.Supported() {
		t.Errorf("the best kernel is %s, which this machine lacks", best.Name)
	}
}

func TestKernelTable(t *testing.T) {
	seen := map[string]bool{}
	for _, k := range Kernels() {
		if seen[k.Name] || k.Name == "" || k.About == "" || k.Lanes < 1 || k.Versions < 1 || k.Versions > MaxVersions || k.Scan == nil {
			t.Errorf("row %+v is incomplete or not unique", k)
		}
		seen[k.Name] = true
	}
}

func TestCalibrateStaysNearItsBudget(t *testing.T) {
	w := randomTask(rand.New(rand.NewPCG(1, 6)), 1)
	eachKernel(t, func(t *testing.T, k Kernel) {
		n := k.Calibrate(&w.search, time.Millisecond)
		if n < k.Lanes || n%k.Lanes != 0 {
			t.Errorf("Calibrate = %d, want a multiple of %d lanes", n, k.Lanes)
		}
		// A busy machine only makes n smaller, so there is just an upper bound to
		// test, far from what any CPU does: 1 GH/s.
		if n > 1_000_000 {
			t.Errorf("Calibrate = %d nonces in a millisecond", n)
		}
	})
}

func BenchmarkScan(b *testing.B) {
	for _, k := range Kernels() {
		for _, versions := range []int{1, 16} {
			b.Run(k.Name+"/versions="+map[int]string{1: "1", 16: "16"}[versions], func(b *testing.B) {
				requireKernel(b, k)
				rolled := make([]uint32, versions)
				for i := range rolled {
					rolled[i] = RollVersion(0x20000000, uint32(i))
				}
				s := NewSearch(Header{}, rolled, Target{})
				n := k.Calibrate(&s, 500*time.Microsecond)
				hits, nonce := make([]Hit, versions), uint32(0)
				for b.Loop() {
					k.Scan(&s, nonce, n, hits)
					nonce += uint32(n)
				}
				b.ReportMetric(float64(n)*float64(versions)*float64(b.N)/1e6/b.Elapsed().Seconds(), "MH/s")
			})
		}
	}
}

// FuzzScan lets the fuzzer choose the search; every kernel must agree with plain.
func FuzzScan(f *testing.F) {
	f.Add(uint64(1), uint32(math.MaxUint32-5), uint8(40), uint8(3))
	f.Fuzz(func(t *testing.T, seed uint64, first uint32, n, log2 uint8) {
		rng := rand.New(rand.NewPCG(seed, 7))
		w := randomTask(rng, math.Exp2(float64(log2%20)))
		want := naiveHits(&w, first, int(n))
		for _, k := range Kernels() {
			if !k.Supported() {
				continue
			}
			if got := scanAll(t, k, &w.search, first, int(n), len(w.versions)+rng.IntN(20)); !slices.Equal(got, want) {
				t.Fatalf("%s: hits %v, crypto/sha256 says %v", k.Name, got, want)
			}
		}
	})
}
