package chain

import (
	"time"

	"github.com/jbcnet/jbc/hashing"
)

// checkPosition is the second tier: what the chain up to parent says of a block
// on it. It reads headers only, so it holds for side blocks too, whose state is
// never computed. Nothing is kept of a block that fails here, and it may be tried
// again: one that is early by our clock is in time later.
func (p *Params) checkPosition(b *sane, parent *node, now time.Time) error {
	height := parent.height + 1
	if parent.invalid {
		return broken(RuleInvalidAncestor, height, "parent %s", parent.hash)
	}
	if err := p.checkHeader(&b.Header, b.hash, parent); err != nil {
		return err
	}
	if script := b.Transactions[0].TxIn[0].SignatureScript; height >= p.Forks.BIP34 && !hasHeight(script, height) {
		return broken(RuleCoinbaseHeight, height, "script %x, want prefix %x", script, HeightScript(height))
	}
	if active := height >= p.Forks.SegWit; !active || !b.committed {
		if err := checkWitness(b.Block, height, active); err != nil {
			return err
		}
	}
	if err := p.checkFinal(b, parent); err != nil {
		return err
	}
	// Last, so that a block that is nothing but early breaks no other rule.
	if latest := now.Add(p.MaxFuture()); time.Unix(int64(b.Header.Time()), 0).After(latest) {
		return broken(RuleTimeTooNew, height, "%d, latest allowed %d", b.Header.Time(), latest.Unix())
	}
	return nil
}

// checkHeader is what the headers up to parent say of the header of a child.
func (p *Params) checkHeader(h *hashing.Header, hash hashing.Hash, parent *node) error {
	height := parent.height + 1
	if want, _ := p.required(parent); h.Bits() != want {
		return broken(RuleWrongBits, height, "%s, required %s", h.Bits(), want)
	}
	if t := h.Time(); t <= parent.median {
		return broken(RuleTimeTooOld, height, "%d, median time past %d", t, parent.median)
	}
	if err := p.checkVersion(int32(h.Version()), height); err != nil {
		return err
	}
	if want, there := p.Checkpoints[height]; there && hash != want {
		return broken(RuleCheckpoint, height, "%s, the checkpoint is %s", hash, want)
	}
	return nil
}

// checkDepth refuses a block on parent that would fork off the chain up to tip
// where that is final: deeper than the network's finality depth, or below a
// checkpoint that it has passed.
func (p *Params) checkDepth(parent, tip *node) error {
	leaves := func(height uint32) bool { // whether a child of parent leaves tip's chain below height
		return parent.height < height || parent.ancestor(height) != tip.ancestor(height)
	}
	if d := p.FinalityDepth; d != 0 && tip.height > d && leaves(tip.height-d) {
		return broken(RuleFinality, parent.height+1, "forks off more than %d blocks below the tip at %d", d, tip.height)
	}
	for height, want := range p.Checkpoints {
		if height <= tip.height && tip.ancestor(height).hash == want && leaves(height) {
			return broken(RuleCheckpoint, parent.height+1, "forks off below the checkpoint at %d", height)
		}
	}
	return nil
}

// checkVersion refuses versions that a soft fork retired. The version is signed:
// with the top bit set it is below all of them.
func (p *Params) checkVersion(version int32, height uint32) error {
	var least int32
	switch {
	case height >= p.Forks.BIP65:
		least = 4
	case height >= p.Forks.BIP66:
		least = 3
	case height >= p.Forks.BIP34:
		least = 2
	default:
		return nil
	}
	if version < least {
		return broken(RuleVersion, height, "%d, at least %d", version, least)
	}
	return nil
}

// checkFinal wants the lock time of every transaction to have come: by the
// median time past from BIP113 on, by the block's own time before.
func (p *Params) checkFinal(b *sane, parent *node) error {
	height, at := parent.height+1, b.Header.Time()
	if height >= p.Forks.CSV {
		at = parent.median
	}
	for i, tx := range b.Transactions {
		if !isFinal(tx, height, at) {
			return broken(RuleUnfinal, height, "transaction %s has lock time %d, median time past %d", b.ids[i], tx.LockTime, parent.median)
		}
	}
	return nil
}
