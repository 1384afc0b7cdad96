package chain

import (
	"bytes"
	"crypto/sha256"
	"hash"

	"github.com/jbcnet/jbc/hashing"
)

// admit decodes a block that a stranger may have sent and takes it through the first
// tier, as [DecodeBlock] and sanity do one after the other. But it makes nothing of the
// bytes before they are seen to be those that the header means, and the header to have
// cost its work: weight, merkle root and witnesses are taken from the bytes as they
// lie. A refusal up to there takes at most 64 bytes a transaction, of which no
// encoding has less than 51.
//
// Witnesses that the coinbase does not commit to are refused at any height: where
// SegWit is not active there may be none. The block points into data, which nobody may
// change any more.
func (p *Params) admit(data []byte) (*sane, error) {
	seen, err := look(data)
	if err != nil {
		return nil, err
	}
	header := hashing.Header(data[:hashing.HeaderSize])
	s := &sane{hash: header.Hash()}
	if err := p.checkWork(&header, s.hash, seen.transactions, seen.weight(len(data))); err != nil {
		return nil, err
	}
	s.ids = make([]hashing.Hash, seen.transactions)
	room := make([]hashing.Hash, seen.transactions)
	first := hashTransactions(data, s.ids, nil)
	copy(room, s.ids)
	if err := checkRoot(&header, s.ids, room); err != nil {
		return nil, err
	}
	if seen.witness > 0 {
		hashTransactions(data, nil, room)
		if err := checkCommitment(first, room); err != nil {
			return nil, err
		}
		s.committed = true
	}
	s.Block = seen.make(data)
	return s, s.checkTransactions(room)
}

// span is an encoded transaction and what it is without its witness: a version, what
// is inside, and the lock time.
type span struct{ whole, inside []byte }

const versionSize, lockTimeSize = 4, 4

// witness says whether the transaction has one.
func (s span) witness() bool { return len(s.whole) != versionSize+len(s.inside)+lockTimeSize }

// id returns the hash without the witness. h is one of SHA-256 that nobody else uses.
func (s span) id(h hash.Hash) hashing.Hash {
	if !s.witness() {
		return hashing.Sum256d(s.whole)
	}
	var sum [sha256.Size]byte
	h.Reset()
	h.Write(s.whole[:versionSize])
	h.Write(s.inside)
	h.Write(s.whole[len(s.whole)-lockTimeSize:])
	return sha256.Sum256(h.Sum(sum[:0]))
}

// span reads a transaction of bytes in which a look found no error.
func (r *reader) span() span {
	all := r.data
	r.transaction(nil)
	from := versionSize
	if all[versionSize] == 0 {
		from += 2 // marker and flag
	}
	return span{all[:len(all)-len(r.data)], all[from : len(all)-r.behindOutputs]}
}

// hashTransactions sets ids to the hashes of a block's transactions without their
// witnesses and full to those with them, leaving the coinbase's out, and either out
// where it is nil. It returns the coinbase.
func hashTransactions(data []byte, ids, full []hashing.Hash) (first span) {
	r := reader{data: data[hashing.HeaderSize:]}
	h := sha256.New()
	for i := range r.count(smallestTx) {
		tx := r.span()
		if i == 0 {
			first = tx
		}
		if ids != nil {
			ids[i] = tx.id(h)
		}
		switch {
		case full == nil:
		case i == 0:
			full[i] = hashing.Hash{}
		default:
			full[i] = hashing.Sum256d(tx.whole)
		}
	}
	return first
}

// checkCommitment is checkWitness for a block that has witnesses, from its bytes. full
// is the hashes of its transactions with them, and is overwritten.
func checkCommitment(coinbase span, full []hashing.Hash) error {
	commitment, nonce := coinbase.commitment()
	if commitment == nil {
		return broken(RuleWitness, 0, "there are some and nothing commits to them")
	}
	if len(nonce) != 32 {
		return broken(RuleWitness, 0, "coinbase witness: want one item of 32 bytes")
	}
	return checkWitnessRoot(full, nonce, commitment, 0)
}

// commitment returns what witnessCommitment does, and the witness of the first input
// where that is one item.
func (s span) commitment() (commitment, nonce []byte) {
	r := reader{data: s.inside}
	for range r.count(smallestInput) {
		r.take(32 + 4)
		r.bytes()
		r.take(4)
	}
	for range r.count(smallestOutput) {
		r.take(8)
		if rest, ok := bytes.CutPrefix(r.bytes(), []byte(commitmentPrefix)); ok && len(rest) >= 32 {
			commitment = rest[:32]
		}
	}
	if s.witness() {
		r.data = s.whole[versionSize+2+len(s.inside) : len(s.whole)-lockTimeSize]
		if r.count(smallestItem) == 1 {
			nonce = r.bytes()
		}
	}
	return commitment, nonce
}
