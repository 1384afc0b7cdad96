package chain

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"time"

	"github.com/jbcnet/jbc/hashing"
)

// ImportProgress says how far an import is.
type ImportProgress struct {
	Blocks int    // taken in
	Known  int    // that were there already
	Bytes  int64  // of both
	Height uint32 // of the tip, of which nothing is promised yet
}

// Import takes in many blocks, encoded, parents before children, and puts many
// into one batch. It is faster than [Chain.Accept] for each: blocks are decoded,
// looked at and have their scripts run on all cores while the one that is next is
// connected. progress, which may be nil, is called now and then.
//
// When it returns, what it reports is on disk, also where it returns an error: of
// blocks, which ended there; a [RuleError] of the block after those reported; that
// a block's parent is missing; ctx's; or the machine's. Blocks that are known are
// passed over, so that an import that was cut short can be begun again. Others may
// use the chain meanwhile, and have their blocks accepted between two batches.
func (c *Chain) Import(ctx context.Context, blocks iter.Seq2[[]byte, error], now time.Time, progress func(ImportProgress)) (ImportProgress, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	im := &importer{chain: c, now: now}
	decoded := decodeAll(ctx, c.params, blocks)
	defer func() {
		cancel()
		for part := range decoded { // until what was started has ended
			<-part
		}
	}()
	err := im.run(ctx, decoded, progress)
	if earlier := im.end(); earlier != nil {
		err = earlier
	}
	return im.progress, err
}

// importer takes blocks in, a batch at a time. It holds Chain.writing while it
// has an update.
type importer struct {
	chain    *Chain
	now      time.Time
	update   *update
	progress ImportProgress // as of the last batch
	next     ImportProgress // with the update
}

func (im *importer) run(ctx context.Context, decoded <-chan chan decodedBlocks, progress func(ImportProgress)) error {
	for chunk := range decoded {
		part := <-chunk
		for _, b := range part.blocks {
			if err := im.take(b); err != nil {
				return err
			}
		}
		if part.err != nil {
			return part.err
		}
		if im.update.full() {
			if err := im.flush(); err != nil {
				return err
			}
		}
		if progress != nil && im.update == nil {
			progress(im.progress)
		}
	}
	return ctx.Err()
}

// full says whether an import should write what it has.
func (u *update) full() bool {
	return u != nil && u.size() >= min(importBytes, u.chain.updateBytes)
}

// importBytes is about what a batch of an import holds in memory.
const importBytes = 16 << 20

// take adds one block to the update.
func (im *importer) take(b *sane) error {
	if err := im.begin(); err != nil {
		return err
	}
	c, u := im.chain, im.update
	size := int64(b.Size())
	if n := c.nodes.get(b.hash); n != nil {
		if n.invalid {
			return broken(RuleKnownInvalid, n.height, "%s", n.hash)
		}
		im.next.Known++
		im.next.Bytes += size
		return nil
	}
	parent := c.nodes.get(b.Header.Prev())
	if parent == nil {
		return &OrphanError{Hash: b.hash, Parent: b.Header.Prev()}
	}
	if err := c.checkPosition(b, parent, u.tip, im.now); err != nil {
		return err
	}
	n := c.index(u, b, parent)
	if err := im.connect(n, b); err != nil {
		return err
	}
	im.next.Blocks++
	im.next.Bytes += size
	return nil
}

// connect takes the state to n where it should. On the tip nobody waits for
// scripts: they run while the next block is looked at.
func (im *importer) connect(n *node, b *sane) error {
	c, u := im.chain, im.update
	if n.parent != u.tip {
		if err := im.settle(); err != nil {
			return err
		}
		return c.activate(u, n)
	}
	if err := u.connect(n, b); err != nil {
		height := u.tip.height
		bad, verdict := u.refused(n, err)
		return im.refuse(height, bad, verdict)
	}
	if u.scripts.Len() >= maxUpdateInputs {
		return im.settle()
	}
	return nil
}

// settle waits for the scripts.
func (im *importer) settle() error {
	height := im.update.tip.height
	bad, verdict := im.update.settle()
	return im.refuse(height, bad, verdict)
}

// refuse drops a bad block and all on top of it, up to height. What came before it
// stays.
func (im *importer) refuse(height uint32, bad *node, verdict error) error {
	if verdict == nil {
		return nil
	}
	if bad == nil {
		return im.chain.unusable(im.update.tip, verdict)
	}
	im.chain.invalidate(im.update, bad)
	im.next.Blocks -= int(height - im.update.tip.height)
	return verdict
}

// begin takes the lock and starts an update where there is none.
func (im *importer) begin() error {
	if im.update != nil {
		return nil
	}
	c := im.chain
	c.writing.Lock()
	err := c.broken
	if err == nil {
		err = c.store.Writable()
	}
	if err != nil {
		c.writing.Unlock()
		return err
	}
	im.update, im.next = c.newUpdate(), im.progress
	return nil
}

// flush writes the update and lets others at the chain.
func (im *importer) flush() error {
	if im.update == nil {
		return nil
	}
	u := im.update
	defer func() {
		u.abandon()
		im.update = nil
		im.chain.writing.Unlock()
	}()
	if im.chain.broken != nil {
		return nil // it was said
	}
	verdict := im.settle()
	if im.chain.broken != nil {
		return verdict
	}
	if err := im.chain.activateBest(u); err != nil {
		return err
	}
	if err := im.chain.commit(u, false); err != nil {
		return err
	}
	im.progress = im.next
	im.progress.Height = u.tip.height
	return verdict
}

// end writes what is left and waits for the disk.
func (im *importer) end() error {
	err := im.flush()
	im.chain.writing.Lock()
	last := im.chain.last
	im.chain.writing.Unlock()
	return errors.Join(err, last.Wait())
}

// An OrphanError says that a block was imported whose parent is not known.
type OrphanError struct{ Hash, Parent hashing.Hash }

func (e *OrphanError) Error() string {
	return fmt.Sprintf("block %s: its parent %s is not known", e.Hash, e.Parent)
}

// decodedBlocks are some blocks in their order, up to an error.
type decodedBlocks struct {
	blocks []*sane
	err    error
}

// Blocks are decoded in parts, so that small ones cost little to hand over and
// large ones little memory.
const (
	partBytes  = 256 << 10
	partBlocks = 256
)

// decodeAll decodes blocks and checks their sanity on all cores. What it returns
// gives the parts in their order; it is closed when all is read, or ctx is done.
func decodeAll(ctx context.Context, p *Params, blocks iter.Seq2[[]byte, error]) <-chan chan decodedBlocks {
	parts := make(chan chan decodedBlocks, runtime.GOMAXPROCS(0))
	go func() {
		defer close(parts)
		var raw [][]byte
		bytes := 0
		send := func(err error) bool {
			part := make(chan decodedBlocks, 1)
			select {
			case parts <- part:
			case <-ctx.Done():
				return false
			}
			go decodePart(p, raw, err, part)
			raw, bytes = nil, 0
			return true
		}
		for b, err := range blocks {
			if err != nil {
				send(err)
				return
			}
			raw = append(raw, b)
			if bytes += len(b); bytes >= partBytes || len(raw) >= partBlocks {
				if !send(nil) {
					return
				}
			}
		}
		if len(raw) > 0 {
			send(nil)
		}
	}()
	return parts
}

// decodePart decodes up to the first block that is none, and says err after them.
func decodePart(p *Params, raw [][]byte, err error, part chan<- decodedBlocks) {
	d := decodedBlocks{blocks: make([]*sane, 0, len(raw)), err: err}
	for _, data := range raw {
		b, err := DecodeBlock(data)
		var s *sane
		if err == nil {
			s, err = p.sanity(b)
		}
		if err != nil {
			d.err = err
			break
		}
		d.blocks = append(d.blocks, s)
	}
	part <- d
}
