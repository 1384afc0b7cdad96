package chain_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/btcsuite/btcd/wire/v2"
	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/chain/chaintest"
	"github.com/jbcnet/jbc/hashing"
)

// unpaid are the rules that bytes break before anything is made of them.
var unpaid = []chain.Rule{
	chain.RuleOversize, chain.RuleTruncated, chain.RuleTrailing, chain.RuleEncoding, chain.RuleWrongBits, chain.RuleHighHash,
	chain.RuleNoTransactions, chain.RuleWeight, chain.RuleMerkleRoot, chain.RuleMutated, chain.RuleWitness,
}

// unpaidBytes is the most that refusing bytes may take that are no block or not the
// one of their header.
func unpaidBytes(length int) uint64 { return uint64(length+length/4) + refusalBytes }

// admitMeasured returns the error of an import and how much memory it took to know, the
// least of some tries.
func admitMeasured(p *chain.Params, raw []byte) (took uint64, err error) {
	took = 1 << 62
	for range 5 { // others may take memory at the same time, but not each time
		took = min(took, taken(func() { _, err = p.Admit(raw) }))
		if took <= unpaidBytes(len(raw)) {
			break
		}
	}
	return took, err
}

// checkAdmission wants an import to say of a block what sanity does, or that a witness
// is wrong, and to take no memory before it is seen to be the one of its header.
func checkAdmission(p *chain.Params, raw []byte, b *chain.Block) error {
	took, err := admitMeasured(p, raw)
	var broken, other *chain.RuleError
	if !errors.As(err, &broken) && err != nil {
		return err
	}
	// A list with the root of a shorter one costs nothing; one that has a transaction
	// twice in a tree of its own is paid for.
	free := broken != nil && slices.Contains(unpaid, broken.Rule) && !strings.HasPrefix(broken.Detail, "number")
	if free && took > unpaidBytes(len(raw)) {
		return &memoryError{len(raw), took, unpaidBytes(len(raw)), err}
	}
	if broken != nil && broken.Rule == chain.RuleWitness {
		return nil
	}
	if want := p.Sanity(b); (want == nil) != (err == nil) || errors.As(want, &other) && other.Error() != broken.Error() {
		return fmt.Errorf("an import says %w, sanity says %w", err, want)
	}
	return nil
}

// TestAdmitMemory has blocks of as many small things as may weigh what a block may, with
// the work that is asked for, and the same with something wrong that costs nothing.
func TestAdmitMemory(t *testing.T) {
	const (
		version  = "\x02\x00\x00\x00"
		input    = "0123456789abcdef0123456789abcdef####\x00\xff\xff\xff\xff" // #### becomes its number
		null     = "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xff\xff\x02\x01\x01\xff\xff\xff\xff"
		output   = "\x00\x00\x00\x00\x00\x00\x00\x00\x00"
		lockTime = "\x00\x00\x00\x00"
		coinbase = version + "\x01" + null + "\x01" + output + lockTime
	)
	spend := version + "\x00\x01\x01" + input + "\x02" + strings.Repeat("\x00\x00\x00\x00\x00\x00\x00\x00\x16"+strings.Repeat("s", 22), 2) +
		"\x02\x47" + strings.Repeat("s", 71) + "\x21" + strings.Repeat("k", 33) + lockTime
	tests := []struct {
		name  string
		body  string
		times float64 // of its bytes, that its making takes where it is paid for
	}{
		{"transactions", "\xfd\x99\x3e" + coinbase + strings.Repeat(version+"\x01"+input+"\x01"+output+lockTime, 16_024), 4.8},
		{"inputs", "\x02" + coinbase + version + "\xfd\x00\x5e" + strings.Repeat(input, 24_064) + "\x01" + output + lockTime, 4.3},
		{"outputs", "\x02" + coinbase + version + "\x01" + input + "\xfe\x90\xaf\x01\x00" + strings.Repeat(output, 110_480) + lockTime, 4.6},
		{"witness items", "\x02" + coinbase + version + "\x00\x01\x01" + input + "\x01" + output +
			"\xfe\x60\x82\x3b\x00" + strings.Repeat("\x00", 3_900_000) + lockTime, 24.1},
		{"ordinary spends", "\xfd\xe9\x03" + coinbase + strings.Repeat(spend, 1000), 2},
	}
	p := chain.Regtest()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			raw := paid(t, p, numbered(tt.body))
			var err error
			took := taken(func() { _, err = p.Admit(raw) })
			if errors.Is(err, chain.RuleWeight) || errors.Is(err, chain.RuleMerkleRoot) || errors.Is(err, chain.RuleWitness) {
				t.Fatal(err)
			}
			t.Logf("%d bytes took %d, %.2f times as many (%v)", len(raw), took, float64(took)/float64(len(raw)), err)
			if most := tt.times * float64(len(raw)); float64(took) > most {
				t.Errorf("%d bytes took %d, want at most %.0f", len(raw), took, most)
			}
			change := func(at int) []byte {
				other := bytes.Clone(raw)
				other[at]++
				return other
			}
			hard := bytes.Clone(raw)
			(*hashing.Header)(hard[:hashing.HeaderSize]).SetBits(0x1d00ffff)
			for _, wrong := range []struct {
				name string
				raw  []byte
				want chain.Rule
			}{
				{"no work", hard, chain.RuleHighHash},
				{"another last transaction", change(len(raw) - 1), chain.RuleMerkleRoot},
				{"a byte short", raw[:len(raw)-1], chain.RuleTruncated},
				{"a byte long", append(bytes.Clone(raw), 0), chain.RuleTrailing},
			} {
				took, err := admitMeasured(p, wrong.raw)
				if !errors.Is(err, wrong.want) || took > unpaidBytes(len(raw)) {
					t.Errorf("%s: %v after %d bytes of memory for %d, want %s after %d", wrong.name, err, took, len(raw), wrong.want, unpaidBytes(len(raw)))
				}
			}
		})
	}
}

// TestAdmitUncommitted adds empty items to the witnesses of a block that has its work,
// which changes neither its hash nor its root. Making them would take 24 bytes each.
func TestAdmitUncommitted(t *testing.T) {
	p := chain.Regtest()
	h := newHistory(t, ripeRegtest(), rand.New(rand.NewPCG(15, 16)))
	tip := h.grow(h.Genesis, 20)[19]
	b := h.next(tip).Block
	for !slices.ContainsFunc(b.Transactions[1:], (*wire.MsgTx).HasWitness) {
		b = h.next(tip).Block
	}
	if _, err := p.Admit(b.Encode()); err != nil {
		t.Fatal(err)
	}
	for _, tx := range b.Transactions[1:] {
		if tx.HasWitness() {
			tx.TxIn[0].Witness = append(tx.TxIn[0].Witness, make(wire.TxWitness, 3_000_000)...)
			break
		}
	}
	raw := b.Encode()
	took, err := admitMeasured(p, raw)
	if !errors.Is(err, chain.RuleWitness) || took > unpaidBytes(len(raw)) {
		t.Errorf("%v after %d bytes of memory for %d, want %s after %d", err, took, len(raw), chain.RuleWitness, unpaidBytes(len(raw)))
	}
	if took := taken(func() { _, err = chain.DecodeBlock(raw) }); err != nil || took < 20*uint64(len(raw)) {
		t.Errorf("%d bytes of memory to decode %d, %v: the block is no test", took, len(raw), err)
	}
}

// numbered makes every input spend another output.
func numbered(body string) string {
	out := []byte(body)
	n := uint32(0)
	for at := 0; ; n++ {
		next := bytes.Index(out[at:], []byte("####"))
		if next < 0 {
			return string(out)
		}
		at += next
		binary.LittleEndian.PutUint32(out[at:], n)
	}
}

// paid gives a block of these transactions a commitment to their witnesses, if there are
// any, a root and work.
func paid(t *testing.T, p *chain.Params, body string) []byte {
	t.Helper()
	b, err := chain.DecodeBlock([]byte(strings.Repeat("h", hashing.HeaderSize) + body))
	if err != nil {
		t.Fatal(err)
	}
	if len(b.Transactions) > 1 {
		chaintest.Commit(b)
	}
	ids := make([]hashing.Hash, len(b.Transactions))
	for i, tx := range b.Transactions {
		ids[i] = hashing.Hash(tx.TxHash())
	}
	root, _ := hashing.MerkleRoot(ids)
	b.Header.SetMerkleRoot(root)
	b.Header.SetBits(p.PowLimit)
	for nonce := uint32(0); chain.CheckProofOfWork(b.Hash(), b.Header.Bits(), p.PowLimit) != nil; nonce++ {
		b.Header.SetNonce(nonce)
	}
	return b.Encode()
}
