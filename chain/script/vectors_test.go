package script

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/btcsuite/btcd/txscript/v2"
	"github.com/btcsuite/btcd/wire/v2"

	"github.com/jbcnet/jbc/chain/script/scripttest"
	"github.com/jbcnet/jbc/hashing/vectortest"
)

// coreErrors maps the names of Bitcoin Core's script errors to txscript's codes.
// Several codes mean that txscript tells more apart; a code at several names, that
// it tells less: it has no word of its own for the alternative stack, nor for a
// number that is not minimal (SCRIPTNUM, where Core checks the number; MINIMALDATA,
// where it checks the push). It reads a condition before it looks whether the
// stack has one to read (UNBALANCED_CONDITIONAL), and the type of hash that a
// signature ends in before it looks at the signature (SIG_DER).
var coreErrors = map[string][]txscript.ErrorCode{
	"OK":                                    nil,
	"BAD_OPCODE":                            {txscript.ErrReservedOpcode, txscript.ErrMalformedPush},
	"CHECKMULTISIGVERIFY":                   {txscript.ErrCheckMultiSigVerify},
	"CHECKSIGVERIFY":                        {txscript.ErrCheckSigVerify},
	"CLEANSTACK":                            {txscript.ErrCleanStack},
	"DISABLED_OPCODE":                       {txscript.ErrDisabledOpcode},
	"DISCOURAGE_OP_SUCCESS":                 {txscript.ErrDiscourageOpSuccess},
	"DISCOURAGE_UPGRADABLE_NOPS":            {txscript.ErrDiscourageUpgradableNOPs},
	"DISCOURAGE_UPGRADABLE_WITNESS_PROGRAM": {txscript.ErrDiscourageUpgradableWitnessProgram},
	"EQUALVERIFY":                           {txscript.ErrEqualVerify},
	"EVAL_FALSE":                            {txscript.ErrEvalFalse, txscript.ErrEmptyStack},
	"INVALID_ALTSTACK_OPERATION":            {txscript.ErrInvalidStackOperation},
	"INVALID_STACK_OPERATION":               {txscript.ErrInvalidStackOperation},
	"MINIMALDATA":                           {txscript.ErrMinimalData},
	"MINIMALIF":                             {txscript.ErrMinimalIf},
	"NEGATIVE_LOCKTIME":                     {txscript.ErrNegativeLockTime},
	"NULLFAIL":                              {txscript.ErrNullFail},
	"NUMEQUALVERIFY":                        {txscript.ErrNumEqualVerify},
	"OP_CODESEPARATOR":                      {txscript.ErrCodeSeparator},
	"OP_COUNT":                              {txscript.ErrTooManyOperations},
	"OP_RETURN":                             {txscript.ErrEarlyReturn},
	"PUBKEY_COUNT":                          {txscript.ErrInvalidPubKeyCount},
	"PUBKEYTYPE":                            {txscript.ErrPubKeyType},
	"PUSH_SIZE":                             {txscript.ErrElementTooBig},
	"SCRIPTNUM":                             {txscript.ErrNumberTooBig, txscript.ErrMinimalData},
	"SCRIPT_SIZE":                           {txscript.ErrScriptTooBig},
	"SIG_COUNT":                             {txscript.ErrInvalidSignatureCount},
	"SIG_DER": {txscript.ErrSigTooShort, txscript.ErrSigTooLong, txscript.ErrSigInvalidSeqID,
		txscript.ErrSigInvalidDataLen, txscript.ErrSigMissingSTypeID, txscript.ErrSigMissingSLen,
		txscript.ErrSigInvalidSLen, txscript.ErrSigInvalidRIntID, txscript.ErrSigZeroRLen,
		txscript.ErrSigNegativeR, txscript.ErrSigTooMuchRPadding, txscript.ErrSigInvalidSIntID,
		txscript.ErrSigZeroSLen, txscript.ErrSigNegativeS, txscript.ErrSigTooMuchSPadding,
		txscript.ErrInvalidSigHashType},
	"SIG_FINDANDDELETE":             {txscript.ErrNonConstScriptCode},
	"SIG_HASHTYPE":                  {txscript.ErrInvalidSigHashType},
	"SIG_HIGH_S":                    {txscript.ErrSigHighS},
	"SIG_NULLDUMMY":                 {txscript.ErrSigNullDummy},
	"SIG_PUSHONLY":                  {txscript.ErrNotPushOnly},
	"STACK_SIZE":                    {txscript.ErrStackOverflow},
	"TAPSCRIPT_CHECKMULTISIG":       {txscript.ErrTapscriptCheckMultisig},
	"TAPSCRIPT_MINIMALIF":           {txscript.ErrMinimalIf},
	"TAPSCRIPT_VALIDATION_WEIGHT":   {txscript.ErrTaprootMaxSigOps},
	"TAPSCRIPT_EMPTY_PUBKEY":        {txscript.ErrTaprootPubkeyIsEmpty},
	"UNBALANCED_CONDITIONAL":        {txscript.ErrUnbalancedConditional, txscript.ErrInvalidStackOperation},
	"UNSATISFIED_LOCKTIME":          {txscript.ErrUnsatisfiedLockTime},
	"VERIFY":                        {txscript.ErrVerify},
	"WITNESS_MALLEATED":             {txscript.ErrWitnessMalleated},
	"WITNESS_MALLEATED_P2SH":        {txscript.ErrWitnessMalleatedP2SH},
	"WITNESS_PROGRAM_MISMATCH":      {txscript.ErrWitnessProgramMismatch},
	"WITNESS_PROGRAM_WITNESS_EMPTY": {txscript.ErrWitnessProgramEmpty},
	"WITNESS_PROGRAM_WRONG_LENGTH":  {txscript.ErrWitnessProgramWrongLength},
	"WITNESS_PUBKEYTYPE":            {txscript.ErrWitnessPubKeyType},
	"WITNESS_UNEXPECTED":            {txscript.ErrWitnessUnexpected},
}

// A scriptCase is one line of script_tests.
type scriptCase struct {
	witness             wire.TxWitness
	value               int64
	sigScript, pkScript []byte
	flags               Flags
	expected            string
}

func TestScriptVectors(t *testing.T) {
	plain, caching := New(Options{Workers: 2}), New(Options{Workers: 2, CacheEntries: 10})
	vectortest.Each(t, "script_tests", func(t *testing.T, f vectortest.File) (cases int) {
		for i, fields := range jsonRows(t, f.Data) {
			if len(fields) == 1 {
				continue // a comment
			}
			cases++
			c, err := parseScriptCase(fields)
			if err != nil {
				t.Errorf("row %d: %v", i, err)
				continue
			}
			tx, spent := c.transactions()
			got := Verify(tx, 0, spent, c.flags)
			c.compare(t, fmt.Sprintf("row %d %s", i, fields), got)
			for _, checker := range []*Checker{plain, caching, caching} { // the last finds what was remembered
				b := checker.Batch()
				b.Add(i, tx, spent, c.flags)
				switch err := b.Wait().(type) {
				case nil:
					if got != nil {
						t.Errorf("row %d: a batch says nothing, Verify says %v", i, got)
					}
				case *Error:
					if got == nil || err.Err.Error() != got.Error() || err.Tag != i {
						t.Errorf("row %d: a batch says %v of tag %d, Verify says %v", i, err, err.Tag, got)
					}
				}
			}
		}
		return cases
	})
}

func (c *scriptCase) compare(t *testing.T, name string, got error) {
	t.Helper()
	codes, ok := coreErrors[c.expected]
	if !ok {
		t.Errorf("%s: expected result %q is not known", name, c.expected)
		return
	}
	var failed txscript.Error
	if c.expected == "OK" && got != nil {
		t.Errorf("%s: %v", name, got)
	}
	if c.expected != "OK" && (!errors.As(got, &failed) || !slices.Contains(codes, failed.ErrorCode)) {
		t.Errorf("%s: %v (%v), want one of %v", name, got, failed.ErrorCode, codes)
	}
}

// transactions returns the transaction that spends, and what.
func (c *scriptCase) transactions() (*wire.MsgTx, []*wire.TxOut) {
	credit := wire.NewMsgTx(1)
	credit.AddTxIn(wire.NewTxIn(&wire.OutPoint{Index: math.MaxUint32}, []byte{txscript.OP_0, txscript.OP_0}, nil))
	credit.AddTxOut(wire.NewTxOut(c.value, c.pkScript))
	tx := wire.NewMsgTx(1)
	tx.AddTxIn(wire.NewTxIn(&wire.OutPoint{Hash: credit.TxHash()}, c.sigScript, c.witness))
	tx.AddTxOut(wire.NewTxOut(c.value, nil))
	return tx, credit.TxOut
}

// nums is BIP341's point whose logarithm nobody knows, the internal key of the
// trees in script_tests.
const nums = "50929b74c1a04954b78b4b6035e97a5e078a5a0f28ec96d547bfee9ace803ac0"

// parseScriptCase reads [[witness..., amount]?, scriptSig, scriptPubKey, flags,
// expected, comments...].
func parseScriptCase(fields []json.RawMessage) (c *scriptCase, err error) {
	c = &scriptCase{}
	var output []byte // of the tree, where the witness asks for one
	if fields[0][0] == '[' {
		if output, err = c.parseWitness(fields[0]); err != nil {
			return nil, err
		}
		fields = fields[1:]
	}
	if len(fields) < 4 {
		return nil, fmt.Errorf("%d fields", len(fields))
	}
	var text [4]string
	for i := range text {
		if err := json.Unmarshal(fields[i], &text[i]); err != nil {
			return nil, err
		}
	}
	if c.sigScript, err = scripttest.ParseScript(text[0]); err != nil {
		return nil, err
	}
	text[1] = strings.ReplaceAll(text[1], "#TAPROOTOUTPUT#", "0x"+hex.EncodeToString(output))
	if c.pkScript, err = scripttest.ParseScript(text[1]); err != nil {
		return nil, err
	}
	c.flags, err = scripttest.ParseFlags(text[2])
	if c.flags&txscript.ScriptVerifyCleanStack != 0 {
		c.flags = scripttest.Fill(c.flags)
	}
	c.expected = text[3]
	return c, err
}

// parseWitness reads [items..., amount in coins]. An item "#SCRIPT# ..." is the one
// leaf of a tree, "#CONTROLBLOCK#" proves it, and the output key is returned.
func (c *scriptCase) parseWitness(field json.RawMessage) (output []byte, err error) {
	var items []json.RawMessage
	var coins float64
	if err := json.Unmarshal(field, &items); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(items[len(items)-1], &coins); err != nil {
		return nil, err
	}
	c.value = int64(math.Round(coins * 1e8))
	for _, raw := range items[:len(items)-1] {
		var text string
		if err := json.Unmarshal(raw, &text); err != nil {
			return nil, err
		}
		var item []byte
		leaf, isLeaf := strings.CutPrefix(text, "#SCRIPT#")
		switch {
		case isLeaf:
			item, err = scripttest.ParseScript(leaf)
		case text == "#CONTROLBLOCK#":
			item, output, err = controlBlock(c.witness[len(c.witness)-1])
		default:
			item, err = hex.DecodeString(text)
		}
		if err != nil {
			return nil, err
		}
		c.witness = append(c.witness, item)
	}
	return output, nil
}

func controlBlock(leaf []byte) (block, output []byte, err error) {
	root := TapLeaf(TapscriptVersion, leaf)
	internal, _ := hex.DecodeString(nums)
	key, odd, err := TaprootOutput([32]byte(internal), root[:])
	block = append([]byte{TapscriptVersion}, internal...)
	if odd {
		block[0]++
	}
	return block, key[:], err
}

// jsonRows reads an array of arrays.
func jsonRows(t *testing.T, data []byte) (rows [][]json.RawMessage) {
	t.Helper()
	if err := json.Unmarshal(data, &rows); err != nil {
		t.Fatal(err)
	}
	return rows
}

func decodeTx(t *testing.T, digits string) *wire.MsgTx {
	t.Helper()
	var tx wire.MsgTx
	if err := tx.Deserialize(bytes.NewReader(unhex(t, digits))); err != nil {
		t.Fatalf("transaction %s: %v", digits, err)
	}
	return &tx
}

func unhex(t *testing.T, digits string) []byte {
	t.Helper()
	raw, err := hex.DecodeString(digits)
	if err != nil {
		t.Fatalf("%q: %v", digits, err)
	}
	return raw
}
