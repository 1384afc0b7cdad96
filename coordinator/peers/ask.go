package peers

import (
	"slices"
	"time"

	"github.com/jbcnet/jbc/coordinator/protocol"
)

// patience is how old a request is before another peer is asked for the same, if
// there is nothing else left to ask for.
const patience = time.Second

// Next returns the requests that may go out now to these peers, one to each in turn:
// at most [MaxInFlight] to a peer, at most what [MaxAhead] has room for in all. No
// byte is asked for twice while a request for it is in flight, except where only
// requests older than a second are left: then another peer is asked too. What was
// got in part of a peer that is not among them is fetched from others.
func (d *Download) Next(now time.Time, peers []string) []Request {
	if d.progress.IsZero() {
		d.progress = now
	}
	d.leaveBehind(peers)
	var out []Request
	for idle := 0; idle < len(peers); d.turn++ {
		s := d.source(peers[d.turn%len(peers)])
		if f := d.ask(now, s, len(peers)); f != nil {
			out = append(out, d.request(f))
			idle = 0
		} else {
			idle++
		}
	}
	return out
}

// leaveBehind throws away the parts of peers that are gone, and forgets these where
// there are many.
func (d *Download) leaveBehind(peers []string) {
	d.turn = d.turn % max(1, len(peers))
	there := make(map[string]bool, len(peers))
	for _, name := range peers {
		there[name] = true
	}
	for name, s := range d.sources {
		if there[name] {
			continue
		}
		for _, i := range slices.Clone(s.partial) {
			if p := d.fetches[i].of(s); len(p.asked) == 0 {
				d.drop(p)
			}
		}
		if len(d.sources) > maxSources && s.inFlight == 0 {
			delete(d.sources, name)
		}
	}
}

// ask sends a peer its next request, nil if there is none. First comes the rest of
// blocks that it gave a part of, then what nobody was asked for, then what others are
// late with.
func (d *Download) ask(now time.Time, s *source, share int) *flight {
	if !s.free(now) {
		return nil
	}
	room := d.room()
	for _, i := range s.partial {
		if !room && i != d.next {
			continue
		}
		if offset, ok := d.fetches[i].of(s).gap(); ok {
			return d.send(now, s, []int{i}, offset)
		}
	}
	if blocks := d.start(now, s, room, share); len(blocks) > 0 {
		return d.send(now, s, blocks, 0)
	}
	if i, ok := d.overdue(now, s, room); ok {
		return d.send(now, s, []int{i}, 0)
	}
	return nil
}

// start takes blocks that nobody was asked for, the first ones first: as many as a
// reply may hold, and no more than leaves something for the others.
func (d *Download) start(now time.Time, s *source, room bool, share int) []int {
	left := len(d.again) + len(d.hashes) - d.fresh
	n := min(protocol.MaxSyncHashes, int(maxStride/d.average)+1, (left+share-1)/share)
	if !room {
		n = 1
	}
	var blocks []int
	may := func(i int) bool { return (room || i == d.next) && s.has(now, i) && !slices.Contains(d.bad[i], s) }
	rest := d.again[:0]
	for k, i := range d.again {
		if len(blocks) == n {
			rest = append(rest, d.again[k:]...)
			break
		}
		if may(i) {
			blocks = append(blocks, i)
		} else {
			rest = append(rest, i)
		}
	}
	d.again = rest
	for ; len(blocks) < n && d.fresh < len(d.hashes) && may(d.fresh); d.fresh++ {
		blocks = append(blocks, d.fresh)
	}
	return blocks
}

// overdue returns the first block that another peer is late with and that this one
// may be asked for too.
func (d *Download) overdue(now time.Time, s *source, room bool) (first int, ok bool) {
	for _, f := range d.flights {
		if now.Sub(f.sent) < patience {
			break
		}
		for _, p := range f.parts {
			i := p.block
			if p.gone || ok && i >= first || !room && i != d.next {
				continue
			}
			if len(d.fetches[i].parts) < 2 && f.source != s && p.late(now) && s.has(now, i) && !slices.Contains(d.bad[i], s) {
				first, ok = i, true
			}
		}
	}
	return first, ok
}

// send puts a request into the air.
func (d *Download) send(now time.Time, s *source, blocks []int, offset uint32) *flight {
	d.id++
	f := &flight{id: d.id, source: s, offset: offset, sent: now}
	d.flights = append(d.flights, f)
	s.inFlight++
	for k, i := range blocks {
		fe := d.fetches[i]
		if fe == nil {
			fe = &fetch{}
			d.fetches[i] = fe
			d.held += fetchCost
		}
		p := fe.of(s)
		if p == nil {
			p = &part{block: i, source: s, begun: now, came: now}
			fe.parts = append(fe.parts, p)
		}
		p.asked = append(p.asked, f.offsetOf(k))
		f.parts = append(f.parts, p)
	}
	return f
}
