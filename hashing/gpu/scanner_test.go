package gpu

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/jbcnet/jbc/hashing"
)

// plain is the specification.
var plain = hashing.Kernels()[0]

// randomSearch makes a search of 1 to 16 versions that hashes about one time in
// oneIn meets.
func randomSearch(rng *rand.Rand, oneIn float64) hashing.Search {
	var h hashing.Header
	for i := range h {
		h[i] = byte(rng.Uint32())
	}
	versions := make([]uint32, 1+rng.IntN(16))
	for i := range versions {
		versions[i] = rng.Uint32()
	}
	return hashing.NewSearch(h, versions, hashing.TargetForHashes(oneIn))
}

// allPlain returns all hits of n nonces as the plain kernel finds them.
func allPlain(s *hashing.Search, first uint32, n int) []hashing.Hit {
	hits := make([]hashing.Hit, (n+1)*len(s.Midstates))
	_, found := plain.Scan(s, first, n, hits)
	return sorted(hits[:found], first)
}

// sorted orders hits by their distance from first, then by version.
func sorted(hits []hashing.Hit, first uint32) []hashing.Hit {
	slices.SortFunc(hits, func(a, b hashing.Hit) int {
		return cmp.Or(cmp.Compare(a.Nonce-first, b.Nonce-first), cmp.Compare(a.Version, b.Version))
	})
	return hits
}

// fake is a launcher that computes by the specification, until spoil changes what it
// answers. It panics where its slots are not used as agreed.
type fake struct {
	search   *hashing.Search
	versions int
	groups   []*parameters // in the order in which they came
	flying   []fakeLaunch  // oldest first
	waited   int           // launches that have ended
	sizes    []uint32      // of all launches
	closed   int
	spoil    func(found []candidate) ([]candidate, bool, error)
}

type fakeLaunch struct {
	slot, group int
	first, n    uint32
}

func (f *fake) start(slot int, p *parameters, first, n uint32) error {
	if slot < 0 || slot >= slots || n == 0 || slices.ContainsFunc(f.flying, func(l fakeLaunch) bool { return l.slot == slot }) {
		panic(fmt.Sprintf("start of %d nonces in slot %d, beside %+v", n, slot, f.flying))
	}
	f.sizes = append(f.sizes, n)
	at := slices.Index(f.groups, p)
	if at < 0 {
		at = len(f.groups)
		f.groups = append(f.groups, p)
	}
	f.flying = append(f.flying, fakeLaunch{slot, at, first, n})
	return nil
}

func (f *fake) wait(slot int) ([]candidate, bool, error) {
	l := f.flying[0]
	if l.slot != slot {
		panic(fmt.Sprintf("wait for slot %d, on their way are %+v", slot, f.flying))
	}
	f.flying = f.flying[1:]
	f.waited++
	var found []candidate
	for i := range l.n {
		for v := range f.versions {
			version := min(l.group*f.versions+v, len(f.search.Midstates)-1)
			if h := f.search.Hash(version, l.first+i); f.search.Target.MetBy(h) {
				found = append(found, candidate{nonce: l.first + i, version: uint32(v)})
			}
		}
	}
	rand.Shuffle(len(found), func(i, j int) { found[i], found[j] = found[j], found[i] })
	if f.spoil != nil {
		return f.spoil(found)
	}
	return found, len(found) > capacity, nil
}

func (f *fake) close() error { f.closed++; return nil }

// open makes f an opener of itself.
func (f *fake) open(int) (launcher, error) { return f, nil }

func (f *fake) guard(work func()) { work() }

func fakeScanner(s *hashing.Search, versions int) (*scanner, *fake) {
	f := &fake{search: s, versions: versions}
	c := &scanner{launcher: f, versions: versions, budget: time.Hour}
	c.nonces.Store(128)
	return c, f
}

func TestScanOfAnyDevice(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 1))
	const small = 24 // the fake's buffer
	overflows := 0
	for range 150 {
		s := randomSearch(rng, math.Exp2(8*rng.Float64()))
		first, n := rng.Uint32(), rng.IntN(400)
		c, f := fakeScanner(&s, 1<<rng.IntN(4))
		f.spoil = func(found []candidate) ([]candidate, bool, error) {
			if len(found) > small {
				overflows++
				return nil, true, nil
			}
			return found, false, nil
		}
		room := len(s.Midstates) + rng.IntN(40)
		var got []hashing.Hit
		for at, left := first, n; left > 0; {
			hits := make([]hashing.Hit, room)
			f.groups = nil // each call makes its own
			done, found, err := c.scan(t.Context(), &s, at, left, hits)
			if err != nil || done == 0 || len(f.flying) > 0 {
				t.Fatalf("scan = %d, %d, %v, on their way are %+v", done, found, err, f.flying)
			}
			got, at, left = append(got, hits[:found]...), at+uint32(done), left-done
		}
		if want := allPlain(&s, first, n); !slices.Equal(sorted(got, first), want) {
			t.Fatalf("%d versions, %d at once, target %s, nonces %d+%d, room %d:\nhits %v\nplain Go says %v",
				len(s.Midstates), c.versions, s.Target, first, n, room, got, want)
		}
	}
	if overflows < 10 {
		t.Errorf("only %d launches overflowed: the test proves little", overflows)
	}
}

func TestScanTellsOfABrokenDevice(t *testing.T) {
	lost := errors.New("it fell off the bus")
	tests := []struct {
		name  string
		spoil func(found []candidate) ([]candidate, bool, error)
		want  error
	}{
		{"an error", func([]candidate) ([]candidate, bool, error) { return nil, false, lost }, lost},
		{"a nonce that is no hit", func(f []candidate) ([]candidate, bool, error) {
			return append(f, candidate{nonce: 1005}), false, nil
		}, ErrWrong},
		{"a nonce before the interval", func(f []candidate) ([]candidate, bool, error) {
			return append(f, candidate{nonce: 999}), false, nil
		}, ErrWrong},
		{"a nonce behind the interval", func(f []candidate) ([]candidate, bool, error) {
			return append(f, candidate{nonce: 1100}), false, nil
		}, ErrWrong},
		{"a version that there is not", func(f []candidate) ([]candidate, bool, error) {
			return append(f, candidate{nonce: 1005, version: 4}), false, nil
		}, ErrWrong},
		{"a hit twice", func(f []candidate) ([]candidate, bool, error) {
			return append(f, f...), false, nil
		}, ErrWrong},
		{"overflow without end", func([]candidate) ([]candidate, bool, error) { return nil, true, nil }, ErrWrong},
	}
	s := hashing.NewSearch(hashing.Header{}, []uint32{1, 2, 3, 4}, hashing.TargetForHashes(100))
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c, f := fakeScanner(&s, 4)
			f.spoil = test.spoil
			done, found, err := c.scan(t.Context(), &s, 1000, 100, make([]hashing.Hit, 64))
			if !errors.Is(err, test.want) || done != 0 || found != 0 {
				t.Errorf("scan = %d, %d, %v; want none and %v", done, found, err, test.want)
			}
		})
	}
}

// TestErrorKeepsWhatWasDone loses the device at its third launch.
func TestErrorKeepsWhatWasDone(t *testing.T) {
	lost := errors.New("it fell off the bus")
	s := hashing.NewSearch(hashing.Header{}, []uint32{1}, hashing.TargetForHashes(1e6))
	c, f := fakeScanner(&s, 1)
	f.spoil = func(found []candidate) ([]candidate, bool, error) {
		if f.waited == 3 {
			return nil, false, lost
		}
		return found, false, nil
	}
	c.budget = 1 // launches stay as they are, or become smaller
	hits := make([]hashing.Hit, 200)
	done, found, err := c.scan(t.Context(), &s, 0, 1000, hits)
	if want := allPlain(&s, 0, done); !errors.Is(err, lost) || done != int(f.sizes[0]+f.sizes[1]) || !slices.Equal(hits[:found], want) {
		t.Errorf("scan = %d, %d, %v after launches of %v", done, found, err, f.sizes)
	}
}

// TestHitsComeSoon has a hit in the first of many launches.
func TestHitsComeSoon(t *testing.T) {
	for _, versions := range []int{1, 4} {
		s := hashing.NewSearch(hashing.Header{}, []uint32{1, 2, 3, 4}, hashing.TargetForHashes(200))
		c, f := fakeScanner(&s, versions)
		hits := make([]hashing.Hit, 100)
		done, found, err := c.scan(t.Context(), &s, 0, 1<<20, hits)
		if want := allPlain(&s, 0, done); err != nil || found == 0 || !slices.Equal(hits[:found], want) {
			t.Errorf("%d versions: scan = %d, %v, %v; want %v", versions, done, hits[:found], err, want)
		}
		if groups := 4 / versions; f.waited > groups+slots-1 || done < int(f.sizes[0]) {
			t.Errorf("%d versions: %d done after %d launches of %v", versions, done, f.waited, f.sizes)
		}
	}
}

func TestTestRefusesABrokenDevice(t *testing.T) {
	tests := []struct {
		name  string
		spoil func(found []candidate) ([]candidate, bool, error)
		ok    bool
	}{
		{"sound", nil, true},
		{"blind", func([]candidate) ([]candidate, bool, error) { return nil, false, nil }, false},
		{"misses one", func(f []candidate) ([]candidate, bool, error) { return f[1:], false, nil }, false},
	}
	// The search of Device.test, which the fake has to know.
	s := hashing.NewSearch(hashing.Header{}, []uint32{0x20000000, 0x20002000}, hashing.TargetForHashes(16))
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := &fake{search: &s, versions: 2, spoil: test.spoil}
			_, err := newScanner(f, Options{Versions: 2, Launch: time.Hour})
			if test.ok != (err == nil) || !test.ok && !errors.Is(err, ErrWrong) {
				t.Errorf("error %v", err)
			}
			if want := map[bool]int{true: 0, false: 1}[test.ok]; f.closed != want {
				t.Errorf("closed %d times, want %d", f.closed, want)
			}
		})
	}
}

func TestScanEndsBetweenLaunches(t *testing.T) {
	s := hashing.NewSearch(hashing.Header{}, []uint32{1, 2, 3}, hashing.Target{})
	c, f := fakeScanner(&s, 1)
	ctx, cancel := context.WithCancel(t.Context())
	f.spoil = func([]candidate) ([]candidate, bool, error) {
		if f.waited == 5 { // the second of three versions, of the second stretch
			cancel()
		}
		return nil, false, nil
	}
	done, found, err := c.scan(ctx, &s, 0, 1<<20, make([]hashing.Hit, 64))
	if done != int(f.sizes[0]+f.sizes[3]) || found != 0 || err != nil || f.waited != 6 || len(f.sizes) != 6 {
		t.Errorf("scan = %d, %d, %v after %d launches of %v; want two stretches, the last launch being on its way when told", done, found, err, f.waited, f.sizes)
	}
	done, _, err = c.scan(ctx, &s, 0, 1000, make([]hashing.Hit, 64))
	if done != 0 || err != nil || f.waited != 6 {
		t.Errorf("scan after the end = %d, %v, %d launches", done, err, f.waited)
	}
}

// TestDeviceNeverWaits looks at the launches on their way whenever one has ended.
func TestDeviceNeverWaits(t *testing.T) {
	s := hashing.NewSearch(hashing.Header{}, []uint32{1, 2, 3}, hashing.Target{})
	c, f := fakeScanner(&s, 2)
	c.budget = 1
	var behind []int
	f.spoil = func([]candidate) ([]candidate, bool, error) {
		behind = append(behind, len(f.flying))
		return nil, false, nil
	}
	if done, _, err := c.scan(t.Context(), &s, 0, 1000, make([]hashing.Hit, 64)); done != 1000 || err != nil {
		t.Fatalf("scan = %d, %v", done, err)
	}
	last := len(behind) - 1
	if i := slices.Index(behind, 0); i != last || last < 10 {
		t.Errorf("launches behind each that ended: %v, want none only at the end", behind)
	}
}

func TestLaunchesTakeWhatTheyShould(t *testing.T) {
	const launch = 1 << 20
	tests := []struct {
		name   string
		nonces int64           // a launch
		took   []time.Duration // the launches of each window, one by one
		want   int64
	}{
		{"as they should", launch, []time.Duration{time.Millisecond}, launch},
		{"a little less", launch, []time.Duration{800 * time.Microsecond}, 1310720},
		{"far less", launch, []time.Duration{time.Microsecond}, 2 * launch}, // no faster than twice as long
		{"nothing", launch, []time.Duration{0}, 2 * launch},
		{"far more", launch, []time.Duration{time.Second}, launch / 2},
		{"a disturbance", launch, []time.Duration{time.Millisecond, time.Second}, 1028016},
		{"a disturbance and its end", launch, []time.Duration{time.Millisecond, time.Second, time.Millisecond}, launch},
		{"never none", group, []time.Duration{time.Second}, group},
		{"never more than there may be", maxLaunch, []time.Duration{time.Microsecond}, maxLaunch},
	}
	for _, test := range tests {
		c := &scanner{budget: time.Millisecond}
		c.nonces.Store(test.nonces)
		for _, took := range test.took {
			c.adapt(windowLaunches*int(test.nonces), windowLaunches*took)
		}
		if got := c.nonces.Load(); got/group != test.want/group {
			t.Errorf("%s: next %d, want %d", test.name, got, test.want)
		}
	}

	// A device that has become slower, for good.
	c := &scanner{budget: time.Millisecond}
	c.nonces.Store(launch)
	c.adapt(windowLaunches*launch, windowLaunches*time.Millisecond)
	windows := 0
	for ; c.nonces.Load() > launch/2 && windows < 100; windows++ {
		c.adapt(windowLaunches*launch, windowLaunches*2*time.Millisecond)
	}
	if windows < 10 || windows == 100 {
		t.Errorf("after %d windows of a slower device: launches of %d", windows, c.nonces.Load())
	}
}

// TestWindowsHaveNoGap measures rows of full launches alone, from the first that
// follows another.
func TestWindowsHaveNoGap(t *testing.T) {
	p := &pass{scanner: &scanner{budget: time.Millisecond}}
	p.nonces.Store(1000 * group)
	now := time.Unix(1_000_000, 0)
	land := func(n int, full bool, after time.Duration) {
		now = now.Add(after)
		p.measure(&flight{n: n, full: full}, now)
	}
	land(1000, true, time.Hour)
	land(1000, true, time.Second)
	land(10, false, time.Second)
	land(1000, true, time.Hour)
	for range windowLaunches - 1 {
		land(1000*group, true, 2*time.Millisecond)
	}
	if got := p.nonces.Load(); got != 1000*group {
		t.Errorf("launches of %d before the window is whole", got)
	}
	land(1000*group, true, 2*time.Millisecond)
	if got := p.nonces.Load(); got != 500*group {
		t.Errorf("launches of %d after one of %d took twice as long as it should, want %d", got, 1000*group, 500*group)
	}
}

func TestOptions(t *testing.T) {
	got, err := Options{}.withDefaults()
	if want := (Options{Versions: UsualVersions, Launch: UsualLaunch}); got != want || err != nil {
		t.Errorf("no options: %+v, %v", got, err)
	}
	for _, bad := range []Options{{Versions: 3}, {Versions: 16}, {Versions: -1}, {Launch: -1}} {
		if _, err := bad.withDefaults(); err == nil {
			t.Errorf("%+v is no error", bad)
		}
	}
	for n, want := range map[int]int{1: 1, 2: 2, 3: 1, 4: 4, 6: 2, 16: 4, 64: 4} {
		if got := Versions(n); got != want {
			t.Errorf("Versions(%d) = %d, want %d", n, got, want)
		}
	}
}
