package chain

// checkContext is the third tier: what a block shows when it is connected to the
// state at its parent. A block that fails here is invalid for good, and so is
// everything on top of it.
func (p *Params) checkContext(b *Block, height uint32) error {
	var paid int64
	for _, out := range b.Transactions[0].TxOut {
		paid += out.Value // sanity bounds the sum
	}
	if subsidy := p.Subsidy(height); paid > subsidy {
		return broken(RuleCoinbaseValue, height, "%d units, subsidy %d", paid, subsidy)
	}
	return nil
}
