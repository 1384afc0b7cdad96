package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/chain/store"
	"github.com/jbcnet/jbc/hashing"
)

// jbcNode is our chain. Everything that was accepted is on its way to the disk
// when Accept returns, and there when its Wait does.
type jbcNode struct {
	chain  *chain.Chain
	store  *store.Store
	params *chain.Params
	kept   *chain.HeaderChain // nil before Headers
}

func openJBC(dir string, net network, s settings) (node, error) {
	params := chain.Bitcoin()
	if net == regtest {
		params = chain.Regtest()
	}
	st, err := store.Open(store.Options{Dir: filepath.Join(dir, "chain"), Network: params.ID()})
	if err != nil {
		return nil, err
	}
	c, err := chain.Open(st, params, chain.Options{CacheBytes: s.cacheBytes, SignatureCache: int(s.signatures)})
	if err != nil {
		return nil, errors.Join(err, st.Close())
	}
	return &jbcNode{chain: c, store: st, params: params}, nil
}

func (n *jbcNode) Import(blocks [][]byte) error {
	_, err := n.chain.Import(context.Background(), func(yield func([]byte, error) bool) {
		for _, raw := range blocks {
			if !yield(raw, nil) {
				return
			}
		}
	}, time.Now(), nil)
	return err
}

func (n *jbcNode) Accept(raw []byte) (pending, error) {
	b, err := chain.DecodeBlock(raw)
	if err != nil {
		return nil, err
	}
	a, err := n.chain.Accept(b, time.Now())
	if err != nil {
		return nil, err
	}
	if a.Status == chain.Orphan {
		return nil, fmt.Errorf("block %s has no parent", a.Hash)
	}
	return a.Wait, nil
}

func (n *jbcNode) Headers(headers []hashing.Header) (tip hashing.Hash, height uint32, err error) {
	n.kept = n.params.NewHeaderChain()
	if err := n.kept.Add(headers, time.Now()); err != nil {
		return tip, 0, err
	}
	t := n.kept.Tip()
	return t.Hash, t.Height, nil
}

func (n *jbcNode) Tip() (hash hashing.Hash, height uint32) {
	t := n.chain.Tip()
	return t.Hash, t.Height
}

func (n *jbcNode) Close() error { return n.store.Close() }
