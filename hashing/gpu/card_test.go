//go:build !nogpu && ((linux && !android) || darwin) && (amd64 || arm64)

package gpu

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/jbcnet/jbc/hashing"
)

// The tests of this file need a graphics card, by either library. docs/gpu.md lists them.

// eachCard runs f with every graphics card of this machine. Without one a test is
// skipped, in CI too.
func eachCard(t *testing.T, f func(t *testing.T, info Info)) {
	cards := slices.DeleteFunc(Find().Devices, func(d Info) bool { return d.Kind != GPU })
	if len(cards) == 0 {
		t.Skip("needs a graphics card, NVIDIA's or AMD's, and its driver")
	}
	for _, info := range cards {
		t.Run(info.Name, func(t *testing.T) { f(t, info) })
	}
}

// openCard opens a card that has found the size of its launches.
func openCard(t *testing.T, info Info, opts Options) *Device {
	t.Helper()
	d, err := Open(t.Context(), info, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	rate, err := d.Rate(t.Context(), 16, 300*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d versions at once: %.2f GH/s", d.Versions(), rate/1e9)
	return d
}

// TestCardFindsWhatPlainFinds compares launches of full size with the fastest kernel, and
// small ones with the specification.
func TestCardFindsWhatPlainFinds(t *testing.T) {
	eachCard(t, func(t *testing.T, info Info) {
		for _, versions := range Widths() {
			d := openCard(t, info, Options{Versions: versions})
			rng := rand.New(rand.NewPCG(7, 8))
			for range 100 {
				s := randomSearch(rng, math.Exp2(12*rng.Float64()))
				first, n := rng.Uint32(), rng.IntN(2000)
				if got, want := scanAll(t, d, &s, first, n, len(s.Midstates)+40), allPlain(&s, first, n); !slices.Equal(got, want) {
					t.Fatalf("search %+v, nonces %d+%d: hits %v, plain Go says %v", s, first, n, got, want)
				}
			}
			const nonces = 1 << 22
			s := randomSearch(rng, 1<<19)
			kernel, first := hashing.FastestKernel(len(s.Midstates)), rng.Uint32()
			var want []hashing.Hit
			hits := make([]hashing.Hit, 1<<14)
			for at := uint32(0); at < nonces; at += 1 << 14 { // a call can't be interrupted
				done, found := kernel.Scan(&s, first+at, 1<<14, hits)
				if done != 1<<14 {
					t.Fatalf("the CPU tried %d nonces", done)
				}
				want = append(want, hits[:found]...)
			}
			if got := scanAll(t, d, &s, first, nonces, 64); !slices.Equal(got, sorted(want, first)) {
				t.Errorf("%d versions at once: %d hits, the CPU has %d, or they differ", versions, len(got), len(want))
			}
		}
	})
}

// TestCardStopsWithin5ms cancels scans at any moment; what counts is when the card has
// nothing more to do.
func TestCardStopsWithin5ms(t *testing.T) {
	eachCard(t, func(t *testing.T, info Info) {
		d := openCard(t, info, Options{})
		s := randomSearch(rand.New(rand.NewPCG(7, 9)), 1)
		s.Target = hashing.Target{}
		var took []time.Duration
		for i := range 200 {
			ctx, cancel := context.WithCancel(t.Context())
			told := make(chan time.Time, 1)
			time.AfterFunc(20*time.Millisecond+time.Duration(i)*11*time.Microsecond, func() { told <- time.Now(); cancel() })
			if _, _, err := d.Scan(ctx, &s, 0, math.MaxInt32, make([]hashing.Hit, 1)); err != nil {
				t.Fatal(err)
			}
			took = append(took, time.Since(<-told))
		}
		slices.Sort(took)
		t.Logf("stopped within %s at the median, %s for 99 of 100, %s at most", took[100], took[198], took[199])
		if took[198] > 5*time.Millisecond {
			t.Errorf("99 of 100 stops took up to %s, want 5ms", took[198])
		}
	})
}

// TestCardNeverLies scans for a minute: every hit is hashed again by Scan, and their
// number is what chance has it be.
func TestCardNeverLies(t *testing.T) {
	if os.Getenv("JBC_SOAK") == "" {
		t.Skip("takes a minute for each card: JBC_SOAK=1 runs it")
	}
	eachCard(t, func(t *testing.T, info Info) {
		for _, versions := range Widths() {
			t.Run(fmt.Sprintf("versions=%d", versions), func(t *testing.T) {
				d := openCard(t, info, Options{Versions: versions})
				const oneIn = 1 << 22
				rng := rand.New(rand.NewPCG(7, uint64(versions)))
				hashes, hits := 0.0, 0
				buffer := make([]hashing.Hit, 1024)
				for begin := time.Now(); time.Since(begin) < time.Minute/time.Duration(len(Widths())); {
					s := randomSearch(rng, oneIn)
					for at, left := rng.Uint32(), d.Nonces(len(s.Midstates), time.Second); left > 0; {
						done, found, err := d.Scan(t.Context(), &s, at, left, buffer)
						if err != nil {
							t.Fatal(err)
						}
						at, left, hits = at+uint32(done), left-done, hits+found
						hashes += float64(done) * float64(len(s.Midstates))
					}
				}
				want := hashes / oneIn
				t.Logf("%.3g hashes, %d hits, %.1f expected", hashes, hits, want)
				if math.Abs(float64(hits)-want) > 6*math.Sqrt(want) {
					t.Errorf("%d hits in %.3g hashes, want %.1f give or take %.1f", hits, hashes, want, 6*math.Sqrt(want))
				}
			})
		}
	})
}
