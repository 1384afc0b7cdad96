package chain

import (
	"bytes"

	"github.com/jbcnet/jbc/hashing"
)

// commitmentPrefix starts the output script that commits to a block's witnesses
// (BIP141): OP_RETURN, a push of 36 bytes, four bytes of mark, 32 bytes of hash.
const commitmentPrefix = "\x6a\x24\xaa\x21\xa9\xed"

// checkWitness wants a block's witnesses to be those that its coinbase commits
// to, and none where it commits to none (BIP141). The witness is not part of the
// transaction ids, so anyone can change it under an unchanged block hash: what
// fails here says nothing about the hash.
func checkWitness(b *Block, height uint32, active bool) error {
	commitment := witnessCommitment(b)
	if !active || commitment == nil {
		for i, tx := range b.Transactions {
			if tx.HasWitness() {
				return broken(RuleWitness, height, "transaction %d has one and nothing commits to it", i)
			}
		}
		return nil
	}
	nonce := b.Transactions[0].TxIn[0].Witness
	if len(nonce) != 1 || len(nonce[0]) != 32 {
		return broken(RuleWitness, height, "coinbase witness: want one item of 32 bytes, have %d items", len(nonce))
	}
	ids := make([]hashing.Hash, len(b.Transactions)) // the coinbase's stays zero: it holds the hash of the others
	for i, tx := range b.Transactions[1:] {
		ids[i+1] = hashing.Hash(tx.WitnessHash())
	}
	return checkWitnessRoot(ids, nonce[0], commitment, height)
}

// checkWitnessRoot wants the hashes of transactions with their witnesses, of which the
// coinbase's is zero, to be those of a commitment. They are overwritten.
func checkWitnessRoot(ids []hashing.Hash, nonce, commitment []byte, height uint32) error {
	root, _ := hashing.MerkleRoot(ids)
	if got := hashing.Sum256d(append(root[:], nonce...)); !bytes.Equal(got[:], commitment) {
		return broken(RuleWitness, height, "witnesses hash to %x, commitment %x", got[:], commitment)
	}
	return nil
}

// checkOrphanWitness is checkWitness for a block whose height only its coinbase tells.
// Without it whoever changes a witness, which costs no work, could have the wrong
// body held in the place of the right one.
func (p *Params) checkOrphanWitness(b *Block) error {
	height, ok := claimedHeight(b.Transactions[0].TxIn[0].SignatureScript)
	return checkWitness(b, height, p.Forks.SegWit <= 1 || ok && height >= p.Forks.SegWit)
}

// witnessCommitment returns the 32 bytes of the last output of the coinbase that
// holds a commitment, nil where none does.
func witnessCommitment(b *Block) (commitment []byte) {
	for _, out := range b.Transactions[0].TxOut {
		if rest, ok := bytes.CutPrefix(out.PkScript, []byte(commitmentPrefix)); ok && len(rest) >= 32 {
			commitment = rest[:32]
		}
	}
	return commitment
}
