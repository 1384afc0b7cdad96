package coordinator

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/jbcnet/jbc/chain/store"
	"github.com/jbcnet/jbc/coordinator/protocol"
	"github.com/jbcnet/jbc/hashing"
)

const (
	// maxSync is how many bytes a question of another coordinator can have.
	maxSync = 8 << 10
	// syncSize is how many questions may wait to be looked at, and how many for their
	// turn, of all askers together.
	syncSize = 1 << 10
	// syncFull is how many bytes of pieces a reply is filled with.
	syncFull = protocol.MaxMessage - 32
	// syncKept is how many bytes of blocks are kept that were sent in part.
	syncKept = 16 << 20
)

// syncServer answers other coordinators. It belongs to one goroutine.
type syncServer struct {
	c       *Coordinator
	pace    *syncPace
	waiting syncTurns
	kept    keptBlocks
}

// syncTurn is a question that is answered later.
type syncTurn struct {
	arrival
	due time.Time
}

// syncTurns is a heap (container/heap), the next one on top.
type syncTurns []syncTurn

func (h syncTurns) Len() int           { return len(h) }
func (h syncTurns) Less(i, j int) bool { return h[i].due.Before(h[j].due) }
func (h syncTurns) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push implements heap.Interface.
func (h *syncTurns) Push(x any) { *h = append(*h, x.(syncTurn)) }

// Pop implements heap.Interface.
func (h *syncTurns) Pop() any {
	last := len(*h) - 1
	x := (*h)[last]
	(*h)[last], *h = syncTurn{}, (*h)[:last]
	return x
}

// serveSync answers the questions of other coordinators until ctx ends. Nothing that
// a solution waits for is held meanwhile.
func (c *Coordinator) serveSync(ctx context.Context, inbox <-chan *nats.Msg) error {
	s := &syncServer{c: c, pace: newSyncPace()}
	arrivals := make(chan arrival, syncSize)
	var noting sync.WaitGroup
	defer noting.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	noting.Go(func() { noteArrivals(ctx, inbox, arrivals) })
	turn := time.NewTimer(0)
	defer turn.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case a := <-arrivals:
			s.hear(time.Now(), a)
		case <-turn.C:
			s.takeTurns(time.Now())
		}
		if len(s.waiting) > 0 {
			turn.Reset(time.Until(s.waiting[0].due))
		}
	}
}

// hear answers a question now or later, or never.
func (s *syncServer) hear(now time.Time, a arrival) {
	if !strings.HasPrefix(a.msg.Reply, nats.InboxPrefix) {
		return
	}
	if now.Sub(a.at) > tooLate {
		s.c.countLate()
		return
	}
	if s.c.cfg.Unlimited {
		s.answer(a.msg)
		return
	}
	who := inboxOf(a.msg.Reply)
	due, ok := s.pace.Admit(now, who)
	switch {
	case !ok:
		s.c.countLimited()
	case !due.After(now):
		s.answer(a.msg)
	case len(s.waiting) >= syncSize:
		s.pace.Turn(who)
		s.c.countLimited()
	default:
		heap.Push(&s.waiting, syncTurn{a, due})
	}
}

// takeTurns answers what is due.
func (s *syncServer) takeTurns(now time.Time) {
	for len(s.waiting) > 0 && !s.waiting[0].due.After(now) {
		t := heap.Pop(&s.waiting).(syncTurn)
		s.pace.Turn(inboxOf(t.msg.Reply))
		if time.Since(t.at) > tooLate {
			s.c.countLate()
			continue
		}
		s.answer(t.msg)
	}
}

func (c *Coordinator) countLimited() {
	c.mu.Lock()
	c.farm.refused[protocol.Limited]++
	c.mu.Unlock()
}

// answer answers a question, or refuses it.
func (s *syncServer) answer(msg *nats.Msg) {
	if len(msg.Data) > maxSync {
		s.c.refuseOversized(msg, maxSync)
		return
	}
	reply, err := s.reply(msg)
	if err != nil {
		s.c.refuse(msg, err)
		return
	}
	s.c.respondRaw(msg, reply)
}

// reply returns what a question is answered. The error wraps the code of a refusal.
func (s *syncServer) reply(msg *nats.Msg) ([]byte, error) {
	kind, err := protocol.KindOf(msg.Data)
	if err != nil {
		return nil, err
	}
	switch kind {
	case protocol.KindHeaders:
		var ask protocol.SyncHeaders
		if err := protocol.Decode(msg.Data, &ask); err != nil {
			return nil, err
		}
		return protocol.EncodeHeaders(s.c.cfg.Chain.HeadersAfter(ask.Locator, protocol.MaxSyncHeaders)), nil
	case protocol.KindBlocks:
		var ask protocol.SyncBlocks
		if err := protocol.Decode(msg.Data, &ask); err != nil {
			return nil, err
		}
		who := inboxOf(msg.Reply)
		pieces, err := piecesOf(ask.Hashes, ask.Offset, func(hash hashing.Hash) ([]byte, error) { return s.block(who, hash) })
		if err != nil {
			return nil, err
		}
		for _, p := range pieces {
			if last := p.Offset + uint32(len(p.Data)); p.Size > 0 && last == p.Size {
				s.kept.drop(ask.Hashes[p.Index])
			}
		}
		return protocol.EncodePieces(pieces), nil
	case protocol.KindNodes:
		var ask protocol.AskNodes
		if err := protocol.Decode(msg.Data, &ask); err != nil {
			return nil, err
		}
		return protocol.Encode(s.c.nodesReply(&ask)), nil
	case protocol.KindMachines:
		var ask protocol.AskMachines
		if err := protocol.Decode(msg.Data, &ask); err != nil {
			return nil, err
		}
		reply, err := s.c.machinesReply(&ask)
		if err != nil {
			return nil, err
		}
		return protocol.Encode(reply), nil
	}
	return nil, fmt.Errorf("%w: %q", protocol.UnknownKind, kind)
}

// block reads a block, nil where there is none. What does not fit in one reply is
// kept: it will be asked for again.
func (s *syncServer) block(who string, hash hashing.Hash) ([]byte, error) {
	if raw := s.kept.get(hash); raw != nil {
		return raw, nil
	}
	raw, err := s.c.cfg.Chain.RawBlock(hash)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("%w: %w", protocol.Unavailable, err)
	}
	s.pace.Read(who, len(raw))
	if len(raw) > syncFull-protocol.SyncHead-protocol.PieceHead {
		s.kept.add(hash, raw)
	}
	return raw, nil
}

// piecesOf fills a reply with blocks, the first from offset on: as many whole ones as
// fit, then a part of the next. read returns nil for a block that is not there.
func piecesOf(hashes []hashing.Hash, offset uint32, read func(hashing.Hash) ([]byte, error)) ([]protocol.Piece, error) {
	var pieces []protocol.Piece
	room := syncFull - protocol.SyncHead
	for i, hash := range hashes {
		if room <= protocol.PieceHead {
			break
		}
		raw, err := read(hash)
		if err != nil {
			return nil, err
		}
		room -= protocol.PieceHead
		p := protocol.Piece{Index: i, Size: uint32(len(raw))}
		if len(raw) > 0 {
			if i == 0 {
				p.Offset = offset
			}
			if p.Offset >= p.Size {
				return nil, fmt.Errorf("%w: no byte %d in block %s of %d bytes", protocol.NotFound, p.Offset, hash, p.Size)
			}
			p.Data = raw[p.Offset:min(int(p.Offset)+room, len(raw))]
			room -= len(p.Data)
		}
		pieces = append(pieces, p)
	}
	return pieces, nil
}

// respondRaw signs and sends a reply that is encoded already, to an inbox and nowhere
// else.
func (c *Coordinator) respondRaw(request *nats.Msg, data []byte) {
	msg := &nats.Msg{Subject: request.Reply, Data: data, Header: nats.Header{}}
	if err := c.send(protocol.ReplyTo(request), msg); err != nil {
		c.log.Debug("not answered", "subject", request.Subject, "err", err)
	}
}

// keptBlocks are the last blocks that were sent in part, syncKept bytes at most and
// one block at least.
type keptBlocks struct {
	blocks []keptBlock // the one used last at the end
	size   int
}

type keptBlock struct {
	hash hashing.Hash
	raw  []byte
}

// get returns a block that is kept, nil for any other.
func (k *keptBlocks) get(hash hashing.Hash) []byte {
	for i, b := range k.blocks {
		if b.hash == hash {
			copy(k.blocks[i:], k.blocks[i+1:])
			k.blocks[len(k.blocks)-1] = b
			return b.raw
		}
	}
	return nil
}

// add keeps a block that is not kept yet.
func (k *keptBlocks) add(hash hashing.Hash, raw []byte) {
	k.blocks = append(k.blocks, keptBlock{hash, raw})
	for k.size += len(raw); k.size > syncKept && len(k.blocks) > 1; {
		k.drop(k.blocks[0].hash)
	}
}

// drop forgets a block.
func (k *keptBlocks) drop(hash hashing.Hash) {
	for i, b := range k.blocks {
		if b.hash == hash {
			k.size -= len(b.raw)
			k.blocks = slices.Delete(k.blocks, i, i+1)
			return
		}
	}
}
