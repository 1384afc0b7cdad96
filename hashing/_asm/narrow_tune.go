package main

import (
	"fmt"
	"math/rand/v2"
)

// drawAVX2 returns a random candidate of an AVX2 scan: one with another first half,
// or for "avx2Second" with another second half. With 16 registers the order has to
// stay near the natural one.
func drawAVX2(name string, rng *rand.Rand) candidate {
	h := half{
		ahead:  pick(rng, 0, 1, 1, 2, 3),
		memory: pick(rng, "bcdfghw", "bcdfghw", "cdghw", "bcdghw", "cdfghw", "bcdfgh", "dghw", "dhw"),
		tuning: tuning{
			window: pick(rng, 2, 3, 4, 5, 6, 8, 10, 15), registers: pick(rng, 9, 10, 11, 12, 13, 14, 15, 16),
			latency: pick(rng, 1, 2, 3), storeLatency: pick(rng, 1, 4, 8),
			noise: pick(rng, 0.0, 2, 4, 10), seed: rng.Uint64N(1000), shiftBonus: pick(rng, 0.0, 1, 2),
			storeBonus: pick(rng, 0.0, 10, 100), tail: pick(rng, 1, 2, 4, 8), headroom: pick(rng, 2, 3, 4, 6, 8),
		},
	}
	switch rng.IntN(8) {
	case 0:
	case 1:
		h.cut = []int{pick(rng, 20, 22, 24), pick(rng, 40, 42, 44)}
	default:
		h.cut = []int{pick(rng, 26, 28, 30, 32, 34, 36, 38)}
	}
	about := fmt.Sprintf("%+v", h)
	switch name {
	case "avx2One":
		return candidate{about, func() (*kernel, error) { return avx2OneVersion(h, avx2Second) },
			"common, versions, slots, tables, masks, 256", 256 * 8}
	case "avx2Many":
		return candidate{about, func() (*kernel, error) {
			return narrowManyVersions("avx2Many", "", avx2Lanes, h, avx2Second, avx2Table)
		},
			"common, versions, slots, tables, at(15 << 12), masks, 16, 16, 4", 256 * 8}
	}
	return candidate{about, func() (*kernel, error) { return avx2OneVersion(avx2OneFirst, h) },
		"common, versions, slots, tables, masks, 256", 256 * 8}
}
