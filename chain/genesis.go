package chain

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/btcsuite/btcd/txscript/v2"
	"github.com/btcsuite/btcd/wire/v2"
	"github.com/jbcnet/jbc/hashing"
)

// The genesis blocks, whole, as they are stored. The first 160 digits are the
// header. A test checks the hash, proof of work and merkle root of each.

// devGenesis was mined for this network: its coinbase says "JBC dev 2026-11-20: a
// chain to try things on", its one output is OP_RETURN, worth nothing.
const devGenesis = "" +
	"00000020000000000000000000000000000000000000000000000000000000000000000057257875" +
	"ee634bbf657871c053a357d3bb11f81e567a4f88e02d200b4a81cf30808dff6affff031e08814900" +
	"0101000000010000000000000000000000000000000000000000000000000000000000000000ffff" +
	"ffff2d2c4a42432064657620323032362d31312d32303a206120636861696e20746f207472792074" +
	"68696e6773206f6effffffff010000000000000000016a00000000"

// mainGenesis was mined for this network, about 2^28 hashes: its coinbase says
// "JBC main 2026-11-20: every machine of the farm mines the next block", its one
// output is OP_RETURN, worth nothing.
const mainGenesis = "" +
	"00000020000000000000000000000000000000000000000000000000000000000000000043eb9d26" +
	"520e505b7cf0e4beb88a15a826f27c3d3697bd439b705304ec0aa528808dff6affff0f1d92f1ea26" +
	"0101000000010000000000000000000000000000000000000000000000000000000000000000ffff" +
	"ffff44434a4243206d61696e20323032362d31312d32303a206576657279206d616368696e65206f" +
	"6620746865206661726d206d696e657320746865206e65787420626c6f636bffffffff0100000000" +
	"00000000016a00000000"

// bitcoinGenesis is Bitcoin's, with the headline of The Times of 3 January 2009.
const bitcoinGenesis = "" +
	"0100000000000000000000000000000000000000000000000000000000000000000000003ba3edfd" +
	"7a7b12b27ac72c3e67768f617fc81bc3888a51323a9fb8aa4b1e5e4a29ab5f49ffff001d1dac2b7c" +
	"0101000000010000000000000000000000000000000000000000000000000000000000000000ffff" +
	"ffff4d04ffff001d0104455468652054696d65732030332f4a616e2f32303039204368616e63656c" +
	"6c6f72206f6e206272696e6b206f66207365636f6e64206261696c6f757420666f722062616e6b73" +
	"ffffffff0100f2052a01000000434104678afdb0fe5548271967f1a67130b7105cd6a828e03909a6" +
	"7962e0ea1f61deb649f6bc3f4cef38c4f35504e51ec112de5c384df7ba0b8d578a4c702b6bf11d5f" +
	"ac00000000"

// regtestGenesis returns Bitcoin's regtest genesis: that of Bitcoin with another
// time, bits and nonce.
func regtestGenesis() *Block {
	b := genesis(bitcoinGenesis)
	b.Header.SetTime(1296688602)
	b.Header.SetBits(hashing.Bits(0x207fffff))
	b.Header.SetNonce(2)
	return b
}

// genesis decodes one of the constants above.
func genesis(digits string) *Block {
	raw, err := hex.DecodeString(digits)
	if err != nil {
		panic("chain: genesis: " + err.Error())
	}
	b, err := DecodeBlock(raw)
	if err != nil {
		panic("chain: genesis: " + err.Error())
	}
	return b
}

// ErrNetworkChanged says that a network's genesis block was made for other
// parameters than those it comes with.
var ErrNetworkChanged = errors.New("the parameters were changed after the network was made")

// maxGenesisMessage is the longest message, in bytes: one push of its own length.
const maxGenesisMessage = 75

// NewGenesis returns a genesis block for a network that has none yet, to be mined:
// its nonce is zero. Its coinbase holds message, 1 to 75 bytes of printable UTF-8,
// and tag, which is random: two networks are two, whatever else they share. Its one
// output is OP_RETURN and the SHA-256 of all that is fixed at birth, worth nothing.
// So who shares a genesis block shares the rules, and a network's id tells them.
func NewGenesis(p *Params, message string, tag [8]byte, at uint32) (*Block, error) {
	if message == "" || len(message) > maxGenesisMessage || !printableText(message) {
		return nil, fmt.Errorf("genesis message %.80q: want 1 to %d bytes of printable UTF-8", message, maxGenesisMessage)
	}
	for _, check := range []func() error{p.checkName, p.checkRules, p.checkPrivate} {
		if err := check(); err != nil {
			return nil, err
		}
	}
	script := append([]byte{byte(len(message))}, message...)
	script = append(append(script, byte(len(tag))), tag[:]...)
	b := &Block{Transactions: []*wire.MsgTx{coinbaseTx(script, p.commitment(), 0)}}
	b.Header.SetVersion(templateVersion)
	b.Header.SetTime(at)
	b.Header.SetBits(p.PowLimit)
	root, _ := hashing.MerkleRoot(b.ids())
	b.Header.SetMerkleRoot(root)
	return b, nil
}

func printableText(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

// GenesisMessage returns the message of a genesis block made by [NewGenesis] or
// built in, and empty of any other.
func GenesisMessage(b *Block) string {
	message, rest, ok := cutPush(b.Transactions[0].TxIn[0].SignatureScript)
	if ok && len(rest) > 0 {
		_, rest, ok = cutPush(rest) // the tag, which the built-in ones lack
	}
	if !ok || len(rest) > 0 || !printableText(string(message)) {
		return ""
	}
	return string(message)
}

// commitment returns the script of the output that commits to p.
func (p *Params) commitment() []byte {
	sum := sha256.Sum256(p.birth())
	return append([]byte{txscript.OP_RETURN, byte(len(sum))}, sum[:]...)
}

// birth returns what is fixed when a network is made, a line each, so that anyone
// can hash it. No value holds a line's end.
func (p *Params) birth() []byte {
	var text bytes.Buffer
	for _, line := range []struct {
		name  string
		value any
	}{
		{"jbc network", networkFormat},
		{"name", p.Name},
		{"spacing_s", int64(p.Spacing / time.Second)},
		{"difficulty", p.difficulty()},
		{"half_life_s", int64(p.HalfLife / time.Second)},
		{"reward", FormatCoins(p.InitialSubsidy)},
		{"halving_blocks", p.HalvingInterval},
		{"maturity_blocks", p.Maturity},
		{"pow_limit", p.PowLimit},
		{"max_weight", p.BlockWeight()},
		{"bech32", p.Address.Bech32HRPSegwit},
		{"pubkey_hash", p.Address.PubKeyHashAddrID},
		{"script_hash", p.Address.ScriptHashAddrID},
		{"private_key", p.Address.PrivateKeyID},
	} {
		fmt.Fprintf(&text, "%s %v\n", line.name, line.value)
	}
	return text.Bytes()
}

// checkCommitment wants a genesis block as [NewGenesis] makes it, so that its hash
// says everything about it, and that it was made for p.
func (p *Params) checkCommitment() error {
	b := p.Genesis
	coinbase := b.Transactions[0]
	switch {
	case len(b.Transactions) != 1 || len(coinbase.TxOut) != 1 || coinbase.HasWitness():
		return errors.New("genesis: want one transaction with one output and no witness")
	case !b.Header.Prev().IsZero() || b.Header.Bits() != p.PowLimit:
		return errors.New("genesis: want no parent, and the bits of pow_limit")
	case coinbase.TxOut[0].Value != 0:
		return fmt.Errorf("genesis: pays %d units, want none", coinbase.TxOut[0].Value)
	}
	if have, want := coinbase.TxOut[0].PkScript, p.commitment(); !bytes.Equal(have, want) {
		return fmt.Errorf("%w: genesis commits to %x, they are %x", ErrNetworkChanged, have, want)
	}
	return nil
}
