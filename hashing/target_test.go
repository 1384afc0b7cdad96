package hashing

import (
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestMetByAgainstBig(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 1))
	for i := range 20_000 {
		target := Target{rng.Uint64(), rng.Uint64(), rng.Uint64(), rng.Uint64()}
		be := target.bigEndian()
		if i%2 == 0 { // a neighbour: one byte apart, or equal
			be[rng.IntN(32)] += byte(rng.IntN(3)) - 1
		} else {
			for j := range be {
				be[j] = byte(rng.Uint32())
			}
		}
		number := new(big.Int).SetBytes(be[:])
		slices.Reverse(be[:])
		if got, want := target.MetBy(Hash(be)), number.Cmp(target.Big()) <= 0; got != want {
			t.Fatalf("%s met by %s: %t, math/big says %t", target, Hash(be), got, want)
		}
		other := TargetFromBig(number)
		if got, want := target.Cmp(other), target.Big().Cmp(number); got != want {
			t.Fatalf("%s.Cmp(%s) = %d, math/big says %d", target, other, got, want)
		}
	}
	if !MaxTarget.MetBy(Hash(slices.Repeat([]byte{0xff}, 32))) {
		t.Error("the largest hash does not meet MaxTarget")
	}
	if !(Target{}).MetBy(Hash{}) || (Target{}).MetBy(Hash{1}) {
		t.Error("the zero target is met by something but zero, or not by zero")
	}
}

func TestTargetFromBigClamps(t *testing.T) {
	two256 := new(big.Int).Lsh(big.NewInt(1), 256)
	tests := []struct {
		name string
		n    *big.Int
		want Target
	}{
		{"zero", big.NewInt(0), Target{}},
		{"negative", big.NewInt(-1), Target{}},
		{"one", big.NewInt(1), Target{1}},
		{"limbs", new(big.Int).Lsh(big.NewInt(5), 192), Target{0, 0, 0, 5}},
		{"largest", new(big.Int).Sub(two256, big.NewInt(1)), MaxTarget},
		{"one more than fits", two256, MaxTarget},
		{"far more than fits", new(big.Int).Lsh(two256, 1000), MaxTarget},
	}
	for _, test := range tests {
		if got := TargetFromBig(test.n); got != test.want {
			t.Errorf("%s: got %s, want %s", test.name, got, test.want)
		}
	}
}

func TestTargetForHashes(t *testing.T) {
	for _, n := range []float64{math.Inf(-1), -1, 0, 0.5, 1, math.NaN()} {
		if got := TargetForHashes(n); got != MaxTarget {
			t.Errorf("TargetForHashes(%v) = %s, want every hash to meet it", n, got)
		}
	}
	for _, n := range []float64{2, 3, 1000, 1 << 22, 1e12, 1e30, 1e70} {
		if got := TargetForHashes(n).Hashes(); math.Abs(got/n-1) > 1e-6 { // a target is a whole number: 1e70 leaves it 24 bits
			t.Errorf("TargetForHashes(%g) takes %g hashes", n, got)
		}
	}
	if got := (Target{}).Hashes(); got != math.Exp2(256) {
		t.Errorf("the zero target takes %g hashes, want 2^256", got)
	}
	if got := MaxTarget.Hashes(); got != 1 {
		t.Errorf("MaxTarget takes %g hashes, want 1", got)
	}
	genesis, err := Bits(0x1d00ffff).Target()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := genesis.Hashes(), 4295032833.000015; math.Abs(got-want) > 1 {
		t.Errorf("genesis takes %f hashes, want %f", got, want)
	}
}

func TestTargetForInfinity(t *testing.T) {
	if got := TargetForHashes(math.Inf(1)); !got.IsZero() {
		t.Errorf("TargetForHashes(+Inf) = %s, want zero", got)
	}
}
