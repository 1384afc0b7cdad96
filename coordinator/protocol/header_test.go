package protocol

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"github.com/jbcnet/jbc/hashing"
)

// headerVectors are jobs and what their points mean, in testdata/headers/vectors.json.
type headerVectors struct {
	Job     *Job           `json:"job"`
	Headers []headerVector `json:"headers"`
}

type headerVector struct {
	Point  Point          `json:"point"`
	Roll   int            `json:"roll"`
	Header hashing.Header `json:"header"`
}

// byHand puts a header together from bytes, by the words of the design alone.
// Column times rolls plus roll counts the tries of a nonce: its low 16 bits are
// the rolled bits of the version, 13 to 28, and what is above the extranonce.
// Where versions are not rolled, the column is the extranonce.
func byHand(j *Job, p Point, roll int) (h hashing.Header) {
	column, nonce := uint64(p)>>32, uint32(uint64(p)&0xffffffff)
	version, extranonce := j.Version, uint32(column)
	if j.Rolls > 1 {
		tries := column*uint64(j.Rolls) + uint64(roll)
		version += uint32(tries%65536) * 8192
		extranonce = uint32(tries / 65536)
	}
	coinbase := slices.Concat(j.Coinbase1, binary.BigEndian.AppendUint32(nil, extranonce), j.Coinbase2)
	root := twice(coinbase)
	for _, sibling := range j.Branch {
		root = twice(slices.Concat(root, sibling[:]))
	}
	var out []byte
	out = binary.LittleEndian.AppendUint32(out, version)
	out = append(out, j.Prev[:]...)
	out = append(out, root...)
	out = binary.LittleEndian.AppendUint32(out, j.Time)
	out = binary.LittleEndian.AppendUint32(out, uint32(j.Bits))
	out = binary.LittleEndian.AppendUint32(out, nonce)
	copy(h[:], out)
	return h
}

func twice(data []byte) []byte {
	inner := sha256.Sum256(data)
	outer := sha256.Sum256(inner[:])
	return outer[:]
}

// vectorJobs differ in all that a header depends on.
func vectorJobs() []*Job {
	rng := rand.New(rand.NewPCG(11, 12))
	random := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		return b
	}
	var jobs []*Job
	for i, shape := range []struct{ rolls, branch int }{{1, 0}, {1, 3}, {2, 1}, {16, 0}, {16, 1}, {64, 0}, {64, 12}} {
		j := testJob()
		j.Number = uint64(i + 1)
		j.Prev, j.Rolls, j.Branch = hashing.Hash(random(32)), shape.rolls, nil
		j.Coinbase1, j.Coinbase2 = random(60+i), random(40+3*i)
		for range shape.branch {
			j.Branch = append(j.Branch, hashing.Hash(random(32)))
		}
		if j.Rolls == 1 {
			j.Version = 0x3fffe001 // as a chain without rolling may have it
		}
		jobs = append(jobs, j)
	}
	return jobs
}

// vectorColumns are at the edges: of the version groups, where the extranonce
// counts on; of the home columns; of the line.
func vectorColumns(j *Job) []uint32 {
	columns := []uint32{0, 1, 1<<24 - 1, 1 << 24, 0x89abcdef, 1<<32 - 1}
	if g := uint32(65536 / j.Rolls); j.Rolls > 1 {
		columns = append(columns, g-1, g, g+1, 256*g-1, 256*g)
	}
	return columns
}

func vectorNonces() []uint32 { return []uint32{0, 1, 0x12345678, 1<<32 - 1} }

// TestHeaderVectors pins what a point of a job means. The file is written by the
// oracle, so that job and oracle are both held to it.
func TestHeaderVectors(t *testing.T) {
	const file = "testdata/headers/vectors.json"
	if *update {
		writeVectors(t, file)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var vectors []headerVectors
	if err := json.Unmarshal(data, &vectors); err != nil {
		t.Fatal(err)
	}
	if len(vectors) != len(vectorJobs()) {
		t.Errorf("%d jobs in %s, want %d", len(vectors), file, len(vectorJobs()))
	}
	for _, v := range vectors {
		if err := v.Job.Validate(); err != nil {
			t.Errorf("job %s: %v", v.Job.JobID, err)
		}
		for _, want := range v.Headers {
			at := fmt.Sprintf("job %s (rolls %d, branch %d) point %s roll %d", v.Job.JobID, v.Job.Rolls, len(v.Job.Branch), want.Point, want.Roll)
			if got := v.Job.Header(want.Point, want.Roll); got != want.Header {
				t.Errorf("%s: Header = %s, want %s", at, got, want.Header)
			}
			if got := byHand(v.Job, want.Point, want.Roll); got != want.Header {
				t.Errorf("%s: by hand %s, want %s", at, got, want.Header)
			}
		}
	}
}

func writeVectors(t *testing.T, file string) {
	t.Helper()
	var vectors []headerVectors
	for _, j := range vectorJobs() {
		v := headerVectors{Job: j}
		for i, column := range vectorColumns(j) {
			p := Point(uint64(column)<<32 | uint64(vectorNonces()[i%4]))
			roll := i % j.Rolls
			if i%3 == 2 {
				roll = j.Rolls - 1
			}
			v.Headers = append(v.Headers, headerVector{Point: p, Roll: roll, Header: byHand(j, p, roll)})
		}
		vectors = append(vectors, v)
	}
	data, err := json.MarshalIndent(vectors, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, append(data, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestNoTwoPlacesShareAHeader tries every pairing of columns and nonces that lie
// where a carry could go wrong, under every roll.
func TestNoTwoPlacesShareAHeader(t *testing.T) {
	for _, j := range vectorJobs() {
		seen := map[hashing.Header]Place{}
		for _, column := range vectorColumns(j) {
			for _, nonce := range vectorNonces() {
				for roll := range j.Rolls {
					at := Place{JobID: j.JobID, Point: Point(uint64(column)<<32 | uint64(nonce)), Roll: roll}
					h := j.Header(at.Point, roll)
					if other, again := seen[h]; again {
						t.Fatalf("job %s, rolls %d: point %s roll %d and point %s roll %d share a header",
							j.JobID, j.Rolls, at.Point, at.Roll, other.Point, other.Roll)
					}
					seen[h] = at
				}
			}
		}
	}
}

// TestSearchFindsWhatHeaderSays scans a column of every job and compares the hits
// with those of the headers put together one by one: the same, no more, no fewer.
func TestSearchFindsWhatHeaderSays(t *testing.T) {
	const nonces = 200
	target := hashing.TargetForHashes(16)
	for _, kernel := range hashing.Kernels() {
		if !kernel.Supported() {
			continue
		}
		for _, j := range vectorJobs() {
			for _, column := range []uint32{0, 5, 4096, 1<<24 + 3, 1<<32 - 1} {
				got := map[hashing.Hit]bool{}
				s := j.Search(column, target)
				hits := make([]hashing.Hit, nonces*j.Rolls)
				done, found := kernel.Scan(&s, 0, nonces, hits)
				if done != nonces {
					t.Fatalf("%s scanned %d of %d", kernel.Name, done, nonces)
				}
				for _, hit := range hits[:found] {
					got[hit] = true
				}
				want := map[hashing.Hit]bool{}
				for nonce := range uint32(nonces) {
					for roll := range j.Rolls {
						h := j.Header(Point(uint64(column)<<32|uint64(nonce)), roll)
						if target.MetBy(h.Hash()) {
							want[hashing.Hit{Nonce: nonce, Version: roll}] = true
						}
					}
				}
				if len(got) == 0 || !equalSets(got, want) {
					t.Errorf("%s, job %s, rolls %d, column %d: %d hits, headers say %d", kernel.Name, j.JobID, j.Rolls, column, len(got), len(want))
				}
			}
		}
	}
}

func equalSets(a, b map[hashing.Hit]bool) bool {
	for k := range a {
		if !b[k] {
			return false
		}
	}
	return len(a) == len(b)
}

// TestHeaderLeavesTheJobAlone keeps a job usable from any number of goroutines.
func TestHeaderLeavesTheJobAlone(t *testing.T) {
	j := testJob()
	j.Coinbase1 = append(make(Bytes, 0, 100), j.Coinbase1...) // room that an append would write to
	before := slices.Clone(j.Coinbase1[:cap(j.Coinbase1)])
	j.Header(1<<63, 3)
	if after := j.Coinbase1[:cap(j.Coinbase1)]; !bytes.Equal(before, after) {
		t.Errorf("Header wrote into the coinbase: %x, was %x", after, before)
	}
}
