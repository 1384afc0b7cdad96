package script

import (
	"fmt"

	"github.com/jbcnet/jbc/hashing"
)

// An Error says which input of a batch failed. Err is what txscript said: a
// txscript.Error with a code, or the fault of a key or signature that it could not
// read.
type Error struct {
	Tag   int // of the transaction, as it was added
	Tx    hashing.Hash
	Input int
	Err   error
}

// Error names the transaction and the input; the tag means something to the caller only.
func (e *Error) Error() string {
	return fmt.Sprintf("input %d of transaction %s: %v", e.Input, e.Tx, e.Err)
}

// Unwrap returns what txscript said.
func (e *Error) Unwrap() error { return e.Err }
