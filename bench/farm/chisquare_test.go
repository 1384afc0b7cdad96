//go:build linux

package farm

import (
	"math"
	"testing"
)

// unlikely is the chance below which counts are held not to follow from what was
// expected of them.
const unlikely = 0.001

// chiSquare returns Pearson's statistic of counts that are expected to be as weights
// are to each other.
func chiSquare(counts []int, weights []float64) (x float64) {
	blocks, all := 0, 0.0
	for i, n := range counts {
		blocks, all = blocks+n, all+weights[i]
	}
	for i, n := range counts {
		expected := float64(blocks) * weights[i] / all
		x += (float64(n) - expected) * (float64(n) - expected) / expected
	}
	return x
}

// chance is how likely the statistic is x or more by chance alone, with that many
// degrees of freedom: the upper tail of the chi-square distribution, from that of one
// or two degrees up, two at a time.
func chance(x float64, freedom int) float64 {
	tail, from := math.Erfc(math.Sqrt(x/2)), 1
	if freedom%2 == 0 {
		tail, from = math.Exp(-x/2), 2
	}
	for k := float64(from); k < float64(freedom); k += 2 {
		tail += math.Pow(x/2, k/2) * math.Exp(-x/2) / math.Gamma(k/2+1)
	}
	return tail
}

// likely is the chance that counts differ as much from what is expected, or more.
func likely(counts []int, weights []float64) float64 {
	return chance(chiSquare(counts, weights), len(counts)-1)
}

// TestChance compares with the table of critical values that textbooks print, and the
// statistic with one worked out by hand.
func TestChance(t *testing.T) {
	for _, tt := range []struct {
		freedom int
		x, want float64
	}{
		{1, 0, 1}, {1, 3.841, 0.05}, {1, 10.828, 0.001}, {2, 5.991, 0.05}, {2, 13.816, 0.001},
		{3, 7.815, 0.05}, {4, 18.467, 0.001}, {5, 1.145, 0.95}, {5, 11.070, 0.05}, {5, 20.515, 0.001},
	} {
		if got := chance(tt.x, tt.freedom); math.Abs(got-tt.want) > 0.001*tt.want {
			t.Errorf("chance(%v, %d) = %.6f, want %v", tt.x, tt.freedom, got, tt.want)
		}
	}
	// 12 are expected of each: (8² + 2² + 6²) / 12.
	if got, want := chiSquare([]int{20, 10, 6}, []float64{1, 1, 1}), 104.0/12; math.Abs(got-want) > 1e-12 {
		t.Errorf("chiSquare = %v, want %v", got, want)
	}
	// 24, 6 and 6 are: (4² + 4² + 0²) over them.
	if got, want := chiSquare([]int{20, 10, 6}, []float64{4, 1, 1}), 16.0/24+16.0/6; math.Abs(got-want) > 1e-12 {
		t.Errorf("chiSquare = %v, want %v", got, want)
	}
}
