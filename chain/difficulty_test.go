package chain

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/jbcnet/jbc/hashing"
)

// rehearsal plays a network's headers in virtual time: the rules that ship, a
// clock that is passed in, and hashes that are drawn instead of computed. Its
// coordinator takes the template's time, holds when it must, and refreshes its
// job every spacing.
type rehearsal struct {
	t      *testing.T
	params *Params
	rng    *rand.Rand
	now    time.Time
	tip    *node
	holds  int
}

func newRehearsal(t *testing.T, params *Params, seed uint64) *rehearsal {
	genesis := params.newNode(params.Genesis.Hash(), &params.Genesis.Header, nil, 0)
	return &rehearsal{
		t: t, params: params, rng: rand.New(rand.NewPCG(seed, 8)), tip: genesis,
		now: time.Unix(int64(genesis.time), 0).Add(30 * 24 * time.Hour),
	}
}

// mine runs for a while at hs hashes a second.
func (r *rehearsal) mine(d time.Duration, hs float64) {
	end := r.now.Add(d)
	for r.now.Before(end) {
		stamp, err := TemplateTime(r.now, r.tip.median, r.params.MaxFuture())
		var hold *Hold
		if errors.As(err, &hold) {
			r.holds++
			r.now = hold.Until
			continue
		}
		bits, _ := r.params.required(r.tip)
		mean := hashesFor(r.t, bits) / hs * float64(time.Second)
		wait := time.Duration(min(r.rng.ExpFloat64()*mean, math.MaxInt64/2))
		if wait > r.params.Spacing {
			r.now = r.now.Add(r.params.Spacing) // refreshed: luck has no memory
			continue
		}
		r.now = r.now.Add(wait)
		r.extend(stamp, bits)
	}
}

func (r *rehearsal) extend(stamp uint32, bits hashing.Bits) {
	if latest := r.now.Add(r.params.MaxFuture()).Unix(); int64(stamp) > latest {
		r.t.Fatalf("block %d at time %d, over the future limit %d", r.tip.height+1, stamp, latest)
	}
	var h hashing.Header
	h.SetPrev(r.tip.hash)
	h.SetTime(stamp)
	h.SetBits(bits)
	r.tip = r.params.newNode(h.Hash(), &h, r.tip, uint64(r.tip.height)+1)
}

// interval returns the block interval to be expected now, in spacings.
func (r *rehearsal) interval(hs float64) float64 {
	bits, _ := r.params.required(r.tip)
	return hashesFor(r.t, bits) / hs / r.params.Spacing.Seconds()
}

func hashesFor(t *testing.T, bits hashing.Bits) float64 {
	target, err := bits.Target()
	if err != nil {
		t.Fatal(err)
	}
	return target.Hashes()
}

// overSeeds returns what play returns for each of 20 seeds.
func overSeeds(play func(seed uint64) float64) []float64 {
	results := make([]float64, 20)
	for seed := range results {
		results[seed] = play(uint64(seed))
	}
	return results
}

func mean(x []float64) (m float64) {
	for _, v := range x {
		m += v / float64(len(x))
	}
	return m
}

func median(x []float64) float64 {
	slices.Sort(x)
	return (x[(len(x)-1)/2] + x[len(x)/2]) / 2
}

// TestDifficultyFollowsHashRate changes the hash rate of a network in balance a
// hundredfold. With u the expected interval in spacings, the schedule obeys
// du/dt = -ln 2 (u-1)/half-life, so u(t) = 1 + (u(0)-1) 2^(-t/half-life).
//
// The bits move only when a block is found. On main, where a half-life is just 40
// spacings, the first block after a drop to a hundredth takes 2.5 half-lives on
// average, and in one run of fifty more than ten: there the mean is a matter of
// luck, and the median of the seeds is compared instead.
func TestDifficultyFollowsHashRate(t *testing.T) {
	const before = 20e9 // far from either floor, with a hundredth of it too
	for _, tt := range []struct {
		name      string
		params    *Params
		factor    float64
		halfLives int
		within    float64 // of the spacing
		slack     float64 // around the closed form: luck, whole seconds, holds
		average   func([]float64) float64
	}{
		{"dev, 100 times more, after 3 half-lives", Dev(), 100, 3, 0.25, 0.12, mean},
		{"dev, 100 times less, after 10 half-lives", Dev(), 1. / 100, 10, 0.25, 0.12, mean},
		{"main, 100 times more, after 3 half-lives", Main(), 100, 3, 0.25, 0.12, mean},
		{"main, 10 times less, after 10 half-lives", Main(), 1. / 10, 10, 0.25, 0.12, mean},
		{"main, 100 times less, after 10 half-lives", Main(), 1. / 100, 10, 0.25, 0.2, median},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := tt.average(overSeeds(func(seed uint64) float64 {
				r := newRehearsal(t, tt.params, seed)
				r.mine(20*tt.params.HalfLife, before)
				r.mine(time.Duration(tt.halfLives)*tt.params.HalfLife, before*tt.factor)
				return r.interval(before * tt.factor)
			}))
			closed := 1 + (1/tt.factor-1)*math.Exp2(-float64(tt.halfLives))
			if math.Abs(got-1) > tt.within || math.Abs(got-closed) > tt.slack {
				t.Errorf("expected interval %.3f spacings; want 1 within %.2f, and the closed form's %.3f within %.2f", got, tt.within, closed, tt.slack)
			}
			t.Logf("expected interval %.3f spacings, closed form %.3f", got, closed)
		})
	}
}

// TestDifficultyAfterWeekend switches a farm of 200 MH/s off for two days. It
// falls to the floor once, which is the new anchor, and is in balance again after
// three half-lives. Under the textbook schedule, anchored at block 1 for good, it
// would owe the chain two days' worth of blocks at the floor.
func TestDifficultyAfterWeekend(t *testing.T) {
	const rate = 200e6
	weekend := func(params *Params, seed uint64) *rehearsal {
		r := newRehearsal(t, params, seed)
		r.mine(20*params.HalfLife, rate)
		r.now = r.now.Add(48 * time.Hour)
		r.mine(3*params.HalfLife, rate)
		return r
	}
	got := mean(overSeeds(func(seed uint64) float64 { return weekend(Dev(), seed).interval(rate) }))
	if math.Abs(got-1) > 0.3 {
		t.Errorf("expected interval %.3f spacings, want 1 within 0.3", got)
	}
	t.Logf("expected interval %.3f spacings after the weekend", got)

	r := weekend(Dev(), 1)
	first := r.tip.ancestor(1)
	textbook := ASERT{Spacing: r.params.Spacing, HalfLife: r.params.HalfLife, Limit: r.params.PowLimit}
	elapsed := int64(r.tip.time) - int64(first.time)
	if bits, over := textbook.Next(first.bits, elapsed, int64(r.tip.height-1)); !over {
		t.Errorf("the schedule anchored at block 1 requires %s: this test would pass without the anchor rule", bits)
	}
}

// TestHoldIsSeen floods a network at its floor: blocks come faster than seconds,
// so their times run ahead until the future limit holds them back. extend fails on
// any block beyond it.
func TestHoldIsSeen(t *testing.T) {
	for _, params := range []*Params{Dev(), Main()} {
		r := newRehearsal(t, params, 1)
		r.mine(params.HalfLife, 1e12)
		if r.holds == 0 {
			t.Errorf("%s: %d blocks in one half-life and no hold", params.Name, r.tip.height)
		}
		t.Logf("%s: %d blocks, %d holds", params.Name, r.tip.height, r.holds)
	}
}
