package script

import (
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"os"
	"testing"
	"time"

	"github.com/btcsuite/btcd/address/v2"
	"github.com/btcsuite/btcd/txscript/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

// verifyLimit is more than any script of the size that a fuzzer makes may take.
const verifyLimit = 10 * time.Second

// FuzzVerify runs any script in any place where an output can put one: bare, or
// under a hash or tree that commits to it, so that the commitment is no fence. No
// script may panic, none may take long, and a batch must say what Verify says.
func FuzzVerify(f *testing.F) {
	for _, seed := range scriptSeeds(f) {
		f.Add(uint8(len(seed.witness)), seed.sigScript, seed.pkScript, joinItems(seed.witness), uint32(seed.flags), uint32(0))
	}
	for place := range places {
		f.Add(place, []byte{txscript.OP_1}, []byte{txscript.OP_1, txscript.OP_EQUAL}, joinItems(wire.TxWitness{{1}}), uint32(allForks), uint32(1))
	}
	s := newSigner(f, 50)
	f.Add(uint8(4), []byte{}, s.leaf(taprootScript), joinItems(wire.TxWitness{make([]byte, 65)}), uint32(allForks), uint32(0))
	checker := New(Options{Workers: 2, CacheEntries: 100})
	f.Fuzz(func(t *testing.T, place uint8, sigScript, script, witness []byte, flags, sequence uint32) {
		tx := wire.NewMsgTx(2)
		in := &wire.TxIn{SignatureScript: sigScript, Witness: splitItems(witness), Sequence: sequence}
		tx.AddTxIn(in)
		tx.AddTxIn(&wire.TxIn{PreviousOutPoint: wire.OutPoint{Index: 1}})
		tx.AddTxOut(&wire.TxOut{Value: 1, PkScript: sigScript})
		spent := []*wire.TxOut{{Value: int64(sequence), PkScript: put(t, in, place%places, script)}, {PkScript: []byte{txscript.OP_1}}}

		start := time.Now()
		want := Verify(tx, 0, spent, Flags(flags))
		if took := time.Since(start); took > verifyLimit {
			t.Errorf("%v for %d bytes", took, len(script)+len(sigScript)+len(witness))
		}
		b := checker.Batch()
		b.Add(1, tx, spent, Flags(flags))
		got, _ := b.Wait().(*Error)
		switch {
		case want == nil && got != nil && got.Input == 0:
			t.Errorf("a batch says %v, Verify nothing", got)
		case want != nil && (got == nil || got.Input != 0 || got.Err.Error() != want.Error()):
			t.Errorf("a batch says %v, Verify %v", got, want)
		}
	})
}

// places is how many places there are for a script.
const places = uint8(6)

// put returns an output with the script in that place, and completes what spends it.
func put(t *testing.T, in *wire.TxIn, place uint8, script []byte) []byte {
	hash := sha256.Sum256(script)
	witnessProgram := append([]byte{txscript.OP_0, txscript.OP_DATA_32}, hash[:]...)
	payToHash := func(redeem []byte) []byte {
		out := append([]byte{txscript.OP_HASH160, txscript.OP_DATA_20}, address.Hash160(redeem)...)
		return append(out, txscript.OP_EQUAL)
	}
	switch place {
	case 1: // by its hash
		if redeem, err := txscript.NewScriptBuilder().AddFullData(script).Script(); err == nil {
			in.SignatureScript = append(in.SignatureScript[:len(in.SignatureScript):len(in.SignatureScript)], redeem...)
		}
		return payToHash(script)
	case 2: // in a witness
		in.SignatureScript, in.Witness = nil, append(in.Witness, script)
		return witnessProgram
	case 3: // the same, nested
		in.SignatureScript, in.Witness = pushes(witnessProgram), append(in.Witness, script)
		return payToHash(witnessProgram)
	case 4: // in a tree
		block, output, err := controlBlock(script)
		if err != nil {
			t.Fatal(err)
		}
		in.SignatureScript, in.Witness = nil, append(in.Witness, script, block)
		return TaprootScript([32]byte(output))
	case 5: // spent by the key, which is anything
		in.SignatureScript = nil
		return TaprootScript(hash)
	}
	return script
}

// Items of a witness are joined with two bytes of length in front of each.
func joinItems(items wire.TxWitness) (joined []byte) {
	for _, item := range items {
		joined = append(joined, byte(len(item)>>8), byte(len(item)))
		joined = append(joined, item...)
	}
	return joined
}

func splitItems(joined []byte) (items wire.TxWitness) {
	for len(joined) >= 2 {
		n := min(int(joined[0])<<8|int(joined[1]), len(joined)-2)
		items = append(items, joined[2:2+n])
		joined = joined[2+n:]
	}
	return items
}

// scriptSeeds reads every fifth case of the project's own copy of script_tests.
func scriptSeeds(f *testing.F) (seeds []*scriptCase) {
	file, err := os.Open("testdata/vectors/script_tests/core_script_tests.json.gz")
	if err != nil {
		f.Fatal(err)
	}
	defer file.Close()
	plain, err := gzip.NewReader(file)
	if err != nil {
		f.Fatal(err)
	}
	var rows [][]json.RawMessage
	if err := json.NewDecoder(plain).Decode(&rows); err != nil {
		f.Fatal(err)
	}
	for i, row := range rows {
		if len(row) == 1 || i%5 != 0 {
			continue
		}
		c, err := parseScriptCase(row)
		if err != nil {
			f.Fatal(err)
		}
		seeds = append(seeds, c)
	}
	return seeds
}
