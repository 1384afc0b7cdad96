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
// connected. progress, which may be nil, is called now and then. The bytes of a block
// are not copied: they must not change while Import runs.
//
// Anybody's bytes will do: nothing is made of them, and at most one and a quarter times
// as much memory taken, unless they are what a header with its work commits to.
//
// When it returns, what it reports is on disk, also where it returns an error: of
// blocks, which ended there; a [RuleError] of the block after those reported; that
// a block's parent is missing; ctx's; or the machine's. Blocks that are known are
// passed over, so that an import that was cut short can be begun again, unless their
// witnesses are wrong here. Others may use the chain meanwhile, and have their blocks
// accepted between two batches.
func (c *Chain) Import(ctx context.Context, blocks iter.Seq2[[]byte, error], now time.Time, progress func(ImportProgress)) (ImportProgress, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	im := &importer{chain: c, now: now, tell: progress}
	decoded := decodeAll(ctx, c.params, blocks)
	defer func() {
		cancel()
		for part := range decoded { // until what was started has ended
			<-part
		}
	}()
	err := im.run(ctx, decoded)
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
	taken    []taken // into the update
	tell     func(ImportProgress)
	progress ImportProgress // as of the last batch
	next     ImportProgress // with what was known already
	bytes    int64          // of taken
}

// taken is a block that was new.
type taken struct {
	node *node
	size int64
}

func (im *importer) run(ctx context.Context, decoded <-chan chan decodedBlocks) error {
	for {
		part, ok, err := im.part(decoded)
		if err != nil || !ok {
			return errors.Join(err, ctx.Err())
		}
		for _, b := range part.blocks {
			if err := im.take(b); err != nil {
				return err
			}
		}
		if part.err != nil {
			return part.err
		}
		if im.full() {
			if err := im.flush(); err != nil {
				return err
			}
		}
	}
}

// sourceWait is how long the update is held open for a source that is slow: others
// wait for the chain meanwhile.
const sourceWait = 20 * time.Millisecond

// part returns the next blocks; false after the last.
func (im *importer) part(decoded <-chan chan decodedBlocks) (part decodedBlocks, ok bool, err error) {
	late := time.NewTimer(sourceWait)
	defer late.Stop()
	var chunk chan decodedBlocks
	select {
	case chunk, ok = <-decoded:
	case <-late.C:
		if err := im.flush(); err != nil {
			return part, false, err
		}
		chunk, ok = <-decoded
	}
	if !ok {
		return part, false, nil
	}
	return <-chunk, true, nil
}

// full says whether the update should be written: there is much in it, or it has been
// held for many blocks.
func (im *importer) full() bool {
	if im.update == nil {
		return false
	}
	blocks := len(im.taken) + im.next.Known - im.progress.Known
	most := min(importBytes, im.chain.updateBytes)
	return blocks >= importBlocks || im.bytes+im.next.Bytes-im.progress.Bytes >= most || im.update.size() >= most
}

// About what a batch of an import holds.
const (
	importBytes  = 32 << 20 // of memory
	importBlocks = 20_000   // new and known
)

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
	im.taken = append(im.taken, taken{n, size})
	im.bytes += size
	return im.connect(n, b)
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
		return im.refuse(u.refused(n, err))
	}
	if u.scripts.Len() >= maxUpdateInputs {
		return im.settle()
	}
	return nil
}

// settle waits for the scripts.
func (im *importer) settle() error { return im.refuse(im.update.settle()) }

// refuse drops a bad block and all on top of it. What came before it stays.
func (im *importer) refuse(bad *node, verdict error) error {
	if verdict == nil {
		return nil
	}
	if bad == nil {
		return im.chain.unusable(im.update.tip, verdict)
	}
	im.chain.invalidate(im.update, bad)
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
	im.update, im.next, im.taken, im.bytes = c.newUpdate(), im.progress, im.taken[:0], 0
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
	for _, t := range im.taken {
		if !t.node.invalid {
			im.progress.Blocks++
			im.progress.Bytes += t.size
		}
	}
	if im.tell != nil {
		im.tell(im.progress)
	}
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
		s, err := p.admit(data)
		if err != nil {
			d.err = err
			break
		}
		d.blocks = append(d.blocks, s)
	}
	part <- d
}
