package chain

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/jbcnet/jbc/hashing/vectortest"
)

func TestMagic(t *testing.T) {
	for _, tt := range []struct {
		params *Params
		want   string
	}{
		{Bitcoin(), "f9beb4d9"},
		{Regtest(), "fabfb5da"},
		{Dev(), "73dfff36"},  // sha256sum of dev-ee6c34cc
		{Main(), "ee13eef1"}, // of main-2aadfc9e
	} {
		if got := fmt.Sprintf("%x", tt.params.Magic()); got != tt.want {
			t.Errorf("magic of %s is %s, want %s", tt.params.ID(), got, tt.want)
		}
	}
	named := Dev()
	named.Name = "dev2"
	if named.Magic() == Dev().Magic() {
		t.Error("two networks have one magic")
	}
}

// file puts a block file of Bitcoin's network together.
func file(blocks ...string) []byte {
	var out []byte
	for _, b := range blocks {
		out = append(out, 0xf9, 0xbe, 0xb4, 0xd9)
		out = binary.LittleEndian.AppendUint32(out, uint32(len(b)))
		out = append(out, b...)
	}
	return out
}

// readAll returns the blocks of a file, and what ended them.
func readAll(p *Params, r io.Reader) (blocks []string, err error) {
	for raw, e := range p.ReadBlocks(r) {
		if e != nil {
			return blocks, e
		}
		blocks = append(blocks, string(raw))
	}
	return blocks, nil
}

func TestReadBlocks(t *testing.T) {
	good := file("one", "", "three")
	long := strings.Repeat("x", 300_000)
	tests := []struct {
		name string
		data []byte
		want []string
		err  string
	}{
		{"nothing", nil, nil, ""},
		{"three blocks", good, []string{"one", "", "three"}, ""},
		{"a long one", file(long), []string{long}, ""},
		{"zeros after them", append(slices.Clone(good), make([]byte, 100_000)...), []string{"one", "", "three"}, ""},
		{"one zero after them", append(slices.Clone(good), 0), []string{"one", "", "three"}, ""},
		{"zeros alone", make([]byte, 9), nil, ""},
		{"cut in a block", good[:len(good)-2], []string{"one", ""}, "byte 19, after 2 whole blocks: cut short: 2 bytes are missing, there are 11 of 13"},
		{"cut before a block's bytes", file("one")[:8], nil, "byte 0, after 0 whole blocks: cut short: 3 bytes are missing, there are 8 of 11"},
		{"cut in a head", good[:16], []string{"one"}, "byte 11, after 1 whole blocks: cut short: 3 bytes are missing, there are 5 of 8"},
		{"cut in a magic", good[:13], []string{"one"}, "byte 11, after 1 whole blocks: cut short: 6 bytes are missing, there are 2 of 8"},
		{"another network", append(file("one"), 0xfa, 0xbf, 0xb5, 0xda, 1, 0, 0, 0, 7), []string{"one"}, "byte 11, after 1 whole blocks: magic fabfb5da, of network regtest, want f9beb4d9 of bitcoin-0a8ce26f"},
		{"a network that is not built in", []byte{0x0b, 0x11, 0x09, 0x07, 0, 0, 0, 0}, nil, "byte 0, after 0 whole blocks: magic 0b110907, of network testnet3, want f9beb4d9 of bitcoin-0a8ce26f"},
		{"no network", []byte("<!doctype html>"), nil, "byte 0, after 0 whole blocks: magic 3c21646f, of no known network, want f9beb4d9 of bitcoin-0a8ce26f"},
		{"too long by one", []byte{0xf9, 0xbe, 0xb4, 0xd9, 0x01, 0x09, 0x3d, 0x00}, nil, "byte 0, after 0 whole blocks: block length out of range: 4000001, at most 4000000"},
		{"2^32-1 bytes", []byte{0xf9, 0xbe, 0xb4, 0xd9, 0xff, 0xff, 0xff, 0xff}, nil, "byte 0, after 0 whole blocks: block length out of range: 4294967295, at most 4000000"},
		{"a block after zeros", slices.Concat(good, make([]byte, 40_000), good), []string{"one", "", "three"}, "byte 32, after 3 whole blocks: something follows the zeros after the last block: byte 40032 is f9"},
	}
	for _, tt := range tests {
		for name, r := range map[string]io.Reader{"": bytes.NewReader(tt.data), " a byte at a time": iotest.OneByteReader(bytes.NewReader(tt.data))} {
			got, err := readAll(Bitcoin(), r)
			if !slices.Equal(got, tt.want) {
				t.Errorf("%s%s: blocks %.100q, want %.100q", tt.name, name, got, tt.want)
			}
			if text := fmt.Sprint(err); text != tt.err && (err != nil || tt.err != "") {
				t.Errorf("%s%s: error %v, want %q", tt.name, name, err, tt.err)
			}
			if err != nil && !errors.As(err, new(*BlockFileError)) {
				t.Errorf("%s%s: error of type %T", tt.name, name, err)
			}
		}
	}
}

// TestReadBlocksFault passes on what a reader says.
func TestReadBlocksFault(t *testing.T) {
	fault := errors.New("disk on fire")
	for n := range 20 {
		_, err := readAll(Bitcoin(), io.MultiReader(bytes.NewReader(file("one", "two")[:n]), iotest.ErrReader(fault)))
		if !errors.Is(err, fault) {
			t.Errorf("after %d bytes: %v, want the reader's error", n, err)
		}
	}
}

// TestReadBlocksBelievesNoLength reads a block that announces much more than there
// is, and wants memory for what there is.
func TestReadBlocksBelievesNoLength(t *testing.T) {
	data := append([]byte{0xf9, 0xbe, 0xb4, 0xd9, 0x00, 0x09, 0x3d, 0x00}, make([]byte, 200_000)...)
	result := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := readAll(Bitcoin(), bytes.NewReader(data)); !errors.As(err, new(*CutError)) {
				b.Fatal(err)
			}
		}
	})
	if got := result.AllocedBytesPerOp(); got > int64(2*len(data)) {
		t.Errorf("%d bytes allocated to read %d", got, len(data))
	}
}

// TestBlockFileRoundTrip writes what was read from real files.
func TestBlockFileRoundTrip(t *testing.T) {
	vectortest.Each(t, "blockfiles", func(t *testing.T, f vectortest.File) int {
		var out bytes.Buffer
		blocks := 0
		for raw, err := range Bitcoin().ReadBlocks(bytes.NewReader(f.Data)) {
			if err != nil {
				t.Fatal(err)
			}
			if err := Bitcoin().WriteBlock(&out, raw); err != nil {
				t.Fatal(err)
			}
			blocks++
		}
		if !bytes.Equal(out.Bytes(), f.Data) {
			t.Error("the file written is not the one read")
		}
		return blocks
	})
}

// FuzzReadBlocks reads anything: nothing is invented, and an error says where the
// whole blocks end.
func FuzzReadBlocks(f *testing.F) {
	rng := rand.New(rand.NewPCG(1, 2))
	good := file("one", "", strings.Repeat("x", 300), "four")
	f.Add(good)
	f.Add(append(slices.Clone(good), make([]byte, 100)...))
	f.Add(good[:rng.IntN(len(good))])
	f.Add([]byte{0xf9, 0xbe, 0xb4, 0xd9, 0xff, 0xff, 0xff, 0x7f})
	f.Fuzz(func(t *testing.T, data []byte) {
		blocks, err := readAll(Bitcoin(), bytes.NewReader(data))
		again := file(blocks...)
		if !bytes.HasPrefix(data, again) {
			t.Fatal("blocks that are not there")
		}
		rest := data[len(again):]
		if err == nil {
			if len(bytes.Trim(rest, "\x00")) != 0 {
				t.Fatalf("no error, and %d bytes left", len(rest))
			}
			return
		}
		var e *BlockFileError
		if !errors.As(err, &e) || e.Offset != int64(len(again)) || e.Blocks != len(blocks) {
			t.Fatalf("%v after %d blocks of %d bytes", err, len(blocks), len(again))
		}
		if cut := (*CutError)(nil); errors.As(err, &cut) && (cut.Have != int64(len(rest)) || cut.Want <= cut.Have) {
			t.Fatalf("%v, and %d bytes are there", err, len(rest))
		}
	})
}
