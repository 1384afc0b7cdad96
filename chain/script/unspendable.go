package script

import "github.com/btcsuite/btcd/txscript/v2"

// Unspendable says that no input can ever spend an output with this script, because
// it starts with OP_RETURN or is longer than a script may be, so that it needs no
// place among the unspent ones. Bitcoin Core draws the line here too, and a hash
// of the UTXO set depends on it: scripts that fail for another reason stay.
func Unspendable(script []byte) bool {
	return len(script) > 0 && script[0] == txscript.OP_RETURN || len(script) > txscript.MaxScriptSize
}
