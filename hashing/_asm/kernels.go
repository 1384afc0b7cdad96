package main

// kernels are all that is generated. The dials of each were found by -tune.
var kernels = []func() (*kernel, error){
	func() (*kernel, error) { return avx2OneVersion(avx2OneFirst, avx2OneSecond) },
	func() (*kernel, error) {
		return narrowManyVersions("avx2Many", "scan_avx2_many", avx2Lanes, avx2ManyFirst, avx2ManySecond, avx2Table)
	},
	func() (*kernel, error) {
		return narrowManyVersions("sseMany", "scan_sse_many", sseLanes, sseFirst, sseSecond, avx2Table)
	},
	func() (*kernel, error) { return shaniStreams(3) },
	func() (*kernel, error) { return oneVersion(avx512OnePlan, avx512OneOrder) },
	func() (*kernel, error) { return manyVersions(avx512ManyPlan, avx512ManyOrder, avx512ManyTable) },
	enterMessages,
	func() (*kernel, error) {
		return mixMessages(
			plan{ahead: 3},
			tuning{window: 30, registers: 31, latency: 3, storeLatency: 12, seed: 658, shiftBonus: 1, tail: 20, headroom: 6},
		)
	},
	leaveDigests,
	func() (*kernel, error) { return streamsOneVersion(4, streamsOne) },
	func() (*kernel, error) { return streamsManyVersions(4, streamsMany, streamsMany) },
}

// How the AVX-512 scans are cut and ordered.
var (
	avx512OnePlan  = plan{cutFirst: []int{58}, ahead: 3}
	avx512OneOrder = tuning{window: 55, registers: 32, latency: 3, storeLatency: 12, noise: 2, seed: 568, shiftBonus: 2, tail: 14, headroom: 8}

	avx512ManyPlan  = plan{cutFirst: []int{34}, cutSecond: []int{30}, memory: "cdgh", ahead: 2}
	avx512ManyOrder = tuning{
		window: 40, registers: 32, latency: 4, storeLatency: 12, noise: 2,
		seeds:      []uint64{940, 130, 776, 681, 940, 710, 940, 940, 940, 940, 940, 940, 940, 843, 331, 313},
		shiftBonus: 1, tail: 20, headroom: 6,
	}
	avx512ManyTable = tuning{
		window: 56, registers: 32, latency: 4, storeLatency: 4, noise: 1, seeds: []uint64{130, 0, 965, 352}, tail: 17, headroom: 5,
	}
)

// The halves of the AVX2 and SSE kernels. Good orders lie within 2 % of each other: the
// CPU's own window is as long as 16 registers let anybody look ahead.
var (
	avx2OneFirst = half{
		cut: []int{37}, memory: "bcdfghw", ahead: 1,
		tuning: tuning{window: 15, registers: 16, latency: 2, storeLatency: 8, noise: 2, seed: 526, shiftBonus: 2, tail: 12, headroom: 3},
	}
	avx2OneSecond = half{
		cut: []int{35}, memory: "bcdfghw", ahead: 2,
		tuning: tuning{window: 30, registers: 12, latency: 4, storeLatency: 1, noise: 1, seed: 502, shiftBonus: 2, tail: 12, headroom: 6},
	}
	avx2ManyFirst = half{
		cut: []int{33}, memory: "bcdfgh", ahead: 1,
		tuning: tuning{window: 20, registers: 16, latency: 3, storeLatency: 8, noise: 1, seed: 776, storeBonus: 10, tail: 2, headroom: 2},
	}
	avx2ManySecond = half{
		cut: []int{35}, memory: "bcdfghw", ahead: 1,
		tuning: tuning{
			window: 30, registers: 12, latency: 3, storeLatency: 1, noise: 0.5,
			seeds:      []uint64{426, 426, 426, 426, 426, 779, 426, 426, 426, 497, 426, 426, 426, 484, 426, 426},
			shiftBonus: 1, storeBonus: 10, tail: 12, headroom: 3,
		},
	}
	avx2Table = tuning{window: 20, registers: 14, latency: 2, storeLatency: 8, tail: 4, headroom: 4, storeBonus: 100}

	sseFirst = half{
		cut: []int{34}, memory: "bcdfghw", ahead: 1,
		tuning: tuning{window: 10, registers: 16, latency: 3, storeLatency: 4, noise: 1, seed: 418, shiftBonus: 2, storeBonus: 10, tail: 1, headroom: 4},
	}
	sseSecond = half{
		cut: []int{36}, memory: "bcdfghw", ahead: 1,
		tuning: tuning{window: 15, registers: 13, latency: 2, storeLatency: 1, noise: 1, seed: 331, shiftBonus: 1, storeBonus: 10, tail: 2, headroom: 2},
	}
)
