package chain

import "github.com/btcsuite/btcd/wire/v2"

// The fields of an input's sequence number (BIP68).
const (
	sequenceDisabled = 1 << 31
	sequenceSeconds  = 1 << 22 // in units of 512 seconds, otherwise in blocks
	sequenceMask     = 0xffff
	sequenceShift    = 9
)

// locks are what the relative locks of a transaction's inputs ask for: the last
// height and the last median time past at which it is still locked, -1 for none.
type locks struct{ height, time int64 }

func noLocks() locks { return locks{-1, -1} }

// add takes in the lock of an input, whose output was made at height made, of a
// transaction in a block on parent.
func (l *locks) add(parent *node, tx *wire.MsgTx, sequence, made uint32) {
	if uint32(tx.Version) < 2 || sequence&sequenceDisabled != 0 {
		return
	}
	span := int64(sequence & sequenceMask)
	if sequence&sequenceSeconds == 0 {
		l.height = max(l.height, int64(made)+span-1)
		return
	}
	before := parent.ancestor(max(made, 1) - 1) // the block before the output's
	l.time = max(l.time, int64(before.median)+span<<sequenceShift-1)
}

// ended says whether a block on parent may have the transaction.
func (l *locks) ended(parent *node) bool {
	return l.height < int64(parent.height)+1 && l.time < int64(parent.median)
}
