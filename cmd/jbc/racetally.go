package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/jbcnet/jbc/hashing"
)

// raceBlock is a block that somebody won.
type raceBlock struct {
	height    uint32
	prev      hashing.Hash
	winner    string
	chainwork string // of the chain up to it, 64 hex digits
}

// raceTally knows who won which block since a race began, and which chain of them has
// the most work. It asks nobody.
type raceTally struct {
	base   uint32 // height that the race began at
	blocks map[hashing.Hash]raceBlock
	tip    hashing.Hash // without a hash before the first
}

func newRaceTally(base uint32) *raceTally {
	return &raceTally{base: base, blocks: map[hashing.Hash]raceBlock{}}
}

// Add notes a block.
func (t *raceTally) Add(hash hashing.Hash, b raceBlock) { t.blocks[hash] = b }

// Missing returns the block from that one down that has to be known before the chain
// up to it is, false where all are.
func (t *raceTally) Missing(hash hashing.Hash) (hashing.Hash, bool) {
	for {
		b, known := t.blocks[hash]
		switch {
		case !known:
			return hash, true
		case b.height <= t.base+1:
			return hashing.Hash{}, false
		}
		hash = b.prev
	}
}

// Chain returns the blocks of the race up to one, the lowest first. Nothing of it may
// be missing.
func (t *raceTally) Chain(hash hashing.Hash) (chain []raceBlock) {
	for b, known := t.blocks[hash]; known && b.height > t.base; b, known = t.blocks[b.prev] {
		chain = append(chain, b)
	}
	slices.Reverse(chain)
	return chain
}

// Move goes to a block that has more work than the tip, and returns what is new in the
// chain, the lowest first, and how many blocks left it.
func (t *raceTally) Move(hash hashing.Hash) (came []raceBlock, left int) {
	if t.blocks[hash].chainwork <= t.blocks[t.tip].chainwork {
		return nil, 0
	}
	before, now := t.Chain(t.tip), t.Chain(hash)
	common := 0
	for common < min(len(before), len(now)) && before[common] == now[common] {
		common++
	}
	t.tip = hash
	return now[common:], len(before) - common
}

// raceWins counts the blocks that each has in a chain.
func raceWins(chain []raceBlock) map[string]int {
	wins := map[string]int{}
	for _, b := range chain {
		wins[b.winner]++
	}
	return wins
}

// standings is who has how many, if any, in the order of names.
func standings(names []string, wins map[string]int) string {
	var parts []string
	for _, name := range names {
		if wins[name] > 0 {
			parts = append(parts, fmt.Sprintf("%s %d", name, wins[name]))
		}
	}
	return strings.Join(parts, ", ")
}
