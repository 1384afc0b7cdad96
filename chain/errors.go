package chain

import "fmt"

// A Rule is a consensus rule that a block can break. It is the value to match:
//
//	if errors.Is(err, chain.RuleTimeTooNew) { ... }
//
// Its number is a stable code, fit for the wire: numbers are never reused and
// never change their meaning. Its text is for people.
type Rule uint16

// The rules, by the tier that checks them. docs/consensus.md has them in one table.
const (
	// Encoding: the bytes are no block.
	RuleTruncated Rule = 1 // the bytes end before the block does, or can't hold what a count announces
	RuleTrailing  Rule = 2 // bytes are left over after the block
	RuleEncoding  Rule = 3 // a length or flag that no encoder writes
	RuleOversize  Rule = 4 // more than MaxBlockSize bytes

	// Sanity: what the block alone shows.
	RuleWeight         Rule = 10 // weighs more than MaxBlockWeight
	RuleNoTransactions Rule = 11 // has no transaction
	RuleFirstCoinbase  Rule = 12 // the first transaction is not a coinbase
	RuleManyCoinbases  Rule = 13 // a later transaction is a coinbase
	RuleCoinbaseScript Rule = 14 // the coinbase script is not of 2 to 100 bytes
	RuleMerkleRoot     Rule = 15 // the header commits to other transactions
	RuleMutated        Rule = 16 // a transaction is repeated, maybe so that the merkle root stays (CVE-2012-2459)
	RuleHighHash       Rule = 18 // the hash does not meet the bits
	RuleOutputValue    Rule = 20 // an output, or their sum, that is negative or above 21 million coins
	RuleNoOutputs      Rule = 21 // a transaction without outputs
	RuleNoInputs       Rule = 22 // a transaction without inputs
	RuleDuplicateInput Rule = 23 // a transaction that spends one output twice (CVE-2018-17144)
	RuleNullInput      Rule = 24 // an input that spends nothing, in a transaction that is no coinbase
	RuleSigOps         Rule = 25 // more signature operations than MaxSigOpCost; also found in context

	// Position: what the chain up to the parent shows.
	RuleWrongBits       Rule = 30 // bits other than the schedule requires, or none that stand for a target; also found in sanity
	RuleTimeTooOld      Rule = 31 // not after the median time past
	RuleTimeTooNew      Rule = 32 // further ahead of the clock than allowed: try again later
	RuleVersion         Rule = 33 // a version that an active soft fork retired
	RuleCoinbaseHeight  Rule = 34 // the coinbase does not start with the block's height (BIP34)
	RuleWitness         Rule = 35 // a witness that nothing commits to, or other than the commitment says (BIP141)
	RuleInvalidAncestor Rule = 36 // descends from a block known to be invalid
	RuleKnownInvalid    Rule = 37 // the block itself is known to be invalid
	RuleUnfinal         Rule = 38 // a transaction whose lock time has not come (BIP113 from CSV on)
	RuleCheckpoint      Rule = 39 // another block than the checkpoint at its height, or one beside a checkpoint that was passed
	RuleFinality        Rule = 40 // forks off deeper below the tip than the network allows
	RuleOrphan          Rule = 41 // a header of a chain of headers that is not on the one before

	// Context: what the state at the parent shows.
	RuleCoinbaseValue Rule = 50 // the coinbase pays more than the subsidy and the fees
	RuleMissingInput  Rule = 51 // spends an output that does not exist or is spent
	RuleImmature      Rule = 52 // spends a coinbase too early
	RuleSpendTooHigh  Rule = 53 // a transaction pays more than it spends
	RuleInputValue    Rule = 54 // inputs or fees whose sum is above 21 million coins
	RuleSequenceLock  Rule = 55 // an input whose relative lock has not ended (BIP68)
	RuleScript        Rule = 56 // an input that its script does not let spend
	RuleOverwrite     Rule = 57 // a transaction with the id of one whose outputs are not all spent (BIP30)
)

// Error returns the rule in a few words.
func (r Rule) Error() string {
	if text, ok := ruleTexts()[r]; ok {
		return text
	}
	return fmt.Sprintf("rule %d", uint16(r))
}

// Rules returns every rule, lowest number first.
func Rules() []Rule {
	return []Rule{
		RuleTruncated, RuleTrailing, RuleEncoding, RuleOversize,
		RuleWeight, RuleNoTransactions, RuleFirstCoinbase, RuleManyCoinbases, RuleCoinbaseScript,
		RuleMerkleRoot, RuleMutated, RuleHighHash, RuleOutputValue, RuleNoOutputs,
		RuleNoInputs, RuleDuplicateInput, RuleNullInput, RuleSigOps,
		RuleWrongBits, RuleTimeTooOld, RuleTimeTooNew, RuleVersion, RuleCoinbaseHeight, RuleWitness,
		RuleInvalidAncestor, RuleKnownInvalid, RuleUnfinal, RuleCheckpoint, RuleFinality, RuleOrphan,
		RuleCoinbaseValue, RuleMissingInput, RuleImmature, RuleSpendTooHigh, RuleInputValue,
		RuleSequenceLock, RuleScript, RuleOverwrite,
	}
}

func ruleTexts() map[Rule]string {
	return map[Rule]string{
		RuleTruncated:       "block is cut short",
		RuleTrailing:        "bytes after the block",
		RuleEncoding:        "malformed encoding",
		RuleOversize:        "block has too many bytes",
		RuleWeight:          "block is too heavy",
		RuleNoTransactions:  "block has no transactions",
		RuleFirstCoinbase:   "first transaction is not a coinbase",
		RuleManyCoinbases:   "more than one coinbase",
		RuleCoinbaseScript:  "coinbase script has a bad length",
		RuleMerkleRoot:      "merkle root does not match",
		RuleMutated:         "transactions are repeated",
		RuleHighHash:        "hash does not meet the target",
		RuleOutputValue:     "output value out of range",
		RuleNoOutputs:       "transaction has no outputs",
		RuleNoInputs:        "transaction has no inputs",
		RuleDuplicateInput:  "transaction spends one output twice",
		RuleNullInput:       "input spends nothing",
		RuleSigOps:          "too many signature operations",
		RuleWrongBits:       "bits are not the required ones",
		RuleTimeTooOld:      "time is not after the median time past",
		RuleTimeTooNew:      "time is too far ahead",
		RuleVersion:         "version is retired",
		RuleCoinbaseHeight:  "coinbase does not start with the height",
		RuleWitness:         "witness does not match its commitment",
		RuleInvalidAncestor: "descends from an invalid block",
		RuleKnownInvalid:    "block is known to be invalid",
		RuleUnfinal:         "transaction is not final",
		RuleCheckpoint:      "conflicts with a checkpoint",
		RuleFinality:        "forks off below the finality depth",
		RuleOrphan:          "header is not on the one before",
		RuleCoinbaseValue:   "coinbase pays too much",
		RuleMissingInput:    "input is missing or spent",
		RuleImmature:        "coinbase is spent too early",
		RuleSpendTooHigh:    "transaction pays more than it spends",
		RuleInputValue:      "input value out of range",
		RuleSequenceLock:    "relative lock has not ended",
		RuleScript:          "script fails",
		RuleOverwrite:       "transaction would overwrite an unspent one",
	}
}

// A RuleError says that a block broke a consensus rule. Match the rule with
// errors.Is(err, RuleHighHash); anything else from this package is a fault of
// the machine (disk, memory), never of the block.
type RuleError struct {
	Rule   Rule
	Height uint32 // of the block, zero where its place in the chain is not known
	Detail string // the values that broke it, for people
	// Cause is what the ancestor broke, of RuleInvalidAncestor where that was just
	// found out. errors.Is and errors.As see it too.
	Cause *RuleError
}

// Error returns the rule, the height where known, and the values.
func (e *RuleError) Error() string {
	s := e.Rule.Error()
	if e.Height != 0 {
		s = fmt.Sprintf("height %d: %s", e.Height, s)
	}
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	if e.Cause != nil {
		s += ": " + e.Cause.Error()
	}
	return s
}

// Unwrap returns the rule, and that of the cause.
func (e *RuleError) Unwrap() []error {
	if e.Cause != nil {
		return []error{e.Rule, e.Cause}
	}
	return []error{e.Rule}
}

func broken(rule Rule, height uint32, format string, args ...any) error {
	return &RuleError{Rule: rule, Height: height, Detail: fmt.Sprintf(format, args...)}
}
