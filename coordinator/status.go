package coordinator

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/chain/store"
	"github.com/jbcnet/jbc/coordinator/peers"
	"github.com/jbcnet/jbc/coordinator/protocol"
	"github.com/jbcnet/jbc/hashing"
)

// What a page of the status lists: together with all else in a reply it fits in a
// message, and so does the largest worker that there can be.
const (
	statusBytes  = protocol.MaxMessage * 3 / 4  // of workers, dropped ones and others together
	droppedBytes = protocol.MaxMessage * 3 / 16 // of those that are dropped
	othersBytes  = protocol.MaxMessage * 3 / 16 // of other coordinators
	statusLeases = 16                           // of one worker
	// statusWorkers is how many are looked at, which is done under the lock; they take
	// some 250 bytes each.
	statusWorkers = 48
)

// answerGet answers an observer. Blocks are read without the lock: the chain has
// its own, and no solution should wait for a disk.
func (c *Coordinator) answerGet(msg *nats.Msg) error {
	if !c.heedsGet(time.Now(), msg) {
		return nil
	}
	var get protocol.Get
	kind, err := protocol.KindOf(msg.Data)
	switch {
	case err != nil:
	case kind != protocol.KindStatus && kind != protocol.KindBlock:
		err = fmt.Errorf("%w: %q", protocol.UnknownKind, kind)
	default:
		err = protocol.Decode(msg.Data, &get)
	}
	if err != nil {
		c.refuse(msg, err)
		return nil
	}
	if get.Kind == protocol.KindStatus {
		c.mu.Lock()
		st := c.status(time.Now(), get.From)
		c.mu.Unlock()
		if get.From == 0 {
			c.others.with(func(t *peers.Table) { st.Others = othersStatus(time.Now(), t.All(time.Now())) })
		}
		fitStatus(st)
		c.respond(msg, &protocol.StatusReply{Reply: accepted(&get.Ask), Status: st})
		return nil
	}
	reply := protocol.BlockReply{Reply: accepted(&get.Ask)}
	if reply.Block, err = c.blockInfo(get.At); err != nil {
		c.refuse(msg, err)
		return nil
	}
	c.respond(msg, &reply)
	return nil
}

// status returns the state of the farm, with as many workers from a slot on as a page
// may have, see [fitStatus]. The caller holds c.mu.
func (c *Coordinator) status(now time.Time, from uint32) *protocol.Status {
	tip := c.cfg.Chain.Tip()
	st := &protocol.Status{
		Network: c.cfg.Params.ID(), Height: tip.Height, Tip: tip.Hash, TipTime: tip.Header.Time(),
		Chainwork: tip.Work.String(), Coordinator: c.cfg.Name, Key: c.publicKey, Version: c.cfg.Version,
		Holding: c.farm.hold != nil, Workers: []protocol.WorkerStatus{},
		Stale: c.races.owned - c.races.main, Blocks: c.races.main, Race: c.races.Status(),
		Refused: maps.Clone(c.farm.refused), Idle: c.pace.Average(),
	}
	st.Bits, _ = c.cfg.Chain.NextBits(tip.Hash)
	if j := c.farm.jobs.Current(); j != nil {
		st.Job = j.JobID
	}
	if from == 0 {
		st.Dropped = droppedStatus(c.limits.Dropped(now))
	}
	for s := range c.farm.roster.From(from) {
		if len(st.Workers) == statusWorkers {
			st.Next = s.number
			break
		}
		st.Workers = append(st.Workers, c.farm.workerStatus(now, s))
	}
	return st
}

// fitStatus leaves out who is dropped and which others do not fit in a message, and
// leaves the workers that do not fit to the next page.
func fitStatus(st *protocol.Status) {
	st.Known = len(st.Others)
	dropped, size := fitting(st.Dropped, droppedBytes)
	st.Dropped = st.Dropped[:dropped]
	others, more := fitting(st.Others[:min(len(st.Others), protocol.MaxListed)], othersBytes)
	st.Others = st.Others[:others]
	if n, _ := fitting(st.Workers, statusBytes-size-more); n < len(st.Workers) {
		st.Next, st.Workers = st.Workers[n].Slot, st.Workers[:n]
	}
}

// fitting returns how many of all can be told within so many bytes of JSON, where
// texts are longer than here, and how many bytes these take.
func fitting[T any](all []T, most int) (n, size int) {
	for i := range all {
		encoded, _ := json.Marshal(&all[i]) // numbers and texts only
		if size+len(encoded)+1 > most {
			return i, size
		}
		size += len(encoded) + 1
	}
	return len(all), size
}

// othersStatus tells of the other coordinators, those that are ignored last.
func othersStatus(now time.Time, known []peers.PeerStatus) []protocol.OtherStatus {
	out := []protocol.OtherStatus{}
	for _, p := range known {
		o := protocol.OtherStatus{
			Name: p.Name, Key: p.Key, Height: p.Tip.Height, Chainwork: p.Tip.Work.String(), HeardMS: now.Sub(p.Heard).Milliseconds(),
			Score: p.Score, Times: p.Times, Faults: map[string]uint64{},
		}
		if !p.Ignored.IsZero() {
			o.UntilMS = p.Ignored.UnixMilli()
		}
		for fault, n := range p.Faults {
			o.Faults[fault.String()] = n
		}
		out = append(out, o)
	}
	slices.SortStableFunc(out, func(a, b protocol.OtherStatus) int { return cmp.Compare(a.UntilMS, b.UntilMS) })
	return out
}

func droppedStatus(drops []*drop) []protocol.DroppedStatus {
	out := []protocol.DroppedStatus{}
	for _, d := range drops {
		out = append(out, protocol.DroppedStatus{Name: d.name, UntilMS: d.until.UnixMilli(), Times: d.times, Reasons: d.reasons})
	}
	return out
}

func (f *farm) workerStatus(now time.Time, s *slot) protocol.WorkerStatus {
	w := protocol.WorkerStatus{
		Name: s.worker.Name, Slot: s.number, Host: s.worker.Host, Version: s.worker.Version,
		Kernel: s.worker.Kernel, Threads: s.worker.Threads, DeclaredHS: s.worker.DeclaredHS,
		Shares: s.shares, Blocks: s.blocks, Refused: s.refused,
		HeardMS: now.Sub(s.heard).Milliseconds(), Leases: []protocol.LeaseStatus{},
		Devices: s.worker.Devices,
	}
	w.MeasuredHS, w.MeasuredErr = s.meter.Rate(now)
	if j := f.jobs.Current(); j != nil {
		own := j.ledger.LeasesOf(s.number)
		for _, l := range own[:min(len(own), statusLeases)] {
			w.Leases = append(w.Leases, protocol.LeaseStatus{Lease: onWire([]*lease{l})[0], Done: l.done})
		}
	}
	return w
}

// blockInfo returns the block at a height of the best chain or of a hash.
func (c *Coordinator) blockInfo(at string) (*protocol.BlockInfo, error) {
	ch := c.cfg.Chain
	hash, err := c.resolve(at)
	if err != nil {
		return nil, err
	}
	block, err := ch.BlockByHash(hash)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, fmt.Errorf("%w: no block %s", protocol.NotFound, at)
	case err != nil:
		return nil, fmt.Errorf("%w: %w", protocol.Unavailable, err)
	}
	entry, _ := ch.Lookup(hash)
	miner, data := chain.CoinbaseText(block)
	info := &protocol.BlockInfo{
		Height: entry.Height, Hash: hash, Header: block.Header, Prev: block.Header.Prev(),
		Time: block.Header.Time(), Miner: miner, Data: data, Chainwork: entry.Work.String(), Main: entry.Main,
	}
	if outs := block.Transactions[0].TxOut; len(outs) > 0 {
		info.Address, _ = chain.AddressOf(c.cfg.Params, outs[0].PkScript)
	}
	return info, nil
}

func (c *Coordinator) resolve(at string) (hashing.Hash, error) {
	if hash, err := hashing.ParseHash(at); err == nil {
		return hash, nil
	}
	height, err := strconv.ParseUint(at, 10, 32)
	if err != nil {
		return hashing.Hash{}, fmt.Errorf("%w: %q is neither a height nor a block hash of 64 hex digits", protocol.Malformed, at)
	}
	hash, ok := c.cfg.Chain.HashAtHeight(uint32(height))
	if !ok {
		return hashing.Hash{}, fmt.Errorf("%w: no block at height %d, the tip is at %d", protocol.NotFound, height, c.cfg.Chain.Tip().Height)
	}
	return hash, nil
}
