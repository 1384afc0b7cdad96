package chain

import "github.com/jbcnet/jbc/chain/store"

// WithUpdateBytes bounds what an update holds before it is written, so that an
// import or a reorganisation takes several batches.
func (o Options) WithUpdateBytes(n int64) Options {
	o.updateBytes = n
	return o
}

// IsMoving says whether the store has a state on the way to a better tip.
func IsMoving(st *store.Store) bool {
	raw, err := st.Get(store.Chain, tipKey())
	if err != nil {
		return false
	}
	r, err := decodeTipRecord(raw)
	return err == nil && r.moving
}

// Admit takes bytes through the first tier, as an import does.
func (p *Params) Admit(data []byte) (*Block, error) {
	s, err := p.admit(data)
	if err != nil {
		return nil, err
	}
	return s.Block, nil
}

// Sanity takes a block through the first tier.
func (p *Params) Sanity(b *Block) error {
	_, err := p.sanity(b)
	return err
}
