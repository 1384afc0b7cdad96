package coordinator

import (
	"context"
	"errors"
	"time"

	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/coordinator/peers"
	"github.com/jbcnet/jbc/coordinator/protocol"
	"github.com/jbcnet/jbc/hashing"
)

const (
	// segmentHeaders is how many headers are judged before their blocks are fetched.
	segmentHeaders = 2000
	// provingTime is how long a branch may take to prove that it has more work than
	// our chain: some ten million headers.
	provingTime = 2 * time.Minute
	// farBehind is how many blocks behind another's chain nobody mines any more: what
	// would be found is stale before it is.
	farBehind = 10
)

// synchronise takes the best chain that others have, whenever there is a better one.
func (c *Coordinator) synchronise(ctx context.Context) error {
	again := time.NewTicker(time.Second)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-c.others.news:
		case <-again.C:
		}
		for ctx.Err() == nil {
			var peer peers.Peer
			var better bool
			c.others.with(func(t *peers.Table) { peer, better = t.Best(time.Now(), c.cfg.Chain.Tip().Work) })
			if !better {
				break
			}
			if again, err := c.follow(ctx, peer); err != nil {
				return err
			} else if !again {
				break
			}
		}
	}
}

// follow takes the chain of another coordinator. What that one does wrong is held
// against it; an error is the machine's. again says that it makes sense to look for a
// better chain at once: not where the link or a silence is in the way.
func (c *Coordinator) follow(ctx context.Context, peer peers.Peer) (again bool, err error) {
	f := &follower{c: c, peer: peer, started: time.Now(), quiet: map[string]time.Time{}}
	err = f.run(ctx)
	var wrong *faultError
	switch {
	case errors.As(err, &wrong):
		c.log.Info("another coordinator is no help", "coordinator", peer.Name, "err", err)
		c.others.with(func(t *peers.Table) { t.Failed(time.Now(), peer.Name, wrong.fault) })
		return wrong.fault != peers.Silent && wrong.fault != peers.Refused, nil
	case errors.Is(err, errLink), ctx.Err() != nil:
		return false, nil
	case err != nil && !errors.Is(err, errEarly):
		return false, err
	case f.early:
		c.others.with(func(t *peers.Table) { t.Early(time.Now(), peer.Name) })
		return true, nil
	}
	c.others.with(func(t *peers.Table) { t.Worked(time.Now(), peer.Name) })
	return true, nil
}

// follower is one way to another's tip.
type follower struct {
	c       *Coordinator
	peer    peers.Peer
	started time.Time
	branch  *chain.Branch
	kept    []hashing.Hash // of the headers since the last blocks were fetched
	passed  int            // headers that were let go before the branch proved to be worth it
	proven  bool           // the branch has more work than our chain had
	early   bool           // the rest of the branch lies too far ahead of our clock: the others' may not
	fetched int
	told    progress
	quiet   map[string]time.Time // who let us wait is not asked until then
}

// run asks for headers until the branch has more work than our chain, then for its
// blocks, and so on to its end.
func (f *follower) run(ctx context.Context) error {
	locator := f.c.cfg.Chain.Locator()
	for ctx.Err() == nil {
		headers, err := f.c.askHeaders(ctx, f.peer, locator)
		if err != nil {
			return err
		}
		if len(headers) == 0 {
			return f.end(ctx)
		}
		if err := f.take(headers); err != nil {
			return err
		}
		if !f.proven && (time.Since(f.started) > provingTime || f.branch.Tip().Height > f.peer.Tip.Height+protocol.MaxSyncHeaders) {
			return fault(peers.Endless, "coordinator %s: headers up to height %d, less work than it claims", f.peer.Name, f.branch.Tip().Height)
		}
		if f.proven && f.passed > 0 { // from the start again, this time for the blocks
			f.branch, f.passed, f.kept = f.branch.Again(), 0, nil
			locator = []hashing.Hash{f.branch.On()}
			continue
		}
		if f.early || len(headers) < protocol.MaxSyncHeaders {
			return f.end(ctx)
		}
		if f.proven && len(f.kept) >= segmentHeaders {
			if err := f.fetch(ctx); err != nil {
				return err
			}
		}
		locator = []hashing.Hash{f.branch.Tip().Hash}
	}
	return ctx.Err()
}

// end is after the last header: the branch has to be what was claimed, unless our own
// chain has come to as much meanwhile, from elsewhere.
func (f *follower) end(ctx context.Context) error {
	if f.proven && len(f.kept) > 0 {
		return f.fetch(ctx)
	}
	if !f.proven && !f.early && f.peer.Tip.Work.Cmp(f.c.cfg.Chain.Tip().Work) > 0 {
		return fault(peers.Withheld, "coordinator %s claims more work than it has", f.peer.Name)
	}
	return nil
}

// take judges headers. What lies too far ahead of the clock will do later. That
// headers do not follow those before them is no lie: the other's main chain changed
// meanwhile.
func (f *follower) take(headers []hashing.Header) error {
	if f.branch == nil {
		if err := f.open(headers[0].Prev()); err != nil {
			return err
		}
	}
	before := f.branch.Tip().Height
	err := f.branch.Add(headers, f.c.cfg.Clock())
	taken := headers[:f.branch.Tip().Height-before]
	switch {
	case errors.Is(err, chain.RuleTimeTooNew):
		f.early = true
	case errors.Is(err, chain.RuleOrphan):
		return fault(peers.Refused, "coordinator %s went to another chain: %w", f.peer.Name, err)
	case err != nil:
		return fault(peers.BadHeaders, "coordinator %s: %w", f.peer.Name, err)
	}
	for i := range taken {
		f.kept = append(f.kept, taken[i].Hash())
	}
	if f.branch.Tip().Work.Cmp(f.c.cfg.Chain.Tip().Work) > 0 {
		f.proven = true
	}
	if !f.proven && len(f.kept) > segmentHeaders {
		f.passed += len(f.kept)
		f.kept = nil
	}
	return nil
}

// open begins the branch on a block of our chain.
func (f *follower) open(on hashing.Hash) (err error) {
	f.branch, err = f.c.cfg.Chain.Branch(on)
	switch {
	case errors.Is(err, chain.RuleFinality), errors.Is(err, chain.RuleCheckpoint):
		return fault(peers.Apart, "coordinator %s has a chain that leaves ours where that is final: %w", f.peer.Name, err)
	case err != nil:
		return fault(peers.BadHeaders, "coordinator %s: headers on unknown or invalid block %s: %w", f.peer.Name, on, err)
	}
	return nil
}

// fetch gets the blocks of the headers that were kept, from everybody who has
// them, and takes them in.
func (f *follower) fetch(ctx context.Context) error {
	wanted := f.kept[:0:0]
	for _, hash := range f.kept {
		if _, err := f.c.cfg.Chain.RawBlock(hash); err != nil {
			wanted = append(wanted, hash)
		}
	}
	f.kept = nil
	if len(wanted) == 0 {
		return nil
	}
	f.c.hear(f.started, wanted[len(wanted)-1])
	f.c.setBehind(len(wanted) > farBehind)
	err := f.download(ctx, wanted)
	f.c.setBehind(false)
	if fatal := f.c.catchUp(f.c.cfg.Clock(), f.peer.Name, f.fetched); fatal != nil { // also with what came before an error
		return fatal
	}
	return err
}

// setBehind has the workers rest, or not, while a long chain is fetched. They hear of
// it when the job of the moment is next made.
func (c *Coordinator) setBehind(behind bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.behind == behind {
		return
	}
	c.behind = behind
	if behind {
		c.holdBehind(c.cfg.Clock())
	}
}

// behindTime is how long workers rest until they are told again.
const behindTime = time.Second

// holdBehind tells workers to rest. The caller holds c.mu.
func (c *Coordinator) holdBehind(now time.Time) {
	tip := c.cfg.Chain.Tip().Hash
	c.publish(c.subjects.Job(c.cfg.Name), protocol.ToWorkers, c.farm.Hold(now, tip, now.Add(behindTime), "the chain of other coordinators is longer and is fetched first"))
}
