package chain

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"

	"github.com/jbcnet/jbc/chain/script"
	"github.com/jbcnet/jbc/chain/store"
	"github.com/jbcnet/jbc/hashing"
)

// checkedBodies is how many of the last main blocks are read and checked on
// opening: where a crash could have left something half done, and as far as a
// reorganisation commonly goes.
const checkedBodies = 100

// Options of [Open]. The zero value is what most nodes want.
type Options struct {
	// Logger hears of what takes long and of orphans refused. Nil is silence.
	Logger *slog.Logger
	// CacheBytes bounds the memory for unspent outputs that were used lately;
	// DefaultCacheBytes where zero. The store has them all.
	CacheBytes int64
	// SignatureCache is how many good signatures are remembered, DefaultSignatureCache
	// where zero, none where negative.
	SignatureCache int
	// Indexes are those to keep besides what the chain needs itself.
	Indexes IndexSet

	// updateBytes bounds what an update holds, maxUpdateBytes where zero: tests make
	// it small, so that short ways are gone in several batches too.
	updateBytes int64
}

// What a node spends on caches unless told otherwise.
const (
	DefaultCacheBytes     = 64 << 20
	DefaultSignatureCache = 50_000
)

// Open reads the chain that st holds, or starts one with the network's genesis
// block. Everything is checked: each header's hash, proof of work, parent, bits
// and chainwork; that the tip is the best of the valid blocks; and that the last
// 100 blocks of the main chain are there whole. What does not fit is a
// [store.DamageError]. A way to a better tip that a crash cut off is gone to its
// end. The store stays the caller's to close, after the chain's last use.
func Open(st *store.Store, params *Params, opts Options) (*Chain, error) {
	if err := params.Check(); err != nil {
		return nil, err
	}
	c := &Chain{
		params:  params,
		store:   st,
		log:     opts.Logger,
		scripts: script.New(script.Options{CacheEntries: uint(max(0, cmp.Or(opts.SignatureCache, DefaultSignatureCache)))}),
		utxos:   newUTXOCache(st, cmp.Or(opts.CacheBytes, DefaultCacheBytes)),
		nodes:   newNodeTable(),
		leaves:  map[*node]struct{}{},
		orphans: newOrphans(),

		updateBytes: cmp.Or(opts.updateBytes, maxUpdateBytes),
	}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	if err := st.Iterate(store.Chain, []byte{prefixIndex}, c.loadNode); err != nil {
		return nil, err
	}
	if c.nodes.count == 0 {
		if err := c.start(); err != nil {
			return nil, err
		}
		return c, c.openIndexes(opts.Indexes)
	}
	if err := c.loadTip(); err != nil {
		return nil, err
	}
	if err := c.checkBodies(); err != nil {
		return nil, err
	}
	if err := c.openIndexes(opts.Indexes); err != nil {
		return nil, err
	}
	return c, c.finishMove()
}

// finishMove goes to the best tip where the last process was on its way there.
func (c *Chain) finishMove() error {
	best, from := c.best(), c.state
	if best == from && !c.doubtful {
		return nil
	}
	c.log.Info("going on to the best block", "from", from.height, "to", best.height)
	u := c.newUpdate()
	defer u.abandon()
	if err := c.activateBest(u); err != nil {
		return err
	}
	if err := c.judgeSides(u); err != nil {
		return err
	}
	if err := c.commit(u, false); err != nil {
		return err
	}
	c.doubtful = false
	return c.last.Wait()
}

// judgeSides judges again what lies beside the chain to u's tip in a store that is in
// doubt, so that nothing of it is trusted later.
func (c *Chain) judgeSides(u *update) error {
	if !c.doubtful {
		return nil
	}
	var beside []*node
	c.nodes.all(func(n *node) bool {
		if !n.failed && (n.height > u.tip.height || u.tip.ancestor(n.height) != n) {
			beside = append(beside, n)
		}
		return true
	})
	for _, n := range beside {
		if n.failed { // with an ancestor, by now
			continue
		}
		_, err := u.body(n)
		switch {
		case errors.As(err, new(*RuleError)):
			c.invalidate(u, n)
		case err != nil:
			return err
		}
	}
	return nil
}

// start begins a chain with the genesis block.
func (c *Chain) start() error {
	if _, err := c.store.Get(store.Chain, tipKey()); !errors.Is(err, store.ErrNotFound) {
		return c.damaged("index", "empty, though there is a tip")
	}
	genesis := c.params.Genesis
	n := c.params.newNode(genesis.Hash(), &genesis.Header, nil, 0)
	c.insert(n)
	c.main, c.state = []*node{n}, n

	b := c.store.NewBatch()
	setIndex(b, n)
	setBody(b, n.hash, genesis)
	b.Set(store.Chain, tipKey(), tipRecord{hash: n.hash}.encode())
	if err := c.apply(b); err != nil {
		return err
	}
	return c.last.Wait()
}

func (c *Chain) damaged(where, format string, args ...any) error {
	return &store.DamageError{Dir: c.store.Dir(), Where: where, What: fmt.Sprintf(format, args...)}
}

// loadNode takes one record of the index. Parents come first.
func (c *Chain) loadNode(key, value []byte) error {
	height, hash, r, err := decodeIndexRecord(key, value)
	if err != nil {
		return c.damaged(fmt.Sprintf("index key %x", key), "%v", err)
	}
	where := fmt.Sprintf("index, height %d, block %s", height, hash)
	if got := r.header.Hash(); got != hash {
		return c.damaged(where, "header hashes to %s", got)
	}
	parent := c.nodes.get(r.header.Prev())
	if height == 0 {
		if hash != c.params.Genesis.Hash() {
			return c.damaged(where, "genesis is %s", c.params.Genesis.Hash())
		}
		parent = nil
	} else if err := c.checkLink(where, height, r, parent); err != nil {
		return err
	}
	n := c.params.newNode(hash, &r.header, parent, r.sequence)
	if n.work != r.work {
		return c.damaged(where, "chainwork %s, computed %s", r.work, n.work)
	}
	want, checked := c.params.Checkpoints[height]
	n.excluded = checked && hash != want || parent != nil && parent.excluded
	n.failed = r.invalid
	n.invalid = n.failed || n.excluded
	c.excluded = c.excluded || n.excluded
	c.insert(n)
	return nil
}

// checkLink compares a header with its parent.
func (c *Chain) checkLink(where string, height uint32, r indexRecord, parent *node) error {
	if parent == nil {
		return c.damaged(where, "parent %s is missing", r.header.Prev())
	}
	if parent.height+1 != height {
		return c.damaged(where, "parent has height %d", parent.height)
	}
	if want, _ := c.params.required(parent); r.header.Bits() != want {
		return c.damaged(where, "bits %s, required %s", r.header.Bits(), want)
	}
	if err := CheckProofOfWork(r.header.Hash(), r.header.Bits(), c.params.PowLimit); err != nil {
		return c.damaged(where, "%v", err)
	}
	if parent.failed && !r.invalid {
		return c.damaged(where, "valid on an invalid parent")
	}
	return nil
}

// loadTip reads which block is the tip, and checks that it should be.
func (c *Chain) loadTip() error {
	r, err := c.readTip()
	if err != nil {
		return err
	}
	tip := c.nodes.get(r.hash)
	if tip == nil {
		return c.damaged("tip", "block %s is not in the index", r.hash)
	}
	if tip.failed {
		return c.damaged("tip", "block %s is marked invalid", tip.hash)
	}
	if best := c.best(); !r.moving && !tip.excluded && best != tip {
		return c.damaged("tip", "block %s, though %s has chainwork %s against %s", tip.hash, best.hash, best.work, tip.work)
	}
	c.main = make([]*node, tip.height+1)
	for n := tip; n != nil; n = n.parent {
		c.main[n.height] = n
	}
	c.state, c.unspent = tip, r.utxos
	return nil
}

// readTip reads the tip's record. An old one says nothing of unspent outputs:
// the state begins with genesis then, and moves.
func (c *Chain) readTip() (tipRecord, error) {
	raw, err := c.store.Get(store.Chain, tipKey())
	switch {
	case errors.Is(err, store.ErrNotFound):
		return tipRecord{}, c.damaged("tip", "missing")
	case err != nil:
		return tipRecord{}, err
	case len(raw) == oldTipRecordSize && c.nodes.get(hashing.Hash(raw)) != nil:
		c.doubtful = true
		return tipRecord{hash: c.params.Genesis.Hash(), moving: true}, nil
	}
	r, err := decodeTipRecord(raw)
	if err != nil {
		return r, c.damaged("tip", "%v", err)
	}
	return r, nil
}

// checkBodies reads the last blocks of the main chain.
func (c *Chain) checkBodies() error {
	for _, n := range c.main[max(0, len(c.main)-checkedBodies):] {
		where := fmt.Sprintf("body, height %d, block %s", n.height, n.hash)
		b, err := c.readBlock(n.hash)
		switch {
		case errors.Is(err, store.ErrNotFound):
			return c.damaged(where, "missing")
		case err != nil:
			return err
		case b.Hash() != n.hash:
			return c.damaged(where, "header is that of %s", b.Hash())
		}
		if n.height == 0 {
			continue
		}
		if _, err := c.params.sanity(b); err != nil {
			return c.damaged(where, "%v", err)
		}
		if _, err := c.readUndo(n.hash, b); err != nil {
			return c.damaged(where, "%v", err)
		}
	}
	return nil
}
