package chain

import "slices"

// medianTimeSpan is how many blocks the median time past is taken over (BIP113).
const medianTimeSpan = 11

// MedianTime returns the median of times, in seconds since 1970, without
// changing them. Of an even number it is the upper one of the middle two, as in
// Bitcoin, which matters only below height 10. The median of nothing is zero.
func MedianTime(times []uint32) uint32 {
	if len(times) == 0 {
		return 0
	}
	sorted := slices.Clone(times)
	slices.Sort(sorted)
	return sorted[len(sorted)/2]
}
