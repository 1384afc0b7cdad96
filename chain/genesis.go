package chain

import (
	"encoding/hex"

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
