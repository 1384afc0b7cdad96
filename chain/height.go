package chain

import "bytes"

// HeightScript returns what a coinbase script must start with at height (BIP34):
// the height as Bitcoin's CScript pushes a number. Zero to 16 are one opcode,
// anything else is a length and a little-endian number with a sign bit.
func HeightScript(height uint32) []byte {
	const op0, op1 = 0x00, 0x51
	switch {
	case height == 0:
		return []byte{op0}
	case height <= 16:
		return []byte{op1 + byte(height) - 1}
	}
	script := []byte{0}
	for n := height; n > 0; n >>= 8 {
		script = append(script, byte(n))
	}
	if script[len(script)-1]&0x80 != 0 { // the top bit is the sign
		script = append(script, 0)
	}
	script[0] = byte(len(script) - 1)
	return script
}

// hasHeight says whether a coinbase script starts with height as BIP34 wants it.
func hasHeight(script []byte, height uint32) bool {
	return bytes.HasPrefix(script, HeightScript(height))
}
