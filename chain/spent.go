package chain

// Spent returns what a block that is or was on the main chain spent: an output for
// every input after the coinbase's, in their order. The error is [store.ErrNotFound]
// where that is not known, a [store.DamageError], or the machine's.
func (c *Chain) Spent(b *Block) ([]UTXO, error) {
	packs, err := c.readUndo(b.Hash(), b)
	if err != nil {
		return nil, err
	}
	spent := make([]UTXO, len(packs))
	for i, p := range packs {
		if spent[i], err = p.unpack(); err != nil {
			return nil, c.damaged("undo record of block "+b.Hash().String(), "output %d: %v", i, err)
		}
	}
	return spent, nil
}
