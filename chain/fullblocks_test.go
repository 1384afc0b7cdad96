package chain

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/btcsuite/btcd/wire/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/jbcnet/jbc/chain/store"
	"github.com/jbcnet/jbc/hashing"
	"github.com/jbcnet/jbc/hashing/vectortest"
)

// btcdRules says which of our rules btcd's error codes are: one each.
func btcdRules() map[string]Rule {
	return map[string]Rule{
		"ErrBadCoinbaseHeight":    RuleCoinbaseHeight,
		"ErrBadCoinbaseScriptLen": RuleCoinbaseScript,
		"ErrBadCoinbaseValue":     RuleCoinbaseValue,
		"ErrBadMerkleRoot":        RuleMerkleRoot,
		"ErrBlockTooBig":          RuleWeight,
		"ErrDuplicateTx":          RuleMutated,
		"ErrFirstTxNotCoinbase":   RuleFirstCoinbase,
		"ErrHighHash":             RuleHighHash,
		"ErrImmatureSpend":        RuleImmature,
		"ErrMissingTxOut":         RuleMissingInput,
		"ErrMultipleCoinbases":    RuleManyCoinbases,
		"ErrNoTransactions":       RuleNoTransactions,
		"ErrOverwriteTx":          RuleOverwrite,
		"ErrSpendTooHigh":         RuleSpendTooHigh,
		"ErrTimeTooNew":           RuleTimeTooNew,
		"ErrTimeTooOld":           RuleTimeTooOld,
		"ErrTooManySigOps":        RuleSigOps,
		"ErrUnexpectedDifficulty": RuleWrongBits,
		"ErrUnfinalizedTx":        RuleUnfinal,
	}
}

// fullBlockCase is a line of the full-block cases: what to do with a block, in the
// order of the file, and what must come of it.
type fullBlockCase struct {
	Group     int
	Kind      string // accept, reject, reject_noncanonical, orphan_or_reject, tip, utxo_after_disconnect
	Name      string
	Height    uint32
	Hash      hashing.Hash
	Block     string
	MainChain bool `json:"main_chain"`
	Orphan    bool
	Reject    string
	Outpoint  string
	Expected  bool
}

// TestFullBlockVectors runs whole histories of valid and invalid blocks.
func TestFullBlockVectors(t *testing.T) {
	vectortest.Each(t, "fullblocks", func(t *testing.T, f vectortest.File) int {
		var run *fullBlockRun
		kinds := map[string]int{}
		cases := 0
		lines := bufio.NewScanner(bytes.NewReader(f.Data))
		lines.Buffer(nil, 16<<20)
		for ; lines.Scan(); cases++ {
			var c fullBlockCase
			if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
				t.Fatalf("line %d: %v", cases+1, err)
			}
			if run == nil {
				run = newFullBlockRun(t)
			}
			kinds[c.Kind]++
			if err := run.do(&c); err != nil {
				t.Errorf("group %d, %s %s: %v", c.Group, c.Kind, c.Name, err)
			}
		}
		if err := lines.Err(); err != nil {
			t.Fatal(err)
		}
		t.Logf("%v", kinds)
		return cases
	})
}

type fullBlockRun struct {
	chain *Chain
	now   time.Time
}

func newFullBlockRun(t *testing.T) *fullBlockRun {
	st, err := store.Open(store.Options{Dir: "d", Network: Regtest().ID(), FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	c, err := Open(st, Regtest(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	return &fullBlockRun{chain: c, now: time.Unix(1_700_000_000, 0)}
}

func (r *fullBlockRun) do(c *fullBlockCase) error {
	switch c.Kind {
	case "accept":
		return r.accept(c)
	case "reject", "orphan_or_reject":
		return r.reject(c)
	case "reject_noncanonical":
		_, err := r.decode(c)
		if !errors.Is(err, RuleEncoding) {
			return errors.Join(errors.New("want malformed encoding"), err)
		}
		return nil
	case "tip":
		return r.expectTip(c.Hash)
	case "utxo_after_disconnect":
		return r.utxoAfterDisconnect(c)
	default:
		return errors.New("unknown kind")
	}
}

func (r *fullBlockRun) decode(c *fullBlockCase) (*Block, error) {
	raw, err := hex.DecodeString(c.Block)
	if err != nil {
		return nil, err
	}
	return DecodeBlock(raw)
}

func (r *fullBlockRun) accept(c *fullBlockCase) error {
	b, err := r.decode(c)
	if err != nil {
		return err
	}
	a, err := r.chain.Accept(b, r.now)
	if err != nil {
		return err
	}
	if orphan := a.Status == Orphan; orphan != c.Orphan {
		return errors.New("status " + a.Status.String())
	}
	if r.chain.IsMain(c.Hash) != c.MainChain {
		return errors.New("on the main chain: want " + strconv.FormatBool(c.MainChain))
	}
	return a.Wait()
}

func (r *fullBlockRun) reject(c *fullBlockCase) error {
	b, err := r.decode(c)
	if err != nil {
		return err
	}
	tip := r.chain.Tip().Hash
	a, err := r.chain.Accept(b, r.now)
	if c.Kind == "orphan_or_reject" && err == nil && a.Status == Orphan {
		return r.expectTip(tip)
	}
	if err == nil && len(a.Refused) == 1 { // the block is right, and one that had waited for it is not
		err, tip = a.Refused[0].Err, a.Tip.Hash
	}
	want, known := btcdRules()[c.Reject]
	if !known && c.Kind == "reject" {
		return errors.New("no rule of ours is " + c.Reject)
	}
	if got := (*RuleError)(nil); !errors.As(err, &got) || known && !errors.Is(err, want) {
		return errors.Join(errors.New("want "+c.Reject), err)
	}
	return r.expectTip(tip)
}

func (r *fullBlockRun) expectTip(want hashing.Hash) error {
	if got := r.chain.Tip().Hash; got != want {
		return errors.New("tip " + got.String())
	}
	return nil
}

// utxoAfterDisconnect takes blocks off the tip, up to the one named, in an update
// that is dropped.
func (r *fullBlockRun) utxoAfterDisconnect(c *fullBlockCase) error {
	id, number, _ := strings.Cut(c.Outpoint, ":")
	hash, err := hashing.ParseHash(id)
	if err != nil {
		return err
	}
	n, err := strconv.ParseUint(number, 10, 32)
	if err != nil {
		return err
	}
	r.chain.writing.Lock()
	defer r.chain.writing.Unlock()
	u := r.chain.newUpdate()
	defer u.abandon()
	for at := u.tip; at.hash != c.Hash; {
		if err := u.disconnect(); err != nil {
			return err
		}
		if at = u.tip; at.height == 0 {
			return errors.New("the block is not on the main chain")
		}
	}
	if err := u.disconnect(); err != nil {
		return err
	}
	got, err := u.view.get(&wire.OutPoint{Hash: [32]byte(hash), Index: uint32(n)})
	if err == nil && (got != "") != c.Expected {
		err = errors.New("unspent after it: want " + strconv.FormatBool(c.Expected))
	}
	return err
}
