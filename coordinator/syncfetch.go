package coordinator

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/coordinator/peers"
	"github.com/jbcnet/jbc/coordinator/protocol"
	"github.com/jbcnet/jbc/hashing"
)

const (
	// expireTime is how often questions are looked at that nobody answers.
	expireTime = 100 * time.Millisecond
	// stuckTime is how long a download goes on without a block.
	stuckTime = 10 * time.Second
	// quietTime is how long somebody is not asked again that was waited for in vain.
	quietTime = time.Minute
)

// errEarly says that a block lies too far ahead of this clock, which is no fault of the
// one who gave it.
var errEarly = errors.New("ahead of this clock")

// got is the answer to a question for blocks.
type got struct {
	request peers.Request
	pieces  []protocol.Piece
	err     error
}

// download fetches blocks, in order, from everybody who claims a chain with as
// much work, and takes them into the chain as they come.
func (f *follower) download(ctx context.Context, hashes []hashing.Hash) error {
	ctx, cancel := context.WithCancel(ctx)
	var asking sync.WaitGroup
	defer asking.Wait()
	defer cancel()

	d := peers.NewDownload(hashes)
	d.Claimed(f.peer.Name)
	answers := make(chan got)
	tick := time.NewTicker(expireTime)
	defer tick.Stop()
	for !d.Done() {
		now := time.Now()
		servers := f.servers(now)
		for _, r := range d.Next(now, servers) {
			asking.Go(func() {
				pieces, err := f.c.askBlocks(ctx, f.named(r.Peer), r)
				select {
				case answers <- got{r, pieces, err}:
				case <-ctx.Done():
				}
			})
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
			for _, r := range d.Expire(time.Now()) {
				f.blame(r.Peer, peers.Silent)
			}
		case a := <-answers:
			f.answered(d, a)
		}
		if err := f.takeIn(ctx, d); err != nil {
			return err
		}
		if d.Starved(time.Now()) > f.stuck(servers) {
			return fault(peers.Withheld, "coordinator %s: nobody gives the blocks of its chain", f.peer.Name)
		}
	}
	for _, name := range d.Late(time.Now()) {
		f.quiet[name] = time.Now().Add(quietTime)
	}
	return nil
}

// answered hands an answer to the download.
func (f *follower) answered(d *peers.Download, a got) {
	now := time.Now()
	var wrong *faultError
	switch {
	case errors.As(a.err, &wrong):
		d.Lost(now, a.request.ID)
		f.blame(a.request.Peer, wrong.fault)
	case a.err != nil:
		d.Lost(now, a.request.ID)
	default:
		if kind, bad := d.Got(now, a.request.ID, a.pieces); bad {
			f.blame(a.request.Peer, kind)
		}
	}
	for _, b := range d.Blamed() {
		f.blame(b.Peer, b.Fault)
	}
}

// takeIn takes the blocks that are whole into the chain.
func (f *follower) takeIn(ctx context.Context, d *peers.Download) error {
	blocks := d.Ready()
	if len(blocks) == 0 {
		return nil
	}
	did, err := f.c.cfg.Chain.Import(ctx, each(blocks), f.c.cfg.Clock(), nil)
	f.fetched += did.Blocks
	f.tell(time.Now())
	var broken *chain.RuleError
	switch {
	case errors.As(err, &broken):
		at := min(did.Blocks+did.Known, len(blocks)-1)
		header := hashing.Header(blocks[at][:hashing.HeaderSize])
		hash := header.Hash()
		if broken.Rule == chain.RuleTimeTooNew { // this clock stepped back since the header was judged
			f.early = true
			return errEarly
		}
		if isOfTheBody(broken.Rule) { // the hash is right, and somebody has the right bytes
			d.Refused(hash)
			return nil
		}
		if broken.Rule == chain.RuleFinality { // our chain has grown since its headers were judged
			return fault(peers.Apart, "block %s of coordinator %s: %w", hash, f.peer.Name, err)
		}
		return fault(peers.BadBlock, "block %s of coordinator %s: %w", hash, f.peer.Name, err)
	case err != nil:
		return err
	}
	return nil
}

// isOfTheBody says whether a rule can be broken by bytes that the header does not
// commit to.
func isOfTheBody(r chain.Rule) bool {
	switch r {
	case chain.RuleMutated, chain.RuleMerkleRoot, chain.RuleWitness, chain.RuleNoTransactions,
		chain.RuleTruncated, chain.RuleTrailing, chain.RuleEncoding, chain.RuleOversize:
		return true
	}
	return false
}

func each(blocks [][]byte) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for _, b := range blocks {
			if !yield(b, nil) {
				return
			}
		}
	}
}

// servers are those who can be asked for the blocks of the branch: whoever gave its
// headers, whose chain may have grown since it was heard of, and who claims as much and
// was not waited for in vain.
func (f *follower) servers(now time.Time) (names []string) {
	f.c.others.with(func(t *peers.Table) {
		for _, p := range t.Serving(now, chain.Work{}) {
			if p.Name == f.peer.Name || p.Tip.Work.Cmp(f.branch.Tip().Work) >= 0 && !now.Before(f.quiet[p.Name]) {
				names = append(names, p.Name)
			}
		}
	})
	return names
}

// named returns a coordinator as the table has it.
func (f *follower) named(name string) (peer peers.Peer) {
	f.c.others.with(func(t *peers.Table) { peer, _ = t.Peer(name) })
	return peer
}

// stuck is how long to wait for a block. Where the one whose chain it is has been found
// out, what others do not give in time they do not have.
func (f *follower) stuck(servers []string) time.Duration {
	if slices.Contains(servers, f.peer.Name) {
		return stuckTime
	}
	return peers.RequestTimeout
}

// blame holds a fault against a coordinator, and says so where it is ignored for it.
func (f *follower) blame(name string, kind peers.Fault) {
	var until time.Time
	var ignored bool
	f.c.others.with(func(t *peers.Table) { until, ignored = t.Failed(time.Now(), name, kind) })
	if ignored {
		f.c.log.Info("another coordinator is no help", "coordinator", name, "err", kind, "until", until.Format(time.TimeOnly))
	}
}

// catchUp makes the job of the moment one on the tip, and tells the others, after
// blocks of others were taken in.
func (c *Coordinator) catchUp(now time.Time, from string, blocks int) error {
	tip := c.cfg.Chain.Tip()
	c.mu.Lock()
	defer c.mu.Unlock()
	job := c.farm.jobs.Current()
	onTip := job != nil && job.Prev == tip.Hash // the clock asked for one meanwhile, or the tip is our own
	if c.announced == tip.Hash || onTip && blocks == 0 {
		return nil
	}
	c.announced = tip.Hash
	c.publish(c.subjects.Block(c.cfg.Name), protocol.ToAll, &protocol.BlockAnnounced{
		Kind: protocol.KindAnnounced, Coordinator: c.cfg.Name, Height: tip.Height, Hash: tip.Hash, Header: tip.Header,
		Chainwork: tip.Work.String(),
	})
	c.log.Info("took the chain of another", "coordinator", from, "blocks", blocks, "height", tip.Height, "tip", tip.Hash)
	if onTip {
		return nil
	}
	if err := c.advance(now); err != nil {
		return fmt.Errorf("after blocks of others: %w", err)
	}
	return nil
}
