package main

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// drawAVX2 returns a random candidate of an AVX2 scan: one with another first half,
// or for a name that ends in "Second" with another second half. With 16 registers the order has to
// stay near the natural one.
func drawAVX2(name string, rng *rand.Rand) candidate {
	h := half{
		ahead:  pick(rng, 0, 1, 1, 2, 3),
		memory: pick(rng, "bcdfghw", "bcdfghw", "cdghw", "bcdghw", "cdfghw", "bcdfgh", "dghw", "dhw"),
		tuning: tuning{
			window: pick(rng, 3, 5, 8, 10, 15, 20, 30), registers: pick(rng, 12, 13, 14, 15, 16),
			latency: pick(rng, 1, 2, 3, 4), storeLatency: pick(rng, 1, 4, 8),
			noise: pick(rng, 0.0, 2, 4, 10), seed: rng.Uint64N(1000), shiftBonus: pick(rng, 0.0, 1, 2),
			storeBonus: pick(rng, 0.0, 10, 100), tail: pick(rng, 1, 2, 4, 8, 12), headroom: pick(rng, 2, 3, 4, 6, 8),
		},
	}
	switch rng.IntN(8) {
	case 0:
	case 1:
		h.cut = []int{pick(rng, 20, 22, 24), pick(rng, 40, 42, 44)}
	default:
		h.cut = []int{pick(rng, 26, 28, 30, 32, 34, 36, 38)}
	}
	return candidateAVX2(name, h)
}

func candidateAVX2(name string, h half) candidate {
	c := candidate{
		about: fmt.Sprintf("%+v", h), call: "common, versions, slots, tables, masks, 256", hashes: 256 * 8,
		near: func(rng *rand.Rand) candidate {
			other := h
			other.tuning = h.tuning.near(rng)
			return candidateAVX2(name, other)
		},
	}
	many := strings.HasPrefix(name, "avx2Many")
	first, second := avx2OneFirst, avx2OneSecond
	if many {
		first, second = avx2ManyFirst, avx2ManySecond
	}
	if strings.HasSuffix(name, "Second") {
		second = h
	} else {
		first = h
	}
	if many {
		c.call = "common, versions, slots, tables, at(15 << 12), masks, 16, 16, 4"
		c.build = func() (*kernel, error) {
			return narrowManyVersions("avx2Many", "", avx2Lanes, first, second, avx2Table)
		}
	} else {
		c.build = func() (*kernel, error) { return avx2OneVersion(first, second) }
	}
	return c
}
