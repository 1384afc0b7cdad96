package peers

import (
	"testing"
	"time"
)

// TestAdd has chunks of a block of ten bytes come over each other.
func TestAdd(t *testing.T) {
	const block = "0123456789"
	type span struct{ from, to, added int }
	tests := []struct {
		name  string
		spans []span
	}{
		{"in order", []span{{0, 5, 5}, {5, 10, 5}}},
		{"backwards", []span{{5, 10, 5}, {0, 5, 5}}},
		{"twice", []span{{0, 5, 5}, {0, 5, 0}, {5, 10, 5}}},
		{"over the one before", []span{{0, 6, 6}, {4, 10, 4}}},
		{"over the one after", []span{{4, 10, 6}, {0, 6, 4}}},
		{"within one", []span{{0, 10, 10}, {3, 5, 0}}},
		{"between two", []span{{0, 4, 4}, {6, 10, 4}, {2, 8, 2}}},
	}
	for _, test := range tests {
		p := &part{size: uint32(len(block))}
		for _, s := range test.spans {
			if got := p.add(epoch, uint32(s.from), []byte(block[s.from:s.to])); got != s.added {
				t.Errorf("%s: [%d,%d) adds %d bytes, want %d", test.name, s.from, s.to, got, s.added)
			}
		}
		if got := string(p.whole()); got != block {
			t.Errorf("%s: %q", test.name, got)
		}
	}
}

func TestLate(t *testing.T) {
	tests := []struct {
		name        string
		begun, came time.Duration // ago
		size        uint32
		want        bool
	}{
		{"just begun", 0, 0, 0, false},
		{"nothing for almost a second", patience - 1, patience - 1, 0, false},
		{"nothing for a second", patience, patience, 0, true},
		{"large, and coming", 4 * time.Second, 0, partRate * 4, false},
		{"large, and coming too slowly", 5 * time.Second, 0, partRate * 4, true},
	}
	for _, test := range tests {
		p := &part{size: test.size, begun: after(-test.begun), came: after(-test.came)}
		if got := p.late(epoch); got != test.want {
			t.Errorf("%s: late %t, want %t", test.name, got, test.want)
		}
	}
}

// TestPartLost has a peer give the first part of a block and then nothing: after three
// losses the block is another's.
func TestPartLost(t *testing.T) {
	f := newFarm(40_000)
	both := []string{"a", "b"}
	f.give(t, epoch, f.Next(epoch, both[:1])[0])
	now := epoch
	for lost := 0; lost < maxPartLost; now = now.Add(10 * time.Second) {
		for _, r := range f.Next(now, both[:1]) {
			if lost++; lost <= maxPartLost {
				if r.Offset == 0 {
					t.Fatalf("begun anew after %d losses", lost-1)
				}
				f.Lost(now, r.ID)
			}
		}
	}
	if f.held != fetchCost && f.held != 0 {
		t.Errorf("%d bytes are held of who gives no more", f.held)
	}
}

// TestTail has a reply end with a few bytes of the next block, which are not kept.
func TestTail(t *testing.T) {
	f := newFarm(maxStride-2*protocolHeads-minTail+1, 5000)
	f.average = 100
	r := f.Next(epoch, []string{"a"})[0]
	if len(r.Hashes) != 2 {
		t.Fatalf("%d blocks are asked for", len(r.Hashes))
	}
	pieces := piecesOf(r, f.block)
	if n := len(pieces[1].Data); n == 0 || n >= minTail {
		t.Fatalf("the tail has %d bytes", n)
	}
	f.give(t, epoch, r)
	if len(f.fetches) != 1 || len(f.again) != 1 {
		t.Errorf("%d blocks are held, %d are to be asked for again, want one each", len(f.fetches), len(f.again))
	}
}

// protocolHeads is about what stands before a piece.
const protocolHeads = 20
