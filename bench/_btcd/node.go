package main

import "github.com/jbcnet/jbc/hashing"

// node is one side's chain on its own directory. It belongs to one goroutine.
type node interface {
	// Import takes encoded blocks that each extend the one before.
	Import(blocks [][]byte) error
	// Accept takes one encoded block, on whatever branch, and has connected it
	// when it returns.
	Accept(block []byte) (pending, error)
	// Headers judges headers that each extend the one before, keeps an index of
	// them in memory, and returns where the best chain of headers ends.
	Headers(headers []hashing.Header) (tip hashing.Hash, height uint32, err error)
	// Tip returns the last block of the main chain.
	Tip() (hash hashing.Hash, height uint32)
	// Close returns when everything is on disk.
	Close() error
}

// pending returns when what was accepted would survive a power loss. It is nil
// where a side can't say so before it is closed.
type pending func() error

// contender opens one side's chain in an empty directory.
type contender struct {
	name string
	open func(dir string, net network, s settings) (node, error)
}

func contenders() []contender { return []contender{{"jbc", openJBC}, {"btcd", openBTCD}} }

// network is one that both sides know.
type network int

const (
	bitcoin network = iota // Bitcoin's main network
	regtest                // Bitcoin's regression test network
)
