package coordinator

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/coordinator/protocol"
	"github.com/jbcnet/jbc/hashing"
)

// raceIndex is an index of blocks with names: of one letter for the branch and one
// digit for the height, on the block of the branch below, the first on genesis "g0".
// Work goes by the height, but on branch "h" each block is worth three.
type raceIndex struct{ main map[string]bool }

func (x *raceIndex) hash(name string) (h hashing.Hash) {
	copy(h[:], name)
	return h
}

func (x *raceIndex) lookup(h hashing.Hash) (chain.Entry, bool) {
	name := string(h[:2])
	height := uint32(name[1] - '0')
	e := chain.Entry{Hash: h, Height: height, Main: x.main[name]}
	work := height
	if name[0] == 'h' {
		work *= 3
	}
	_ = e.Work.UnmarshalText(fmt.Appendf(nil, "%064x", work+1))
	if height > 0 {
		parent := "g0"
		if height > 1 {
			parent = fmt.Sprintf("%c%d", name[0], height-1)
		}
		header := hashing.Header{}
		copy(header[4:], x.hashBytes(parent))
		e.Header = header
	}
	_, known := x.main[name]
	return e, known
}

func (x *raceIndex) hashBytes(name string) []byte { h := x.hash(name); return h[:] }

// become makes the chain up to a block the main one.
func (x *raceIndex) become(name string) {
	for b := range x.main {
		x.main[b] = false
	}
	x.main["g0"] = true
	for height := name[1]; height > '0'; height-- {
		x.main[string([]byte{name[0], height})] = true
	}
}

// TestRaces tells histories of blocks: what is own, taken, stale, reorganised, and
// what hash time each change of the tip costs a farm of 1,000 H/s.
func TestRaces(t *testing.T) {
	own := func(blocks, stale uint64) [2]uint64 { return [2]uint64{blocks, stale} }
	for _, tt := range []struct {
		name string
		// each word is MS:DO:BLOCK; solved, heard, found and side are told to the races,
		// there puts a block beside the main chain; tip is a move of the workers, of none of
		// them with idle.
		history string
		own     [2]uint64
		want    protocol.Race
	}{
		{
			"an own solution costs what its check takes", "0:tip:g0 100:heard:a1 100:found:a1 103:tip:a1",
			own(1, 0), protocol.Race{LostMS: 3, LostHashes: 3},
		},
		{
			"a block of another costs the time since its solution", "0:tip:g0 100:solved:a1 108:heard:a1 112:tip:a1",
			own(0, 0), protocol.Race{Taken: 1, LostMS: 12, LostHashes: 12, Followed: protocol.FollowedMS{Count: 1, Median: 12, P99: 12}},
		},
		{
			"or since its announcement, where that is all", "0:tip:g0 108:heard:a1 112:tip:a1",
			own(0, 0), protocol.Race{Taken: 1, LostMS: 4, LostHashes: 4},
		},
		{
			"a block heard of late was heard of early", "0:tip:g0 108:heard:a1 105:heard:a1 112:tip:a1",
			own(0, 0), protocol.Race{Taken: 1, LostMS: 7, LostHashes: 7},
		},
		{
			"a block that nobody heard of costs nothing", "0:tip:g0 112:tip:a1",
			own(0, 0), protocol.Race{Taken: 1},
		},
		{
			"no workers, nothing lost", "0:tip:g0 100:solved:a1 112:idle:a1",
			own(0, 0), protocol.Race{Taken: 1, Followed: protocol.FollowedMS{Count: 1, Median: 12, P99: 12}},
		},
		{
			"a solution that never becomes a block costs nothing", "0:tip:g0 50:solved:x1 100:heard:a1 100:found:a1 103:tip:a1",
			own(1, 0), protocol.Race{LostMS: 3, LostHashes: 3},
		},
		{
			"a late solution is stale", "0:tip:g0 100:solved:b1 105:tip:b1 110:side:a1",
			own(0, 1), protocol.Race{Taken: 1, LostMS: 5, LostHashes: 5, Followed: protocol.FollowedMS{Count: 1, Median: 5, P99: 5}},
		},
		{
			"a tip that stays is no move", "0:tip:g0 100:heard:a1 105:tip:a1 200:tip:a1",
			own(0, 0), protocol.Race{Taken: 1, LostMS: 5, LostHashes: 5},
		},
		{
			"a reorganisation makes own blocks stale",
			"0:tip:g0 10:heard:a1 10:found:a1 11:tip:a1 20:heard:a2 20:found:a2 21:tip:a2 100:heard:b3 130:tip:b3",
			own(0, 2), protocol.Race{Taken: 3, Reorgs: 1, DeepestReorg: 2, LostMS: 32, LostHashes: 32},
		},
		{
			"and the next one brings them back",
			"0:tip:g0 10:found:a1 11:tip:a1 20:heard:b2 25:tip:b2 30:heard:a3 40:tip:a3",
			own(1, 0), protocol.Race{Taken: 4, Reorgs: 2, DeepestReorg: 2, LostMS: 15, LostHashes: 15},
		},
		{
			"more work wins though it is shorter", "0:tip:g0 10:heard:a1 11:tip:a1 20:tip:a3 30:heard:h2 36:tip:h2",
			own(0, 0), protocol.Race{Taken: 5, Reorgs: 1, DeepestReorg: 3, LostMS: 7, LostHashes: 7},
		},
		{
			"a block beside the main chain that was heard of before is no loss since then",
			"0:tip:g0 5:heard:b1 10:found:a1 11:tip:a1 50:heard:b2 53:tip:b2",
			own(0, 1), protocol.Race{Taken: 2, Reorgs: 1, DeepestReorg: 1, LostMS: 3, LostHashes: 3},
		},
		{
			"a block that broke a rule was none", "0:tip:g0 10:heard:c2 12:there:c2 20:heard:a2 23:tip:a2",
			own(0, 0), protocol.Race{Taken: 2, LostMS: 3, LostHashes: 3},
		},
		{
			"what is fetched in parts is lost once",
			"0:tip:g0 10:heard:a2 10:heard:a4 60:tip:a2 110:tip:a4",
			own(0, 0), protocol.Race{Taken: 4, LostMS: 100, LostHashes: 100},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := races{}
			index := &raceIndex{main: map[string]bool{"g0": true}}
			for word := range strings.FieldsSeq(tt.history) {
				var ms int
				var do, name string
				if n, err := fmt.Sscanf(strings.ReplaceAll(word, ":", " "), "%d %s %s", &ms, &do, &name); n != 3 {
					t.Fatal(word, err)
				}
				now, hash, height := testStart.Add(time.Duration(ms)*time.Millisecond), index.hash(name), uint32(name[1]-'0')
				switch do {
				case "solved", "heard":
					r.Heard(now, hash, do == "solved")
				case "found":
					r.Found(hash, height, true)
				case "there":
					index.main[name] = false
				case "side":
					index.main[name] = false
					r.Found(hash, height, false)
				case "tip", "idle":
					index.become(name)
					tip, _ := index.lookup(hash)
					rate := 1000.0
					if do == "idle" {
						rate = 0
					}
					r.Moved(now, tip, rate, index.lookup)
				}
			}
			if got := own(r.main, r.owned-r.main); got != tt.own {
				t.Errorf("blocks, stale: %v, want %v", got, tt.own)
			}
			if got := r.Status(); got != tt.want {
				t.Errorf("got  %+v\nwant %+v", got, tt.want)
			}
		})
	}
}

// TestFollows gives the median and the 99th percentile of the last 1,000 moves, the
// earlier ones forgotten.
func TestFollows(t *testing.T) {
	for _, tt := range []struct {
		n    int // moves of 1 ms, 2 ms and so on
		want protocol.FollowedMS
	}{
		{0, protocol.FollowedMS{}},
		{1, protocol.FollowedMS{Count: 1, Median: 1, P99: 1}},
		{101, protocol.FollowedMS{Count: 101, Median: 51, P99: 100}},
		{1001, protocol.FollowedMS{Count: 1001, Median: 502, P99: 991}},
		{3000, protocol.FollowedMS{Count: 3000, Median: 2501, P99: 2990}},
	} {
		var f follows
		for i := range tt.n {
			f.Add(time.Duration(i+1) * time.Millisecond)
		}
		if got := f.Status(); got != tt.want {
			t.Errorf("%d moves: %+v, want %+v", tt.n, got, tt.want)
		}
	}
}

// TestRacesAreBounded hears of more blocks and finds more than are remembered.
func TestRacesAreBounded(t *testing.T) {
	var r races
	for i := range uint32(2*maxOwn + 7) {
		hash := hashing.Hash{byte(i), byte(i >> 8), byte(i >> 16), 1}
		r.Heard(testStart, hash, true)
		r.Found(hash, i, i%2 == 0)
	}
	if len(r.heard) != maxHeard || len(r.own) != maxOwn || r.owned != 2*maxOwn+7 || r.main != maxOwn+4 {
		t.Errorf("%d heard of, %d own kept of %d, %d in the main chain", len(r.heard), len(r.own), r.owned, r.main)
	}
}
