package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/jbcnet/jbc/coordinator/protocol"
	"github.com/jbcnet/jbc/hashing"
	"github.com/jbcnet/jbc/worker"
)

// racePollTime is how long to wait before a node is asked again.
const racePollTime = 20 * time.Millisecond

// raceWatch watches the nodes of a race from outside, as an observer does.
type raceWatch struct {
	shell   *shell
	nodes   *raceNodes
	network string

	conn      *nats.Conn
	found     map[string]protocol.Found // who answered so far
	observers []*observer               // of all nodes, in order
	tally     *raceTally
	last      time.Time // when the last block came
}

// run watches a race of that length, from when all nodes answer. Ctrl-C ends it early.
func (w *raceWatch) run(ctx context.Context, length time.Duration) (*raceResult, error) {
	err := w.meet(ctx)
	if w.conn != nil {
		defer w.conn.Close()
	}
	if err != nil {
		return nil, err
	}
	announced := make(chan *nats.Msg, 1<<12)
	if _, err := w.conn.ChanSubscribe(protocol.NewSubjects(w.network).Block("*"), announced); err != nil {
		return nil, err
	}
	states, err := w.states(ctx)
	switch {
	case ctx.Err() != nil:
		return nil, errInterrupted
	case err != nil:
		return nil, err
	}
	base := uint32(0)
	for _, st := range states {
		base = max(base, st.Height)
	}
	w.tally, w.last = newRaceTally(base), time.Now()
	began := w.last
	w.shell.log.Info("racing", "nodes", len(w.observers), "network", w.network, "for", length, "from", base+1)
	if err := w.watch(ctx, length, announced); err != nil {
		return nil, err
	}
	took := time.Since(began)
	return w.result(context.WithoutCancel(ctx), took, states)
}

// meet waits until all nodes answer and know each other.
func (w *raceWatch) meet(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, raceStartTime, fmt.Errorf("the nodes did not start within %v", raceStartTime))
	defer cancel()
	for {
		if w.tryMeet(ctx); len(w.observers) > 0 && w.acquainted(ctx) {
			return nil
		}
		select {
		case <-ctx.Done():
			if errors.Is(context.Cause(ctx), context.Canceled) {
				return errInterrupted
			}
			return context.Cause(ctx)
		case p := <-w.nodes.ended:
			return p.explain()
		case <-time.After(racePollTime):
		}
	}
}

// tryMeet makes the observers if all nodes have answered.
func (w *raceWatch) tryMeet(ctx context.Context) {
	if len(w.observers) > 0 {
		return
	}
	if w.conn == nil {
		conn, err := (&route{url: w.nodes.url()}).connect(w.shell)
		if err != nil {
			return // not yet
		}
		w.conn = conn
	}
	found, _ := protocol.Discover(ctx, w.conn, 10*racePollTime)
	for _, f := range found {
		if f.Network == w.network {
			w.found[f.Name] = f
		}
	}
	var all []*observer
	for _, name := range w.nodes.names() {
		f, ok := w.found[name]
		if !ok {
			return
		}
		all = append(all, &observer{conn: w.conn, subject: protocol.NewSubjects(w.network).Get(name), found: f})
	}
	w.observers = all
}

// acquainted says whether every node knows all others: before, it is slow to follow
// them.
func (w *raceWatch) acquainted(ctx context.Context) bool {
	states, err := w.states(ctx)
	return err == nil && !slices.ContainsFunc(states, func(st *protocol.Status) bool { return st.Known < len(states)-1 })
}

// states asks all nodes for their status, at once.
func (w *raceWatch) states(ctx context.Context) ([]*protocol.Status, error) {
	states, errs := make([]*protocol.Status, len(w.observers)), make([]error, len(w.observers))
	var asking sync.WaitGroup
	for i, o := range w.observers {
		asking.Go(func() { states[i], errs[i] = o.status(ctx) })
	}
	asking.Wait()
	return states, errors.Join(errs...)
}

// watch tells of each block until the time is over.
func (w *raceWatch) watch(ctx context.Context, length time.Duration, announced <-chan *nats.Msg) error {
	over := time.NewTimer(length)
	defer over.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-over.C:
			return nil
		case p := <-w.nodes.ended:
			return p.explain()
		case msg := <-announced:
			w.hear(ctx, msg)
		}
	}
}

// hear tells of the blocks that an announcement adds to the best chain. What can't be
// asked for now comes with a later one.
func (w *raceWatch) hear(ctx context.Context, msg *nats.Msg) {
	var said protocol.BlockAnnounced
	if protocol.Decode(msg.Data, &said) != nil || said.Height <= w.tally.base {
		return
	}
	for _, o := range w.observers {
		if o.found.Name != said.Coordinator {
			continue
		}
		if err := w.learn(ctx, o, said.Hash); err != nil {
			w.shell.log.Debug("a block that nobody tells about yet", "height", said.Height, "err", err)
			return
		}
	}
	came, left := w.tally.Move(said.Hash)
	wins := raceWins(w.tally.Chain(w.tally.tip))
	for i, b := range came {
		about := []any{"height", b.height, "winner", b.winner, "after", time.Since(w.last).Round(time.Millisecond)}
		if i == 0 && left > 0 {
			about = append(about, "instead_of", left)
		}
		w.last = time.Now()
		w.shell.log.Info("won", append(about, "standings", standings(w.nodes.names(), wins))...)
	}
}

// learn asks a node for what the tally misses of the chain up to a block.
func (w *raceWatch) learn(ctx context.Context, o *observer, tip hashing.Hash) error {
	for hash, missing := w.tally.Missing(tip); missing; hash, missing = w.tally.Missing(tip) {
		get := protocol.Get{Ask: protocol.Ask{Kind: protocol.KindBlock}, At: hash.String()}
		var reply protocol.BlockReply
		if err := o.ask(ctx, &get, &reply); err != nil {
			return err
		}
		b := reply.Block
		w.tally.Add(hash, raceBlock{height: b.Height, prev: b.Prev, winner: b.Miner, chainwork: b.Chainwork})
	}
	return nil
}

// agree waits a while for all nodes to have one tip, and returns their states, and
// that with the most work.
func (w *raceWatch) agree(ctx context.Context) (states []*protocol.Status, best int, agreed bool, err error) {
	for deadline := time.Now().Add(raceAgreeTime); ; time.Sleep(racePollTime) {
		if states, err = w.states(ctx); err != nil {
			return nil, 0, false, err
		}
		best, agreed = 0, true
		for i, st := range states {
			agreed = agreed && st.Tip == states[0].Tip
			if st.Chainwork > states[best].Chainwork {
				best = i
			}
		}
		if agreed || time.Now().After(deadline) {
			return states, best, agreed, nil
		}
	}
}

// result asks the nodes what became of the race, whose states before it these were.
func (w *raceWatch) result(ctx context.Context, took time.Duration, before []*protocol.Status) (*raceResult, error) {
	states, best, agreed, err := w.agree(ctx)
	if err != nil {
		return nil, err
	}
	final := states[best]
	if final.Height > w.tally.base {
		if err := w.learn(ctx, w.observers[best], final.Tip); err != nil {
			return nil, err
		}
	}
	chain := w.tally.Chain(final.Tip)
	wins := raceWins(chain)
	r := &raceResult{
		Network: w.network, Seconds: took.Seconds(), From: w.tally.base, Height: final.Height, Tip: final.Tip,
		Agreed: agreed, Blocks: len(chain),
	}
	for i, st := range states {
		n := newRaceNode(before[i], st)
		if n.Blocks = wins[n.Name]; len(chain) > 0 {
			n.Share = float64(n.Blocks) / float64(len(chain))
		}
		r.Nodes = append(r.Nodes, n)
	}
	return r, nil
}

// newRaceNode tells what became of a node between two states, but for what it won.
func newRaceNode(before, after *protocol.Status) raceNode {
	since := func(before, after uint64) uint64 { return after - min(before, after) } // a stale block may come back
	own := protocol.Status{Blocks: since(before.Blocks, after.Blocks), Stale: since(before.Stale, after.Stale)}
	n := raceNode{
		Name: after.Coordinator, Stale: own.Stale, StaleRate: own.StaleRate(), Height: after.Height, Tip: after.Tip, Race: after.Race,
	}
	n.Taken, n.Reorgs = since(before.Race.Taken, n.Taken), since(before.Race.Reorgs, n.Reorgs)
	n.LostMS, n.LostHashes = n.LostMS-before.Race.LostMS, n.LostHashes-before.Race.LostHashes
	if n.Reorgs == 0 {
		n.DeepestReorg = 0
	}
	for _, w := range after.Workers {
		n.RateHS += w.MeasuredHS
	}
	return n
}

// hashRate is a rate for people.
func hashRate(hs float64) string { return worker.Rate(hs).String() }
