package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
)

// candidate is one setting of a kernel's dials, and how to build it.
type candidate struct {
	about string
	build func() (*kernel, error)
	// call are the arguments to race it with, and hashes how many that is; without,
	// those of the AVX-512 kernels.
	call   string
	hashes int
	// near, where set, returns another that differs in a dial or three.
	near func(rng *rand.Rand) candidate
}

// parents is how many of a race stay for the next one, which draws half of its
// candidates near them.
const parents = 4

// tune builds candidates, times them against each other on this machine and prints
// them, fastest first. What wins is written into kernels.go by hand: nothing
// chooses by itself, so that the files stay the same wherever they are made.
func tune(name string, rounds, each int, seed uint64) error {
	rng := rand.New(rand.NewPCG(seed, 1))
	if _, ok := draw(name, rng); !ok {
		return fmt.Errorf("no kernel %q to tune", name)
	}
	best := current(name)
	for range rounds {
		found := slices.Clone(best)
		for len(found) < each {
			c, _ := draw(name, rng)
			if len(best) > 0 && rng.IntN(2) == 0 {
				if b := best[rng.IntN(len(best))]; b.near != nil {
					c = b.near(rng)
				}
			}
			if _, err := c.build(); err == nil {
				found = append(found, c)
			}
		}
		order, err := race(found)
		if err != nil {
			return err
		}
		best = nil
		for _, i := range order[:min(parents, len(order))] {
			best = append(best, found[i])
		}
	}
	return nil
}

func pick[T any](rng *rand.Rand, from ...T) T { return from[rng.IntN(len(from))] }

// draw returns a random candidate.
func draw(name string, rng *rand.Rand) (candidate, bool) {
	t := tuning{
		window: pick(rng, 15, 20, 25, 30, 40), registers: pick(rng, 29, 30, 31, 32),
		latency: pick(rng, 2, 3, 3, 4, 5), storeLatency: pick(rng, 8, 12, 16),
		noise: pick(rng, 0.0, 2, 4), seed: rng.Uint64N(1000), shiftBonus: pick(rng, 0.0, 1, 2),
		tail: pick(rng, 12, 20), headroom: pick(rng, 3, 4, 6, 8),
	}
	p := plan{ahead: pick(rng, 1, 2, 3, 4)}
	switch name {
	case "avx512One":
		switch rng.IntN(3) {
		case 0:
			p.cutFirst = []int{pick(rng, 14, 16, 18, 20, 52, 54, 56, 58)}
		case 1:
			p.cutFirst, p.cutSecond = []int{pick(rng, 16, 18, 32, 34)}, []int{pick(rng, 26, 30, 52, 56)}
		}
		p.memory, p.lean = pick(rng, "", "h", "dh", "gh", "cdh", "cdgh"), rng.IntN(2) == 0
		return candidateOne(p, t), true
	case "avx512Many":
		p.cutFirst, p.cutSecond = []int{pick(rng, 28, 30, 32, 34, 36)}, []int{pick(rng, 26, 28, 30, 32, 34)}
		p.memory = pick(rng, "cdgh", "cdgh", "dh", "bcdgh", "cdfgh", "bcdfgh")
		return candidateMany(p, t, tuning{window: 60, registers: 31, latency: 2, storeLatency: 8, tail: 12, headroom: 3}), true
	case "avx512Mix":
		p.memory = pick(rng, "", "", "w", "dh")
		return candidateMix(p, t), true
	case "avx2One", "avx2OneSecond", "avx2Many", "avx2ManySecond":
		return drawAVX2(name, rng), true
	case "sha2One", "sha2Many":
		return drawStreams(name, rng), true
	}
	return candidate{}, false
}

func candidateOne(p plan, t tuning) candidate {
	return candidate{
		about: fmt.Sprintf("%+v %+v", p, t), build: func() (*kernel, error) { return oneVersion(p, t) },
		near: func(rng *rand.Rand) candidate { return candidateOne(p, t.near(rng)) },
	}
}

// candidateMany has two orders to vary: that of a batch and that of a vector's table.
func candidateMany(p plan, t, tt tuning) candidate {
	return candidate{
		about: fmt.Sprintf("%+v %+v %+v", p, t, tt), build: func() (*kernel, error) { return manyVersions(p, t, tt) },
		near: func(rng *rand.Rand) candidate {
			if rng.IntN(6) == 0 {
				return candidateMany(p, t, tt.near(rng))
			}
			return candidateMany(p, t.near(rng), tt)
		},
	}
}

func candidateMix(p plan, t tuning) candidate {
	return candidate{
		about: fmt.Sprintf("%+v %+v", p, t), build: func() (*kernel, error) { return mixMessages(p, t) },
		call: "common, slots, tables, at(12 << 12)", hashes: 64 * 32,
		near: func(rng *rand.Rand) candidate { return candidateMix(p, t.near(rng)) },
	}
}

// near returns t with a dial or three at another place.
func (t tuning) near(rng *rand.Rand) tuning {
	for range 1 + rng.IntN(3) {
		switch rng.IntN(10) {
		case 0:
			t.window = max(3, t.window+pick(rng, -5, -2, 2, 5))
		case 1:
			t.registers += pick(rng, -1, 1)
		case 2:
			t.latency = max(1, t.latency+pick(rng, -1, 1))
		case 3:
			t.storeLatency = pick(rng, 1, 4, 8, 12, 16)
		case 4:
			t.shiftBonus = pick(rng, 0.0, 1, 2)
		case 5:
			t.storeBonus = pick(rng, 0.0, 5, 10, 100)
		case 6:
			t.tail = max(1, t.tail+pick(rng, -4, -1, 1, 4))
		case 7:
			t.headroom = max(2, t.headroom+pick(rng, -1, 1))
		default:
			t.reseed(rng)
		}
	}
	return t
}

// reseed draws the noise of a part again.
func (t *tuning) reseed(rng *rand.Rand) {
	if t.noise == 0 {
		t.noise = 1
	}
	if len(t.seeds) == 0 {
		t.seeds = slices.Repeat([]uint64{t.seed}, orderParts)
	}
	t.seeds = slices.Clone(t.seeds)
	t.seeds[rng.IntN(len(t.seeds))] = rng.Uint64N(1000)
}

// orderParts is in how many parts the noise of an order is drawn.
const orderParts = 16

// current returns the candidate that is in use, where there is one of that name.
func current(name string) []candidate {
	switch name {
	case "avx512One":
		return []candidate{candidateOne(avx512OnePlan, avx512OneOrder)}
	case "avx512Many":
		return []candidate{candidateMany(avx512ManyPlan, avx512ManyOrder, avx512ManyTable)}
	case "avx2One":
		return []candidate{candidateAVX2(name, avx2OneFirst)}
	case "avx2OneSecond":
		return []candidate{candidateAVX2(name, avx2OneSecond)}
	case "avx2Many":
		return []candidate{candidateAVX2(name, avx2ManyFirst)}
	case "avx2ManySecond":
		return []candidate{candidateAVX2(name, avx2ManySecond)}
	}
	return nil
}
