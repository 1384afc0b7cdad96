package main

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/btcsuite/btcd/blockchain"
	"github.com/btcsuite/btcd/btcutil/v2"
	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/btcsuite/btcd/database"
	_ "github.com/btcsuite/btcd/database/ffldb" // the only kind of database there is
	"github.com/btcsuite/btcd/txscript/v2"
	"github.com/btcsuite/btcd/wire/v2"
	"github.com/jbcnet/jbc/hashing"
)

// btcdNode is btcd's chain as its own node opens it, without checkpoints and
// indexes. Blocks and the database's cache reach the disk when that is 100 MB or
// five minutes old, unspent outputs when their cache is full: everything is there
// only after Close.
type btcdNode struct {
	chain *blockchain.BlockChain
	db    database.DB
}

func openBTCD(dir string, net network, s settings) (node, error) {
	params := chaincfg.MainNetParams
	if net == regtest {
		params = chaincfg.RegressionNetParams
	}
	ownDeployments(&params)
	db, err := database.Create("ffldb", filepath.Join(dir, "blocks"), params.Net)
	if err != nil {
		return nil, err
	}
	chain, err := blockchain.New(&blockchain.Config{
		DB:               db,
		ChainParams:      &params,
		TimeSource:       blockchain.NewMedianTime(),
		UtxoCacheMaxSize: uint64(s.cacheBytes),
		SigCache:         txscript.NewSigCache(s.signatures),
		HashCache:        txscript.NewHashCache(s.signatures),
	})
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &btcdNode{chain: chain, db: db}, nil
}

// ownDeployments makes the clocks of the soft forks anew: they hold on to the chain
// that was opened with them last, and its whole index.
func ownDeployments(params *chaincfg.Params) {
	for i := range params.Deployments {
		d := &params.Deployments[i]
		if s, ok := d.DeploymentStarter.(*chaincfg.MedianTimeDeploymentStarter); ok {
			d.DeploymentStarter = chaincfg.NewMedianTimeDeploymentStarter(s.StartTime())
		}
		if e, ok := d.DeploymentEnder.(*chaincfg.MedianTimeDeploymentEnder); ok {
			d.DeploymentEnder = chaincfg.NewMedianTimeDeploymentEnder(e.EndTime())
		}
	}
}

func (n *btcdNode) Import(blocks [][]byte) error {
	for _, raw := range blocks {
		if _, err := n.Accept(raw); err != nil {
			return err
		}
	}
	return nil
}

func (n *btcdNode) Accept(raw []byte) (pending, error) {
	block, err := btcutil.NewBlockFromBytes(raw)
	if err != nil {
		return nil, err
	}
	_, orphan, err := n.chain.ProcessBlock(block, blockchain.BFNone)
	if err == nil && orphan {
		err = fmt.Errorf("block %s has no parent", block.Hash())
	}
	return nil, err
}

func (n *btcdNode) Headers(headers []hashing.Header) (tip hashing.Hash, height uint32, err error) {
	for i := range headers {
		var h wire.BlockHeader
		if err := h.Deserialize(bytes.NewReader(headers[i][:])); err != nil {
			return tip, 0, err
		}
		best, err := n.chain.ProcessBlockHeader(&h, blockchain.BFNone, false)
		if err == nil && !best {
			err = fmt.Errorf("header %s is not the best one", h.BlockHash())
		}
		if err != nil {
			return tip, 0, err
		}
	}
	hash, at := n.chain.BestHeader()
	return hashing.Hash(hash), uint32(at), nil
}

func (n *btcdNode) Tip() (hash hashing.Hash, height uint32) {
	best := n.chain.BestSnapshot()
	return hashing.Hash(best.Hash), uint32(best.Height)
}

func (n *btcdNode) Close() error {
	return errors.Join(n.chain.FlushUtxoCache(blockchain.FlushRequired), n.db.Close())
}
