package peers

import (
	"slices"
	"sort"
	"time"

	"github.com/jbcnet/jbc/coordinator/protocol"
	"github.com/jbcnet/jbc/hashing"
)

const (
	// RequestTimeout is how old a request may become before it is lost.
	RequestTimeout = 2 * time.Second
	// MaxInFlight is how many requests one peer may have to answer at once, whose
	// replies are 512 KiB.
	MaxInFlight = 32
	// MaxAhead is how many bytes of blocks are held that cannot be given out yet, the
	// next block and the replies that are on their way to it aside.
	MaxAhead = 32 << 20

	maxReply = protocol.MaxMessage
	// fetchCost is about what a block costs beside its bytes while it is fetched.
	fetchCost = 256
	// maxSources is how many peers a download remembers before it forgets those that
	// are gone.
	maxSources = 1024
)

// Request is a question for blocks, the first from Offset on.
type Request struct {
	ID     uint64
	Peer   string
	Hashes []hashing.Hash // 1 to 64
	Offset uint32
}

// Blame is a fault that came to light later than its reply.
type Blame struct {
	Peer  string
	Fault Fault
}

// Download fetches the blocks of one chain, named by their hashes in order, from
// several peers at once, and gives them out in order. Each block is put together from
// what one peer gave: if it is wrong there is no doubt who is to blame.
//
// It is not safe for concurrent use.
type Download struct {
	hashes  []hashing.Hash
	next    int               // the first that was not given out
	fresh   int               // the first that was never asked for
	again   []int             // those before fresh that are neither held nor in flight, ascending
	fetches map[int]*fetch    // those that are held or in flight
	bad     map[int][]*source // who gave a wrong block
	givers  []*source         // of those given out

	sources map[string]*source
	turn    int // whose turn it is to be asked

	flights  []*flight // by ID
	id       uint64
	held     int     // bytes, see fetchCost
	average  float64 // bytes of a block
	blames   []Blame
	progress time.Time // when something came that was missing
	ahead    int       // MaxAhead
}

// fetch is a block on its way: whole, or in one or two parts, each of one peer.
type fetch struct {
	whole []byte
	giver *source
	parts []*part
}

// flight is a request in flight.
type flight struct {
	id     uint64
	source *source
	parts  []*part // of the blocks asked for
	offset uint32  // in the first of them
	sent   time.Time
}

// firstAverage is what a block is taken to have before any came.
const firstAverage = 1 << 10

// NewDownload makes the download of a chain whose blocks have these hashes, which it
// keeps.
func NewDownload(hashes []hashing.Hash) *Download {
	return &Download{
		hashes: hashes, fetches: map[int]*fetch{}, bad: map[int][]*source{}, sources: map[string]*source{},
		average: firstAverage, ahead: MaxAhead,
	}
}

// Claimed notes that a peer says it has this very chain, for it gave the headers:
// what it lacks it withholds. Others may have other chains.
func (d *Download) Claimed(peer string) { d.source(peer).claimed = true }

// Lost notes that a request was not answered, or refused: others are asked for what
// it asked for, and the peer gets a rest.
func (d *Download) Lost(now time.Time, id uint64) {
	if f := d.land(id); f != nil {
		f.source.fail(now)
		d.giveUp(f)
	}
}

// Expire takes the requests for lost that are as old as [RequestTimeout], and returns
// them: their peers are [Silent].
func (d *Download) Expire(now time.Time) []Request {
	var expired []Request
	for len(d.flights) > 0 && now.Sub(d.flights[0].sent) >= RequestTimeout {
		f := d.flights[0]
		expired = append(expired, d.request(f))
		d.Lost(now, f.id)
	}
	return expired
}

// Late returns the peers that let a request wait for so long that others are asked too,
// once for each such request.
func (d *Download) Late(now time.Time) (peers []string) {
	for _, f := range d.flights {
		if now.Sub(f.sent) >= patience {
			peers = append(peers, f.source.name)
		}
	}
	return peers
}

// Ready returns the next blocks that are whole, in order, each once.
func (d *Download) Ready() [][]byte {
	var blocks [][]byte
	for {
		f := d.fetches[d.next]
		if f == nil || f.whole == nil {
			return blocks
		}
		blocks = append(blocks, f.whole)
		d.givers = append(d.givers[:d.next], f.giver)
		d.forget(d.next, f)
		d.next++
	}
}

// Refused notes that the chain refused the body of a block that was given out, though
// its header is the one that was asked for. [Download.Ready] goes on at that block
// again, of another peer, and gives out again what followed it. Whatever else came
// from its giver is thrown away.
func (d *Download) Refused(hash hashing.Hash) {
	i := d.next - 1
	for ; i >= 0 && d.hashes[i] != hash; i-- {
	}
	if i < 0 {
		return
	}
	giver := d.givers[i]
	d.blames = append(d.blames, Blame{giver.name, BadBlock})
	d.bad[i] = append(d.bad[i], giver)
	for ; d.next > i; d.next-- {
		d.again = append(d.again, d.next-1)
	}
	slices.Sort(d.again)
	d.distrust(giver)
}

// Blamed returns, once, the faults that came to light since it was asked last.
func (d *Download) Blamed() []Blame {
	blames := d.blames
	d.blames = nil
	return blames
}

// Done says whether all blocks were given out.
func (d *Download) Done() bool { return d.next == len(d.hashes) }

// Progress returns how many blocks were given out, of how many.
func (d *Download) Progress() (given, of int) { return d.next, len(d.hashes) }

// Starved returns how long nothing has come in that was missing: who asks for a long
// time in vain should do without this chain, or find other peers.
func (d *Download) Starved(now time.Time) time.Duration {
	if d.progress.IsZero() {
		return 0
	}
	return max(0, now.Sub(d.progress))
}

// room says whether a reply can be held beside what is held and on its way.
func (d *Download) room() bool { return d.held+(len(d.flights)+1)*maxReply <= d.ahead }

func (d *Download) request(f *flight) Request {
	r := Request{ID: f.id, Peer: f.source.name, Offset: f.offset, Hashes: make([]hashing.Hash, len(f.parts))}
	for k, p := range f.parts {
		r.Hashes[k] = d.hashes[p.block]
	}
	return r
}

// land takes a request out of the air, nil if it is not there.
func (d *Download) land(id uint64) *flight {
	at := sort.Search(len(d.flights), func(k int) bool { return d.flights[k].id >= id })
	if at == len(d.flights) || d.flights[at].id != id {
		return nil
	}
	f := d.flights[at]
	d.flights = slices.Delete(d.flights, at, at+1)
	f.source.inFlight--
	for k, p := range f.parts {
		p.landed(f.offsetOf(k))
	}
	return f
}

// offsetOf returns from where on the k-th block was asked for.
func (f *flight) offsetOf(k int) uint32 {
	if k == 0 {
		return f.offset
	}
	return 0
}

// giveUp ends what a request that landed without a reply was part of.
func (d *Download) giveUp(f *flight) {
	for _, p := range f.parts {
		if p.lost++; p.lost >= maxPartLost {
			d.drop(p)
		}
	}
	d.prune(f)
}

// prune drops the parts of a request that hold nothing and wait for nothing.
func (d *Download) prune(f *flight) {
	for _, p := range f.parts {
		if len(p.asked) == 0 && len(p.chunks) == 0 {
			d.drop(p)
		}
	}
}

// drop throws away a part of a block, if that was not done before.
func (d *Download) drop(p *part) {
	if p.gone {
		return
	}
	f := d.fetches[p.block]
	d.end(p)
	f.parts = slices.DeleteFunc(f.parts, func(q *part) bool { return q == p })
	if len(f.parts) == 0 && f.whole == nil {
		d.forget(p.block, f)
		d.putBack(p.block)
	}
}

// end lets go of what a part holds. What still comes for it is passed over.
func (d *Download) end(p *part) {
	d.held -= p.bytes
	p.source.leave(p.block)
	p.gone, p.chunks, p.bytes = true, nil, 0
}

// distrust throws away all that came from a peer and was not given out.
func (d *Download) distrust(s *source) {
	for i, f := range d.fetches {
		if f.giver == s {
			d.forget(i, f)
			d.putBack(i)
		} else if p := f.of(s); p != nil {
			d.drop(p)
		}
	}
}

// putBack has a block asked for again.
func (d *Download) putBack(i int) {
	if at, there := slices.BinarySearch(d.again, i); !there {
		d.again = slices.Insert(d.again, at, i)
	}
}

// forget lets go of a block.
func (d *Download) forget(i int, f *fetch) {
	for _, p := range f.parts {
		d.end(p)
	}
	d.held -= fetchCost + len(f.whole)
	delete(d.fetches, i)
}

func (f *fetch) of(s *source) *part {
	for _, p := range f.parts {
		if p.source == s {
			return p
		}
	}
	return nil
}
