package script

import (
	"math"

	"github.com/btcsuite/btcd/txscript/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

// witnessScale is what one signature operation outside a witness costs (BIP141).
const witnessScale = 4

// LegacySigOps counts the signature operations in the scripts of the transaction
// itself, up to where each can be read, every OP_CHECKMULTISIG as 20.
func LegacySigOps(tx *wire.MsgTx) int {
	n := 0
	for _, in := range tx.TxIn {
		n += txscript.GetSigOpCount(in.SignatureScript)
	}
	for _, out := range tx.TxOut {
		n += txscript.GetSigOpCount(out.PkScript)
	}
	return n
}

// P2SHSigOps counts those in the scripts whose hashes the spent outputs pay to
// (BIP16). spent is in the order of the inputs; tx is no coinbase.
func P2SHSigOps(tx *wire.MsgTx, spent []*wire.TxOut) int {
	n := 0
	for i, in := range tx.TxIn {
		if script := spent[i].PkScript; txscript.IsPayToScriptHash(script) {
			n += txscript.GetPreciseSigOpCount(in.SignatureScript, script, true)
		}
	}
	return n
}

// WitnessSigOps counts those of witness programs of version 0 (BIP141), nested ones
// too. spent is in the order of the inputs; tx is no coinbase.
func WitnessSigOps(tx *wire.MsgTx, spent []*wire.TxOut) int {
	n := 0
	for i, in := range tx.TxIn {
		n += txscript.GetWitnessSigOpCount(in.SignatureScript, spent[i].PkScript, in.Witness)
	}
	return n
}

// SigOpCost returns what the transaction adds to the limit of its block: four for
// each operation, with [BIP16] in scripts paid to by hash too, and with [SegWit]
// one for each in a witness. spent is in the order of the inputs and may be nil
// for a coinbase, of which only its own scripts count.
func SigOpCost(tx *wire.MsgTx, spent []*wire.TxOut, flags Flags) int {
	cost := witnessScale * LegacySigOps(tx)
	if isCoinbase(tx) {
		return cost
	}
	if flags&BIP16 != 0 {
		cost += witnessScale * P2SHSigOps(tx, spent)
	}
	if flags&txscript.ScriptVerifyWitness != 0 {
		cost += WitnessSigOps(tx, spent)
	}
	return cost
}

func isCoinbase(tx *wire.MsgTx) bool {
	return len(tx.TxIn) == 1 && tx.TxIn[0].PreviousOutPoint == wire.OutPoint{Index: math.MaxUint32}
}
