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
	RuleMutated        Rule = 16 // transactions repeated so that the merkle root stays (CVE-2012-2459)
	RuleBits           Rule = 17 // bits that are negative, zero, over 256 bits or above the network's limit
	RuleHighHash       Rule = 18 // the hash does not meet the bits
	RuleTransactions   Rule = 19 // a transaction besides the coinbase: not supported yet
	RuleOutputValue    Rule = 20 // an output, or their sum, that is negative or above 21 million coins
	RuleNoOutputs      Rule = 21 // a transaction without outputs

	// Position: what the chain up to the parent shows.
	RuleWrongBits       Rule = 30 // bits other than the schedule requires
	RuleTimeTooOld      Rule = 31 // not after the median time past
	RuleTimeTooNew      Rule = 32 // further ahead of the clock than allowed: try again later
	RuleVersion         Rule = 33 // a version that an active soft fork retired
	RuleCoinbaseHeight  Rule = 34 // the coinbase does not start with the block's height (BIP34)
	RuleWitness         Rule = 35 // a witness that nothing commits to, or other than the commitment says (BIP141)
	RuleInvalidAncestor Rule = 36 // descends from a block known to be invalid
	RuleKnownInvalid    Rule = 37 // the block itself is known to be invalid

	// Context: what the state at the parent shows.
	RuleCoinbaseValue Rule = 50 // the coinbase pays more than the subsidy
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
		RuleMerkleRoot, RuleMutated, RuleBits, RuleHighHash, RuleTransactions, RuleOutputValue, RuleNoOutputs,
		RuleWrongBits, RuleTimeTooOld, RuleTimeTooNew, RuleVersion, RuleCoinbaseHeight, RuleWitness,
		RuleInvalidAncestor, RuleKnownInvalid,
		RuleCoinbaseValue,
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
		RuleBits:            "bits out of range",
		RuleHighHash:        "hash does not meet the target",
		RuleTransactions:    "transactions are not supported yet",
		RuleOutputValue:     "output value out of range",
		RuleNoOutputs:       "transaction has no outputs",
		RuleWrongBits:       "bits are not the required ones",
		RuleTimeTooOld:      "time is not after the median time past",
		RuleTimeTooNew:      "time is too far ahead",
		RuleVersion:         "version is retired",
		RuleCoinbaseHeight:  "coinbase does not start with the height",
		RuleWitness:         "witness does not match its commitment",
		RuleInvalidAncestor: "descends from an invalid block",
		RuleKnownInvalid:    "block is known to be invalid",
		RuleCoinbaseValue:   "coinbase pays too much",
	}
}

// A RuleError says that a block broke a consensus rule. Match the rule with
// errors.Is(err, RuleHighHash); anything else from this package is a fault of
// the machine (disk, memory), never of the block.
type RuleError struct {
	Rule   Rule
	Height uint32 // of the block, zero where its place in the chain is not known
	Detail string // the values that broke it, for people
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
	return s
}

// Unwrap returns the rule.
func (e *RuleError) Unwrap() error { return e.Rule }

func broken(rule Rule, height uint32, format string, args ...any) error {
	return &RuleError{Rule: rule, Height: height, Detail: fmt.Sprintf(format, args...)}
}
