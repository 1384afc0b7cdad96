package chain

import "time"

// checkPosition is the second tier: what the chain up to parent says of a block
// on it. It reads headers only, so it holds for side blocks too, whose state is
// never computed. Nothing is kept of a block that fails here, and it may be tried
// again: one that is early by our clock is in time later.
func (p *Params) checkPosition(b *Block, parent *node, now time.Time) error {
	height := parent.height + 1
	if parent.invalid {
		return broken(RuleInvalidAncestor, height, "parent %s", parent.hash)
	}
	if want, _ := p.required(parent); b.Header.Bits() != want {
		return broken(RuleWrongBits, height, "%s, required %s", b.Header.Bits(), want)
	}
	if t := b.Header.Time(); t <= parent.median {
		return broken(RuleTimeTooOld, height, "%d, median time past %d", t, parent.median)
	}
	if err := p.checkVersion(b, height); err != nil {
		return err
	}
	if script := b.Transactions[0].TxIn[0].SignatureScript; height >= p.Forks.BIP34 && !hasHeight(script, height) {
		return broken(RuleCoinbaseHeight, height, "script %x, want prefix %x", script, HeightScript(height))
	}
	if err := checkWitness(b, height, height >= p.Forks.SegWit); err != nil {
		return err
	}
	// Last, so that a block that is nothing but early breaks no other rule.
	if latest := now.Add(p.MaxFuture()); time.Unix(int64(b.Header.Time()), 0).After(latest) {
		return broken(RuleTimeTooNew, height, "%d, latest allowed %d", b.Header.Time(), latest.Unix())
	}
	return nil
}

// checkVersion refuses versions that a soft fork retired. The version is signed:
// with the top bit set it is below all of them.
func (p *Params) checkVersion(b *Block, height uint32) error {
	version := int32(b.Header.Version())
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
