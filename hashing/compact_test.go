package hashing

import (
	"math/big"
	"math/rand/v2"
	"testing"
)

// bigDecode reads compact bits as arith_uint256::SetCompact documents them:
// mantissa x 256^(size-3), with numbers of any size.
func bigDecode(b uint32) (n *big.Int, negative, overflow bool) {
	n = big.NewInt(int64(b & 0x007fffff))
	size := int(b >> 24)
	scale := new(big.Int).Exp(big.NewInt(256), big.NewInt(int64(max(size-3, 3-size))), nil)
	mantissa := n.Sign() != 0
	if size <= 3 {
		n.Quo(n, scale)
		mantissa = n.Sign() != 0 // Core shifts the word before it looks at the sign
	} else {
		n.Mul(n, scale)
	}
	return n, mantissa && b&0x00800000 != 0, n.BitLen() > 256
}

// bigEncode is GetCompact by repeated division.
func bigEncode(n *big.Int) uint32 {
	size, word := uint32(0), new(big.Int).Set(n)
	for rest := new(big.Int).Set(n); rest.Sign() > 0; rest.Rsh(rest, 8) {
		size++
	}
	limit := big.NewInt(0x800000)
	shift := 0
	for ; word.Cmp(limit) >= 0; shift++ {
		word.Quo(word, big.NewInt(256))
	}
	if shift > 0 { // size counts the bytes the mantissa stands for
		size = uint32(shift) + 3
	} else {
		for i := size; i < 3; i++ {
			word.Mul(word, big.NewInt(256))
		}
		if word.Cmp(limit) >= 0 {
			word.Quo(word, big.NewInt(256))
			size++
		}
	}
	if n.Sign() == 0 {
		return 0
	}
	return size<<24 | uint32(word.Uint64())
}

func checkBits(t *testing.T, b uint32) {
	t.Helper()
	target, negative, overflow := Bits(b).Decode()
	n, wantNegative, wantOverflow := bigDecode(b)
	if negative != wantNegative || overflow != wantOverflow {
		t.Fatalf("Bits(%08x).Decode() says negative %t, overflow %t; math/big says %t, %t", b, negative, overflow, wantNegative, wantOverflow)
	}
	if overflow {
		return
	}
	if target.Big().Cmp(n) != 0 {
		t.Fatalf("Bits(%08x).Decode() = %s, math/big says %x", b, target, n)
	}
	if got, want := target.Bits(), Bits(bigEncode(n)); got != want {
		t.Fatalf("%s.Bits() = %s, math/big says %s", target, got, want)
	}
	if again, _, _ := target.Bits().Decode(); again != target {
		t.Fatalf("%s is %s in compact form, which reads as %s", target, target.Bits(), again)
	}
	if _, err := Bits(b).Target(); (err == nil) != (!negative && !overflow && n.Sign() > 0) {
		t.Fatalf("Bits(%08x).Target(): error %v for negative %t, overflow %t, number %x", b, err, negative, overflow, n)
	}
}

func TestBitsAgainstBig(t *testing.T) {
	for size := range uint32(256) {
		for _, word := range []uint32{
			0, 1, 0x12, 0x7f, 0x80, 0xff, 0x100, 0x1234, 0x7fff, 0x8000, 0xffff, 0x10000,
			0x123456, 0x7fffff, 0x800000, 0x800001, 0x80ffff, 0x923456, 0xffffff,
		} {
			checkBits(t, size<<24|word)
		}
	}
	rng := rand.New(rand.NewPCG(2, 1))
	for range 100_000 {
		checkBits(t, rng.Uint32N(36)<<24|rng.Uint32N(1<<24))
	}
}

func TestBitsOfAnyTarget(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	for range 50_000 {
		target := Target{rng.Uint64(), rng.Uint64(), rng.Uint64(), rng.Uint64()}
		target = TargetFromBig(new(big.Int).Rsh(target.Big(), uint(rng.IntN(257))))
		got := target.Bits()
		if want := Bits(bigEncode(target.Big())); got != want {
			t.Fatalf("%s.Bits() = %s, math/big says %s", target, got, want)
		}
		kept, negative, overflow := got.Decode()
		if negative || overflow || kept.Cmp(target) > 0 || kept.Bits() != got {
			t.Fatalf("%s is %s in compact form, which reads as %s, negative %t, overflow %t", target, got, kept, negative, overflow)
		}
	}
}

func FuzzBits(f *testing.F) {
	for _, b := range []uint32{0, 0x1d00ffff, 0x207fffff, 0x01803456, 0xff123456, 0x04923456, 0x22000001, 0x21000100} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b uint32) { checkBits(t, b) })
}
