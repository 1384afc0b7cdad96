package script

import (
	"bytes"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcec/v2/schnorr"
	"github.com/btcsuite/btcd/txscript/v2"
	"github.com/btcsuite/btcd/wire/v2"

	"github.com/jbcnet/jbc/hashing/vectortest"
)

func TestBIP340Vectors(t *testing.T) {
	vectortest.Each(t, "bip340", func(t *testing.T, f vectortest.File) (cases int) {
		rows, err := csv.NewReader(bytes.NewReader(f.Data)).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range rows[1:] {
			cases++
			// index, secret key, public key, aux_rand, message, signature, result, comment
			if row[6] != "TRUE" && row[6] != "FALSE" {
				t.Fatalf("row %s: result %q", row[0], row[6])
			}
			key, message, signature := unhex(t, row[2]), unhex(t, row[4]), unhex(t, row[5])
			want := row[6] == "TRUE"
			if err := VerifySchnorr(key, message, signature); (err == nil) != want {
				t.Errorf("row %s (%s): %v, want valid %t", row[0], row[7], err, want)
			}
			// The way of messages that are no hashes says the same of those that are.
			point, badKey := schnorr.ParsePubKey(key)
			_, bad := schnorr.ParseSignature(signature)
			var s btcec.ModNScalar
			if over := s.SetByteSlice(signature[32:]); badKey != nil || bad != nil || over {
				continue // refused before it
			}
			if got := verifyLong(point, message, signature[:32], &s); got != want {
				t.Errorf("row %s (%s): verifyLong says %t, want %t", row[0], row[7], got, want)
			}
		}
		return cases
	})
}

// tree is a script with its version, or two trees.
type tree struct {
	Script      string
	LeafVersion byte
	Branches    []tree
}

func (n *tree) UnmarshalJSON(data []byte) error {
	if data[0] == '[' {
		return json.Unmarshal(data, &n.Branches)
	}
	type leaf tree
	return json.Unmarshal(data, (*leaf)(n))
}

// A tapPath is a leaf's hash and the way from it to the root.
type tapPath struct {
	version byte
	leaf    [32]byte
	steps   []byte
}

// walk returns the root of the tree, and the paths of its leaves in their order.
func (n *tree) walk(t *testing.T) (root [32]byte, paths []tapPath) {
	t.Helper()
	if n.Branches == nil {
		root = TapLeaf(n.LeafVersion, unhex(t, n.Script))
		return root, []tapPath{{version: n.LeafVersion, leaf: root}}
	}
	left, lefts := n.Branches[0].walk(t)
	right, rights := n.Branches[1].walk(t)
	for i := range lefts {
		lefts[i].steps = append(lefts[i].steps, right[:]...)
	}
	for i := range rights {
		rights[i].steps = append(rights[i].steps, left[:]...)
	}
	return TapBranch(left, right), append(lefts, rights...)
}

type bip341File struct {
	ScriptPubKey []struct {
		Given struct {
			InternalPubkey string
			ScriptTree     *tree
		}
		Intermediary struct {
			LeafHashes    []string
			MerkleRoot    string
			TweakedPubkey string
		}
		Expected struct {
			ScriptPubKey            string
			ScriptPathControlBlocks []string
		}
	}
	KeyPathSpending []keyPathCase
}

type keyPathCase struct {
	Given struct {
		RawUnsignedTx string
		UtxosSpent    []struct {
			ScriptPubKey string
			AmountSats   int64
		}
	}
	InputSpending []struct {
		Given struct {
			TxinIndex       int
			InternalPrivkey string
			MerkleRoot      string
			HashType        byte
		}
		Intermediary struct{ SigHash string }
		Expected     struct{ Witness []string }
	}
	Auxiliary struct{ FullySignedTx string }
}

func TestBIP341Vectors(t *testing.T) {
	vectortest.Each(t, "bip341", func(t *testing.T, f vectortest.File) int {
		var file bip341File
		if err := json.Unmarshal(f.Data, &file); err != nil {
			t.Fatal(err)
		}
		for i, c := range file.ScriptPubKey {
			var root []byte
			var paths []tapPath
			if c.Given.ScriptTree != nil {
				var sum [32]byte
				sum, paths = c.Given.ScriptTree.walk(t)
				root = sum[:]
			}
			same(t, i, "root", root, c.Intermediary.MerkleRoot)
			key, odd, err := TaprootOutput([32]byte(unhex(t, c.Given.InternalPubkey)), root)
			if err != nil {
				t.Errorf("case %d: %v", i, err)
			}
			same(t, i, "output key", key[:], c.Intermediary.TweakedPubkey)
			same(t, i, "output script", TaprootScript(key), c.Expected.ScriptPubKey)
			if len(paths) != len(c.Expected.ScriptPathControlBlocks) || len(paths) != len(c.Intermediary.LeafHashes) {
				t.Fatalf("case %d: %d leaves, want %d", i, len(paths), len(c.Expected.ScriptPathControlBlocks))
			}
			for k, path := range paths {
				parity := byte(0)
				if odd {
					parity = 1
				}
				block := slices.Concat([]byte{path.version | parity}, unhex(t, c.Given.InternalPubkey), path.steps)
				same(t, i, fmt.Sprint("leaf ", k), path.leaf[:], c.Intermediary.LeafHashes[k])
				same(t, i, fmt.Sprint("control block ", k), block, c.Expected.ScriptPathControlBlocks[k])
			}
		}
		for i := range file.KeyPathSpending {
			file.KeyPathSpending[i].check(t, i)
		}
		return len(file.ScriptPubKey) + len(file.KeyPathSpending)
	})
}

// check signs the inputs of a transaction and judges the signed one.
func (c *keyPathCase) check(t *testing.T, i int) {
	t.Helper()
	tx := decodeTx(t, c.Given.RawUnsignedTx)
	var spent []*wire.TxOut
	for _, out := range c.Given.UtxosSpent {
		spent = append(spent, &wire.TxOut{Value: out.AmountSats, PkScript: unhex(t, out.ScriptPubKey)})
	}
	s, err := NewSpend(tx, spent)
	if err != nil {
		t.Fatal(err)
	}
	for _, in := range c.InputSpending {
		input, kind := in.Given.TxinIndex, SighashType(in.Given.HashType)
		sighash, err := s.TaprootSighash(input, kind)
		if err != nil {
			t.Errorf("transaction %d, input %d: %v", i, input, err)
		}
		name := fmt.Sprint("input ", input)
		same(t, i, name+" sighash", sighash[:], in.Intermediary.SigHash)
		internal, _ := btcec.PrivKeyFromBytes(unhex(t, in.Given.InternalPrivkey))
		tweaked := txscript.TweakTaprootPrivKey(*internal, unhex(t, in.Given.MerkleRoot))
		signature, err := schnorr.Sign(tweaked, sighash[:], schnorr.CustomNonce([32]byte{}))
		if err != nil {
			t.Fatal(err)
		}
		witness := signature.Serialize()
		if kind != SighashDefault {
			witness = append(witness, byte(kind))
		}
		same(t, i, name+" witness", witness, in.Expected.Witness[0])
		if err := VerifySchnorr(spent[input].PkScript[2:], sighash[:], witness[:64]); err != nil {
			t.Errorf("transaction %d, input %d: %v", i, input, err)
		}
	}
	// The other inputs are of other kinds; all of them are signed here.
	b := New(Options{}).Batch()
	b.Add(i, decodeTx(t, c.Auxiliary.FullySignedTx), spent, BIP16|BIP66|BIP65|CSV|SegWit|Taproot)
	if err := b.Wait(); err != nil {
		t.Errorf("transaction %d, signed: %v", i, err)
	}
}

func same(t *testing.T, i int, what string, got []byte, want string) {
	t.Helper()
	if hex.EncodeToString(got) != want {
		t.Errorf("case %d: %s %x, want %s", i, what, got, want)
	}
}
