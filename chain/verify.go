package chain

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"time"

	"github.com/btcsuite/btcd/wire/v2"
	"github.com/jbcnet/jbc/chain/store"
	"github.com/jbcnet/jbc/hashing"
)

// VerifyOptions say how much [Chain.Verify] does.
type VerifyOptions struct {
	// Scratch is an empty store of the same network to replay the chain in, which
	// takes as much room as the chain's own. Without it no script is run.
	Scratch *store.Store
	// CacheBytes bounds the memory for unspent outputs of the replay, as in [Options].
	CacheBytes int64
	// Progress, which may be nil, is called now and then.
	Progress func(VerifyProgress)
}

// A VerifyStage is a part of [Chain.Verify]. They come in this order.
type VerifyStage string

// The stages.
const (
	VerifyBlocks  VerifyStage = "blocks"          // of the main chain: bytes, place, what they spent
	VerifySide    VerifyStage = "side blocks"     // the same of those beside it
	VerifyOutputs VerifyStage = "unspent outputs" // against what the blocks made and spent
	VerifyScripts VerifyStage = "scripts"         // the replay
	VerifyUndo    VerifyStage = "undo records"    // against those of the replay
)

// VerifyProgress says how far a stage is.
type VerifyProgress struct {
	Stage       VerifyStage
	Done, Total int64 // bytes of the replay, blocks of any other stage; no total for the outputs
}

// VerifyReport is what was found to be right.
type VerifyReport struct {
	UTXO        UTXOStats // with the tip
	Blocks      int       // of the main chain
	SideBlocks  int       // beside it, whose bytes are kept
	UndoRecords int
	Bytes       int64 // of the main chain's blocks
	Scripts     bool  // every script was run
}

// Verify looks at all that the store has. Of every block: its bytes, and that they
// keep the rules of sanity and position; of main blocks, that what was spent and
// what is unspent adds up to what was ever paid. With a scratch store it then
// replays the main chain from genesis, scripts on, and compares every unspent output
// and undo record with those of the replay. [Open] has looked at the index before.
//
// Clocks play no part: a block that was too early once is in time now. No block is
// taken in while it runs. What does not fit is a [store.DamageError] that names the
// block or record; other errors are ctx's and the machine's.
func (c *Chain) Verify(ctx context.Context, opts VerifyOptions) (VerifyReport, error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	if c.broken != nil {
		return VerifyReport{}, c.broken
	}
	v := &verifier{chain: c, opts: opts, main: c.main, coinbases: map[hashing.Hash]*node{}}
	for height := range c.params.Forks.BIP30Exceptions {
		v.lastOverwrite = max(v.lastOverwrite, height)
	}
	stages := []func(context.Context) error{v.blocks, v.side, v.outputs}
	if opts.Scratch != nil {
		stages = append(stages, v.replay, v.compareUndo)
		v.report.Scripts = true
	}
	for _, stage := range stages {
		if err := stage(ctx); err != nil {
			return VerifyReport{}, err
		}
	}
	if v.suspicion != nil {
		return VerifyReport{}, v.suspicion
	}
	return v.report, nil
}

// verifier is one run of Verify.
type verifier struct {
	chain  *Chain
	opts   VerifyOptions
	main   []*node
	report VerifyReport
	// unspent adds up the hashes of the outputs that were made, less those of the
	// outputs that were spent, modulo 2^256: the same whatever their order.
	unspent uint256
	// coinbases has those that a block may overwrite up to lastOverwrite, by id (BIP30).
	coinbases     map[hashing.Hash]*node
	lastOverwrite uint32
	// suspicion says that the unspent outputs are wrong, until a later stage knows
	// which.
	suspicion error
}

// allTime is later than any header can say.
var allTime = time.Unix(math.MaxUint32, 0)

// step ends where ctx does, and tells of progress.
func (v *verifier) step(ctx context.Context, stage VerifyStage, done, total int64) error {
	if v.opts.Progress != nil {
		v.opts.Progress(VerifyProgress{Stage: stage, Done: done, Total: total})
	}
	return ctx.Err()
}

// blocks looks at every block of the main chain and what it spent.
func (v *verifier) blocks(ctx context.Context) error {
	for i, n := range v.main {
		if err := v.step(ctx, VerifyBlocks, int64(i), int64(len(v.main))); err != nil {
			return err
		}
		b, err := v.block(n)
		if err != nil {
			return err
		}
		v.report.Blocks++
		v.report.Bytes += int64(b.Size())
		if i == 0 {
			continue // genesis pays nobody
		}
		spent, err := v.undo(n, b)
		if err != nil {
			return err
		}
		if err := v.tally(n, b, spent); err != nil {
			return err
		}
	}
	return nil
}

// where names a block in an error.
func (n *node) where() string { return fmt.Sprintf("block %s at height %d", n.hash, n.height) }

// block reads a block and looks at it as if it were new, but for its state.
func (v *verifier) block(n *node) (*sane, error) {
	c := v.chain
	raw, err := c.RawBlock(n.hash)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, c.damaged(n.where(), "its bytes are missing")
	case err != nil:
		return nil, v.unreadable(n.where(), err)
	}
	b, err := DecodeBlock(raw)
	if err != nil {
		return nil, c.damaged(n.where(), "%v", err)
	}
	if got := b.Hash(); got != n.hash {
		return nil, c.damaged(n.where(), "its bytes are those of block %s", got)
	}
	s, err := c.params.sanity(b)
	if err == nil && n.parent != nil {
		err = c.params.checkPosition(s, n.parent, allTime)
	}
	if err != nil {
		return nil, c.damaged(n.where(), "%v", err)
	}
	return s, nil
}

// undo reads what a block of the main chain spent.
func (v *verifier) undo(n *node, b *sane) (undo, error) {
	u, err := v.chain.readUndo(n.hash, b.Block)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, v.chain.damaged("undo record of "+n.where(), "missing")
	case err != nil:
		return nil, v.unreadable("undo record of "+n.where(), err)
	}
	if len(u) > 0 {
		v.report.UndoRecords++
	}
	return u, nil
}

// unreadable names the record that could not be read, where the store knows only
// its key.
func (v *verifier) unreadable(where string, err error) error {
	damage := (*store.DamageError)(nil)
	if !errors.As(err, &damage) {
		return fmt.Errorf("%s: %w", where, err)
	}
	return &store.DamageError{Dir: damage.Dir, Where: where, What: damage.What, Err: damage.Err}
}

// tally takes a block into the sum of what is unspent.
func (v *verifier) tally(n *node, b *sane, spent undo) error {
	for i, tx := range b.Transactions {
		for o, out := range tx.TxOut {
			if spendable(out) {
				v.unspent = v.unspent.add(outputSum(&wire.OutPoint{Hash: [32]byte(b.ids[i]), Index: uint32(o)}, pack(out, n.height, i == 0)))
			}
		}
		if i == 0 {
			continue
		}
		for _, in := range tx.TxIn {
			v.unspent = v.unspent.sub(outputSum(&in.PreviousOutPoint, spent[0]))
			spent = spent[1:]
		}
	}
	return v.overwritten(n, b)
}

// overwritten takes out what the coinbase of a block that may do so overwrote: all of
// the earlier one with its id, since nothing of those was ever spent.
func (v *verifier) overwritten(n *node, b *sane) error {
	if n.height > v.lastOverwrite {
		return nil
	}
	id := b.ids[0]
	before, twice := v.coinbases[id]
	v.coinbases[id] = n
	if !twice || v.chain.params.Forks.BIP30Exceptions[n.height] != n.hash {
		return nil
	}
	for o, out := range b.Transactions[0].TxOut {
		if spendable(out) {
			v.unspent = v.unspent.sub(outputSum(&wire.OutPoint{Hash: [32]byte(id), Index: uint32(o)}, pack(out, before.height, true)))
		}
	}
	return nil
}

// outputSum is what an unspent output adds to the sum of all.
func outputSum(at *wire.OutPoint, p packed) uint256 {
	sum := sha256.Sum256(append(utxoKey(at), p...))
	return uint256(workFromBigEndian(sum))
}

// side looks at every block beside the main chain. Of one that is invalid nothing is
// kept to look at.
func (v *verifier) side(ctx context.Context) error {
	var side []*node
	v.chain.nodes.all(func(n *node) bool {
		if !v.chain.onMain(n) && !n.invalid {
			side = append(side, n)
		}
		return true
	})
	slices.SortFunc(side, func(a, b *node) int { return cmp.Compare(a.sequence, b.sequence) })
	for i, n := range side {
		if err := v.step(ctx, VerifySide, int64(i), int64(len(side))); err != nil {
			return err
		}
		b, err := v.block(n)
		if err != nil {
			return err
		}
		v.report.SideBlocks++
		if _, err := v.chain.readUndo(n.hash, b.Block); err != nil && !errors.Is(err, store.ErrNotFound) {
			return v.unreadable("undo record of "+n.where(), err) // one that was never on the main chain has none
		}
	}
	return nil
}

// outputs compares what is unspent with the sum over the blocks. Where a replay
// follows, that says which one is wrong.
func (v *verifier) outputs(ctx context.Context) error {
	if err := v.step(ctx, VerifyOutputs, 0, 0); err != nil {
		return err
	}
	err := v.sumUp(ctx)
	if v.opts.Scratch != nil && errors.As(err, new(*store.DamageError)) {
		v.suspicion, err = err, nil
	}
	return err
}

func (v *verifier) sumUp(ctx context.Context) error {
	stats, err := v.chain.UTXOStats(ctx)
	if err != nil {
		return err
	}
	v.report.UTXO = stats
	var sum uint256
	err = v.chain.store.Iterate(store.Chain, []byte{prefixUTXO}, func(key, value []byte) error {
		sum = sum.add(uint256(workFromBigEndian(sha256.Sum256(append(slices.Clone(key), value...)))))
		return ctx.Err()
	})
	if err == nil && sum != v.unspent {
		err = v.chain.damaged("unspent outputs", "they are not what the blocks made and did not spend")
	}
	return err
}

// replay imports the main chain into the scratch store and compares what is unspent
// at its end.
func (v *verifier) replay(ctx context.Context) error {
	c := v.chain
	again, err := Open(v.opts.Scratch, c.params, Options{CacheBytes: v.opts.CacheBytes, SignatureCache: -1})
	if err != nil {
		return fmt.Errorf("replay: %w", err)
	}
	if height := again.Tip().Height; height != 0 {
		return fmt.Errorf("replay: %s is not empty: its tip is at height %d", v.opts.Scratch.Dir(), height)
	}
	if err := v.step(ctx, VerifyScripts, 0, v.report.Bytes); err != nil {
		return err
	}
	did, err := again.Import(ctx, v.stored(), allTime, func(p ImportProgress) {
		_ = v.step(ctx, VerifyScripts, p.Bytes, v.report.Bytes) // Import watches ctx itself
	})
	switch {
	case errors.As(err, new(*RuleError)):
		bad := v.main[did.Blocks+1]
		return &store.DamageError{Dir: c.store.Dir(), Where: bad.where(), What: "it is invalid", Err: err}
	case err != nil:
		return fmt.Errorf("replay: %w", err)
	}
	stats, err := again.UTXOStats(ctx)
	if err != nil {
		return fmt.Errorf("replay: %w", err)
	}
	if stats == v.report.UTXO && v.suspicion == nil {
		return nil
	}
	if v.suspicion == nil {
		v.suspicion = c.damaged("unspent outputs", "hash %s, replayed %s", v.report.UTXO.Hash, stats.Hash)
	}
	return v.difference()
}

// stored returns the main chain's blocks above genesis, which were looked at before.
func (v *verifier) stored() iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for _, n := range v.main[1:] {
			raw, err := v.chain.RawBlock(n.hash)
			if err != nil {
				err = v.unreadable(n.where(), err)
			}
			if !yield(raw, err) || err != nil {
				return
			}
		}
	}
}

// difference names an output that is not as the replay has it; nil where all are.
func (v *verifier) difference() error {
	c := v.chain
	compare := func(in, with *store.Store, differ func(at wire.OutPoint, ours, theirs packed) error) error {
		return in.Iterate(store.Chain, []byte{prefixUTXO}, func(key, value []byte) error {
			at, _ := decodeUTXOKey(key)
			other, err := with.Get(store.Chain, key)
			if err != nil && !errors.Is(err, store.ErrNotFound) {
				return err
			}
			if !bytes.Equal(value, other) {
				return differ(at, packed(value), packed(other))
			}
			return nil
		})
	}
	differ := func(at wire.OutPoint, have, want packed) error {
		return c.damaged("unspent output "+at.String(), "%s, replayed %s", have.describe(), want.describe())
	}
	err := compare(c.store, v.opts.Scratch, differ)
	if err == nil {
		err = compare(v.opts.Scratch, c.store, func(at wire.OutPoint, want, have packed) error { return differ(at, have, want) })
	}
	return err
}

// describe is a stored output in an error.
func (p packed) describe() string {
	u, err := p.unpack()
	switch {
	case p == "":
		return "not there"
	case err != nil:
		return err.Error()
	case u.Coinbase:
		return fmt.Sprintf("%d units of the coinbase at height %d to %x", u.Value, u.Height, u.PkScript)
	default:
		return fmt.Sprintf("%d units made at height %d to %x", u.Value, u.Height, u.PkScript)
	}
}

// compareUndo compares every undo record of the main chain with that of the replay.
func (v *verifier) compareUndo(ctx context.Context) error {
	c, done := v.chain, int64(0)
	return v.opts.Scratch.Iterate(store.Chain, []byte{prefixUndo}, func(key, want []byte) error {
		if err := v.step(ctx, VerifyUndo, done, int64(v.report.UndoRecords)); err != nil {
			return err
		}
		done++
		n := c.nodes.get(hashing.Hash(key[1:]))
		have, err := c.store.Get(store.Chain, key)
		if err != nil {
			return v.unreadable("undo record of "+n.where(), err)
		}
		if !bytes.Equal(have, want) {
			return c.damaged("undo record of "+n.where(), "it is not what the block spent")
		}
		return nil
	})
}
