package chain

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/btcsuite/btcd/wire/v2"
	"github.com/jbcnet/jbc/chain/script"
	"github.com/jbcnet/jbc/chain/store"
	"github.com/jbcnet/jbc/hashing"
)

// update is what one call changes: the state is taken from block to block beside
// the chain that everybody sees, then one batch has it all, blocks, what they
// spent, unspent outputs and the tip; and when the store has that, the chain does.
type update struct {
	chain  *Chain
	batch  *store.Batch
	bodies map[hashing.Hash]*sane // of blocks in the batch, which the store can't read yet
	undos  map[hashing.Hash]undo  // of the blocks connected, likewise
	// overwritten is what was in the places of the outputs that BIP30's exceptions made.
	overwritten map[hashing.Hash]undo
	view        *view // as after tip
	tip         *node
	scripts     *script.Batch
	path        []step // connected since the scripts were last waited for
	bytes       int64  // of the bodies and undos
	writes      int    // batches that were written on the way
}

// step is one block connected, and where it began.
type step struct {
	node   *node
	before mark
}

func (c *Chain) newUpdate() *update {
	return &update{
		chain: c, batch: c.store.NewBatch(), bodies: map[hashing.Hash]*sane{}, undos: map[hashing.Hash]undo{},
		overwritten: map[hashing.Hash]undo{},
		view:        newView(c.utxos), tip: c.state, scripts: c.scripts.Batch(),
	}
}

// connect takes the state from the tip to its child n. Scripts are running when
// it returns: see settle. After an error the state is as before.
func (u *update) connect(n *node, b *sane) error {
	before := u.view.mark()
	j := judge{
		params: u.chain.params, view: u.view, scripts: u.scripts, tag: len(u.path),
		node: n, flags: u.chain.params.scriptFlags(n.height),
	}
	spent, err := j.run(b)
	if err != nil {
		u.view.rollback(before)
		return err
	}
	u.path = append(u.path, step{n, before})
	u.undos[n.hash] = spent
	if len(j.overwritten) > 0 {
		u.overwritten[n.hash] = j.overwritten
	}
	for _, p := range spent {
		u.bytes += heldSpent * int64(len(p)+cachedOverhead)
	}
	setUndo(u.batch, n.hash, slices.Concat(spent, j.overwritten))
	u.tip = n
	return nil
}

// disconnect takes the state from the tip back to its parent.
func (u *update) disconnect() error {
	n := u.tip
	b, err := u.body(n)
	if err != nil {
		return err
	}
	spent, ok := u.undos[n.hash]
	overwritten := u.overwritten[n.hash]
	if !ok {
		if spent, overwritten, err = u.chain.readUndoRecord(n.hash, b.Block); err != nil {
			return err
		}
	}
	for i := len(b.Transactions) - 1; i >= 0; i-- {
		if spent, err = u.unmake(b.Transactions[i], b.ids[i], i == 0, spent); err != nil {
			return err
		}
	}
	if len(overwritten) > 0 {
		for i, at := range b.makes() {
			if overwritten[i] != "" {
				u.view.add(&at, overwritten[i])
			}
		}
	}
	u.tip = n.parent
	return nil
}

// unmake takes a transaction out of the state. spent ends with what it spent, and
// is returned without that.
func (u *update) unmake(tx *wire.MsgTx, id hashing.Hash, coinbase bool, spent undo) (undo, error) {
	for o, out := range tx.TxOut {
		if !spendable(out) {
			continue
		}
		at := wire.OutPoint{Hash: [32]byte(id), Index: uint32(o)}
		there, err := u.view.get(&at)
		if err != nil {
			return nil, err
		}
		if there == "" {
			return nil, &stateError{at: at, err: errors.New("missing, though its block is the tip")}
		}
		u.view.spend(&at)
	}
	if coinbase {
		return spent, nil
	}
	first := len(spent) - len(tx.TxIn)
	for i, in := range tx.TxIn {
		u.view.add(&in.PreviousOutPoint, spent[first+i])
	}
	return spent[:first], nil
}

// settle waits for the scripts. Where one fails its block is bad, and the state
// goes back to before it.
func (u *update) settle() (bad *node, verdict error) {
	err := u.scripts.Wait()
	path := u.path
	u.path = u.path[:0]
	if err == nil {
		return nil, nil
	}
	var failed *script.Error
	if !errors.As(err, &failed) {
		return nil, err
	}
	if failed.Tag == len(path) { // of a block that broke another rule before it was connected
		return nil, nil
	}
	at := path[failed.Tag]
	u.view.rollback(at.before)
	u.tip = at.node.parent
	return at.node, broken(RuleScript, at.node.height, "transaction %s, input %d: %v", failed.Tx, failed.Input, failed.Err)
}

// body returns a block that is in the batch or in the store. The error is a RuleError
// where the store is in doubt, or the machine's.
func (u *update) body(n *node) (*sane, error) {
	if b, ok := u.bodies[n.hash]; ok {
		return b, nil
	}
	b, err := u.chain.readBlock(n.hash)
	if err != nil {
		return nil, fmt.Errorf("block %s at height %d: %w", n.hash, n.height, err)
	}
	if !u.chain.doubtful {
		return trusted(b), nil
	}
	checked, err := u.chain.params.sanity(b)
	if err == nil {
		err = u.chain.params.checkPosition(checked, n.parent, time.Unix(math.MaxUint32, 0))
	}
	return checked, err
}

// abandon ends an update that will not be committed.
func (u *update) abandon() { u.scripts.Drop() }

// About how often a block that is new is in memory, decoded and in the batch, and
// what it spends: as it was, in the batch, and handed to the scripts.
const (
	heldBlock = 4
	heldSpent = 3
)

// size is about what the update holds in memory, in bytes.
func (u *update) size() int64 { return u.view.bytes + u.bytes }

// stateError says that the unspent outputs are not what the blocks say.
type stateError struct {
	at  wire.OutPoint
	err error
}

func (e *stateError) Error() string { return fmt.Sprintf("unspent output %s: %v", e.at, e.err) }
func (e *stateError) Unwrap() error { return e.err }
