package chain_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/btcsuite/btcd/wire/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/chain/chaintest"
	"github.com/jbcnet/jbc/chain/store"
	"github.com/jbcnet/jbc/hashing"
	"github.com/jbcnet/jbc/hashing/vectortest"
)

// headerChain returns the headers of a harness's main chain.
func headerChain(t testing.TB, h *chaintest.Harness) *chain.HeaderChain {
	t.Helper()
	var headers []hashing.Header
	for height := range h.Chain.Tip().Height {
		hash, _ := h.Chain.HashAtHeight(height + 1)
		e, _ := h.Chain.Lookup(hash)
		headers = append(headers, e.Header)
	}
	c := h.Chain.Params().NewHeaderChain()
	if err := c.Add(headers, h.Now); err != nil {
		t.Fatal(err)
	}
	return c
}

// quick is regtest with coinbases that can be spent at once.
func quick() *chain.Params {
	p := chain.Regtest()
	p.Maturity = 1
	return p
}

// blockOf grows the chain by one block that pays to anybody and one with n
// transactions, the coinbase among them.
func blockOf(t testing.TB, h *chaintest.Harness, parent *chaintest.Block, n int) *chaintest.Block {
	t.Helper()
	paying := h.Next(parent)
	h.Accept(paying)
	coinbase := paying.Transactions[0]
	coin := chaintest.Coin{
		At:  wire.OutPoint{Hash: coinbase.TxHash()},
		Out: coinbase.TxOut[0], Height: paying.Height, Coinbase: true,
	}
	var txs []*wire.MsgTx
	for range n - 1 { // each spends the one before
		tx := h.Spend([]chaintest.Coin{coin}, &wire.TxOut{Value: coin.Out.Value, PkScript: chaintest.AnyoneScript()})
		txs = append(txs, tx)
		coin = chaintest.Coin{At: wire.OutPoint{Hash: tx.TxHash()}, Out: tx.TxOut[0], Height: paying.Height + 1}
	}
	b := h.Next(paying, chaintest.Includes(txs...))
	h.Accept(b)
	return b
}

func prove(t testing.TB, h *chaintest.Harness, b *chaintest.Block, number int) chain.Proof {
	t.Helper()
	p, err := h.Chain.Prove(hashing.Hash(b.Transactions[number].TxHash()), b.Hash())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestProofsOfRealBlocks proves every transaction of real blocks, and finds them.
func TestProofsOfRealBlocks(t *testing.T) {
	params := chain.Bitcoin()
	vectortest.Each(t, "blockfiles", func(t *testing.T, f vectortest.File) int {
		h := chaintest.New(t, params)
		h.Now = time.Unix(1_700_000_000, 0)
		if _, err := h.Chain.Import(t.Context(), params.ReadBlocks(bytes.NewReader(f.Data)), h.Now, nil); err != nil {
			t.Fatal(err)
		}
		headers := headerChain(t, h)
		tip := h.Chain.Tip()
		proofs := 0
		for height := range tip.Height + 1 {
			hash, _ := h.Chain.HashAtHeight(height)
			b, err := h.Chain.BlockByHash(hash)
			if err != nil {
				t.Fatal(err)
			}
			for i, tx := range b.Transactions {
				p, err := h.Chain.Prove(hashing.Hash(tx.TxHash()), hash)
				if err != nil {
					t.Fatal(err)
				}
				back, err := chain.ParseProof(p.Encode())
				if err != nil || !bytes.Equal(back.Encode(), p.Encode()) {
					t.Fatalf("written and read: %+v, %v; want %+v", back, err, p)
				}
				got, err := back.Verify(headers, tip.Height-height+1)
				if err != nil || got.Header != b.Header || got.Tip.Hash != tip.Hash || got.Confirmations != tip.Height-height+1 {
					t.Fatalf("transaction %d of block %d: %+v, %v", i, height, got, err)
				}
				proofs++
			}
		}
		found, err := h.Chain.FindTransaction(t.Context(), realPayment(t), nil)
		if e, _ := h.Chain.Lookup(found); err != nil || e.Height != 170 {
			t.Errorf("the first payment is found in block %s at height %d, %v; want height 170", found, e.Height, err)
		}
		return proofs
	})
}

// realPayment is the id of the first payment from one person to another in Bitcoin.
func realPayment(t testing.TB) hashing.Hash {
	t.Helper()
	id, err := hashing.ParseHash("f4184fc596403b9d638783cf57adfe4c75c605f6356fbc91338530e9831e9e16")
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// TestProofShows compares what a proof shows with what the chain says.
func TestProofShows(t *testing.T) {
	h := chaintest.New(t, quick())
	b := blockOf(t, h, h.Genesis, 5)
	h.Accept(h.Branch(b, 3)...)
	headers := headerChain(t, h)
	tip, before := h.Chain.Tip(), b.Parent.Work
	for i := range b.Transactions {
		got, err := prove(t, h, b, i).Verify(headers, 4)
		if err != nil {
			t.Fatal(err)
		}
		if got.Header != b.Header || got.Confirmations != 4 || got.Tip != tip {
			t.Errorf("number %d: %+v", i, got)
		}
		var work chain.Work // of four blocks
		for range 4 {
			work = work.Add(chain.WorkOf(b.Header.Bits()))
		}
		if got.Work != work {
			t.Errorf("number %d: work %s, want %s, the chain before has %s", i, got.Work, work, before)
		}
	}
	p := prove(t, h, b, 2)
	if _, err := p.Verify(headers, 5); !errors.Is(err, chain.ErrProofConfirmations) || err.Error() != "the transaction has too few confirmations: 4, wanted 5" {
		t.Errorf("5 confirmations: %v", err)
	}
	p, err := h.Chain.Prove(hashing.Hash(h.Genesis.Transactions[0].TxHash()), h.Genesis.Hash())
	if err != nil {
		t.Fatal(err)
	}
	if got, err := p.Verify(headers, 0); err != nil || got.Work != tip.Work || got.Confirmations != tip.Height+1 {
		t.Errorf("genesis: %+v, %v; want the whole chain's work %s", got, err, tip.Work)
	}
}

// TestProofBitFlips changes every bit of every field of proofs of every place in
// trees of many forms. None of them holds.
func TestProofBitFlips(t *testing.T) {
	h := chaintest.New(t, quick())
	var blocks []*chaintest.Block
	parent := h.Genesis
	for _, n := range []int{1, 2, 3, 4, 5, 6, 7, 11} {
		parent = blockOf(t, h, parent, n)
		blocks = append(blocks, parent)
	}
	headers := headerChain(t, h)
	refusals := map[error]int{}
	for _, b := range blocks {
		for i := range b.Transactions {
			p := prove(t, h, b, i)
			if _, err := p.Verify(headers, 0); err != nil {
				t.Fatal(err)
			}
			eachFlip(p, func(field string, mutant chain.Proof) {
				_, err := mutant.Verify(headers, 0)
				if err == nil {
					t.Fatalf("number %d of %d: %s changed: it holds: %+v", i, len(b.Transactions), field, mutant)
				}
				refusals[proofFault(t, err)]++
			})
		}
	}
	for _, want := range []error{chain.ErrProofNetwork, chain.ErrProofBlock, chain.ErrProofHeight, chain.ErrProofNumber, chain.ErrProofCoinbase, chain.ErrProofBranch} {
		if refusals[want] == 0 {
			t.Errorf("no proof was refused for %q", want)
		}
	}
}

// proofFault returns which of the errors that a proof can have err is.
func proofFault(t testing.TB, err error) error {
	t.Helper()
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("more than a line: %q", err)
	}
	for _, fault := range []error{
		chain.ErrProofNetwork, chain.ErrProofBlock, chain.ErrProofHeight, chain.ErrProofNumber,
		chain.ErrProofCoinbase, chain.ErrProofBranch, chain.ErrProofConfirmations, chain.ErrProofWork,
	} {
		if errors.Is(err, fault) {
			return fault
		}
	}
	t.Fatalf("%v is none of the errors of a proof", err)
	return nil
}

// eachFlip calls visit with every proof that differs from p in one bit, or in a hash
// or byte more or less.
func eachFlip(p chain.Proof, visit func(field string, mutant chain.Proof)) {
	flipHash := func(field string, at func(*chain.Proof) *hashing.Hash) {
		for bit := range 256 {
			mutant := cloneProof(p)
			at(&mutant)[bit/8] ^= 1 << (bit % 8)
			visit(field, mutant)
		}
	}
	flipNumber := func(field string, at func(*chain.Proof) *uint32) {
		for bit := range 32 {
			mutant := cloneProof(p)
			*at(&mutant) ^= 1 << bit
			visit(field, mutant)
		}
	}
	flipBranch := func(field string, at func(*chain.Proof) *[]hashing.Hash) {
		for i := range *at(&p) {
			flipHash(fmt.Sprintf("%s %d", field, i), func(m *chain.Proof) *hashing.Hash { return &(*at(m))[i] })
			mutant := cloneProof(p)
			*at(&mutant) = slices.Delete(*at(&mutant), i, i+1)
			visit(field+" less one", mutant)
		}
		for _, more := range []hashing.Hash{{}, p.ID, p.Last, p.Block} {
			mutant := cloneProof(p)
			*at(&mutant) = append(*at(&mutant), more)
			visit(field+" and one more", mutant)
		}
	}
	flipHash("block", func(m *chain.Proof) *hashing.Hash { return &m.Block })
	flipHash("id", func(m *chain.Proof) *hashing.Hash { return &m.ID })
	flipHash("last", func(m *chain.Proof) *hashing.Hash { return &m.Last })
	flipNumber("height", func(m *chain.Proof) *uint32 { return &m.Height })
	flipNumber("number", func(m *chain.Proof) *uint32 { return &m.Number })
	flipNumber("transactions", func(m *chain.Proof) *uint32 { return &m.Transactions })
	flipBranch("branch", func(m *chain.Proof) *[]hashing.Hash { return &m.Branch })
	flipBranch("coinbase branch", func(m *chain.Proof) *[]hashing.Hash { return &m.CoinbaseBranch })
	flipBranch("last branch", func(m *chain.Proof) *[]hashing.Hash { return &m.LastBranch })
	for bit := range 8 * len(p.Coinbase) {
		mutant := cloneProof(p)
		mutant.Coinbase[bit/8] ^= 1 << (bit % 8)
		visit("coinbase", mutant)
	}
	for i := range p.Network {
		mutant := cloneProof(p)
		mutant.Network = p.Network[:i] + "?" + p.Network[i+1:]
		visit("network", mutant)
	}
	for _, coinbase := range [][]byte{nil, p.Coinbase[:len(p.Coinbase)-1], append(bytes.Clone(p.Coinbase), 0)} {
		mutant := cloneProof(p)
		mutant.Coinbase = coinbase
		visit("coinbase", mutant)
	}
}

func cloneProof(p chain.Proof) chain.Proof {
	p.Branch, p.CoinbaseBranch, p.LastBranch = slices.Clone(p.Branch), slices.Clone(p.CoinbaseBranch), slices.Clone(p.LastBranch)
	p.Coinbase = bytes.Clone(p.Coinbase)
	return p
}

// TestProofOfHalfATransaction: the second half of a transaction of 64 bytes is no
// transaction, though hashes lead from it to the root (CVE-2017-12842).
func TestProofOfHalfATransaction(t *testing.T) {
	h := chaintest.New(t, quick())
	tx := &wire.MsgTx{
		TxIn:  []*wire.TxIn{{PreviousOutPoint: wire.OutPoint{Hash: [32]byte{7}}, SignatureScript: []byte{}}},
		TxOut: []*wire.TxOut{{Value: 1, PkScript: []byte{0x51, 0x51, 0x51, 0x51}}},
	}
	var raw bytes.Buffer
	if err := tx.Serialize(&raw); err != nil || raw.Len() != 64 {
		t.Fatalf("%d bytes, %v; want 64", raw.Len(), err)
	}
	b := h.Next(h.Genesis, chaintest.Includes(tx))
	headers := h.Chain.Params().NewHeaderChain()
	if err := headers.Add([]hashing.Header{b.Header}, h.Now); err != nil {
		t.Fatal(err)
	}
	ids := []hashing.Hash{hashing.Hash(b.Transactions[0].TxHash()), hashing.Hash(tx.TxHash())}
	var coinbase bytes.Buffer
	if err := b.Transactions[0].SerializeNoWitness(&coinbase); err != nil {
		t.Fatal(err)
	}
	honest := chain.Proof{
		Network: h.Chain.Params().ID(), Block: b.Hash(), Height: 1,
		ID: ids[1], Number: 1, Transactions: 2, Branch: ids[:1],
		Coinbase: coinbase.Bytes(), CoinbaseBranch: ids[1:], Last: ids[1], LastBranch: ids[:1],
	}
	if _, err := honest.Verify(headers, 1); err != nil {
		t.Fatalf("the transaction itself: %v", err)
	}

	forged := cloneProof(honest)
	forged.ID, forged.Branch = hashing.Hash(raw.Bytes()[32:]), []hashing.Hash{hashing.Hash(raw.Bytes()[:32]), ids[0]}
	forged.Number, forged.Transactions = 3, 4
	if root, ok := hashing.FoldProof(forged.ID, 3, 4, forged.Branch); !ok || root != b.Header.MerkleRoot() {
		t.Fatalf("the forged branch leads to %s, %t; this test is none", root, ok)
	}
	forged.Last, forged.LastBranch = forged.ID, forged.Branch
	// The coinbase has its own branch alone. Whatever is added to it leads elsewhere.
	attempts := map[string]chain.Proof{"the coinbase as it is": forged}
	for name, more := range map[string][]hashing.Hash{
		"its branch with a hash before": {ids[0], ids[1]},
		"its branch with a hash after":  {ids[1], ids[0]},
	} {
		attempt := cloneProof(forged)
		attempt.CoinbaseBranch = more
		attempts[name] = attempt
	}
	shallow := cloneProof(honest) // a branch too long for the tree that is shown
	shallow.ID, shallow.Branch = forged.ID, forged.Branch
	attempts["the tree as it is"] = shallow
	for name, attempt := range attempts {
		if _, err := attempt.Verify(headers, 1); !errors.Is(err, chain.ErrProofBranch) {
			t.Errorf("%s: %v, want %q", name, err, chain.ErrProofBranch)
		}
	}
}

// TestProofForgeries: what else could be told of a block's tree.
func TestProofForgeries(t *testing.T) {
	h := chaintest.New(t, quick())
	three := blockOf(t, h, h.Genesis, 3)
	four := blockOf(t, h, three, 4)
	side := h.Branch(three, 1)[0]
	headers := headerChain(t, h)
	genesis := prove(t, h, h.Genesis, 0)
	tests := []struct {
		name  string
		block *chaintest.Block
		forge func(p *chain.Proof)
		want  error
	}{
		{"what the odd level repeats is number 3 of 3", three, func(p *chain.Proof) { p.Number = 3 }, chain.ErrProofNumber},
		{"what the odd level repeats is number 3 of 4", three, func(p *chain.Proof) {
			p.Number, p.Transactions = 3, 4
		}, chain.ErrProofBranch},
		{"a tree of 4 for one of 3", three, func(p *chain.Proof) {
			p.ID, p.Number, p.Branch = prove(t, h, three, 1).ID, 1, prove(t, h, three, 1).Branch
			p.Transactions = 4
		}, chain.ErrProofBranch},
		{"no transactions", three, func(p *chain.Proof) { p.Transactions, p.Number = 0, 0 }, chain.ErrProofNumber},
		{"more than a block can have", three, func(p *chain.Proof) { p.Transactions = 100_001 }, chain.ErrProofNumber},
		{"all that can be", three, func(p *chain.Proof) { p.Transactions, p.Number = math.MaxUint32, math.MaxUint32-1 }, chain.ErrProofNumber},
		{"an inner node for a transaction", four, func(p *chain.Proof) {
			p.ID, p.Branch = pairHash(p.Branch[0], p.ID), p.Branch[1:]
			p.Number, p.Transactions, p.Last, p.LastBranch = 1, 2, p.ID, p.Branch
		}, chain.ErrProofBranch},
		{"two hashes for a coinbase", four, func(p *chain.Proof) {
			first := hashing.Sum256d(p.Coinbase)
			p.Coinbase = append(bytes.Clone(first[:]), p.CoinbaseBranch[0][:]...)
			p.CoinbaseBranch = p.CoinbaseBranch[1:]
			p.ID, p.Branch = pairHash(p.Branch[0], p.ID), p.Branch[1:]
			p.Number, p.Transactions, p.Last, p.LastBranch = 1, 2, p.ID, p.Branch
		}, chain.ErrProofCoinbase},
		{"another transaction for the coinbase", four, func(p *chain.Proof) {
			var raw bytes.Buffer
			if err := four.Transactions[3].SerializeNoWitness(&raw); err != nil {
				t.Fatal(err)
			}
			p.Coinbase, p.CoinbaseBranch = raw.Bytes(), p.Branch
		}, chain.ErrProofCoinbase},
		{"a coinbase with a witness", four, func(p *chain.Proof) {
			tx := four.Transactions[0].Copy()
			tx.TxIn[0].Witness = wire.TxWitness{make([]byte, 32)}
			var raw bytes.Buffer
			if err := tx.Serialize(&raw); err != nil {
				t.Fatal(err)
			}
			p.Coinbase = raw.Bytes()
		}, chain.ErrProofCoinbase},
		{"another block's coinbase", four, func(p *chain.Proof) { p.Coinbase = prove(t, h, three, 0).Coinbase }, chain.ErrProofCoinbase},
		{"the last transaction of another block", four, func(p *chain.Proof) {
			p.Last, p.LastBranch = prove(t, h, three, 2).Last, prove(t, h, three, 2).LastBranch
		}, chain.ErrProofBranch},
		{"another block", four, func(p *chain.Proof) { p.Block, p.Height = three.Hash(), three.Height }, chain.ErrProofCoinbase},
		{"a block beside the headers", four, func(p *chain.Proof) { p.Block, p.Height = side.Hash(), side.Height }, chain.ErrProofBlock},
		{"the height of another", four, func(p *chain.Proof) { p.Height-- }, chain.ErrProofHeight},
		{"nothing", four, func(p *chain.Proof) { *p = chain.Proof{Network: p.Network} }, chain.ErrProofBlock},
		{"nothing but a block", four, func(p *chain.Proof) { *p = chain.Proof{Network: p.Network, Block: p.Block, Height: p.Height} }, chain.ErrProofNumber},
		{"another network", four, func(p *chain.Proof) { p.Network = chain.Dev().ID() }, chain.ErrProofNetwork},
		{"a genesis with a block's transaction", four, func(p *chain.Proof) {
			p.Block, p.Height, p.Coinbase = genesis.Block, 0, genesis.Coinbase
		}, chain.ErrProofBranch},
	}
	for _, tt := range tests {
		p := prove(t, h, tt.block, len(tt.block.Transactions)-1)
		if _, err := p.Verify(headers, 0); err != nil {
			t.Fatal(err)
		}
		tt.forge(&p)
		if _, err := p.Verify(headers, 0); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}

func pairHash(left, right hashing.Hash) hashing.Hash {
	return hashing.Sum256d(append(left[:], right[:]...))
}

// TestProofWantsACoinbase: what stands first in a tree is a leaf only where it is a
// coinbase, of its height where the network says that. The headers here are of blocks
// that nobody accepts.
func TestProofWantsACoinbase(t *testing.T) {
	old := quick()
	old.Forks.BIP34 = 100
	tests := []struct {
		name   string
		params *chain.Params
		first  func(tx *wire.MsgTx)
		want   error
	}{
		{"a coinbase", quick(), func(*wire.MsgTx) {}, nil},
		{"one of another height", quick(), func(tx *wire.MsgTx) { tx.TxIn[0].SignatureScript[0]++ }, chain.ErrProofCoinbase},
		{"one of another height, before BIP34", old, func(tx *wire.MsgTx) { tx.TxIn[0].SignatureScript[0]++ }, nil},
		{"it spends something", old, func(tx *wire.MsgTx) { tx.TxIn[0].PreviousOutPoint.Index = 0 }, chain.ErrProofCoinbase},
		{"a script that is too long", old, func(tx *wire.MsgTx) { tx.TxIn[0].SignatureScript = make([]byte, 101) }, chain.ErrProofCoinbase},
		{"no outputs", old, func(tx *wire.MsgTx) { tx.TxOut = nil }, chain.ErrProofCoinbase},
	}
	for _, tt := range tests {
		build := chaintest.NewBuilder(t, tt.params)
		b := build.Next(build.Genesis, func(b *chain.Block) { tt.first(b.Transactions[0]) })
		headers := tt.params.NewHeaderChain()
		if err := headers.Add([]hashing.Header{b.Header}, time.Unix(int64(b.Header.Time()), 0)); err != nil {
			t.Fatal(err)
		}
		var raw bytes.Buffer
		if err := b.Transactions[0].Serialize(&raw); err != nil {
			t.Fatal(err)
		}
		id := hashing.Hash(b.Transactions[0].TxHash())
		p := chain.Proof{Network: tt.params.ID(), Block: b.Hash(), Height: 1, ID: id, Transactions: 1, Coinbase: raw.Bytes(), Last: id}
		if _, err := p.Verify(headers, 1); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
}

// TestProofWantsTheNetworksWork: headers with less than the network is known to have
// prove nothing.
func TestProofWantsTheNetworksWork(t *testing.T) {
	h := chaintest.New(t, quick())
	b := blockOf(t, h, h.Genesis, 2)
	p := prove(t, h, b, 1)
	for _, tt := range []struct {
		name string
		work chain.Work
		want error
	}{
		{"as much", h.Chain.Tip().Work, nil},
		{"more", h.Chain.Tip().Work.Add(chain.Work{1}), chain.ErrProofWork},
	} {
		params := quick()
		params.MinimumWork = tt.work
		headers := params.NewHeaderChain()
		if err := headers.Add([]hashing.Header{b.Parent.Header, b.Header}, h.Now); err != nil {
			t.Fatal(err)
		}
		if _, err := p.Verify(headers, 1); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
}

func TestProveRefuses(t *testing.T) {
	h := chaintest.New(t, quick())
	b := blockOf(t, h, h.Genesis, 3)
	side := h.Branch(h.Genesis, 1)[0]
	h.Accept(side)
	id := hashing.Hash(b.Transactions[1].TxHash())
	tests := []struct {
		name      string
		id, block hashing.Hash
		want      error
	}{
		{"unknown block", id, hashing.Hash{1}, store.ErrNotFound},
		{"side block", hashing.Hash(side.Transactions[0].TxHash()), side.Hash(), chain.ErrSideBlock},
		{"unknown transaction", hashing.Hash{1}, b.Hash(), chain.ErrNotInBlock},
		{"transaction of another block", id, b.Parent.Hash(), chain.ErrNotInBlock},
	}
	for _, tt := range tests {
		if p, err := h.Chain.Prove(tt.id, tt.block); !errors.Is(err, tt.want) {
			t.Errorf("%s: %+v, %v; want %q", tt.name, p, err, tt.want)
		}
	}
}

func TestFindTransaction(t *testing.T) {
	h := chaintest.New(t, quick())
	b := blockOf(t, h, h.Genesis, 3)
	other := blockOf(t, h, b, 4)
	h.Accept(h.Branch(other, 2)...)
	for _, want := range []*chaintest.Block{h.Genesis, b, other} {
		for _, tx := range want.Transactions {
			var heights []uint32
			got, err := h.Chain.FindTransaction(t.Context(), hashing.Hash(tx.TxHash()), func(height uint32) { heights = append(heights, height) })
			if err != nil || got != want.Hash() {
				t.Errorf("transaction of block %s: block %s, %v", want, got, err)
			}
			if n := h.Chain.Tip().Height - want.Height + 1; uint32(len(heights)) != n || heights[n-1] != want.Height {
				t.Errorf("transaction of block %s: progress %v", want, heights)
			}
		}
	}
	if got, err := h.Chain.FindTransaction(t.Context(), hashing.Hash{1}, nil); !errors.Is(err, chain.ErrNotInBlock) {
		t.Errorf("unknown transaction: %s, %v", got, err)
	}
}

// TestFindTransactionByIndex: where the index is at the tip nothing is searched, and
// where it is behind all is found that would be without it.
func TestFindTransactionByIndex(t *testing.T) {
	p := chain.Regtest()
	build, fs := chaintest.NewBuilder(t, p), vfs.NewMem()
	blocks := build.Branch(build.Genesis, 6)
	id := func(b *chaintest.Block) hashing.Hash { return hashing.Hash(b.Transactions[0].TxHash()) }
	check := func(c *chain.Chain, searched bool) {
		t.Helper()
		looked := false
		for _, b := range append([]*chaintest.Block{build.Genesis}, blocks[:c.Tip().Height]...) {
			if got, err := c.FindTransaction(t.Context(), id(b), func(uint32) { looked = true }); err != nil || got != b.Hash() {
				t.Errorf("transaction of block %s: block %s, %v", b, got, err)
			}
		}
		if got, err := c.FindTransaction(t.Context(), hashing.Hash{1}, nil); !errors.Is(err, chain.ErrNotInBlock) {
			t.Errorf("unknown transaction: %s, %v", got, err)
		}
		if looked != searched {
			t.Errorf("the chain was searched: %t, want %t", looked, searched)
		}
	}
	c, st := openIndexed(t, p, fs, chain.IndexTransactions)
	acceptAll(t, c, blocks[:3]...)
	check(c, false)
	mustClose(t, st)
	c, st = openIndexed(t, p, fs, 0)
	acceptAll(t, c, blocks[3:]...)
	check(c, true)
	mustClose(t, st)
	c, st = openIndexed(t, p, fs, chain.IndexTransactions)
	check(c, true)
	mustBuild(t, c)
	check(c, false)
	mustClose(t, st)
}

func TestParseProofRefuses(t *testing.T) {
	h := chaintest.New(t, quick())
	good := prove(t, h, blockOf(t, h, h.Genesis, 3), 1).Encode()
	change := func(old, with string) []byte {
		if bytes.Count(good, []byte(old)) == 0 {
			t.Fatalf("%s has no %s", good, old)
		}
		return bytes.Replace(good, []byte(old), []byte(with), 1)
	}
	tests := []struct {
		name string
		data []byte
		want string
	}{
		{"nothing", nil, "the JSON document ends too early"},
		{"an array", []byte("[]"), `field "" can't be a array`},
		{"an empty object", []byte("{}"), `no field "format"`},
		{"null", []byte("null"), `no field "format"`},
		{"cut", good[:len(good)/2], "the JSON document ends too early"},
		{"two documents", append(bytes.Clone(good), good...), "something follows the JSON document"},
		{"another format", change(`"format": 1`, `"format": 2`), "format 2, want 1"},
		{"unknown field", change(`"format": 1`, `"format": 1, "fee": 3`), `unknown field "fee"`},
		{"a field twice", change(`"format": 1`, `"format": 1, "format": 1`), `field "format" is there twice`},
		{"a field in capitals", change(`"number"`, `"NUMBER"`), `field "NUMBER": fields are written in lower case`},
		{"null for a number", change(`"number": 1`, `"number": null`), `no field "number"`},
		{"a negative number", change(`"number": 1`, `"number": -1`), `field "number" can't be a number -1`},
		{"a number of 33 bits", change(`"number": 1`, `"number": 4294967296`), `field "number" can't be a number 4294967296`},
		{"a short hash", change(`"block": "`, `"block": "00`), "hash of 66 characters, want 64 hex digits"},
		{"a coinbase that is no hex", change(`"coinbase": "`, `"coinbase": "x`), "coinbase is not hexadecimal"},
		{"a branch of 18 hashes", longBranch(t, good), "branch of 18 hashes, at most 17"},
		{"more bytes than a proof has", append(bytes.Clone(good), bytes.Repeat([]byte(" "), chain.MaxProof)...), "more than 2016384 bytes"},
	}
	for _, tt := range tests {
		p, err := chain.ParseProof(tt.data)
		if !errors.Is(err, chain.ErrProofFormat) || !strings.Contains(fmt.Sprint(err), tt.want) {
			t.Errorf("%s: %+v, %v; want %q", tt.name, p, err, tt.want)
		}
	}
}

// longBranch gives a written proof a branch that no block's tree can have.
func longBranch(t *testing.T, good []byte) []byte {
	t.Helper()
	var fields map[string]any
	if err := json.Unmarshal(good, &fields); err != nil {
		t.Fatal(err)
	}
	fields["branch"] = slices.Repeat([]string{fields["block"].(string)}, 18)
	long, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	return long
}

// FuzzParseProof: what parses is written and read the same, and of all that parses
// only proofs of what is in the block hold.
func FuzzParseProof(f *testing.F) {
	h := chaintest.New(f, quick())
	b := blockOf(f, h, h.Genesis, 3)
	headers := headerChain(f, h)
	good := map[int]chain.Proof{}
	for i := range b.Transactions {
		good[i] = prove(f, h, b, i)
		var compact bytes.Buffer // the shorter the better a fuzzer finds its way
		if err := json.Compact(&compact, good[i].Encode()); err != nil {
			f.Fatal(err)
		}
		f.Add(compact.Bytes())
	}
	f.Add([]byte(`{"format":1,"branch":[[{"a":[]}]]}`))
	f.Add([]byte(`{"format":1,"network":"n","block":"","height":0}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := chain.ParseProof(data)
		if err != nil {
			if !errors.Is(err, chain.ErrProofFormat) {
				t.Fatal(err)
			}
			return
		}
		if back, err := chain.ParseProof(p.Encode()); err != nil || !bytes.Equal(back.Encode(), p.Encode()) {
			t.Fatalf("read %+v, written and read %+v, %v", p, back, err)
		}
		if _, err := p.Verify(headers, 0); err != nil {
			proofFault(t, err)
		} else if p.Block == b.Hash() && !bytes.Equal(p.Encode(), good[int(p.Number)].Encode()) {
			t.Fatalf("%+v holds", p)
		}
	})
}
