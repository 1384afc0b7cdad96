package chaintest

import (
	"bytes"
	"crypto/sha256"

	"github.com/btcsuite/btcd/address/v2"
	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/txscript/v2"
	"github.com/btcsuite/btcd/wire/v2"
	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/hashing"
)

// AnyoneScript lets anyone spend.
func AnyoneScript() []byte { return []byte{txscript.OP_TRUE} }

// KeyScript pays to the witness key hash of the one key that [Builder.Spend] has.
func KeyScript() []byte {
	hash := address.Hash160(testKey().PubKey().SerializeCompressed())
	return append([]byte{txscript.OP_0, txscript.OP_DATA_20}, hash...)
}

func testKey() *btcec.PrivateKey {
	secret := sha256.Sum256([]byte("chaintest"))
	key, _ := btcec.PrivKeyFromBytes(secret[:])
	return key
}

// Spend returns a transaction that spends coins, which pay to one of the scripts
// here, signed where they are the key's. To sign again after a change, call [Builder.Sign].
func (b *Builder) Spend(coins []Coin, outs ...*wire.TxOut) *wire.MsgTx {
	b.t.Helper()
	tx := &wire.MsgTx{Version: 2, TxOut: outs}
	for _, coin := range coins {
		tx.TxIn = append(tx.TxIn, &wire.TxIn{PreviousOutPoint: coin.At, Sequence: wire.MaxTxInSequenceNum})
	}
	b.Sign(tx, coins)
	return tx
}

// Sign signs the inputs that spend the key's coins.
func (b *Builder) Sign(tx *wire.MsgTx, coins []Coin) {
	b.t.Helper()
	spent := map[wire.OutPoint]*wire.TxOut{}
	for _, coin := range coins {
		spent[coin.At] = coin.Out
	}
	hashes := txscript.NewTxSigHashes(tx, txscript.NewMultiPrevOutFetcher(spent))
	script := KeyScript()
	for i, coin := range coins {
		if !bytes.Equal(coin.Out.PkScript, script) {
			continue
		}
		witness, err := txscript.WitnessSignature(tx, hashes, i, coin.Out.Value, script, txscript.SigHashAll, testKey(), true)
		if err != nil {
			b.t.Fatalf("signing: %v", err)
		}
		tx.TxIn[i].Witness = witness
	}
}

// PayTo sets the script of the first output.
func PayTo(script []byte) Option {
	return func(b *chain.Block) { b.Transactions[0].TxOut[0].PkScript = script }
}

// Includes adds transactions after those that are there, and commits to their
// witnesses.
func Includes(transactions ...*wire.MsgTx) Option {
	return func(b *chain.Block) {
		b.Transactions = append(b.Transactions, transactions...)
		Commit(b)
	}
}

// commitmentMark starts the script of the output that commits to witnesses (BIP141).
const commitmentMark = "\x6a\x24\xaa\x21\xa9\xed"

// Commit makes the last output of the coinbase commit to the block's witnesses,
// where one does not yet with a new one, if there is a witness.
func Commit(b *chain.Block) {
	coinbase := b.Transactions[0]
	at := -1
	for i, out := range coinbase.TxOut {
		if bytes.HasPrefix(out.PkScript, []byte(commitmentMark)) && len(out.PkScript) >= 38 {
			at = i
		}
	}
	witness := false
	ids := make([]hashing.Hash, len(b.Transactions))
	for i, tx := range b.Transactions[1:] {
		witness = witness || tx.HasWitness()
		ids[i+1] = hashing.Hash(tx.WitnessHash())
	}
	if at < 0 && !witness {
		return
	}
	if at < 0 {
		at = len(coinbase.TxOut)
		coinbase.TxOut = append(coinbase.TxOut, &wire.TxOut{})
	}
	nonce := make([]byte, 32)
	coinbase.TxIn[0].Witness = wire.TxWitness{nonce}
	root := merkleRoot(ids)
	commitment := hashing.Sum256d(append(root[:], nonce...))
	coinbase.TxOut[at].PkScript = append([]byte(commitmentMark), commitment[:]...)
}
