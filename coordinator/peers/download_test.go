package peers

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/coordinator/protocol"
	"github.com/jbcnet/jbc/hashing"
)

// farm is blocks of some sizes, and a download of them.
type farm struct {
	*Download
	blocks [][]byte
	index  map[hashing.Hash]int
}

func newFarm(sizes ...int) *farm {
	rng := rand.New(rand.NewPCG(7, 7))
	f := &farm{index: map[hashing.Hash]int{}}
	for _, size := range sizes {
		f.blocks = append(f.blocks, blockOf(rng, size))
	}
	hashes := hashesOf(f.blocks)
	for i, h := range hashes {
		f.index[h] = i
	}
	f.Download = NewDownload(hashes)
	return f
}

func (f *farm) block(h hashing.Hash) []byte { return f.blocks[f.index[h]] }

// give answers a request as an honest peer does.
func (f *farm) give(t *testing.T, now time.Time, r Request) {
	t.Helper()
	if fault, bad := f.Got(now, r.ID, piecesOf(r, f.block)); bad {
		t.Fatalf("%s is blamed for %v", r.Peer, fault)
	}
}

// take takes what is ready, which has to be so many blocks, the first of them next.
func (f *farm) take(t *testing.T, next, want int) {
	t.Helper()
	ready := f.Ready()
	for k, block := range ready {
		if !bytes.Equal(block, f.blocks[next+k]) {
			t.Fatalf("block %d is not what was given out", next+k)
		}
	}
	if len(ready) != want {
		t.Fatalf("%d blocks are ready from %d on, want %d", len(ready), next, want)
	}
}

func sameSize(n, size int) []int { return slices.Repeat([]int{size}, n) }

func TestNothingToDo(t *testing.T) {
	d := NewDownload(nil)
	if !d.Done() || d.Next(epoch, []string{"a"}) != nil || d.Ready() != nil || d.Expire(epoch) != nil || d.Blamed() != nil {
		t.Error("a download of nothing has something to do")
	}
}

// TestSpread asks four peers for a hundred blocks at once.
func TestSpread(t *testing.T) {
	f := newFarm(sameSize(100, 300)...)
	requests := f.Next(epoch, []string{"a", "b", "c", "d"})
	each, asked := map[string]int{}, map[hashing.Hash]int{}
	for _, r := range requests {
		each[r.Peer]++
		for _, h := range r.Hashes {
			asked[h]++
		}
	}
	if len(each) != 4 {
		t.Errorf("asked: %v, want all four", each)
	}
	for h, n := range asked {
		if n != 1 {
			t.Errorf("block %d is asked for %d times", f.index[h], n)
		}
	}
	for _, r := range requests {
		f.give(t, epoch, r)
	}
	for _, r := range f.Next(epoch, []string{"a", "b", "c", "d"}) {
		f.give(t, epoch, r)
	}
	f.take(t, 0, 100)
	if given, of := f.Progress(); !f.Done() || given != 100 || of != 100 {
		t.Errorf("done %t, %d of %d", f.Done(), given, of)
	}
}

// TestShare asks four peers for eight blocks, which one could give.
func TestShare(t *testing.T) {
	for _, r := range newFarm(sameSize(8, 300)...).Next(epoch, []string{"a", "b", "c", "d"}) {
		if len(r.Hashes) > 2 {
			t.Errorf("%s is asked for %d of 8 blocks", r.Peer, len(r.Hashes))
		}
	}
}

// TestInFlight has one peer asked for as much as it may be.
func TestInFlight(t *testing.T) {
	f := newFarm(sameSize(20_000, 100)...)
	var flying []Request
	most := 0
	for now, given := epoch, 0; !f.Done(); now = now.Add(time.Millisecond) {
		flying = append(flying, f.Next(now, []string{"a"})...)
		if most = max(most, len(flying)); most > MaxInFlight {
			t.Fatalf("%d requests in flight", most)
		}
		f.give(t, now, flying[0])
		flying = flying[1:]
		given += len(f.Ready())
		if f.Done() && given != 20_000 {
			t.Errorf("%d blocks were given out", given)
		}
	}
	if most != MaxInFlight {
		t.Errorf("%d requests in flight at most, want %d", most, MaxInFlight)
	}
}

// TestBigBlock fetches the largest block there can be from one peer, several parts at
// once.
func TestBigBlock(t *testing.T) {
	f := newFarm(chain.MaxBlockSize, 81)
	requests, most := 0, 0
	for now := epoch; !f.Done(); now = now.Add(time.Millisecond) {
		next := f.Next(now, []string{"a"})
		most = max(most, len(next))
		for _, r := range slices.Backward(next) { // in any order
			requests++
			f.give(t, now, r)
		}
		if f.fetches[0] != nil && f.fetches[0].whole != nil {
			f.take(t, 0, 2)
		}
	}
	if want := (chain.MaxBlockSize+firstStride-1)/firstStride + 2; requests > want {
		t.Errorf("%d requests for one block, want %d", requests, want)
	}
	if most < MaxInFlight-1 {
		t.Errorf("%d parts at once at most", most)
	}
}

// TestMemory has the first of many large blocks come last.
func TestMemory(t *testing.T) {
	f := newFarm(sameSize(60, 1_000_000)...)
	f.average = 1_000_000
	first := f.Next(epoch, []string{"a"})[0]
	if f.index[first.Hashes[0]] != 0 {
		t.Fatalf("the first request is for block %d", f.index[first.Hashes[0]])
	}
	now := epoch
	settle := func() {
		for {
			next := f.Next(now, []string{"b", "c"})
			for _, r := range next {
				f.give(t, now, r)
			}
			if len(next) == 0 {
				return
			}
		}
	}
	settle()
	if held := heldBy(f.Download); held > MaxAhead || held < MaxAhead-1_000_000 || held != f.held {
		t.Errorf("%d bytes are held, said to be %d, want almost %d", held, f.held, MaxAhead)
	}
	f.take(t, 0, 0)
	now = now.Add(RequestTimeout)
	f.Expire(now)
	settle()
	if held := heldBy(f.Download); held > MaxAhead+1_000_000 {
		t.Errorf("%d bytes are held with the next", held)
	}
	for next := 0; !f.Done(); {
		ready := len(f.Ready())
		if next += ready; ready == 0 {
			t.Fatalf("nothing comes after %d", next)
		}
		settle()
	}
}

// TestReplies has one peer give a wrong reply to a request for three blocks, of 100,
// 200 and 40,000 bytes, or to one for what follows of the last.
func TestReplies(t *testing.T) {
	type pieces = []protocol.Piece
	edit := func(k int, change func(*protocol.Piece)) func(pieces) pieces {
		return func(p pieces) pieces {
			change(&p[k])
			return p
		}
	}
	tests := []struct {
		name   string
		change func(pieces) pieces
		first  Fault // of a reply to the first request; 0: fine
		rest   Fault // to one that begins within a block
	}{
		{"right", func(p pieces) pieces { return p }, 0, 0},
		{"empty", func(pieces) pieces { return nil }, Rubbish, Rubbish},
		{"not the first", edit(0, func(p *protocol.Piece) { p.Index = 1 }), Rubbish, Rubbish},
		{"negative", edit(0, func(p *protocol.Piece) { p.Index = -1 }), Rubbish, Rubbish},
		{"twice the same", func(p pieces) pieces { return append(p[:1:1], p[0]) }, Rubbish, Rubbish},
		{"beyond", func(p pieces) pieces {
			return append(p[:1:1], protocol.Piece{Index: 3, Size: 100, Data: make([]byte, 100)})
		}, Rubbish, Rubbish},
		{"the offset before", edit(0, func(p *protocol.Piece) { p.Offset-- }), Rubbish, Rubbish},
		{"the offset after", edit(0, func(p *protocol.Piece) { p.Offset++ }), Rubbish, Rubbish},
		{"no larger than a header", edit(0, func(p *protocol.Piece) { p.Size, p.Offset, p.Data = 80, 0, make([]byte, 80) }), Rubbish, Rubbish},
		{"too large", edit(0, func(p *protocol.Piece) { p.Size = chain.MaxBlockSize + 1 }), Rubbish, Rubbish},
		{"another size", edit(0, func(p *protocol.Piece) { p.Size += 20_000 }), Rubbish, Rubbish},
		{"past its end", edit(0, func(p *protocol.Piece) { p.Data = make([]byte, p.Size-p.Offset+1) }), Rubbish, Rubbish},
		{"wrapped around", edit(0, func(p *protocol.Piece) { p.Offset = 1<<32 - 1; p.Data = make([]byte, 2) }), Rubbish, Rubbish},
		{"no bytes", edit(0, func(p *protocol.Piece) { p.Data = nil }), Rubbish, Rubbish},
		{"lacked, with bytes", edit(0, func(p *protocol.Piece) { p.Size = 0 }), Rubbish, Rubbish},
		{"lacked", edit(0, func(p *protocol.Piece) { *p = protocol.Piece{} }), Withheld, Withheld},
		{"a drop", func(p pieces) pieces {
			p[0].Data = p[0].Data[:1]
			return p[:1]
		}, Withheld, Withheld},
		{"a part in the middle", edit(0, func(p *protocol.Piece) { p.Data = p.Data[:50] }), Rubbish, Withheld},
		{"another block", edit(0, func(p *protocol.Piece) { p.Data = bytes.Repeat([]byte{1}, len(p.Data)) }), BadBlock, 0},
	}
	for _, test := range tests {
		f := newFarm(100, 200, 40_000)
		f.average = 100 // so that all three are asked for at once
		f.Claimed("a")
		r := f.Next(epoch, []string{"a"})[0]
		if len(r.Hashes) != 3 {
			t.Fatalf("%d blocks are asked for", len(r.Hashes))
		}
		if got, bad := f.Got(epoch, r.ID, test.change(piecesOf(r, f.block))); got != test.first || bad != (got != 0) {
			t.Errorf("%s: %v, want %v", test.name, got, test.first)
		}
		if got, bad := f.Got(epoch, r.ID, nil); bad {
			t.Errorf("%s: %v for a request that was answered", test.name, got)
		}
		if held := heldBy(f.Download); held != f.held || test.first != 0 && len(f.fetches) > 0 && test.first != Withheld {
			t.Errorf("%s: %d bytes are held, said to be %d, %d fetches", test.name, held, f.held, len(f.fetches))
		}
		// Of a second peer's, the part of the last block that follows.
		f = newFarm(100, 200, 40_000)
		f.average = 100
		f.Claimed("a")
		f.give(t, epoch, f.Next(epoch, []string{"a"})[0])
		r = f.Next(epoch, []string{"a"})[0]
		if r.Offset == 0 {
			t.Fatal("the rest does not begin within a block")
		}
		if got, bad := f.Got(epoch, r.ID, test.change(piecesOf(r, f.block))); got != test.rest || bad != (got != 0) {
			t.Errorf("%s, of the rest: %v, want %v", test.name, got, test.rest)
		}
	}
}

// TestLatePeers has one of two peers never answer, and the other in time.
func TestLatePeers(t *testing.T) {
	f := newFarm(sameSize(100, 300)...)
	for _, r := range f.Next(epoch, []string{"mute", "quick"}) {
		if r.Peer == "quick" {
			f.give(t, epoch, r)
		}
	}
	for _, tt := range []struct {
		after time.Duration
		want  []string
	}{{0, nil}, {patience - 1, nil}, {patience, []string{"mute"}}} {
		if got := slices.Compact(f.Late(after(tt.after))); !slices.Equal(got, tt.want) {
			t.Errorf("after %v %q are late, want %q", tt.after, got, tt.want)
		}
	}
}

// TestEndGame has a peer be late with the last block.
func TestEndGame(t *testing.T) {
	f := newFarm(300)
	both := []string{"a", "b"}
	late := f.Next(epoch, both)
	if len(late) != 1 || late[0].Peer != "a" {
		t.Fatalf("asked: %+v", late)
	}
	if more := f.Next(after(patience-1), both); len(more) != 0 {
		t.Fatalf("asked within a second: %+v", more)
	}
	more := f.Next(after(patience), both)
	if len(more) != 1 || more[0].Peer != "b" || more[0].Hashes[0] != late[0].Hashes[0] {
		t.Fatalf("asked after a second: %+v", more)
	}
	if third := f.Next(after(RequestTimeout-1), []string{"a", "b", "c"}); len(third) != 0 {
		t.Fatalf("a third is asked: %+v", third)
	}
	f.give(t, after(patience), more[0])
	f.take(t, 0, 1)
	f.give(t, after(patience), late[0])
	f.take(t, 0, 0)
	if !f.Done() || f.held != 0 {
		t.Errorf("done %t, %d bytes held", f.Done(), f.held)
	}
}

func TestExpire(t *testing.T) {
	f := newFarm(300)
	r := f.Next(epoch, []string{"a"})[0]
	if got := f.Expire(after(RequestTimeout - 1)); len(got) != 0 {
		t.Fatalf("expired early: %+v", got)
	}
	now := after(RequestTimeout)
	if got := f.Expire(now); len(got) != 1 || got[0].ID != r.ID || got[0].Peer != "a" || !slices.Equal(got[0].Hashes, r.Hashes) {
		t.Fatalf("expired: %+v, want %+v", got, r)
	}
	f.Lost(now, r.ID) // is over
	if got := f.Next(now.Add(firstRest-1), []string{"a"}); len(got) != 0 {
		t.Errorf("asked while it rests: %+v", got)
	}
	if got := f.Next(now.Add(firstRest-1), []string{"b"}); len(got) != 1 {
		t.Errorf("asked of another: %+v", got)
	}
	f.give(t, now, r) // too late
	f.take(t, 0, 0)
	if got, want := f.Starved(now.Add(time.Minute)), time.Minute+RequestTimeout; got != want {
		t.Errorf("starved for %v, want %v", got, want)
	}
}

// TestRests has a peer refuse at once whatever it is asked.
func TestRests(t *testing.T) {
	f := newFarm(300)
	now := epoch
	for n, want := range []int{100, 200, 400, 800, 1600, 1600} {
		r := f.Next(now, []string{"a"})
		if len(r) != 1 {
			t.Fatalf("failure %d: asked %+v", n, r)
		}
		f.Lost(now, r[0].ID)
		end := now.Add(time.Duration(want) * time.Millisecond)
		if got := f.Next(end.Add(-1), []string{"a"}); len(got) != 0 {
			t.Errorf("failure %d: asked within %d ms", n, want)
		}
		now = end
	}
	f.give(t, now, f.Next(now, []string{"a"})[0])
	f.take(t, 0, 1)
}

// TestLacks has a peer lack the last of three blocks.
func TestLacks(t *testing.T) {
	for _, claimed := range []bool{false, true} {
		f := newFarm(300, 300, 300)
		if claimed {
			f.Claimed("a")
		}
		without := func(h hashing.Hash) []byte {
			if f.index[h] == 2 {
				return nil
			}
			return f.block(h)
		}
		r := f.Next(epoch, []string{"a"})[0]
		want := Fault(0)
		if claimed {
			want = Withheld
		}
		if got, bad := f.Got(epoch, r.ID, piecesOf(r, without)); got != want || bad != claimed {
			t.Errorf("claimed %t: %v, want %v", claimed, got, want)
		}
		f.take(t, 0, 2)
		if got := f.Next(after(lackRest-1), []string{"a"}); len(got) != 0 {
			t.Errorf("claimed %t: asked again: %+v", claimed, got)
		}
		if got := f.Next(after(lackRest), []string{"a"}); len(got) != 1 {
			t.Errorf("claimed %t: after a while %d requests, want one", claimed, len(got))
		} else {
			f.give(t, after(lackRest), got[0])
		}
		f.take(t, 2, 1)
	}
}

// TestRefused has the chain refuse the second of four blocks: that and those after it
// come again, that one of another peer.
func TestRefused(t *testing.T) {
	f := newFarm(300, 300, 300, 300, 300)
	r := f.Next(epoch, []string{"a"})[0]
	r.Hashes = r.Hashes[:4]
	f.give(t, epoch, r)
	f.take(t, 0, 4)
	f.Refused(f.hashes[4]) // was not given out
	if got := f.Blamed(); got != nil {
		t.Fatalf("blamed: %v", got)
	}
	f.Refused(f.hashes[1])
	if got, want := f.Blamed(), []Blame{{"a", BadBlock}}; !slices.Equal(got, want) {
		t.Fatalf("blamed: %v, want %v", got, want)
	}
	if got := f.Blamed(); got != nil {
		t.Fatalf("blamed again: %v", got)
	}
	if given, _ := f.Progress(); given != 1 {
		t.Errorf("%d blocks are given out, want 1", given)
	}
	for _, r := range f.Next(epoch, []string{"a"}) {
		if slices.Contains(r.Hashes, f.hashes[1]) {
			t.Error("asked again of who gave it")
		}
		f.give(t, epoch, r)
	}
	f.take(t, 1, 0)
	for _, r := range f.Next(epoch, []string{"b"}) {
		f.give(t, epoch, r)
	}
	f.take(t, 1, 4)
	if !f.Done() {
		t.Error("not done")
	}
}

// TestDistrust has a peer whose block is wrong lose all that it gave and that was not
// given out, and a peer that is gone what it gave in part.
func TestDistrust(t *testing.T) {
	f := newFarm(slices.Concat(sameSize(1, 300), sameSize(9, 10_000))...)
	f.average = 5000
	requests := f.Next(epoch, []string{"a"})
	for _, r := range requests[1:] {
		f.give(t, epoch, r)
	}
	if f.held < 10_000 {
		t.Fatalf("%d bytes are held", f.held)
	}
	wrong := piecesOf(requests[0], f.block)
	wrong[0].Data = make([]byte, 300)
	if fault, _ := f.Got(epoch, requests[0].ID, wrong); fault != BadBlock {
		t.Fatalf("fault %v", fault)
	}
	if f.held != 0 || len(f.fetches) != 0 {
		t.Errorf("%d bytes of %d blocks are held of a liar", f.held, len(f.fetches))
	}
	f = newFarm(sameSize(9, 10_000)...)
	f.average = 10_000
	requests = f.Next(epoch, []string{"a"})
	for _, k := range []int{0, 2} {
		f.give(t, epoch, requests[k])
	}
	given := len(f.Ready())
	f.Refused(f.hashes[0])
	for i, fe := range f.fetches {
		if fe.giver != nil || fe.of(f.source("a")) != nil {
			t.Errorf("block %d is held of who gave a block that was refused", i)
		}
	}
	if given == 0 || f.held != 0 {
		t.Errorf("%d blocks were given out, %d bytes are held", given, f.held)
	}
	f = newFarm(100_000)
	f.give(t, epoch, f.Next(epoch, []string{"a"})[0])
	if next := f.Next(epoch, []string{"b"}); f.held != fetchCost || len(next) != 1 || next[0].Peer != "b" || next[0].Offset != 0 {
		t.Errorf("%d bytes are held of who is gone; asked %+v", f.held, next)
	}
}

// TestSources has peers come and go without end.
func TestSources(t *testing.T) {
	f := newFarm(300)
	for i := range 5000 {
		now := after(time.Duration(i) * time.Minute)
		f.Expire(now)
		f.Next(now, []string{fmt.Sprint(i)})
	}
	if n := len(f.sources); n > maxSources+1 {
		t.Errorf("%d peers are remembered, want %d", n, maxSources+1)
	}
}
