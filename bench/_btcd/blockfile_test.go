package main

import (
	"bytes"
	"encoding/binary"
	"testing"
)

func frame(magic uint32, block []byte) []byte {
	out := binary.LittleEndian.AppendUint32(nil, magic)
	return append(binary.LittleEndian.AppendUint32(out, uint32(len(block))), block...)
}

// TestCutBlocks takes block files apart.
func TestCutBlocks(t *testing.T) {
	const magic = 0xd9b4bef9
	one, two := bytes.Repeat([]byte{1}, 80), bytes.Repeat([]byte{2}, 100)
	both := append(frame(magic, one), frame(magic, two)...)
	for _, test := range []struct {
		name string
		data []byte
		want string // the error; both blocks without one
	}{
		{"two blocks", both, ""},
		{"made longer in advance", append(bytes.Clone(both), make([]byte, 1000)...), ""},
		{"three zeros at the end", append(bytes.Clone(both), 0, 0, 0), ""},
		{"one block", frame(magic, one), "want genesis and at least one block on it"},
		{"nothing", nil, "want genesis and at least one block on it"},
		{"another network", append(bytes.Clone(both), frame(0xdab5bffa, one)...), "offset 196: magic dab5bffa, want d9b4bef9"},
		{"cut in a frame", append(bytes.Clone(both), 0xf9, 0xbe), "offset 196: 2 bytes left, want a frame of 8"},
		{"cut in a block", both[:195], "offset 88: block of 100 bytes, 99 left"},
		{"shorter than a header", append(bytes.Clone(both), frame(magic, one[:79])...), "offset 196: block of 79 bytes, 79 left"},
	} {
		blocks, err := cutBlocks(test.data)
		if got := errorText(err); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
			continue
		}
		if err == nil && (len(blocks) != 2 || !bytes.Equal(blocks[0], one) || !bytes.Equal(blocks[1], two)) {
			t.Errorf("%s: blocks %x", test.name, blocks)
		}
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// TestReadBlockFile reads real ones, packed and not.
func TestReadBlockFile(t *testing.T) {
	packed, err := readBlockFile(mainnetBlocks)
	if err != nil {
		t.Fatal(err)
	}
	path, err := rivalFile()
	if err != nil {
		t.Fatal(err)
	}
	plain, err := readBlockFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(packed) != 2016 || len(plain) != 14132 {
		t.Fatalf("%d and %d blocks, want 2016 and 14132", len(packed), len(plain))
	}
	for i := range packed {
		if !bytes.Equal(packed[i], plain[i]) {
			t.Fatalf("block %d differs", i)
		}
	}
}
