package script

import (
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/btcsuite/btcd/address/v2"
	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcec/v2/ecdsa"
	"github.com/btcsuite/btcd/btcec/v2/schnorr"
	"github.com/btcsuite/btcd/txscript/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

// allForks are the flags of a block under every soft fork.
const allForks = BIP16 | BIP66 | BIP65 | CSV | SegWit | Taproot

// A kind is a way to lock an output.
type kind int

const (
	anyone kind = iota
	payToPubKey
	payToPubKeyHash
	payToWitnessKeyHash
	nestedWitnessKeyHash
	payToWitnessScript // one of two keys
	taprootKey
	taprootScript
	kinds
)

// A signer makes transactions that spend outputs of every kind, signed by this
// package's own hashes. It is the same every time.
type signer struct {
	t     testing.TB
	rng   *rand.Rand
	key   *btcec.PrivateKey
	pub   []byte // compressed
	xonly [32]byte
}

func newSigner(t testing.TB, seed uint64) *signer {
	key, pub := btcec.PrivKeyFromBytes([]byte("a key that is for tests, no other"[:32]))
	return &signer{t, rand.New(rand.NewPCG(seed, 1)), key, pub.SerializeCompressed(), [32]byte(schnorr.SerializePubKey(pub))}
}

func pushes(items ...[]byte) []byte {
	b := txscript.NewScriptBuilder()
	for _, item := range items {
		b.AddData(item)
	}
	script, err := b.Script()
	if err != nil {
		panic(err)
	}
	return script
}

// leaf is the script that a witness or a tree reveals.
func (s *signer) leaf(k kind) []byte {
	switch k {
	case payToWitnessScript:
		script := append([]byte{txscript.OP_1}, pushes(s.pub, s.pub)...)
		return append(script, txscript.OP_2, txscript.OP_CHECKMULTISIG)
	case taprootScript:
		return append(pushes(s.xonly[:]), txscript.OP_CHECKSIG)
	}
	return nil
}

func (s *signer) program() []byte {
	return append([]byte{txscript.OP_0}, pushes(address.Hash160(s.pub))...)
}

func (s *signer) lock(k kind) []byte {
	switch k {
	case payToPubKey:
		return append(pushes(s.pub), txscript.OP_CHECKSIG)
	case payToPubKeyHash:
		script := append([]byte{txscript.OP_DUP, txscript.OP_HASH160}, pushes(address.Hash160(s.pub))...)
		return append(script, txscript.OP_EQUALVERIFY, txscript.OP_CHECKSIG)
	case payToWitnessKeyHash:
		return s.program()
	case nestedWitnessKeyHash:
		script := append([]byte{txscript.OP_HASH160}, pushes(address.Hash160(s.program()))...)
		return append(script, txscript.OP_EQUAL)
	case payToWitnessScript:
		hash := sha256.Sum256(s.leaf(k))
		return append([]byte{txscript.OP_0}, pushes(hash[:])...)
	case taprootKey, taprootScript:
		key, _ := s.output(k)
		return TaprootScript(key)
	}
	return []byte{txscript.OP_1}
}

// output returns the key of a taproot output and the control block of its leaf.
func (s *signer) output(k kind) (key [32]byte, block []byte) {
	var root []byte
	if k == taprootScript {
		sum := TapLeaf(TapscriptVersion, s.leaf(k))
		root = sum[:]
	}
	key, odd, err := TaprootOutput(s.xonly, root)
	if err != nil {
		s.t.Fatal(err)
	}
	block = append([]byte{TapscriptVersion}, s.xonly[:]...)
	if odd {
		block[0]++
	}
	return key, block
}

// spend returns a signed transaction that spends one output of each kind.
func (s *signer) spend(locks ...kind) (*wire.MsgTx, []*wire.TxOut) {
	tx := wire.NewMsgTx(2)
	var spent []*wire.TxOut
	for _, k := range locks {
		in := &wire.TxIn{Sequence: wire.MaxTxInSequenceNum}
		binary.LittleEndian.PutUint64(in.PreviousOutPoint.Hash[:], s.rng.Uint64())
		tx.AddTxIn(in)
		spent = append(spent, &wire.TxOut{Value: s.rng.Int64N(1e9), PkScript: s.lock(k)})
	}
	tx.AddTxOut(&wire.TxOut{Value: s.rng.Int64N(1e9), PkScript: s.program()})
	tx.AddTxOut(&wire.TxOut{Value: s.rng.Int64N(1e9), PkScript: s.lock(taprootKey)})
	for i, k := range locks {
		s.sign(tx, spent, i, k)
	}
	return tx, spent
}

func (s *signer) sign(tx *wire.MsgTx, spent []*wire.TxOut, i int, k kind) {
	spend, err := NewSpend(tx, spent)
	if err != nil {
		s.t.Fatal(err)
	}
	in, lock := tx.TxIn[i], spent[i].PkScript
	switch k {
	case payToPubKey:
		in.SignatureScript = pushes(s.ecdsa(spend.LegacySighash(i, lock, SighashAll)))
	case payToPubKeyHash:
		in.SignatureScript = pushes(s.ecdsa(spend.LegacySighash(i, lock, SighashAll)), s.pub)
	case payToWitnessKeyHash:
		in.Witness = wire.TxWitness{s.ecdsa(spend.WitnessSighash(i, lock, SighashAll)), s.pub}
	case nestedWitnessKeyHash:
		in.SignatureScript = pushes(s.program())
		in.Witness = wire.TxWitness{s.ecdsa(spend.WitnessSighash(i, s.program(), SighashAll)), s.pub}
	case payToWitnessScript:
		in.Witness = wire.TxWitness{nil, s.ecdsa(spend.WitnessSighash(i, s.leaf(k), SighashAll)), s.leaf(k)}
	case taprootKey:
		sum, err := spend.TaprootSighash(i, SighashSingle|SighashAnyoneCanPay)
		if i > 1 { // there are two outputs
			sum, err = spend.TaprootSighash(i, SighashAll)
		}
		in.Witness = wire.TxWitness{s.schnorr(txscript.TweakTaprootPrivKey(*s.key, nil), sum, err)}
		in.Witness[0] = append(in.Witness[0], map[bool]byte{false: 0x83, true: 0x01}[i > 1])
	case taprootScript:
		sum, err := spend.TapscriptSighash(i, s.leaf(k), SighashDefault)
		_, block := s.output(k)
		in.Witness = wire.TxWitness{s.schnorr(s.key, sum, err), s.leaf(k), block}
	}
}

func (s *signer) ecdsa(sum [32]byte, err error) []byte {
	if err != nil {
		s.t.Fatal(err)
	}
	return append(ecdsa.Sign(s.key, sum[:]).Serialize(), byte(SighashAll))
}

func (s *signer) schnorr(key *btcec.PrivateKey, sum [32]byte, err error) []byte {
	if err != nil {
		s.t.Fatal(err)
	}
	signature, err := schnorr.Sign(key, sum[:])
	if err != nil {
		s.t.Fatal(err)
	}
	return signature.Serialize()
}

// mix returns kinds drawn by chance, half of them free for anyone, which cost nothing.
func (s *signer) mix(n int) (locks []kind) {
	for range n {
		locks = append(locks, kind(s.rng.IntN(int(kinds)))*kind(s.rng.IntN(2)))
	}
	return locks
}

// spoil makes an input fail.
func spoil(tx *wire.MsgTx, input int) {
	in := tx.TxIn[input]
	switch {
	case len(in.Witness) > 0:
		for i, item := range in.Witness {
			if len(item) >= 64 { // the first signature
				in.Witness[i] = append([]byte(nil), item...)
				in.Witness[i][50] ^= 1
				return
			}
		}
	case len(in.SignatureScript) > 0:
		in.SignatureScript = append([]byte(nil), in.SignatureScript...)
		in.SignatureScript[50] ^= 1
	default:
		in.SignatureScript = []byte{txscript.OP_RETURN}
	}
}
