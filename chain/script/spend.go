package script

import (
	"fmt"
	"sync"

	"github.com/btcsuite/btcd/txscript/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

// A Spend is a transaction with the outputs that it spends: all that a script can
// look at and a signature commit to. It keeps the hashes that the signatures of
// its inputs share, so the time for all inputs grows with their number and not
// with its square (legacy signatures aside). It is safe for concurrent use. Nothing
// of the transaction and the outputs may change afterwards but the scripts and
// witnesses of inputs, between calls: that is how inputs are signed in turn.
type Spend struct {
	tx     *wire.MsgTx
	spent  []*wire.TxOut
	shared sync.Once
	hashes *txscript.TxSigHashes
}

// NewSpend returns a spend of these outputs, which are in the order of the inputs.
func NewSpend(tx *wire.MsgTx, spent []*wire.TxOut) (*Spend, error) {
	if len(spent) != len(tx.TxIn) {
		return nil, fmt.Errorf("%d spent outputs for %d inputs", len(spent), len(tx.TxIn))
	}
	for i, out := range spent {
		if out == nil {
			return nil, fmt.Errorf("the output that input %d spends is missing", i)
		}
	}
	return &Spend{tx: tx, spent: spent}, nil
}

// Verify runs the scripts of one input of tx, which spends these outputs in the
// order of its inputs. Nothing is remembered.
func Verify(tx *wire.MsgTx, input int, spent []*wire.TxOut, flags Flags) error {
	s, err := NewSpend(tx, spent)
	if err != nil {
		return err
	}
	return s.Verify(input, flags)
}

// Verify runs the scripts of one input. Nothing is remembered.
func (s *Spend) Verify(input int, flags Flags) error {
	if err := s.check(input); err != nil {
		return err
	}
	return s.run(s.tx, input, s.spent[input], flags, nil)
}

func (s *Spend) check(input int) error {
	if input < 0 || input >= len(s.tx.TxIn) {
		return fmt.Errorf("input %d of a transaction with %d", input, len(s.tx.TxIn))
	}
	return nil
}

// run executes the scripts of one input. tx is the spend's own, or one that differs
// only in where its scripts lie; so is out.
func (s *Spend) run(tx *wire.MsgTx, input int, out *wire.TxOut, flags Flags, cache *txscript.SigCache) error {
	var hashes *txscript.TxSigHashes
	// Without a witness, no script gets as far as a signature over these.
	if flags&txscript.ScriptVerifyWitness != 0 && len(tx.TxIn[input].Witness) > 0 {
		hashes = s.midstates()
	}
	vm, err := txscript.NewEngine(out.PkScript, tx, input, flags, cache, hashes, out.Value, s.prevouts(input))
	if err != nil {
		return err
	}
	return vm.Execute()
}

// midstates returns what the signatures of all inputs with a witness share.
func (s *Spend) midstates() *txscript.TxSigHashes {
	s.shared.Do(func() { s.hashes = txscript.NewTxSigHashes(s.tx, s.prevouts(0)) })
	return s.hashes
}

// prevouts finds the spent outputs of a spend by their outpoints. txscript asks for
// all of them in order, or for that of the input it runs, so a place to look at
// first does for a map, which would cost more than it saves. It belongs to one
// goroutine.
type prevouts struct {
	*Spend
	next int
}

func (s *Spend) prevouts(next int) *prevouts { return &prevouts{s, next} }

// FetchPrevOutput returns nil for what no input spends, which txscript never asks for.
func (p *prevouts) FetchPrevOutput(wanted wire.OutPoint) *wire.TxOut {
	for range p.tx.TxIn {
		i := p.next
		if p.next++; p.next == len(p.tx.TxIn) {
			p.next = 0
		}
		if p.tx.TxIn[i].PreviousOutPoint == wanted {
			return p.spent[i]
		}
	}
	return nil
}
