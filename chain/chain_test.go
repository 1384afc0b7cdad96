package chain_test

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/btcsuite/btcd/wire/v2"
	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/chain/chaintest"
	"github.com/jbcnet/jbc/chain/store"
	"github.com/jbcnet/jbc/hashing"
)

// easyASERT is a network with the schedule of dev, mined as fast as regtest.
func easyASERT() *chain.Params {
	p := chain.Regtest()
	p.Name = "easy"
	p.Schedule = chain.ScheduleASERT
	p.Spacing = 10 * time.Second
	p.HalfLife = 2 * time.Minute
	p.Address = &chaincfg.RegressionNetParams
	return p
}

func TestAcceptExtends(t *testing.T) {
	h := chaintest.New(t, chain.Regtest())
	h.ExpectTip(h.Genesis)
	blocks := h.Branch(h.Genesis, 3)
	a := h.Expect(blocks[0], chain.Extended)
	if want := []chain.Ref{{Hash: blocks[0].Hash(), Height: 1}}; !slices.Equal(a.Connected, want) || a.Disconnected != nil {
		t.Errorf("connected %v, disconnected %v, want %v and none", a.Connected, a.Disconnected, want)
	}
	h.Accept(blocks[1:]...)
	h.ExpectTip(blocks[2])
	h.Expect(blocks[1], chain.Known)

	if hash, ok := h.Chain.HashAtHeight(2); !ok || hash != blocks[1].Hash() {
		t.Errorf("height 2: %s, %v, want %s", hash, ok, blocks[1].Hash())
	}
	if _, ok := h.Chain.HashAtHeight(4); ok {
		t.Error("height 4 has a block, want none")
	}
	got, err := h.Chain.BlockByHash(blocks[1].Hash())
	if err != nil || got.Hash() != blocks[1].Hash() {
		t.Errorf("block by hash: %v, %v", got, err)
	}
	if _, err := h.Chain.BlockByHash(hashing.Hash{1}); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("unknown block: %v, want %v", err, store.ErrNotFound)
	}
}

func TestAcceptSideAndReorganise(t *testing.T) {
	h := chaintest.New(t, chain.Regtest())
	trunk := h.Branch(h.Genesis, 2)
	left, right := h.Branch(trunk[1], 2), h.Branch(trunk[1], 3)
	h.Accept(trunk...)
	h.Accept(left...)
	h.Expect(right[0], chain.Side)
	h.Expect(right[1], chain.Side) // as much work, seen later
	h.ExpectTip(left[1])
	a := h.Expect(right[2], chain.Reorganised)
	h.ExpectTip(right[2])

	wantOff := []chain.Ref{{Hash: left[1].Hash(), Height: 4}, {Hash: left[0].Hash(), Height: 3}}
	wantOn := []chain.Ref{{Hash: right[0].Hash(), Height: 3}, {Hash: right[1].Hash(), Height: 4}, {Hash: right[2].Hash(), Height: 5}}
	if !slices.Equal(a.Disconnected, wantOff) || !slices.Equal(a.Connected, wantOn) {
		t.Errorf("disconnected %v, connected %v, want %v and %v", a.Disconnected, a.Connected, wantOff, wantOn)
	}
	if h.Chain.IsMain(left[0].Hash()) || !h.Chain.IsMain(right[0].Hash()) {
		t.Error("main chain: left is on it or right is not")
	}
	h.Reopen()
	h.ExpectTip(right[2])
}

func TestReorganiseDeep(t *testing.T) {
	const depth = 1000
	h := chaintest.New(t, chain.Regtest())
	left, right := h.Branch(h.Genesis, depth), h.Branch(h.Genesis, depth+1)
	h.Accept(left...)
	for _, b := range right[:depth] {
		h.Expect(b, chain.Side)
	}
	start := time.Now()
	a := h.Expect(right[depth], chain.Reorganised)
	t.Logf("reorganised %d blocks in %v", depth, time.Since(start))
	if len(a.Disconnected) != depth || len(a.Connected) != depth+1 {
		t.Errorf("%d disconnected, %d connected, want %d and %d", len(a.Disconnected), len(a.Connected), depth, depth+1)
	}
	h.ExpectTip(right[depth])
	h.Reopen()
	h.ExpectTip(right[depth])
}

// TestMoreWorkNotLength: one hard block outweighs several easy ones.
func TestMoreWorkNotLength(t *testing.T) {
	p := easyASERT()
	h := chaintest.New(t, p)
	first := h.Next(h.Genesis)
	h.Accept(first)
	// Blocks in the same second are far ahead of the schedule: difficulty rises.
	fast, slow := first, first
	for i := range 60 {
		fast = h.Next(fast, chaintest.At(time.Unix(int64(first.Header.Time())+int64(i)+1, 0)))
		h.Accept(fast)
	}
	for range 61 {
		slow = h.Next(slow, chaintest.At(time.Unix(int64(slow.Header.Time())+20, 0)))
		h.Expect(slow, chain.Side)
	}
	if slow.Height <= fast.Height {
		t.Fatalf("slow branch has height %d, want more than %d", slow.Height, fast.Height)
	}
	h.ExpectTip(fast)
}

func TestOrphansOutOfOrder(t *testing.T) {
	h := chaintest.New(t, chain.Regtest())
	blocks := h.Branch(h.Genesis, 30)
	rng := rand.New(rand.NewPCG(1, 2))
	for _, i := range rng.Perm(29) {
		h.Expect(blocks[1+i], chain.Orphan)
		h.Expect(blocks[1+i], chain.Orphan) // twice is nothing new
	}
	a := h.Expect(blocks[0], chain.Extended)
	if len(a.Connected) != 30 {
		t.Errorf("%d connected, want 30", len(a.Connected))
	}
	h.ExpectTip(blocks[29])
	h.Reopen()
	h.ExpectTip(blocks[29])
}

func TestOrphansAreBounded(t *testing.T) {
	h := chaintest.New(t, chain.Regtest())
	missing := h.Branch(h.Genesis, 2)
	old := h.Next(missing[1])
	h.Expect(old, chain.Orphan)
	for range 600 {
		h.Expect(h.Next(missing[0]), chain.Orphan)
	}
	if h.Chain.Held(old.Hash()) {
		t.Error("the oldest of 601 orphans is still held")
	}
	h.Accept(missing[0]) // the real parent connects
	if tip := h.Chain.Tip(); tip.Height != 2 {
		t.Errorf("tip at height %d, want 2: an orphan on it", tip.Height)
	}

	late := h.Next(missing[1])
	h.Expect(late, chain.Orphan)
	h.Now = h.Now.Add(time.Hour)
	h.Expect(h.Next(h.Next(missing[1])), chain.Orphan)
	if h.Chain.Held(late.Hash()) {
		t.Error("an orphan an hour old is still held")
	}
}

func TestTimeTooNewIsAcceptedLater(t *testing.T) {
	for _, p := range []*chain.Params{chain.Regtest(), easyASERT()} {
		t.Run(p.Name, func(t *testing.T) {
			h := chaintest.New(t, p)
			latest := h.Now.Add(p.MaxFuture())
			b := h.Next(h.Genesis, chaintest.At(latest.Add(time.Second)))
			h.Reject(b, chain.RuleTimeTooNew)
			if _, known := h.Chain.Lookup(b.Hash()); known {
				t.Error("an early block is in the index")
			}
			h.Now = h.Now.Add(time.Second)
			h.Expect(b, chain.Extended)
			h.ExpectTip(b)
		})
	}
}

// TestChangedBodyThenOriginal: a body that does not belong to a good header
// says nothing about the header.
func TestChangedBodyThenOriginal(t *testing.T) {
	h := chaintest.New(t, chain.Regtest())
	b := h.Next(h.Genesis)
	body := func(change func(tx *wire.MsgTx)) *chaintest.Block {
		tx := b.Transactions[0].Copy()
		change(tx)
		return &chaintest.Block{Block: &chain.Block{Header: b.Header, Transactions: []*wire.MsgTx{tx}}, Height: 1}
	}
	h.Reject(body(func(tx *wire.MsgTx) { tx.TxOut[0].Value-- }), chain.RuleMerkleRoot)
	h.Reject(body(func(tx *wire.MsgTx) { tx.TxIn[0].Witness = wire.TxWitness{make([]byte, 32)} }), chain.RuleWitness)
	h.Expect(b, chain.Extended)
	h.ExpectTip(b)
}

// TestInvalidBranchLosesWithItsDescendants: a side branch with a bad block in it
// is only found out when it would become the main chain.
func TestInvalidBranchLosesWithItsDescendants(t *testing.T) {
	h := chaintest.New(t, chain.Regtest())
	left := h.Branch(h.Genesis, 3)
	right := h.Branch(h.Genesis, 1)
	right = append(right, h.Next(right[0], chaintest.Pays(h.Subsidy(2)+1)))
	right = append(right, h.Branch(right[1], 2)...)
	twig := h.Next(right[1])
	h.Accept(left...)
	h.Accept(right[:3]...)
	h.Expect(twig, chain.Side)
	h.Reject(right[3], chain.RuleInvalidAncestor)
	h.ExpectTip(left[2])
	for _, b := range append(slices.Clone(right[1:]), twig) {
		h.Reject(b, chain.RuleKnownInvalid)
	}
	h.Reject(h.Next(right[3]), chain.RuleInvalidAncestor)
	h.Reopen()
	h.ExpectTip(left[2])
	h.Reject(right[1], chain.RuleKnownInvalid)
	h.Reject(h.Next(twig), chain.RuleInvalidAncestor)
	h.Expect(h.Next(right[0]), chain.Side) // its parent is good
}
