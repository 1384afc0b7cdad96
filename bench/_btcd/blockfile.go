package main

import (
	"bytes"
	"compress/bzip2"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/btcsuite/btcd/wire/v2"
	"github.com/jbcnet/jbc/hashing"
)

// rivalModule is where btcd's own tests, and their blocks, are.
const rivalModule = "github.com/btcsuite/btcd"

// rivalFile returns the path of the 14,132 blocks that btcd's tests come with.
func rivalFile() (string, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", rivalModule).Output()
	if err != nil {
		return "", fmt.Errorf("looking for module %s: %w", rivalModule, err)
	}
	return filepath.Join(strings.TrimSpace(string(out)), "blockchain", "testdata", "blk_0_to_14131.dat"), nil
}

// readBlockFile returns the encoded blocks of a file. Where its name ends in .bz2
// it is unpacked.
func readBlockFile(path string) ([][]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var r io.Reader = f
	if strings.HasSuffix(path, ".bz2") {
		r = bzip2.NewReader(f)
	}
	data, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	blocks, err := cutBlocks(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return blocks, nil
}

// cutBlocks takes apart what a node's block file holds: before each block the
// network's magic and the block's length. Files are made longer than needed in
// advance: zeros end them.
func cutBlocks(data []byte) ([][]byte, error) {
	const frame = 8
	var blocks [][]byte
	for at := 0; at < len(data); {
		rest := data[at:]
		if len(bytes.TrimLeft(rest, "\x00")) == 0 {
			break
		}
		if len(rest) < frame {
			return nil, fmt.Errorf("offset %d: %d bytes left, want a frame of %d", at, len(rest), frame)
		}
		if magic := binary.LittleEndian.Uint32(rest); magic != uint32(wire.MainNet) {
			return nil, fmt.Errorf("offset %d: magic %08x, want %08x", at, magic, uint32(wire.MainNet))
		}
		size := binary.LittleEndian.Uint32(rest[4:])
		if size < hashing.HeaderSize || uint64(size) > uint64(len(rest)-frame) {
			return nil, fmt.Errorf("offset %d: block of %d bytes, %d left", at, size, len(rest)-frame)
		}
		blocks = append(blocks, rest[frame:frame+size])
		at += frame + int(size)
	}
	if len(blocks) < 2 {
		return nil, errors.New("want genesis and at least one block on it")
	}
	return blocks, nil
}

// headerOf returns the first 80 bytes of an encoded block.
func headerOf(block []byte) *hashing.Header {
	return (*hashing.Header)(block[:hashing.HeaderSize])
}
