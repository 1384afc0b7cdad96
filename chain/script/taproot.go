package script

import (
	"bytes"
	"crypto/sha256"
	"fmt"

	"github.com/btcsuite/btcd/btcec/v2/schnorr"
	"github.com/btcsuite/btcd/txscript/v2"
)

// TapscriptVersion is the only version of leaves whose scripts are judged (BIP342);
// others may be spent by anyone.
const TapscriptVersion = byte(txscript.BaseLeafVersion)

// TaprootOutput returns the key that a taproot output pays to, and whether its y is
// odd, which control blocks tell: the internal key tweaked by the root of the tree
// of scripts (BIP341). root is empty where there are none, and 32 bytes otherwise.
func TaprootOutput(internal [32]byte, root []byte) (key [32]byte, odd bool, err error) {
	if len(root) != 0 && len(root) != 32 {
		return key, false, fmt.Errorf("taproot root of %d bytes, want 32 or none", len(root))
	}
	point, err := schnorr.ParsePubKey(internal[:])
	if err != nil {
		return key, false, fmt.Errorf("taproot internal key %x: %w", internal, err)
	}
	output := txscript.ComputeTaprootOutputKey(point, root).SerializeCompressed()
	copy(key[:], output[1:])
	return key, output[0] == 3, nil
}

// TaprootScript returns the script of an output that pays to a key of [TaprootOutput].
func TaprootScript(key [32]byte) []byte {
	return append([]byte{txscript.OP_1, txscript.OP_DATA_32}, key[:]...)
}

// TapLeaf returns the hash of a script as a leaf of the tree, whose root it is where
// it is the only one. version is even.
func TapLeaf(version byte, leaf []byte) [32]byte {
	return txscript.NewTapLeaf(txscript.TapscriptLeafVersion(version), leaf).TapHash()
}

// TapBranch returns the hash of the node above two, in either order.
func TapBranch(a, b [32]byte) [32]byte {
	if bytes.Compare(a[:], b[:]) > 0 {
		a, b = b, a
	}
	return tagged("TapBranch", a[:], b[:])
}

// tagged is the hash of BIP340: SHA-256 under a name, twice its hash in front.
func tagged(name string, parts ...[]byte) (sum [32]byte) {
	tag := sha256.Sum256([]byte(name))
	h := sha256.New()
	h.Write(tag[:])
	h.Write(tag[:])
	for _, part := range parts {
		h.Write(part)
	}
	h.Sum(sum[:0])
	return sum
}
