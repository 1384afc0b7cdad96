package chain

import (
	"errors"
	"fmt"
	"slices"

	"github.com/btcsuite/btcd/wire/v2"
	"github.com/jbcnet/jbc/hashing"
)

// Proof shows to whoever has the headers alone that a block has a transaction, and
// where. Three branches lead to the merkle root in the block's header:
//
//   - that of the transaction;
//   - that of the coinbase, which is there as a whole. Nothing in a tree says what is
//     a leaf: 64 bytes of a transaction may be taken for two hashes, and two hashes for
//     a transaction (CVE-2017-12842). But no inner node reads as a coinbase, and the
//     coinbase is a leaf: so its branch is as long as the tree is deep, and that of the
//     transaction has to be as long.
//   - that of the last transaction, which shows how many there are: an odd level
//     repeats its last hash, and what it repeats would pass for transactions with
//     higher numbers (CVE-2012-2459).
type Proof struct {
	Network string       // [Params.ID]
	Block   hashing.Hash // that has the transaction
	Height  uint32

	ID           hashing.Hash // of the transaction
	Number       uint32       // in the block, from zero
	Transactions uint32       // in the block
	Branch       []hashing.Hash

	Coinbase       []byte // as its id is made of it: without a witness
	CoinbaseBranch []hashing.Hash

	Last       hashing.Hash // id of the last transaction
	LastBranch []hashing.Hash
}

// Confirmed is what a proof shows of its transaction.
type Confirmed struct {
	Header        hashing.Header // of its block
	Confirmations uint32         // blocks from its own up to the tip
	Work          Work           // of those: what it would take to make others
	Tip           Tip            // of the headers
}

// What can be wrong with a proof. Match with errors.Is.
var (
	ErrProofFormat        = errors.New("not a proof")
	ErrProofNetwork       = errors.New("the proof is of another network")
	ErrProofWork          = errors.New("the headers have less work than the network is known to have")
	ErrProofBlock         = errors.New("the proof's block is not in the chain of headers")
	ErrProofHeight        = errors.New("the proof's block has another height")
	ErrProofNumber        = errors.New("impossible number of a transaction")
	ErrProofCoinbase      = errors.New("the proof's coinbase is none of its block")
	ErrProofBranch        = errors.New("a branch of the proof does not lead to the block's merkle root")
	ErrProofConfirmations = errors.New("the transaction has too few confirmations")
)

// What a block can't be asked to prove.
var (
	// ErrNotInBlock says that a block does not have a transaction.
	ErrNotInBlock = errors.New("the transaction is not in the block")
	// ErrSideBlock says that a block lies beside the main chain: its headers would
	// not confirm it.
	ErrSideBlock = errors.New("the block is not on the main chain")
)

// maxProofTransactions is more than a block of that weight can have.
const maxProofTransactions = MaxBlockWeight / witnessScale / smallestTx

// Prove makes the proof that a block of the main chain has a transaction. The error
// is [store.ErrNotFound] for a block that is not known, [ErrSideBlock],
// [ErrNotInBlock], or the machine's.
func (c *Chain) Prove(id, block hashing.Hash) (Proof, error) {
	entry, ok := c.Lookup(block)
	if ok && !entry.Main {
		return Proof{}, fmt.Errorf("block %s at height %d: %w", block, entry.Height, ErrSideBlock)
	}
	b, err := c.readBlock(block)
	if err != nil {
		return Proof{}, fmt.Errorf("block %s: %w", block, err)
	}
	ids := b.ids()
	number := slices.Index(ids, id)
	if number < 0 {
		return Proof{}, fmt.Errorf("transaction %s: %w %s at height %d", id, ErrNotInBlock, block, entry.Height)
	}
	last := len(ids) - 1
	branch := func(of int) []hashing.Hash { return hashing.MerkleProof(slices.Clone(ids), of) }
	return Proof{
		Network: c.params.ID(), Block: block, Height: entry.Height,
		ID: id, Number: uint32(number), Transactions: uint32(len(ids)), Branch: branch(number),
		Coinbase: stripped(b.Transactions[0]), CoinbaseBranch: branch(0),
		Last: ids[last], LastBranch: branch(last),
	}, nil
}

// Verify says what p shows against a chain of headers, whose owner knows that it is
// the right one. The error is one of those above: where the block is not in the
// chain, has fewer confirmations than asked for, or p does not hold. Where it is nil
// every field of p is right.
func (p Proof) Verify(headers *HeaderChain, minConfirmations uint32) (Confirmed, error) {
	if id := headers.params.ID(); p.Network != id {
		return Confirmed{}, fmt.Errorf("%w: %.80q, the headers are of %s", ErrProofNetwork, p.Network, id)
	}
	if least := headers.params.MinimumWork; headers.tip.work.Cmp(least) < 0 {
		return Confirmed{}, fmt.Errorf("%w: %s, at least %s", ErrProofWork, headers.tip.work, least)
	}
	n := headers.nodes.get(p.Block)
	if n == nil {
		return Confirmed{}, fmt.Errorf("%w: %s, the tip is at height %d", ErrProofBlock, p.Block, headers.tip.height)
	}
	if n.height != p.Height {
		return Confirmed{}, fmt.Errorf("%w: %d, not %d", ErrProofHeight, n.height, p.Height)
	}
	if err := p.check(headers.params, n.merkleRoot); err != nil {
		return Confirmed{}, err
	}
	c := Confirmed{Header: n.header(), Confirmations: headers.tip.height - n.height + 1, Work: headers.tip.work, Tip: headers.Tip()}
	if n.parent != nil {
		c.Work = c.Work.sub(n.parent.work)
	}
	if c.Confirmations < minConfirmations {
		return Confirmed{}, fmt.Errorf("%w: %d, wanted %d", ErrProofConfirmations, c.Confirmations, minConfirmations)
	}
	return c, nil
}

// check holds the proof against the merkle root of its block.
func (p Proof) check(params *Params, root hashing.Hash) error {
	if p.Transactions == 0 || p.Transactions > maxProofTransactions || p.Number >= p.Transactions {
		return fmt.Errorf("%w: number %d of %d, a block has 1 to %d", ErrProofNumber, p.Number, p.Transactions, maxProofTransactions)
	}
	if err := p.checkCoinbase(params); err != nil {
		return err
	}
	// The coinbase's first: it shows how deep the tree is, which the others rely on.
	for _, leaf := range []struct {
		name   string
		id     hashing.Hash
		number uint32
		branch []hashing.Hash
	}{
		{"the coinbase", hashing.Sum256d(p.Coinbase), 0, p.CoinbaseBranch},
		{"the last transaction", p.Last, p.Transactions - 1, p.LastBranch},
		{"the transaction", p.ID, p.Number, p.Branch},
	} {
		if want := hashing.MerkleDepth(p.Transactions); len(leaf.branch) != want {
			return fmt.Errorf("%w: that of %s has %d hashes, of %d transactions it has %d", ErrProofBranch, leaf.name, len(leaf.branch), p.Transactions, want)
		}
		got, ok := hashing.FoldProof(leaf.id, leaf.number, p.Transactions, leaf.branch)
		if !ok {
			return fmt.Errorf("%w: that of %s can't be of number %d of %d", ErrProofBranch, leaf.name, leaf.number, p.Transactions)
		}
		if got != root {
			return fmt.Errorf("%w: that of %s leads to %s, not %s", ErrProofBranch, leaf.name, got, root)
		}
	}
	return nil
}

// checkCoinbase wants bytes that are a coinbase and can be nothing else.
func (p Proof) checkCoinbase(params *Params) error {
	tx, err := decodeStripped(p.Coinbase)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrProofCoinbase, err)
	}
	if !isCoinbase(tx) {
		return fmt.Errorf("%w: it spends something", ErrProofCoinbase)
	}
	if err := CheckTransaction(tx); err != nil {
		return fmt.Errorf("%w: %w", ErrProofCoinbase, err)
	}
	if script := tx.TxIn[0].SignatureScript; p.Height > 0 && p.Height >= params.Forks.BIP34 && !hasHeight(script, p.Height) {
		return fmt.Errorf("%w: script %x does not start with height %d", ErrProofCoinbase, script, p.Height)
	}
	return nil
}

// decodeStripped reads a transaction without a witness, which must be all of data.
func decodeStripped(data []byte) (*wire.MsgTx, error) {
	looking := reader{data: data}
	looking.transaction(nil)
	if len(looking.data) != 0 {
		looking.fail(RuleTrailing, "%d bytes after the transaction", len(looking.data))
	}
	if looking.err != nil {
		return nil, looking.err
	}
	making := reader{data: slices.Clone(data), room: looking.seen.room()}
	tx := new(wire.MsgTx)
	making.transaction(tx)
	if tx.HasWitness() {
		return nil, errors.New("it has a witness")
	}
	return tx, nil
}
