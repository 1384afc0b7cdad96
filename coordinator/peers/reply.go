package peers

import (
	"time"

	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/coordinator/protocol"
	"github.com/jbcnet/jbc/hashing"
)

const (
	// minPiece is the least that a reply holds of a block that it does not end: who
	// sends less wants to be waited for.
	minPiece = 4 << 10
	// minTail is the least part of a last block that is worth keeping.
	minTail = 1 << 10
)

// Got takes the reply to a request in, and says what the peer did wrong in it, if
// anything. A reply begins with the first block that was asked for. Of a wrong one
// nothing is taken. What answers no request in flight is passed over.
func (d *Download) Got(now time.Time, id uint64, pieces []protocol.Piece) (fault Fault, bad bool) {
	f := d.land(id)
	if f == nil {
		return 0, false
	}
	s := f.source
	if fault = f.check(pieces); fault != 0 {
		s.fail(now)
		d.drop(f.parts[0])
		d.prune(f)
		return fault, true
	}
	for k, p := range pieces {
		wrong := d.take(now, f, p, k == 0)
		if wrong == BadBlock {
			s.fail(now)
			d.distrust(s)
			d.prune(f)
			return BadBlock, true
		}
		fault = max(fault, wrong)
	}
	d.prune(f)
	if pieces[0].Size > 0 {
		s.work()
	}
	return fault, fault != 0
}

// check says what is wrong with a reply before anything of it is taken.
func (f *flight) check(pieces []protocol.Piece) Fault {
	if len(pieces) == 0 || pieces[0].Index != 0 {
		return Rubbish
	}
	for k, p := range pieces {
		if k > 0 && p.Index <= pieces[k-1].Index || p.Index >= len(f.parts) {
			return Rubbish
		}
		if p.Size == 0 {
			if p.Offset != 0 || len(p.Data) != 0 {
				return Rubbish
			}
			continue
		}
		end := uint64(p.Offset) + uint64(len(p.Data))
		switch {
		case p.Size <= hashing.HeaderSize, p.Size > chain.MaxBlockSize,
			p.Offset != f.offsetOf(p.Index), len(p.Data) == 0, len(p.Data) > maxStride, end > uint64(p.Size):
			return Rubbish
		case end < uint64(p.Size) && k < len(pieces)-1:
			return Rubbish
		case end < uint64(p.Size) && k == 0 && len(p.Data) < minPiece:
			return Withheld
		}
		if q := f.parts[p.Index]; !q.gone && q.size != 0 && q.size != p.Size {
			return Rubbish
		}
	}
	return 0
}

// take takes one piece of a reply in.
func (d *Download) take(now time.Time, f *flight, piece protocol.Piece, first bool) Fault {
	p, s := f.parts[piece.Index], f.source
	if piece.Size == 0 {
		s.lack(now, p.block)
		d.drop(p)
		if s.claimed {
			return Withheld
		}
		return 0
	}
	ends := int(piece.Offset)+len(piece.Data) == int(piece.Size)
	if first && !ends {
		s.stride = uint32(len(piece.Data))
	}
	if p.gone || !first && !ends && len(piece.Data) < minTail {
		return 0 // of another peer by now, or not worth it
	}
	p.size = piece.Size
	if added := p.add(now, piece.Offset, piece.Data); added > 0 {
		d.held += added
		d.progress = now
		s.enter(p.block)
	}
	if p.wrong(d.hashes[p.block]) {
		d.bad[p.block] = append(d.bad[p.block], s)
		d.drop(p)
		return BadBlock
	}
	if block := p.whole(); block != nil {
		d.complete(p, block)
	}
	return 0
}

// complete keeps a whole block and throws away all parts of it.
func (d *Download) complete(p *part, block []byte) {
	f := d.fetches[p.block]
	for _, q := range f.parts {
		d.end(q)
	}
	f.whole, f.giver, f.parts = block, p.source, nil
	d.held += len(block)
	d.average += (float64(len(block)) - d.average) / 16
}
