package script

import "github.com/btcsuite/btcd/txscript/v2"

// Flags are the soft forks that a script is judged under. Those of a block are
// these constants, as many as are active in it; the policy flags of txscript may
// be added for transactions that are not in a block yet.
type Flags = txscript.ScriptFlags

// The soft forks that changed scripts. [SegWit] needs [BIP16], and [Taproot] means
// nothing without SegWit.
const (
	// BIP16 runs the script whose hash an output pays to.
	BIP16 = txscript.ScriptBip16
	// BIP66 refuses signatures that are not strict DER.
	BIP66 = txscript.ScriptVerifyDERSignatures
	// BIP65 makes OP_NOP2 OP_CHECKLOCKTIMEVERIFY.
	BIP65 = txscript.ScriptVerifyCheckLockTimeVerify
	// CSV makes OP_NOP3 OP_CHECKSEQUENCEVERIFY (BIP112). Relative lock times (BIP68)
	// and the median time past in lock times (BIP113), which came with it, are no
	// matter of scripts.
	CSV = txscript.ScriptVerifyCheckSequenceVerify
	// SegWit runs witness programs of version 0 (BIP141, BIP143) and refuses a
	// dummy of OP_CHECKMULTISIG that is not empty (BIP147), which came with it.
	SegWit = txscript.ScriptVerifyWitness | txscript.ScriptStrictMultiSig
	// Taproot runs witness programs of version 1 (BIP341, BIP342).
	Taproot = txscript.ScriptVerifyTaproot
)
