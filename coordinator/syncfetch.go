package coordinator

import (
	"context"
	"errors"
	"fmt"
	"iter"
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
)

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
		for _, r := range d.Next(now, f.servers(now)) {
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
		if d.Starved(time.Now()) > stuckTime {
			return fault(peers.Withheld, "coordinator %s: nobody gives the blocks of its chain", f.peer.Name)
		}
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
	did, err := f.c.cfg.Chain.Import(ctx, each(blocks), time.Now(), nil)
	f.fetched += did.Blocks
	var broken *chain.RuleError
	switch {
	case errors.As(err, &broken):
		at := min(did.Blocks+did.Known, len(blocks)-1)
		header := hashing.Header(blocks[at][:hashing.HeaderSize])
		hash := header.Hash()
		if isOfTheBody(broken.Rule) { // the hash is right, and somebody has the right bytes
			d.Refused(hash)
			return nil
		}
		return fault(peers.BadBlock, "block %s of coordinator %s: %w", hash, f.peer.Name, err)
	case err != nil:
		return err
	}
	return nil
}

// isOfTheBody says whether a rule can be broken by bytes that the header does not
// commit to, or by a clock.
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

// servers are those who can be asked for the blocks of the branch.
func (f *follower) servers(now time.Time) (names []string) {
	f.c.others.with(func(t *peers.Table) {
		for _, p := range t.Serving(now, f.branch.Tip().Work) {
			names = append(names, p.Name)
		}
	})
	return names
}

// named returns a coordinator as the table has it.
func (f *follower) named(name string) (peer peers.Peer) {
	f.c.others.with(func(t *peers.Table) { peer, _ = t.Peer(name) })
	return peer
}

func (f *follower) blame(name string, kind peers.Fault) {
	f.c.others.with(func(t *peers.Table) { t.Failed(time.Now(), name, kind) })
}

// catchUp makes the job of the moment one on the tip, and tells the others, after
// blocks of others were taken in.
func (c *Coordinator) catchUp(now time.Time, from string, blocks int) error {
	tip := c.cfg.Chain.Tip()
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := c.farm.jobs.Current(); now != nil && now.Prev == tip.Hash || c.announced == tip.Hash {
		return nil
	}
	c.announced = tip.Hash
	c.publish(c.subjects.Block(c.cfg.Name), protocol.ToAll, &protocol.BlockAnnounced{
		Kind: protocol.KindAnnounced, Coordinator: c.cfg.Name, Height: tip.Height, Hash: tip.Hash, Header: tip.Header,
		Chainwork: tip.Work.String(),
	})
	c.log.Info("took the chain of another", "coordinator", from, "blocks", blocks, "height", tip.Height, "tip", tip.Hash)
	if err := c.advance(now); err != nil {
		return fmt.Errorf("after blocks of others: %w", err)
	}
	return nil
}
