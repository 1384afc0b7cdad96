package hashing

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"

	simd "github.com/minio/sha256-simd"

	"github.com/jbcnet/jbc/hashing/vectortest"
)

// compactFile is the schema of the folder compact_bits.
type compactFile struct {
	SetCompact []struct {
		Bits     Bits   `json:"bits"`
		Target   string `json:"target"` // means something only without overflow
		Negative bool   `json:"negative"`
		Overflow bool   `json:"overflow"`
		Compact  string `json:"compact"`
	} `json:"set_compact"`
	CheckPoW []struct {
		Comment string `json:"comment"`
		Bits    Bits   `json:"bits"`
		Hash    Hash   `json:"hash"`
		OK      bool   `json:"ok"`
	} `json:"check_pow"`
}

func TestCompactVectors(t *testing.T) {
	vectortest.Each(t, "compact_bits", func(t *testing.T, f vectortest.File) (cases int) {
		var vectors compactFile
		if err := json.Unmarshal(f.Data, &vectors); err != nil {
			t.Fatal(err)
		}
		for _, v := range vectors.SetCompact {
			target, negative, overflow := v.Bits.Decode()
			if negative != v.Negative || overflow != v.Overflow {
				t.Errorf("bits %s: negative %t, overflow %t; want %t, %t", v.Bits, negative, overflow, v.Negative, v.Overflow)
			}
			if v.Overflow {
				continue // there is no number to compare
			}
			if target.String() != v.Target {
				t.Errorf("bits %s: target %s, want %s", v.Bits, target, v.Target)
			}
			if got := compactOf(target, negative); got.String() != v.Compact {
				t.Errorf("bits %s: back in compact form %s, want %s", v.Bits, got, v.Compact)
			}
		}
		for _, v := range vectors.CheckPoW {
			if got := checkPoW(v.Hash, v.Bits); got != v.OK {
				t.Errorf("%s: hash %s under bits %s: %t, want %t", v.Comment, v.Hash, v.Bits, got, v.OK)
			}
		}
		t.Logf("%d set_compact, %d check_pow", len(vectors.SetCompact), len(vectors.CheckPoW))
		return len(vectors.SetCompact) + len(vectors.CheckPoW)
	})
}

// compactOf is arith_uint256::GetCompact(fNegative): the sign is only written
// where the mantissa is not zero.
func compactOf(t Target, negative bool) Bits {
	b := t.Bits()
	if negative && b&compactMantissa != 0 {
		b |= compactSign
	}
	return b
}

// checkPoW is Bitcoin's CheckProofOfWork under the main network's limit, which
// the vectors are made for.
func checkPoW(h Hash, b Bits) bool {
	limit := MaxTarget
	limit[3] = 0x00000000ffffffff
	target, err := b.Target()
	return err == nil && target.Cmp(limit) <= 0 && target.MetBy(h)
}

// nistCase is one message of a SHAVS response file.
type nistCase struct {
	message []byte
	digest  [32]byte
}

// parseNIST reads groups of "Len = bits", "Msg = hex", "MD = hex".
func parseNIST(data []byte) ([]nistCase, error) {
	var cases []nistCase
	length, message := -1, []byte(nil)
	for i, line := range strings.Split(string(data), "\n") {
		key, value, ok := strings.Cut(strings.TrimSpace(line), " = ")
		if !ok || strings.HasPrefix(key, "#") || strings.HasPrefix(key, "[") {
			continue
		}
		var err error
		switch key {
		case "Len":
			length, err = strconv.Atoi(value)
		case "Msg":
			message, err = hex.DecodeString(value)
			if err == nil && (length < 0 || length%8 != 0 || length/8 > len(message)) {
				err = fmt.Errorf("a message of %d bytes for %d bits", len(message), length)
			}
		case "MD":
			var digest []byte
			if digest, err = hex.DecodeString(value); err == nil && len(digest) != 32 {
				err = fmt.Errorf("a digest of %d bytes", len(digest))
			}
			if err == nil && length < 0 {
				err = fmt.Errorf("a digest without a message")
			}
			if err == nil {
				cases = append(cases, nistCase{message[:length/8], [32]byte(digest)}) // "Len = 0" has "Msg = 00"
				length = -1
			}
		default:
			err = fmt.Errorf("unknown key %q", key)
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
	}
	return cases, nil
}

// TestNISTVectors holds every SHA-256 that hashes come from to the vectors: our
// compression function, under the plain kernel, and the libraries under the others
// and under Sum256d.
func TestNISTVectors(t *testing.T) {
	vectortest.Each(t, "nist", func(t *testing.T, f vectortest.File) int {
		cases, err := parseNIST(bytes.ReplaceAll(f.Data, []byte("\r"), nil))
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range cases {
			for name, sum := range map[string]func([]byte) [32]byte{
				"compress": compressSum, "sha256-simd": simd.Sum256, "crypto/sha256": sha256.Sum256,
			} {
				if got := sum(c.message); got != c.digest {
					t.Errorf("%s of %d bytes: %x, want %x", name, len(c.message), got, c.digest)
				}
			}
			if got, want := Sum256d(c.message), Hash(compressSum(c.digest[:])); got != want {
				t.Errorf("Sum256d of %d bytes: %x, want %x", len(c.message), got[:], want[:])
			}
		}
		return len(cases)
	})
}

func TestParseNISTRefuses(t *testing.T) {
	for _, bad := range []string{
		"Len = x", "Len = 8\nMsg = zz", "Len = 16\nMsg = 00\nMD = 00", "Len = 7\nMsg = 00",
		"Len = 8\nMsg = 00\nMD = 00", "MD = " + strings.Repeat("00", 32), "Foo = 1",
	} {
		if cases, err := parseNIST([]byte(bad)); err == nil {
			t.Errorf("%q reads as %d cases", bad, len(cases))
		}
	}
}
