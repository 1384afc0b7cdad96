package chain

import "github.com/jbcnet/jbc/hashing"

// CheckProofOfWork says whether hash meets bits, and whether bits may appear on a
// network whose easiest target is limit. The error is a [RuleError] with
// [RuleWrongBits] or [RuleHighHash].
func CheckProofOfWork(hash hashing.Hash, bits, limit hashing.Bits) error {
	target, err := bits.Target()
	if err != nil {
		return broken(RuleWrongBits, 0, "%v", err)
	}
	ceiling, err := limit.Target()
	if err != nil {
		return broken(RuleWrongBits, 0, "limit: %v", err)
	}
	if target.Cmp(ceiling) > 0 {
		return broken(RuleWrongBits, 0, "%s is easier than the limit %s", bits, limit)
	}
	if !target.MetBy(hash) {
		return broken(RuleHighHash, 0, "%s, target %s", hash, target)
	}
	return nil
}
