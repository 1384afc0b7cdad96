// Package scripttest reads the forms that Bitcoin Core's test data has scripts and
// flags in.
package scripttest

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/btcsuite/btcd/txscript/v2"
)

// ParseScript reads a script as the test data writes it: words for operations, with
// or without OP_, decimal numbers and 'text' for pushes of them, 0x for raw bytes.
func ParseScript(text string) ([]byte, error) {
	var script []byte
	for word := range strings.FieldsSeq(text) {
		raw, err := parseWord(word)
		if err != nil {
			return nil, err
		}
		script = append(script, raw...)
	}
	return script, nil
}

func parseWord(word string) ([]byte, error) {
	if number, err := strconv.ParseInt(word, 10, 64); err == nil {
		return txscript.NewScriptBuilder().AddInt64(number).Script()
	}
	if digits, ok := strings.CutPrefix(word, "0x"); ok {
		raw, err := hex.DecodeString(digits)
		if err != nil {
			return nil, fmt.Errorf("script word %q: %w", word, err)
		}
		return raw, nil
	}
	if len(word) >= 2 && word[0] == '\'' && word[len(word)-1] == '\'' {
		// Full: some are longer than a push may be.
		return txscript.NewScriptBuilder().AddFullData([]byte(word[1 : len(word)-1])).Script()
	}
	if op, ok := txscript.OpcodeByName["OP_"+strings.TrimPrefix(word, "OP_")]; ok && !strings.HasPrefix(word, "OP_UNKNOWN") {
		return []byte{op}, nil
	}
	return nil, fmt.Errorf("script word %q is no number, bytes, text or operation", word)
}

// Flags are all flags that the test data knows, by their names in it.
var Flags = map[string]txscript.ScriptFlags{
	"CHECKLOCKTIMEVERIFY":                   txscript.ScriptVerifyCheckLockTimeVerify,
	"CHECKSEQUENCEVERIFY":                   txscript.ScriptVerifyCheckSequenceVerify,
	"CLEANSTACK":                            txscript.ScriptVerifyCleanStack,
	"CONST_SCRIPTCODE":                      txscript.ScriptVerifyConstScriptCode,
	"DERSIG":                                txscript.ScriptVerifyDERSignatures,
	"DISCOURAGE_OP_SUCCESS":                 txscript.ScriptVerifyDiscourageOpSuccess,
	"DISCOURAGE_UPGRADABLE_NOPS":            txscript.ScriptDiscourageUpgradableNops,
	"DISCOURAGE_UPGRADABLE_PUBKEYTYPE":      txscript.ScriptVerifyDiscourageUpgradeablePubkeyType,
	"DISCOURAGE_UPGRADABLE_TAPROOT_VERSION": txscript.ScriptVerifyDiscourageUpgradeableTaprootVersion,
	"DISCOURAGE_UPGRADABLE_WITNESS_PROGRAM": txscript.ScriptVerifyDiscourageUpgradeableWitnessProgram,
	"LOW_S":                                 txscript.ScriptVerifyLowS,
	"MINIMALDATA":                           txscript.ScriptVerifyMinimalData,
	"MINIMALIF":                             txscript.ScriptVerifyMinimalIf,
	"NULLDUMMY":                             txscript.ScriptStrictMultiSig,
	"NULLFAIL":                              txscript.ScriptVerifyNullFail,
	"P2SH":                                  txscript.ScriptBip16,
	"SIGPUSHONLY":                           txscript.ScriptVerifySigPushOnly,
	"STRICTENC":                             txscript.ScriptVerifyStrictEncoding,
	"TAPROOT":                               txscript.ScriptVerifyTaproot,
	"WITNESS":                               txscript.ScriptVerifyWitness,
	"WITNESS_PUBKEYTYPE":                    txscript.ScriptVerifyWitnessPubKeyType,
}

// ParseFlags reads a list of names with commas between them; NONE and nothing are none.
func ParseFlags(list string) (flags txscript.ScriptFlags, err error) {
	if list == "" || list == "NONE" {
		return 0, nil
	}
	for name := range strings.SplitSeq(list, ",") {
		flag, ok := Flags[name]
		if !ok {
			return 0, fmt.Errorf("script flag %q is not known", name)
		}
		flags |= flag
	}
	return flags, nil
}

// AllFlags is every flag of [Flags].
func AllFlags() (all txscript.ScriptFlags) {
	for _, flag := range Flags {
		all |= flag
	}
	return all
}

// Fill adds the flags without which others mean nothing.
func Fill(flags txscript.ScriptFlags) txscript.ScriptFlags {
	if flags&txscript.ScriptVerifyCleanStack != 0 {
		flags |= txscript.ScriptVerifyWitness
	}
	if flags&txscript.ScriptVerifyWitness != 0 {
		flags |= txscript.ScriptBip16
	}
	return flags
}

// Trim takes out the flags that mean nothing without others that are missing, and
// those with which txscript then refuses what Bitcoin Core lets pass: policies for
// the operations and outputs that a soft fork gave a meaning to.
func Trim(flags txscript.ScriptFlags) txscript.ScriptFlags {
	const locks = txscript.ScriptVerifyCheckLockTimeVerify | txscript.ScriptVerifyCheckSequenceVerify
	if flags&locks != locks {
		flags &^= txscript.ScriptDiscourageUpgradableNops
	}
	if flags&txscript.ScriptBip16 == 0 {
		flags &^= txscript.ScriptVerifyWitness
	}
	if flags&txscript.ScriptVerifyWitness == 0 {
		flags &^= txscript.ScriptVerifyCleanStack
	}
	return flags
}
