package chain

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/csv"
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jbcnet/jbc/hashing"
	"github.com/jbcnet/jbc/hashing/vectortest"
)

func TestASERTVectors(t *testing.T) {
	vectortest.Each(t, "asert", func(t *testing.T, f vectortest.File) int {
		fields := map[string]string{}
		cases := 0
		for line := range strings.Lines(string(f.Data)) {
			line = strings.TrimSpace(line)
			if name, value, ok := strings.Cut(strings.TrimPrefix(line, "##"), ":"); ok && strings.HasPrefix(line, "##") {
				fields[strings.TrimSpace(name)] = strings.TrimSpace(value)
				continue
			}
			if line == "" || strings.HasPrefix(line, "#") {
				continue
			}
			checkASERTRow(t, fields, strings.Fields(line))
			cases++
		}
		return cases
	})
}

func checkASERTRow(t *testing.T, fields map[string]string, row []string) {
	t.Helper()
	if len(row) != 4 {
		t.Fatalf("row %q: want 4 columns", row)
	}
	limit := hashing.Bits(0x1d00ffff)
	schedule := ASERT{Spacing: 10 * time.Minute, HalfLife: 48 * time.Hour, Limit: limit}
	blocks := new(big.Int).Sub(integer(t, row[1]), integer(t, fields["anchor height"]))
	elapsed := new(big.Int).Sub(integer(t, row[2]), integer(t, fields["anchor parent time"]))
	anchor := hashing.Bits(integer(t, fields["anchor nBits"]).Uint64())

	got, _ := schedule.Next(anchor, elapsed.Int64(), blocks.Int64())
	if want := hashing.Bits(integer(t, row[3]).Uint64()); got != want {
		t.Errorf("row %s: bits %s, want %s", row[0], got, want)
	}
}

func integer(t *testing.T, s string) *big.Int {
	t.Helper()
	n, ok := new(big.Int).SetString(s, 0)
	if !ok {
		t.Fatalf("%q is no number", s)
	}
	return n
}

func TestHeaderVectors(t *testing.T) {
	limit := Bitcoin().PowLimit
	vectortest.Each(t, "headers", func(t *testing.T, f vectortest.File) int {
		if len(f.Data)%hashing.HeaderSize != 0 {
			t.Fatalf("%d bytes are no whole headers", len(f.Data))
		}
		var headers []hashing.Header
		for raw := f.Data; len(raw) > 0; raw = raw[hashing.HeaderSize:] {
			headers = append(headers, hashing.Header(raw[:hashing.HeaderSize]))
		}
		first := 0 // the last header before which the bits changed; such a header opens a period
		for i, h := range headers {
			if err := CheckProofOfWork(h.Hash(), h.Bits(), limit); err != nil {
				t.Errorf("header %d: %v", i, err)
			}
			if i == 0 {
				continue
			}
			if got, want := h.Prev(), headers[i-1].Hash(); got != want {
				t.Fatalf("header %d: parent %s, want %s", i, got, want)
			}
			if h.Bits() == headers[i-1].Bits() {
				continue
			}
			if i-first == retargetBlocks {
				got := BitcoinRetarget(headers[first].Bits(), headers[first].Time(), headers[i-1].Time(), 10*time.Minute, limit)
				if got != h.Bits() {
					t.Errorf("header %d: retarget %s, want %s", i, got, h.Bits())
				}
			}
			first = i
		}
		return len(headers)
	})
}

func TestCheckpointVectors(t *testing.T) {
	limit := Bitcoin().PowLimit
	vectortest.Each(t, "checkpoints", func(t *testing.T, f vectortest.File) int {
		lines := bufio.NewScanner(bytes.NewReader(f.Data))
		cases, seen := 0, 0
		var before checkpoint
		for lines.Scan() {
			raw, err := base64.StdEncoding.DecodeString(lines.Text())
			if err != nil || len(raw) != 96 {
				if seen++; seen > 3 { // title, signatures, count
					t.Fatalf("line %q: no checkpoint", lines.Text())
				}
				continue
			}
			at := readCheckpoint(raw)
			if err := CheckProofOfWork(at.header.Hash(), at.header.Bits(), limit); err != nil {
				t.Errorf("height %d: %v", at.height, err)
			}
			// Every checkpoint opens a period of 2016 blocks, so up to the next one
			// all blocks have its work but the last, which is the checkpoint itself.
			if cases > 0 && at.height == before.height+retargetBlocks {
				work := before.work
				for range retargetBlocks - 1 {
					work = work.Add(WorkOf(before.header.Bits()))
				}
				work = work.Add(WorkOf(at.header.Bits()))
				if work != at.work && at.height < 1<<20 {
					t.Errorf("height %d: chainwork %s, want %s", at.height, work, at.work)
				}
			}
			before = at
			cases++
		}
		return cases
	})
}

type checkpoint struct {
	work   Work
	height uint32
	header hashing.Header
}

func readCheckpoint(raw []byte) checkpoint {
	var work [32]byte
	copy(work[20:], raw[:12])
	return checkpoint{workFromBigEndian(work), binary.BigEndian.Uint32(raw[12:]), hashing.Header(raw[16:])}
}

func TestChainworkVectors(t *testing.T) {
	vectortest.Each(t, "chainwork", func(t *testing.T, f vectortest.File) int {
		rows := readCSV(t, f.Data, 4)
		type edge struct {
			header hashing.Header
			work   Work
		}
		byHeight := map[uint32]edge{}
		for _, row := range rows {
			height, header := csvHeader(t, row)
			var want Work
			if err := want.UnmarshalText([]byte(row[3])); err != nil {
				t.Fatal(err)
			}
			byHeight[height] = edge{header, want}
		}
		for height, at := range byHeight {
			got := WorkOf(at.header.Bits())
			if before, ok := byHeight[height-1]; ok && height > 0 {
				got = got.Add(before.work)
			} else if first, ok := byHeight[height-(retargetBlocks-1)]; ok && height >= retargetBlocks-1 {
				got = first.work
				for range retargetBlocks - 1 {
					got = got.Add(WorkOf(first.header.Bits()))
				}
			} else if height != 0 {
				continue
			}
			if got != at.work {
				t.Errorf("height %d: chainwork %s, want %s", height, got, at.work)
			}
			checkRetargetEdge(t, height, at.header, func(h uint32) (hashing.Header, bool) {
				e, ok := byHeight[h]
				return e.header, ok
			})
		}
		return len(rows)
	})
}

// checkRetargetEdge checks the bits of a block that opens a period, where the
// first and last block of the one before are there.
func checkRetargetEdge(t *testing.T, height uint32, h hashing.Header, at func(uint32) (hashing.Header, bool)) {
	t.Helper()
	if height == 0 || height%retargetBlocks != 0 {
		return
	}
	first, ok1 := at(height - retargetBlocks)
	last, ok2 := at(height - 1)
	if !ok1 || !ok2 {
		return
	}
	p := Bitcoin()
	if got, want := BitcoinRetarget(last.Bits(), first.Time(), last.Time(), p.Spacing, p.PowLimit), h.Bits(); got != want {
		t.Errorf("height %d: retarget %s, want %s", height, got, want)
	}
}

func TestForkVectors(t *testing.T) {
	vectortest.Each(t, "forks", func(t *testing.T, f vectortest.File) int {
		rows := readCSV(t, f.Data, 4)
		p := Bitcoin()
		var roots []*node
		root := map[*node]*node{}
		nodes := map[hashing.Hash]*node{}
		for i, row := range rows {
			height, header := csvHeader(t, row)
			if err := CheckProofOfWork(header.Hash(), header.Bits(), p.PowLimit); err != nil {
				t.Errorf("height %d: %v", height, err)
			}
			parent := nodes[header.Prev()]
			n := &node{hash: header.Hash(), parent: parent, height: height, sequence: uint64(i), work: WorkOf(header.Bits())}
			if parent == nil {
				roots = append(roots, n)
				root[n] = n
			} else {
				root[n] = root[parent]
				n.work = n.work.Add(parent.work)
				if n.height != parent.height+1 {
					t.Errorf("%s: height %d on %d", n.hash, n.height, parent.height)
				}
			}
			nodes[n.hash] = n
		}
		best := map[*node]*node{}
		for _, r := range roots {
			best[r] = r
		}
		for _, n := range nodes {
			if n.better(best[root[n]]) {
				best[root[n]] = n
			}
		}
		for _, row := range rows {
			hash, err := hashing.ParseHash(row[1])
			if err != nil {
				t.Fatal(err)
			}
			n := nodes[hash]
			tip := best[root[n]]
			if onBest := tip.ancestor(min(n.height, tip.height)) == n; onBest != (row[3] == "main") {
				t.Errorf("height %d, %s: on the best chain %v, want branch %s", n.height, hash, onBest, row[3])
			}
		}
		return len(rows)
	})
}

func readCSV(t *testing.T, data []byte, columns int) [][]string {
	t.Helper()
	r := csv.NewReader(bytes.NewReader(data))
	r.FieldsPerRecord = columns
	rows, err := r.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return rows[1:]
}

// csvHeader reads height, hash and header of a row, and compares the two.
func csvHeader(t *testing.T, row []string) (uint32, hashing.Header) {
	t.Helper()
	height, err1 := strconv.ParseUint(row[0], 10, 32)
	hash, err2 := hashing.ParseHash(row[1])
	header, err3 := hashing.ParseHeader(row[2])
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(fmt.Errorf("row %s: %w", row[0], err))
	}
	if got := header.Hash(); got != hash {
		t.Errorf("height %d: hash %s, want %s", height, got, hash)
	}
	return uint32(height), header
}
