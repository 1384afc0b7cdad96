package script

import (
	"bytes"
	"encoding/binary"

	"github.com/btcsuite/btcd/txscript/v2"
	"github.com/btcsuite/btcd/wire/v2"
	"github.com/jbcnet/jbc/hashing"
)

// codeSize is how long the script is that a signature by a hashed key commits to.
const codeSize = 25

// appendCode appends it, with its length in front.
func appendCode(b, hash []byte) []byte {
	b = append(b, codeSize, txscript.OP_DUP, txscript.OP_HASH160, txscript.OP_DATA_20)
	b = append(b, hash...)
	return append(b, txscript.OP_EQUALVERIFY, txscript.OP_CHECKSIG)
}

// digest returns what the signature of an ordinary input signs. Unlike
// [Spend.LegacySighash] it takes no memory, and copies a transaction once for all
// of its inputs.
func (j *job) digest(input int, o *ordinary, w *workspace) hashing.Hash {
	if o.witness {
		w.signed = j.appendWitness(w.signed[:0], input, o.hash)
	} else {
		w.signed = j.appendLegacy(w.signed[:0], input, o.hash)
	}
	return hashing.Sum256d(w.signed)
}

// appendWitness appends the preimage of BIP143.
func (j *job) appendWitness(b []byte, input int, hash []byte) []byte {
	in, shared := j.tx.TxIn[input], j.midstates()
	b = binary.LittleEndian.AppendUint32(b, uint32(j.tx.Version))
	b = append(b, shared.HashPrevOutsV0[:]...)
	b = append(b, shared.HashSequenceV0[:]...)
	b = append(b, in.PreviousOutPoint.Hash[:]...)
	b = binary.LittleEndian.AppendUint32(b, in.PreviousOutPoint.Index)
	b = appendCode(b, hash)
	b = binary.LittleEndian.AppendUint64(b, uint64(j.spent[input].Value))
	b = binary.LittleEndian.AppendUint32(b, in.Sequence)
	b = append(b, shared.HashOutputsV0[:]...)
	b = binary.LittleEndian.AppendUint32(b, j.tx.LockTime)
	return binary.LittleEndian.AppendUint32(b, uint32(SighashAll))
}

// appendLegacy appends the transaction without scripts but for one, in the place of
// the input's.
func (j *job) appendLegacy(b []byte, input int, hash []byte) []byte {
	j.emptied.Do(func() { j.bare = withoutScripts(j.tx) })
	const outpoint, empty = 32 + 4, 1
	at := 4 + wire.VarIntSerializeSize(uint64(len(j.tx.TxIn))) + input*smallestInput + outpoint
	b = append(b, j.bare[:at]...)
	b = appendCode(b, hash)
	b = append(b, j.bare[at+empty:]...)
	return binary.LittleEndian.AppendUint32(b, uint32(SighashAll))
}

// smallestInput is the length of an input whose script is empty.
const smallestInput = 32 + 4 + 1 + 4

// withoutScripts encodes a transaction with empty scripts in all inputs and no witness.
func withoutScripts(tx *wire.MsgTx) []byte {
	bare := *tx
	ins := make([]wire.TxIn, len(tx.TxIn))
	bare.TxIn = make([]*wire.TxIn, len(tx.TxIn))
	for i, in := range tx.TxIn {
		ins[i] = wire.TxIn{PreviousOutPoint: in.PreviousOutPoint, Sequence: in.Sequence}
		bare.TxIn[i] = &ins[i]
	}
	var b bytes.Buffer
	b.Grow(bare.SerializeSize())
	if err := bare.SerializeNoWitness(&b); err != nil {
		panic("script: writing to memory: " + err.Error())
	}
	return b.Bytes()
}
