package chain_test

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/jbcnet/jbc/chain"
)

// refusalBytes is the most that refusing a block may take, whatever its length: the
// error with its text.
const refusalBytes = 2048

// blockBytes is the most that decoding a block of this length may take: its bytes,
// what package wire needs for the things in it, and what the allocator rounds up.
func blockBytes(b *chain.Block, length int) uint64 {
	n := length
	for _, tx := range b.Transactions {
		n += 72 + 104*len(tx.TxIn) + 40*len(tx.TxOut)
		for _, in := range tx.TxIn {
			n += 24 * len(in.Witness)
		}
	}
	return uint64(n + n/4 + 1024)
}

// memoryError says that decoding took more memory than it may. It is no RuleError,
// whatever the decoder said.
type memoryError struct {
	length       int
	took, limit  uint64
	decoderError error
}

func (e *memoryError) Error() string {
	return fmt.Sprintf("decoding %d bytes took %d, want at most %d (%v)", e.length, e.took, e.limit, e.decoderError)
}

// decodeMeasured decodes a block, and fails where that takes too much memory or is
// not undone by encoding.
func decodeMeasured(raw []byte) (b *chain.Block, err error) {
	var took, limit uint64
	for range 5 { // others may take memory at the same time, but not each time
		took = taken(func() { b, err = chain.DecodeBlock(raw) })
		if limit = refusalBytes; err == nil {
			limit = blockBytes(b, len(raw))
		}
		if took <= limit {
			break
		}
	}
	if took > limit {
		return nil, &memoryError{len(raw), took, limit, err}
	}
	if err == nil && !bytes.Equal(b.Encode(), raw) {
		return nil, fmt.Errorf("encoded again as %.4096x", b.Encode())
	}
	return b, err
}

// taken returns how many bytes f allocates, with what everybody else does meanwhile.
func taken(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestDecodeMemory has blocks of as many small things as there is room for. Whole,
// they take what the things need; wrong in the last byte, next to nothing.
func TestDecodeMemory(t *testing.T) {
	header := strings.Repeat("h", 80)
	const (
		version  = "\x02\x00\x00\x00"
		input    = "0123456789abcdef0123456789abcdef\x00\x00\x00\x00\x00\xff\xff\xff\xff"
		output   = "\x00\x00\x00\x00\x00\x00\x00\x00\x00"
		lockTime = "\x00\x00\x00\x00"
		wide     = "\xfe\x40\x42\x0f\x00" // a million
		n        = 90_000
		count    = "\xfe\x90\x5f\x01\x00" // n
	)
	tests := []struct {
		name  string
		block string
		times float64 // of its bytes, that it takes
	}{
		{"transactions", header + "\xfd\x60\xea" + strings.Repeat(version+"\x01"+input+"\x00"+lockTime, 60_000), 4.6},
		{"inputs", header + "\x01" + version + count + strings.Repeat(input, n) + "\x00" + lockTime, 3.7},
		{"outputs", header + "\x01" + version + "\x01" + input + count + strings.Repeat(output, n) + lockTime, 5.6},
		{"witness items", header + "\x01" + version + "\x00\x01\x01" + input + "\x00" + wide + strings.Repeat("\x00", 1_000_000) + lockTime, 25.3},
		{"ordinary spends", header + "\xfd\xe8\x03" + strings.Repeat(version+"\x00\x01\x01"+input+"\x02"+
			strings.Repeat("\x00\x00\x00\x00\x00\x00\x00\x00\x16"+strings.Repeat("s", 22), 2)+
			"\x02\x47"+strings.Repeat("s", 71)+"\x21"+strings.Repeat("k", 33)+lockTime, 1000), 2.6},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			raw := []byte(tt.block)
			var err error
			took := taken(func() { _, err = chain.DecodeBlock(raw) })
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%d bytes took %d, %.2f times as many", len(raw), took, float64(took)/float64(len(raw)))
			if most := tt.times * float64(len(raw)); float64(took) > most {
				t.Errorf("%d bytes took %d, want at most %.0f", len(raw), took, most)
			}
			for _, wrong := range [][]byte{raw[:len(raw)-1], append(bytes.Clone(raw), 0)} {
				if _, err := decodeMeasured(wrong); !errors.As(err, new(*chain.RuleError)) {
					t.Errorf("%d bytes of %d: %v, want a broken rule", len(wrong), len(raw), err)
				}
			}
		})
	}
}
