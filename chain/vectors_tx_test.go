package chain_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/btcsuite/btcd/txscript/v2"
	"github.com/btcsuite/btcd/wire/v2"

	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/chain/script"
	"github.com/jbcnet/jbc/chain/script/scripttest"
	"github.com/jbcnet/jbc/hashing"
	"github.com/jbcnet/jbc/hashing/vectortest"
)

// txCase is one row of tx_valid or tx_invalid.
type txCase struct {
	tx    *wire.MsgTx
	spent []*wire.TxOut
	flags string
}

// judge runs all scripts, by a batch and one by one, which must agree.
func (c *txCase) judge(t *testing.T, checker *script.Checker, name string, flags script.Flags) error {
	t.Helper()
	var single error
	for i := range c.tx.TxIn {
		if err := script.Verify(c.tx, i, c.spent, flags); err != nil {
			single = &script.Error{Tx: hashing.Hash(c.tx.TxHash()), Input: i, Err: err}
			break
		}
	}
	b := checker.Batch()
	b.Add(0, c.tx, c.spent, flags)
	if err := b.Wait(); fmt.Sprint(err) != fmt.Sprint(single) {
		t.Errorf("%s: a batch says %v, one by one %v", name, err, single)
	}
	return single
}

// TestTxValidVectors checks that a transaction is valid under all flags but those of
// its row, under fewer still, and under none more.
func TestTxValidVectors(t *testing.T) {
	checker, rng := script.New(script.Options{Workers: 2}), rand.New(rand.NewPCG(1, 2))
	eachTx(t, "tx_valid", func(t *testing.T, name string, c txCase) {
		excluded := parseFlags(t, name, c.flags)
		if err := chain.CheckTransaction(c.tx); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := c.judge(t, checker, name, scripttest.AllFlags()&^excluded); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, fewer := range variants(rng) {
			flags := scripttest.Trim(scripttest.AllFlags() &^ (excluded | fewer))
			if err := c.judge(t, checker, name, flags); err != nil {
				t.Errorf("%s under flags %#x, fewer than it is valid under: %v", name, flags, err)
			}
		}
		for flag, bit := range scripttest.Flags {
			if excluded&bit == 0 || unreadableKey(excluded, bit) {
				continue
			}
			flags := scripttest.Fill(scripttest.AllFlags() &^ (excluded &^ bit))
			if err := c.judge(t, checker, name, flags); err == nil {
				t.Errorf("%s: valid under %s, which it excludes", name, flag)
			}
		}
	})
}

// TestTxInvalidVectors checks that a transaction breaks a rule of transactions or is
// invalid under the flags of its row, under more too, and valid under fewer.
func TestTxInvalidVectors(t *testing.T) {
	checker, rng := script.New(script.Options{Workers: 2}), rand.New(rand.NewPCG(3, 4))
	eachTx(t, "tx_invalid", func(t *testing.T, name string, c txCase) {
		err := chain.CheckTransaction(c.tx)
		if c.flags == "BADTX" {
			var broken *chain.RuleError
			if !errors.As(err, &broken) {
				t.Errorf("%s: %v, want a rule error", name, err)
			}
			return
		}
		if err != nil {
			t.Errorf("%s: %v, want it to get as far as its scripts", name, err)
		}
		flags := parseFlags(t, name, c.flags)
		if err := c.judge(t, checker, name, flags); err == nil {
			t.Errorf("%s: valid", name)
		}
		for _, more := range variants(rng) {
			if err := c.judge(t, checker, name, scripttest.Fill(flags|more)); err == nil {
				t.Errorf("%s: valid under flags %#x, more than it is invalid under", name, flags|more)
			}
		}
		for flag, bit := range scripttest.Flags {
			if flags&bit == 0 {
				continue
			}
			fewer := scripttest.Trim(flags &^ bit)
			if err := c.judge(t, checker, name, fewer); err != nil {
				t.Errorf("%s: invalid without %s too: %v", name, flag, err)
			}
		}
	})
}

// variants returns each flag on its own, and random sets of them.
func variants(rng *rand.Rand) (sets []script.Flags) {
	sets = slices.Sorted(maps.Values(scripttest.Flags))
	for range 8 {
		sets = append(sets, script.Flags(rng.Uint32())&scripttest.AllFlags())
	}
	return sets
}

func parseFlags(t *testing.T, name, list string) script.Flags {
	t.Helper()
	flags, err := scripttest.ParseFlags(list)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return flags
}

// eachTx runs test for every row that is no comment:
// [[[hash, index, script, amount?], ...], transaction, flags].
func eachTx(t *testing.T, folder string, test func(t *testing.T, name string, c txCase)) {
	t.Helper()
	vectortest.Each(t, folder, func(t *testing.T, f vectortest.File) (cases int) {
		var rows [][]json.RawMessage
		if err := json.Unmarshal(f.Data, &rows); err != nil {
			t.Fatal(err)
		}
		comment := ""
		for i, row := range rows {
			if len(row) == 1 {
				comment = string(row[0])
				continue
			}
			cases++
			name := fmt.Sprintf("row %d after %s", i, comment)
			c, err := parseTxCase(row)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			test(t, name, c)
		}
		return cases
	})
}

func parseTxCase(row []json.RawMessage) (c txCase, err error) {
	var inputs [][]json.RawMessage
	var raw string
	if len(row) != 3 {
		return c, fmt.Errorf("%d fields, want 3", len(row))
	}
	for k, into := range []any{&inputs, &raw, &c.flags} {
		if err := json.Unmarshal(row[k], into); err != nil {
			return c, err
		}
	}
	data, err := hex.DecodeString(raw)
	if err != nil {
		return c, err
	}
	c.tx = new(wire.MsgTx)
	if err := c.tx.Deserialize(bytes.NewReader(data)); err != nil {
		return c, err
	}
	outputs := map[wire.OutPoint]*wire.TxOut{}
	for _, input := range inputs {
		outpoint, out, err := parseSpent(input)
		if err != nil {
			return c, err
		}
		outputs[outpoint] = out
	}
	for _, in := range c.tx.TxIn {
		out, ok := outputs[in.PreviousOutPoint]
		if !ok && !strings.Contains(c.flags, "BADTX") {
			return c, fmt.Errorf("no output for %s", in.PreviousOutPoint)
		}
		c.spent = append(c.spent, out)
	}
	return c, nil
}

func parseSpent(input []json.RawMessage) (outpoint wire.OutPoint, out *wire.TxOut, err error) {
	var hash hashing.Hash
	var index int32 // -1 is the last one
	var text string
	out = new(wire.TxOut)
	if len(input) < 3 || len(input) > 4 {
		return outpoint, nil, fmt.Errorf("%d fields of an input", len(input))
	}
	for k, into := range []any{&hash, &index, &text, &out.Value}[:len(input)] {
		if err := json.Unmarshal(input[k], into); err != nil {
			return outpoint, nil, err
		}
	}
	out.PkScript, err = scripttest.ParseScript(text)
	return wire.OutPoint{Hash: [32]byte(hash), Index: uint32(index)}, out, err
}

// unreadableKey says that a flag that a row excludes makes no difference to txscript.
// A key that it can't read, which STRICTENC refuses, is a signature that fails, and
// NULLFAIL, a policy, is not looked at then.
func unreadableKey(excluded, flag script.Flags) bool {
	return flag == txscript.ScriptVerifyNullFail && excluded&txscript.ScriptVerifyStrictEncoding != 0
}
