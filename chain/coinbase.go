package chain

import (
	"bytes"
	"fmt"
	"unicode"
	"unicode/utf8"

	"github.com/btcsuite/btcd/wire/v2"
)

// The coinbase script of our templates, at most 91 bytes of the 100 allowed:
//
//	the height (BIP34), pushed as a number
//	the miner's name, pushed: up to 32 bytes of printable UTF-8
//	a text, pushed: likewise
//	12 bytes, pushed: 8 of tag, which no two templates share, and 4 of
//	extranonce, big-endian, which are the last of the script
const (
	maxCoinbaseText = 32
	tagSize         = 8
	extranonceSize  = 4
)

// coinbaseScript builds one with an extranonce of zero.
func coinbaseScript(height uint32, miner, data string, tag [tagSize]byte) ([]byte, error) {
	if !printable(miner) {
		return nil, fmt.Errorf("miner name %q: want at most %d bytes of printable UTF-8", miner, maxCoinbaseText)
	}
	if !printable(data) {
		return nil, fmt.Errorf("coinbase text %q: want at most %d bytes of printable UTF-8", data, maxCoinbaseText)
	}
	script := HeightScript(height)
	for _, text := range []string{miner, data} {
		script = append(script, byte(len(text))) // up to 75, a length is its own opcode
		script = append(script, text...)
	}
	script = append(script, tagSize+extranonceSize)
	script = append(script, tag[:]...)
	return append(script, make([]byte, extranonceSize)...), nil
}

func printable(s string) bool {
	if len(s) > maxCoinbaseText || !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}

// CoinbaseText returns the miner's name and the text that a block's coinbase
// holds, as [Chain.Template] puts them there. Of any other coinbase, and of texts
// that are not printable, both are empty. Printable is not harmless: whoever
// shows them in markup must escape them.
func CoinbaseText(b *Block) (miner, data string) {
	if len(b.Transactions) == 0 || len(b.Transactions[0].TxIn) == 0 {
		return "", ""
	}
	rest := b.Transactions[0].TxIn[0].SignatureScript
	rest, ok := skipHeight(rest)
	if !ok {
		return "", ""
	}
	first, rest, ok1 := cutPush(rest)
	second, rest, ok2 := cutPush(rest)
	last, rest, ok3 := cutPush(rest)
	if !ok1 || !ok2 || !ok3 || len(last) != tagSize+extranonceSize || len(rest) != 0 {
		return "", ""
	}
	if !printable(string(first)) || !printable(string(second)) {
		return "", ""
	}
	return string(first), string(second)
}

// claimedHeight reads the height that a coinbase script begins with (BIP34), if it is one.
func claimedHeight(script []byte) (uint32, bool) {
	if len(script) > 0 && script[0] >= 0x51 && script[0] <= 0x60 { // 1 to 16
		return uint32(script[0] - 0x50), true
	}
	pushed, _, ok := cutPush(script)
	if !ok || len(pushed) > 4 {
		return 0, false
	}
	var height uint32
	for i, b := range pushed {
		height |= uint32(b) << (8 * i)
	}
	return height, hasHeight(script, height)
}

// skipHeight takes the height off a coinbase script, whatever it is.
func skipHeight(script []byte) (rest []byte, ok bool) {
	if len(script) > 0 && script[0] >= 0x51 && script[0] <= 0x60 { // 1 to 16
		return script[1:], true
	}
	height, rest, ok := cutPush(script)
	return rest, ok && len(height) <= 5
}

// cutPush takes a push of up to 75 bytes off a script.
func cutPush(script []byte) (pushed, rest []byte, ok bool) {
	if len(script) == 0 || script[0] > 75 || len(script) < 1+int(script[0]) {
		return nil, nil, false
	}
	end := 1 + int(script[0])
	return script[1:end], script[end:], true
}

// coinbaseTx builds the transaction that creates value and pays it to a script.
func coinbaseTx(script, payScript []byte, value int64) *wire.MsgTx {
	return &wire.MsgTx{
		Version: 2,
		TxIn: []*wire.TxIn{{
			PreviousOutPoint: wire.OutPoint{Index: wire.MaxPrevOutIndex},
			SignatureScript:  script,
			Sequence:         wire.MaxTxInSequenceNum,
		}},
		TxOut: []*wire.TxOut{{Value: value, PkScript: payScript}},
	}
}

// stripped returns the bytes of tx that its id is the hash of.
func stripped(tx *wire.MsgTx) []byte {
	var out bytes.Buffer
	out.Grow(tx.SerializeSizeStripped())
	must(tx.SerializeNoWitness(&out))
	return out.Bytes()
}
