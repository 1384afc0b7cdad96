package peers

import (
	"bytes"
	"container/heap"
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/coordinator/protocol"
	"github.com/jbcnet/jbc/hashing"
)

// A conduct is how a simulated peer answers a request.
type conduct struct {
	name string
	liar bool
	full bool // an honest one that has every block
	// answer returns replies as they come over the wire, each after what a message
	// takes anyway and delay; none is silence.
	answer func(s *sim, r Request) (replies [][]byte, delay time.Duration)
}

var conducts = []conduct{
	{name: "honest", full: true, answer: func(s *sim, r Request) ([][]byte, time.Duration) {
		return [][]byte{protocol.EncodePieces(s.pieces(r, s.block))}, 0
	}},
	{name: "behind", answer: func(s *sim, r Request) ([][]byte, time.Duration) { // on another fork
		return [][]byte{protocol.EncodePieces(s.pieces(r, func(i int) []byte {
			if i > len(s.blocks)/2 {
				return nil
			}
			return s.blocks[i]
		}))}, 0
	}},
	{name: "slow", answer: func(s *sim, r Request) ([][]byte, time.Duration) { // too slow to matter, no liar
		return [][]byte{protocol.EncodePieces(s.pieces(r, s.block))}, 1200 * time.Millisecond
	}},
	{name: "wrong", liar: true, answer: func(s *sim, r Request) ([][]byte, time.Duration) {
		return [][]byte{protocol.EncodePieces(s.pieces(r, func(i int) []byte {
			return s.blocks[(i+1)%len(s.blocks)]
		}))}, 0
	}},
	{name: "mutated", liar: true, answer: func(s *sim, r Request) ([][]byte, time.Duration) {
		return [][]byte{protocol.EncodePieces(s.pieces(r, func(i int) []byte {
			block := bytes.Clone(s.blocks[i])
			block[len(block)-1]++
			return block
		}))}, 0
	}},
	{name: "withheld", liar: true, answer: func(s *sim, r Request) ([][]byte, time.Duration) {
		return [][]byte{protocol.EncodePieces(s.pieces(r, func(i int) []byte {
			if i%3 == 1 {
				return nil
			}
			return s.blocks[i]
		}))}, 0
	}},
	{name: "drip", liar: true, answer: func(s *sim, r Request) ([][]byte, time.Duration) {
		p := s.pieces(r, s.block)[:1]
		p[0].Data = p[0].Data[:1]
		return [][]byte{protocol.EncodePieces(p)}, 1900 * time.Millisecond
	}},
	{name: "cut", liar: true, answer: func(s *sim, r Request) ([][]byte, time.Duration) {
		reply := protocol.EncodePieces(s.pieces(r, s.block))
		return [][]byte{reply[:len(reply)/2]}, 0
	}},
	{name: "half", liar: true, answer: func(s *sim, r Request) ([][]byte, time.Duration) {
		p := s.pieces(r, s.block)
		for k := range p {
			p[k].Data = p[k].Data[:(len(p[k].Data)+1)/2]
			p[k].Offset += uint32(len(p[k].Data)) - 1
		}
		return [][]byte{protocol.EncodePieces(p)}, 0
	}},
	{name: "growing", liar: true, answer: func(s *sim, r Request) ([][]byte, time.Duration) { // a block that never ends
		p := s.pieces(r, s.block)[:1]
		p[0].Size = min(chain.MaxBlockSize, p[0].Offset+1<<20)
		p[0].Data = slices.Repeat(p[0].Data, 200)[:min(maxStride, len(p[0].Data)*200)]
		return [][]byte{protocol.EncodePieces(p)}, 0
	}},
	{name: "endless", liar: true, answer: func(s *sim, r Request) ([][]byte, time.Duration) {
		p := s.pieces(r, s.block)
		more := protocol.EncodePieces([]protocol.Piece{{Index: protocol.MaxSyncHashes - 1, Size: 100, Data: make([]byte, 100)}})
		replies := [][]byte{append(protocol.EncodePieces(p[:1]), more[1:]...)}
		if len(p[0].Data) > maxReply/2 {
			replies[0] = more
		}
		for range 20 {
			replies = append(replies, replies[0])
		}
		return replies, 0
	}},
	{name: "silent", liar: true, answer: func(*sim, Request) ([][]byte, time.Duration) { return nil, 0 }},
	{name: "refusing", liar: true, answer: func(*sim, Request) ([][]byte, time.Duration) { return [][]byte{nil}, 0 }},
}

// sim is a network of one coordinator that downloads and the peers that it asks, in
// its own time. A reply of no bytes is a refusal.
type sim struct {
	t       *testing.T
	rng     *rand.Rand
	now     time.Time
	events  events
	seq     int
	hashes  []hashing.Hash
	blocks  [][]byte
	index   map[hashing.Hash]int
	peers   map[string]*conduct
	names   []string
	latency map[string]time.Duration
	loss    float64
	work    chain.Work

	table *Table
	d     *Download
	sent  map[uint64]Request
	at    map[uint64]time.Time // when they were sent
	given int
	// suspect are blocks that somebody was late with, lost a request for, or gave wrong.
	suspect map[hashing.Hash]bool

	asked, bytes int // in all
	most         int // bytes held at once
}

type event struct {
	at    time.Time
	seq   int
	id    uint64
	peer  string
	reply []byte
}

// events is a heap (container/heap).
type events []event

func (h events) Len() int { return len(h) }
func (h events) Less(i, j int) bool {
	return h[i].at.Before(h[j].at) || h[i].at.Equal(h[j].at) && h[i].seq < h[j].seq
}
func (h events) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *events) Push(x any)   { *h = append(*h, x.(event)) }
func (h *events) Pop() any {
	last := len(*h) - 1
	x := (*h)[last]
	*h = (*h)[:last]
	return x
}

var epoch = time.Unix(1_800_000_000, 0)

func newSim(t *testing.T, seed uint64, blocks int) *sim {
	s := &sim{
		t: t, rng: rand.New(rand.NewPCG(seed, 1)), now: epoch, index: map[hashing.Hash]int{},
		peers: map[string]*conduct{}, latency: map[string]time.Duration{}, work: chain.Work{1000},
		table: NewTable("self"),
	}
	s.blocks = someBlocks(s.rng, blocks)
	s.hashes = hashesOf(s.blocks)
	for i, h := range s.hashes {
		s.index[h] = i
	}
	s.loss = s.rng.Float64() * 0.03
	return s
}

// someBlocks makes blocks, most of them small.
func someBlocks(rng *rand.Rand, n int) [][]byte {
	blocks := make([][]byte, n)
	for i := range blocks {
		size := 81 + rng.IntN(1000)
		switch rng.IntN(200) {
		case 0:
			size += rng.IntN(1_000_000)
		case 1, 2, 3, 4, 5:
			size += rng.IntN(60_000)
		}
		blocks[i] = blockOf(rng, size)
	}
	return blocks
}

func blockOf(rng *rand.Rand, size int) []byte {
	block := make([]byte, size)
	for at := 0; at+8 <= len(block); at += 8 {
		binary.LittleEndian.PutUint64(block[at:], rng.Uint64())
	}
	return block
}

func hashesOf(blocks [][]byte) []hashing.Hash {
	hashes := make([]hashing.Hash, len(blocks))
	for i, b := range blocks {
		hashes[i] = hashing.Sum256d(b[:hashing.HeaderSize])
	}
	return hashes
}

func (s *sim) join(c *conduct) {
	name := fmt.Sprintf("%s-%d", c.name, len(s.names))
	s.names = append(s.names, name)
	s.peers[name] = c
	s.latency[name] = time.Duration(1+s.rng.IntN(200)) * time.Millisecond
}

func (s *sim) block(i int) []byte { return s.blocks[i] }

// pieces answers a request as a coordinator does.
func (s *sim) pieces(r Request, block func(int) []byte) []protocol.Piece {
	return piecesOf(r, func(h hashing.Hash) []byte { return block(s.index[h]) })
}

func piecesOf(r Request, block func(hashing.Hash) []byte) []protocol.Piece {
	var pieces []protocol.Piece
	room := protocol.MaxMessage - 32 - protocol.SyncHead
	for k, h := range r.Hashes {
		if room <= protocol.PieceHead {
			break
		}
		room -= protocol.PieceHead
		raw := block(h)
		p := protocol.Piece{Index: k, Size: uint32(len(raw))}
		if len(raw) > 0 {
			if k == 0 && r.Offset < p.Size {
				p.Offset = r.Offset
			}
			p.Data = raw[p.Offset:min(int(p.Offset)+room, len(raw))]
			room -= len(p.Data)
		}
		pieces = append(pieces, p)
	}
	return pieces
}

// hear has everybody announce its tip.
func (s *sim) hear() {
	for _, name := range s.names {
		tip := Tip{Hash: s.hashes[len(s.hashes)-1], Height: uint32(len(s.hashes)), Work: s.work}
		if s.peers[name].name == "behind" {
			tip.Hash = hashing.Hash{1}
		}
		s.table.Heard(s.now, name, "key", tip)
	}
}

// download fetches all blocks once.
func (s *sim) download(ahead int) {
	s.t.Helper()
	s.d, s.sent, s.at, s.given = NewDownload(s.hashes), map[uint64]Request{}, map[uint64]time.Time{}, 0
	s.d.ahead = ahead
	s.events, s.suspect = nil, map[hashing.Hash]bool{}
	for _, name := range s.names {
		if s.peers[name].name != "behind" {
			s.d.Claimed(name)
		}
	}
	began, heard := s.now, s.now
	for !s.d.Done() {
		if s.now.Sub(began) > 30*time.Minute {
			given, of := s.d.Progress()
			s.t.Fatalf("after %v %d of %d blocks were given out", s.now.Sub(began), given, of)
		}
		if s.now.Sub(heard) > 20*time.Second {
			heard = s.now
			s.hear()
		}
		s.step()
	}
}

// step does what a coordinator does whenever something came, and every 50 ms.
func (s *sim) step() {
	for _, r := range s.d.Expire(s.now) {
		if s.now.Sub(s.at[r.ID]) < RequestTimeout {
			s.t.Fatalf("request %d expired after %v", r.ID, s.now.Sub(s.at[r.ID]))
		}
		delete(s.sent, r.ID)
		s.table.Failed(s.now, r.Peer, Silent)
		for _, h := range r.Hashes {
			s.suspect[h] = true
		}
	}
	var serving []string
	for _, p := range s.table.Serving(s.now, s.work) {
		serving = append(serving, p.Name)
	}
	for _, r := range s.d.Next(s.now, serving) {
		s.send(r)
	}
	s.checkInFlight()
	until := s.now.Add(50 * time.Millisecond)
	if len(s.events) == 0 || s.events[0].at.After(until) {
		s.now = until
	} else {
		e := heap.Pop(&s.events).(event)
		s.now = e.at
		s.receive(e)
	}
	for _, b := range s.d.Blamed() {
		s.table.Failed(s.now, b.Peer, b.Fault)
	}
	s.checkHeld()
	s.take()
}

func (s *sim) send(r Request) {
	if len(r.Hashes) == 0 || len(r.Hashes) > protocol.MaxSyncHashes {
		s.t.Fatalf("request for %d hashes", len(r.Hashes))
	}
	for k, h := range r.Hashes {
		offset := uint32(0)
		if k == 0 {
			offset = r.Offset
		}
		s.checkTwice(r, h, offset)
	}
	s.sent[r.ID], s.at[r.ID] = r, s.now
	s.asked++
	if s.rng.Float64() < s.loss {
		return
	}
	replies, delay := s.peers[r.Peer].answer(s, r)
	for _, reply := range replies {
		if s.rng.Float64() < s.loss {
			continue
		}
		s.seq++
		takes := delay + s.latency[r.Peer] + time.Duration(s.rng.IntN(20))*time.Millisecond
		heap.Push(&s.events, event{s.now.Add(takes), s.seq, r.ID, r.Peer, reply})
	}
}

// checkTwice sees that nothing is asked for twice, unless somebody is late with that
// block or gave a wrong one.
func (s *sim) checkTwice(r Request, h hashing.Hash, offset uint32) {
	for id, other := range s.sent {
		if slices.Contains(other.Hashes, h) && (s.peers[other.Peer].liar || s.now.Sub(s.at[id]) >= patience) {
			s.suspect[h] = true
		}
	}
	if s.suspect[h] {
		return
	}
	for id, other := range s.sent {
		k := slices.Index(other.Hashes, h)
		if k < 0 {
			continue
		}
		if other.Peer != r.Peer || k > 0 && offset == 0 || k == 0 && offset == other.Offset {
			s.t.Fatalf("%s is asked for byte %d of what %s was asked for %v before from byte %d on",
				r.Peer, offset, other.Peer, s.now.Sub(s.at[id]), other.Offset)
		}
	}
}

func (s *sim) checkInFlight() {
	each := map[string]int{}
	for _, r := range s.sent {
		if each[r.Peer]++; each[r.Peer] > MaxInFlight {
			s.t.Fatalf("%d requests to %s in flight", each[r.Peer], r.Peer)
		}
	}
}

func (s *sim) receive(e event) {
	r, waiting := s.sent[e.id]
	delete(s.sent, e.id)
	s.bytes += len(e.reply)
	switch pieces, err := protocol.DecodePieces(e.reply); {
	case len(e.reply) == 0:
		s.d.Lost(s.now, e.id)
		s.table.Failed(s.now, e.peer, Refused)
	case err != nil:
		s.d.Lost(s.now, e.id)
		s.table.Failed(s.now, e.peer, Rubbish)
	default:
		fault, bad := s.d.Got(s.now, e.id, pieces)
		switch {
		case bad:
			if c := s.peers[e.peer]; !c.liar {
				s.t.Fatalf("%s is blamed for %v, asked %d hashes from %d", e.peer, fault, len(r.Hashes), r.Offset)
			}
			s.table.Failed(s.now, e.peer, fault)
		case waiting:
			s.table.Worked(s.now, e.peer)
		}
	}
}

// take is the chain: it takes the blocks that are right, and refuses others.
func (s *sim) take() {
	for _, block := range s.d.Ready() {
		switch i, known := s.index[hashing.Sum256d(block[:hashing.HeaderSize])]; {
		case !known || i != s.given:
			s.t.Fatalf("block %d is given out, want %d", i, s.given)
		case !bytes.Equal(block, s.blocks[i]):
			s.suspect[s.hashes[i]] = true
			s.d.Refused(s.hashes[i])
			return
		default:
			s.given++
		}
	}
}

// checkHeld compares what is said to be held with what is, and both with the bound.
func (s *sim) checkHeld() {
	held := heldBy(s.d)
	if held != s.d.held {
		s.t.Fatalf("%d bytes are held, said to be %d", held, s.d.held)
	}
	s.most = max(s.most, held)
	if bound := s.d.ahead + heldBeyond; held > bound {
		s.t.Fatalf("%d bytes are held, at most %d", held, bound)
	}
}

// heldBeyond is what is held beyond the bound: two parts of the next block and a
// request's worth of bookkeeping.
const heldBeyond = 2*chain.MaxBlockSize + protocol.MaxSyncHashes*fetchCost

func heldBy(d *Download) int {
	held := 0
	for _, f := range d.fetches {
		held += fetchCost + len(f.whole)
		for _, p := range f.parts {
			for _, c := range p.chunks {
				held += len(c.data)
			}
		}
	}
	return held
}

// TestSimulation downloads from peers of every conduct, over links that delay and
// lose. Whatever they do, every download ends with the right blocks in order, liars
// end up ignored and others never do.
func TestSimulation(t *testing.T) {
	seeds := uint64(24)
	if testing.Short() {
		seeds = 4
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			s := newSim(t, seed, 600)
			s.join(&conducts[0])
			for range 2 + s.rng.IntN(10) {
				s.join(&conducts[s.rng.IntN(len(conducts))])
			}
			ahead := MaxAhead
			if seed%2 == 1 {
				ahead = 128 << 10
			}
			s.simulate(ahead)
		})
	}
}

// TestEveryLiar downloads from one honest peer and one liar.
func TestEveryLiar(t *testing.T) {
	for i := range conducts {
		if c := &conducts[i]; c.liar {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				s := newSim(t, 100+uint64(i), 400)
				s.join(&conducts[0])
				s.join(c)
				s.simulate(MaxAhead)
			})
		}
	}
}

// simulate downloads until every liar was ignored.
func (s *sim) simulate(ahead int) {
	size := 0
	for _, b := range s.blocks {
		size += len(b)
	}
	began := s.now
	s.hear()
	for downloads := 1; ; downloads++ {
		s.asked, s.bytes = 0, 0
		started := s.now
		s.download(ahead)
		if s.given != len(s.blocks) {
			s.t.Fatalf("%d blocks were given out, want %d", s.given, len(s.blocks))
		}
		// Without liars and losses it is about a request for each full reply.
		if most := 8 * (len(s.blocks)/8 + size/maxStride + 100*len(s.names)); s.asked > most {
			s.t.Errorf("%d requests for %d blocks of %d bytes, at most %d", s.asked, len(s.blocks), size, most)
		}
		if downloads == 1 {
			s.t.Logf("%s: %v, %d requests, %d bytes came for %d, %d held at most",
				strings.Join(s.names, " "), s.now.Sub(started), s.asked, s.bytes, size, s.most)
		}
		if s.judge(s.now.Sub(began) > 20*time.Minute) {
			return
		}
	}
}

// judge says whether every liar was ignored, and fails where somebody else was.
func (s *sim) judge(must bool) bool {
	all := true
	for _, st := range s.table.All(s.now) {
		switch c := s.peers[st.Name]; {
		case !c.liar && st.Times > 0:
			s.t.Fatalf("%s was ignored, faults %v", st.Name, st.Faults)
		case c.liar && st.Times == 0:
			all = false
			if must {
				s.t.Fatalf("%s was never ignored: score %.1f, faults %v", st.Name, st.Score, maps.Clone(st.Faults))
			}
		}
	}
	return all
}
