package chain

import (
	"errors"
	"math/big"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/jbcnet/jbc/hashing"
)

func TestWorkOf(t *testing.T) {
	tests := []struct {
		name string
		bits hashing.Bits
		want string
	}{
		{"difficulty 1", 0x1d00ffff, "0000000000000000000000000000000000000000000000000000000100010001"},
		{"regtest", 0x207fffff, "0000000000000000000000000000000000000000000000000000000000000002"},
		{"target 1", 0x01010000, "8000000000000000000000000000000000000000000000000000000000000000"},
		{"negative", 0x1d80ffff, "0000000000000000000000000000000000000000000000000000000000000000"},
		{"zero", 0, "0000000000000000000000000000000000000000000000000000000000000000"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := WorkOf(tt.bits).String(); got != tt.want {
				t.Errorf("work of %s: %s, want %s", tt.bits, got, tt.want)
			}
		})
	}
}

// TestUint256 compares every operation with math/big.
func TestUint256(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	two256 := new(big.Int).Lsh(big.NewInt(1), 256)
	for range 20_000 {
		a, b, m := randomUint256(rng), randomUint256(rng), rng.Uint64()>>rng.IntN(64)
		x, y := hashing.Target(a).Big(), hashing.Target(b).Big()
		check := func(op string, got uint256, want *big.Int) {
			t.Helper()
			if want = want.Mod(want, two256); hashing.Target(got).Big().Cmp(want) != 0 {
				t.Fatalf("%x %s %x (%d): %x, want %x", x, op, y, m, hashing.Target(got).Big(), want)
			}
		}
		check("+", a.add(b), new(big.Int).Add(x, y))
		check("-", a.sub(b), new(big.Int).Sub(x, y))
		if got, want := a.cmp(b), x.Cmp(y); got != want {
			t.Fatalf("%x cmp %x: %d, want %d", x, y, got, want)
		}
		if y.Sign() > 0 {
			check("/", a.div(b), new(big.Int).Div(x, y))
		}
		product := new(big.Int).Mul(x, new(big.Int).SetUint64(m))
		check("* m low", a.mul(m).low(), new(big.Int).Set(product))
		check("* m high", a.mul(m).shr(64).shr(192).low(), new(big.Int).Rsh(product, 256))
		if m > 0 {
			check("* m / m", a.mul(m).div(m).low(), new(big.Int).Set(x))
		}
		n := uint(rng.IntN(330))
		check(">>", a.mul(m).shr(n).low(), new(big.Int).Rsh(product, n))
		wide := new(big.Int).Lsh(product, n)
		left, overflow := a.mul(m).shl(n)
		if want := wide.BitLen() > 320; overflow != want {
			t.Fatalf("%x << %d overflows: %v, want %v", product, n, overflow, want)
		}
		if !overflow {
			check("<<", left.low(), wide)
		}
	}
}

func randomUint256(rng *rand.Rand) (n uint256) {
	for i := range 1 + rng.IntN(4) {
		n[i] = rng.Uint64() >> rng.IntN(64)
	}
	return n
}

func TestMedianTime(t *testing.T) {
	tests := []struct {
		name  string
		times []uint32
		want  uint32
	}{
		{"none", nil, 0},
		{"genesis", []uint32{7}, 7},
		{"upper of two", []uint32{9, 5}, 9},
		{"unsorted", []uint32{30, 10, 20}, 20},
		{"eleven", []uint32{11, 1, 10, 2, 9, 3, 8, 4, 7, 5, 6}, 6},
	}
	for _, tt := range tests {
		if got := MedianTime(tt.times); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}
}

// TestASERTExtremes: whatever the times, the result is a target that a header
// may carry, and it goes the right way.
func TestASERTExtremes(t *testing.T) {
	schedule := ASERT{Spacing: 2 * time.Second, HalfLife: 2 * time.Minute, Limit: 0x1e03ffff}
	tests := []struct {
		name            string
		elapsed, blocks int64
		want            hashing.Bits
		over            bool
	}{
		{"on time", 2, 0, 0x1e03ffff, false},
		{"one second early", 1, 0, 0x1e03fa1d, false},
		{"one second late", 3, 0, 0x1e03ffff, true},
		{"one half-life early", 2 + 240 - 120, 120, 0x1e01ffff, false},
		{"a year late", 365 * 86400, 0, 0x1e03ffff, true},
		{"the end of time late", 1<<63 - 1, 0, 0x1e03ffff, true},
		{"the end of time early", -1 << 63, 0, 0x01010000, false},
		{"all blocks in one second", 0, 1<<63 - 1, 0x01010000, false},
	}
	for _, tt := range tests {
		got, over := schedule.Next(schedule.Limit, tt.elapsed, tt.blocks)
		if got != tt.want || over != tt.over {
			t.Errorf("%s: bits %s, over the limit %v, want %s, %v", tt.name, got, over, tt.want, tt.over)
		}
	}
}

func TestSubsidy(t *testing.T) {
	regtest, bitcoin := Regtest(), Bitcoin()
	tests := []struct {
		p      *Params
		height uint32
		want   int64
	}{
		{regtest, 1, 50 * Coin}, {regtest, 149, 50 * Coin}, {regtest, 150, 25 * Coin}, {regtest, 300, 1_250_000_000},
		{regtest, 150 * 33, 0}, {regtest, 150 * 64, 0}, {regtest, 1<<32 - 1, 0},
		{bitcoin, 209_999, 50 * Coin}, {bitcoin, 840_000, 312_500_000}, {bitcoin, 6_930_000, 0},
	}
	for _, tt := range tests {
		if got := tt.p.Subsidy(tt.height); got != tt.want {
			t.Errorf("%s at %d: %d, want %d", tt.p.Name, tt.height, got, tt.want)
		}
	}
	if got := SubsidyAt(1<<32-1, 7, 0); got != 7 {
		t.Errorf("without halving: %d, want 7", got)
	}
}

func TestHeightScript(t *testing.T) {
	tests := []struct {
		height uint32
		want   string
	}{
		{0, "\x00"}, {1, "\x51"}, {16, "\x60"}, {17, "\x01\x11"}, {127, "\x01\x7f"}, {128, "\x02\x80\x00"},
		{255, "\x02\xff\x00"}, {256, "\x02\x00\x01"}, {32767, "\x02\xff\x7f"}, {32768, "\x03\x00\x80\x00"},
		{227_931, "\x03\x5b\x7a\x03"}, {1<<32 - 1, "\x05\xff\xff\xff\xff\x00"},
	}
	for _, tt := range tests {
		if got := string(HeightScript(tt.height)); got != tt.want {
			t.Errorf("height %d: %x, want %x", tt.height, got, tt.want)
		}
	}
}

func TestTemplateTime(t *testing.T) {
	now := time.Unix(1_800_000_000, 600_000_000)
	at := uint32(now.Unix())
	tests := []struct {
		name   string
		median uint32
		want   uint32
		hold   time.Time
	}{
		{"long after the median", at - 100, at, time.Time{}},
		{"the second after the median", at - 1, at, time.Time{}},
		{"in the median's second", at, at + 1, time.Time{}},
		{"as far ahead as allowed", at + 4, at + 5, time.Time{}},
		{"further ahead", at + 5, 0, time.Unix(int64(at)+1, 0)},
		{"an hour ahead", at + 3600, 0, time.Unix(int64(at)+3596, 0)},
		{"the last second of all", 1<<32 - 1, 0, time.Unix(1<<32-5, 0)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := TemplateTime(now, tt.median, 5*time.Second)
			var hold *Hold
			if errors.As(err, &hold) != !tt.hold.IsZero() || got != tt.want {
				t.Fatalf("%d, %v, want %d, hold until %v", got, err, tt.want, tt.hold)
			}
			if hold != nil && !hold.Until.Equal(tt.hold) {
				t.Errorf("hold until %v, want %v", hold.Until, tt.hold)
			}
			if hold != nil && tt.median < 1<<32-1 {
				if _, err := TemplateTime(hold.Until, tt.median, 5*time.Second); err != nil {
					t.Errorf("at the end of the hold: %v, want a time", err)
				}
			}
		})
	}
}

func TestRules(t *testing.T) {
	seen := map[Rule]bool{}
	for _, r := range Rules() {
		if seen[r] {
			t.Errorf("rule %d is listed twice", r)
		}
		seen[r] = true
		if _, ok := ruleTexts()[r]; !ok {
			t.Errorf("rule %d has no text", r)
		}
	}
	if got, want := len(seen), len(ruleTexts()); got != want {
		t.Errorf("%d rules listed, %d have texts", got, want)
	}
	err := broken(RuleHighHash, 7, "x")
	if !errors.Is(err, RuleHighHash) || errors.Is(err, RuleWrongBits) {
		t.Errorf("%v matches the wrong rules", err)
	}
}
