package chain

import (
	"github.com/btcsuite/btcd/wire/v2"
	"github.com/jbcnet/jbc/chain/script"
	"github.com/jbcnet/jbc/hashing"
)

// judge is the third tier: it takes a block through the state at its parent,
// transaction by transaction, and leaves the state after it in view. Scripts are
// handed to a batch, which judges them while other blocks go on.
type judge struct {
	params  *Params
	view    *view
	scripts *script.Batch
	tag     int // of the scripts

	node  *node
	flags script.Flags
	spent undo
	// overwritten is what was there of each output that a block of BIP30's exceptions made.
	overwritten undo
	fees        int64
	sigCost     int
}

// run judges the whole block. A block that breaks a rule is invalid for good, and
// so is everything on top of it; view has some of its changes then.
func (j *judge) run(b *sane) (undo, error) {
	if err := j.checkOverwrites(b); err != nil {
		return nil, err
	}
	j.spent = make(undo, 0, b.spends())
	for i, tx := range b.Transactions {
		var err error
		if i == 0 {
			err = j.countSigOps(tx, nil)
		} else {
			err = j.transaction(tx, b.ids[i])
		}
		if err == nil {
			err = j.create(tx, b.ids[i], i == 0)
		}
		if err != nil {
			return nil, err
		}
	}
	return j.spent, j.checkCoinbaseValue(b.Transactions[0])
}

// checkOverwrites refuses a transaction with the id of one that has unspent
// outputs (BIP30). From BIP34 on the height in the coinbase makes ids unique, up
// to heights that some early coinbases announced: on no network that begins with it.
func (j *judge) checkOverwrites(b *sane) error {
	if j.unique() || j.params.overwrites(j.node.height, j.node.hash) {
		return nil
	}
	for i, tx := range b.Transactions {
		if err := j.checkOverwrite(tx, b.ids[i]); err != nil {
			return err
		}
	}
	return nil
}

func (j *judge) checkOverwrite(tx *wire.MsgTx, id hashing.Hash) error {
	for o := range tx.TxOut {
		at := wire.OutPoint{Hash: [32]byte(id), Index: uint32(o)}
		there, err := j.view.get(&at)
		if err != nil {
			return err
		}
		if there != "" {
			return j.broken(RuleOverwrite, "transaction %s has unspent outputs", id)
		}
	}
	return nil
}

// overwrites says whether a block is one of those that may overwrite unspent outputs.
func (p *Params) overwrites(height uint32, hash hashing.Hash) bool {
	return p.Forks.BIP30Exceptions[height] == hash
}

// bip34Repeats is the first height that the coinbase of a Bitcoin block from before
// BIP34 announces as its own, and that was not reached then.
const bip34Repeats = 1_983_702

// unique says whether no transaction of this block can have the id of another.
func (j *judge) unique() bool {
	from, h := j.params.Forks.BIP34, j.node.height
	return h >= from && (from <= 1 || h < bip34Repeats)
}

// transaction judges one that is no coinbase, and spends its inputs.
func (j *judge) transaction(tx *wire.MsgTx, id hashing.Hash) error {
	spent := make([]*wire.TxOut, len(tx.TxIn))
	outs := make([]wire.TxOut, len(tx.TxIn))
	locks := noLocks()
	var in int64
	for i, txIn := range tx.TxIn {
		u, err := j.input(&txIn.PreviousOutPoint, tx, id)
		if err != nil {
			return err
		}
		outs[i] = wire.TxOut{Value: u.Value, PkScript: u.PkScript}
		spent[i] = &outs[i]
		if in += u.Value; in > maxMoney {
			return j.broken(RuleInputValue, "transaction %s, %d units up to input %d", id, in, i)
		}
		locks.add(j.node.parent, tx, txIn.Sequence, u.Height)
	}
	var out int64
	for _, o := range tx.TxOut {
		out += o.Value // sanity bounds the sum
	}
	if out > in {
		return j.broken(RuleSpendTooHigh, "transaction %s, %d units of %d", id, out, in)
	}
	if j.fees += in - out; j.fees > maxMoney {
		return j.broken(RuleInputValue, "fees of %d units", j.fees)
	}
	if j.node.height >= j.params.Forks.CSV && !locks.ended(j.node.parent) {
		return j.broken(RuleSequenceLock, "transaction %s: from height %d and median time %d on", id, locks.height+1, locks.time+1)
	}
	if err := j.countSigOps(tx, spent); err != nil {
		return err
	}
	j.scripts.Add(j.tag, tx, spent, j.flags)
	return nil
}

// input spends one output, if it is there and ripe.
func (j *judge) input(at *wire.OutPoint, tx *wire.MsgTx, id hashing.Hash) (UTXO, error) {
	p, err := j.view.get(at)
	if err != nil {
		return UTXO{}, err
	}
	if p == "" {
		if err := j.checkOverwrite(tx, id); err != nil {
			return UTXO{}, err
		}
		return UTXO{}, j.broken(RuleMissingInput, "transaction %s spends %s", id, at)
	}
	u, err := p.unpack()
	if err != nil {
		return UTXO{}, &stateError{at: *at, err: err}
	}
	if age := j.node.height - u.Height; u.Coinbase && age < j.params.Maturity {
		return UTXO{}, j.broken(RuleImmature, "transaction %s spends %s after %d blocks of %d", id, at, age, j.params.Maturity)
	}
	j.view.spend(at)
	j.spent = append(j.spent, p)
	return u, nil
}

// create makes the outputs of a transaction that can be spent.
func (j *judge) create(tx *wire.MsgTx, id hashing.Hash, coinbase bool) error {
	for i, out := range tx.TxOut {
		if !spendable(out) {
			continue
		}
		at := wire.OutPoint{Hash: [32]byte(id), Index: uint32(i)}
		p := pack(out, j.node.height, coinbase)
		if !j.params.overwrites(j.node.height, j.node.hash) {
			j.view.add(&at, p)
			continue
		}
		before, err := j.view.overwrite(&at, p)
		if err != nil {
			return err
		}
		j.overwritten = append(j.overwritten, before)
	}
	return nil
}

func (j *judge) countSigOps(tx *wire.MsgTx, spent []*wire.TxOut) error {
	if j.sigCost += script.SigOpCost(tx, spent, j.flags); j.sigCost > MaxSigOpCost {
		return j.broken(RuleSigOps, "a cost of %d and more, at most %d", j.sigCost, MaxSigOpCost)
	}
	return nil
}

func (j *judge) checkCoinbaseValue(coinbase *wire.MsgTx) error {
	var paid int64
	for _, out := range coinbase.TxOut {
		paid += out.Value
	}
	if subsidy := j.params.Subsidy(j.node.height); paid > subsidy+j.fees {
		return j.broken(RuleCoinbaseValue, "%d units, subsidy %d and fees %d", paid, subsidy, j.fees)
	}
	return nil
}

func (j *judge) broken(rule Rule, format string, args ...any) error {
	return broken(rule, j.node.height, format, args...)
}

// scriptFlags returns the rules that the scripts of the block at height are run under.
func (p *Params) scriptFlags(height uint32) (flags script.Flags) {
	for _, fork := range []struct {
		from  uint32
		flags script.Flags
	}{
		{p.Forks.BIP16, script.BIP16}, {p.Forks.BIP66, script.BIP66}, {p.Forks.BIP65, script.BIP65},
		{p.Forks.CSV, script.CSV}, {p.Forks.SegWit, script.SegWit}, {p.Forks.Taproot, script.Taproot},
	} {
		if height >= fork.from {
			flags |= fork.flags
		}
	}
	return flags
}
