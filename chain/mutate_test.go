package chain_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"iter"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/chain/chaintest"
	"github.com/jbcnet/jbc/chain/store"
	"github.com/jbcnet/jbc/hashing"
	"github.com/jbcnet/jbc/hashing/vectortest"
)

var (
	mutateFor   = flag.Duration("mutate.for", 5*time.Second, "how long TestMutants runs, unless JBC_SOAK asks for ten million mutants")
	mutateRound = flag.Uint64("mutate.round", 1, "the round TestMutants begins with: the one that failed comes first then")
)

// soakMutants is how many the long form makes.
const soakMutants = 10_000_000

// TestMutants changes blocks in one to four places, makes half of the results into
// well-formed blocks again, and offers them to a chain. Nothing panics, nothing that
// is refused takes memory or changes the chain, and a chain that hears only of what
// was accepted agrees about all of it.
//
// The rounds are the same in every run: to see one again, see -mutate.round.
func TestMutants(t *testing.T) {
	m := newMutation(t)
	start := time.Now()
	more := func() bool { return time.Since(start) < *mutateFor }
	if soaking() {
		more = func() bool { return m.made < soakMutants }
	}
	for round := *mutateRound; more(); round++ {
		if err := m.round(round, more); err != nil {
			t.Fatalf("%v\nto see it again: go test ./chain -run '^TestMutants$' -mutate.round %d", err, round)
		}
	}
	took := time.Since(start)
	t.Logf("%d mutants in %v, %.0f/s: %d no blocks, %d refused, %d waiting for a parent, %d accepted, of which %d moved the tip",
		m.made, took.Round(time.Millisecond), float64(m.made)/took.Seconds(), m.garbled, m.refused, m.orphaned, m.accepted, m.moved)
	for _, rule := range chain.Rules() {
		if n := m.rules[rule]; n > 0 {
			t.Logf("%8d %s", n, rule)
		}
	}
	m.checkReach(t)
}

// checkReach wants every rule met that a mutant can break. The others need an
// option of the network, more weight than is made here, or one block on another;
// and no bytes stand for a transaction without inputs.
func (m *mutation) checkReach(t *testing.T) {
	t.Helper()
	if m.made < 50_000 {
		return
	}
	never := []chain.Rule{
		chain.RuleOversize, chain.RuleWeight, chain.RuleSigOps, chain.RuleInvalidAncestor, chain.RuleCheckpoint, chain.RuleFinality,
		chain.RuleOrphan, chain.RuleOverwrite, chain.RuleInputValue, chain.RuleImmature, chain.RuleNoInputs,
	}
	for _, rule := range chain.Rules() {
		if m.rules[rule] == 0 && !slices.Contains(never, rule) {
			t.Errorf("no mutant broke the rule %q", rule)
		}
	}
	if m.accepted == 0 || m.moved == 0 || m.orphaned == 0 {
		t.Error("want some accepted, some that move the tip, and some that wait")
	}
}

// stages is how often a round can have its tip moved by a mutant.
const stages = 24

// mutation is what all rounds begin with, and what was counted.
type mutation struct {
	t      *testing.T
	params *chain.Params
	*history
	seed    *vfs.MemFS         // the disk of a chain up to the first stage
	tips    []*chaintest.Block // the tip of each stage; the next one has two blocks more
	sources [][]*chain.Block   // what is mutated at each stage: blocks on its tip, and one before it
	real    []*chain.Block     // of Bitcoin
	bitcoin *chain.Chain       // up to the first of them

	made, garbled, refused, accepted, orphaned, moved int

	rules map[chain.Rule]int
}

func newMutation(t *testing.T) *mutation {
	t.Helper()
	m := &mutation{t: t, params: ripeRegtest(), rules: map[chain.Rule]int{}}
	m.history = newHistory(t, m.params, rand.New(rand.NewPCG(11, 12)))
	m.grow(m.Genesis, 30)
	m.seed = vfs.NewCrashableMem()
	c, st := m.openOn(m.seed)
	if _, err := c.Import(t.Context(), encoded(m.blocks), farFuture(), nil); err != nil {
		t.Fatal(err)
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	for tip := m.best(); len(m.tips) < stages; tip = m.grow(tip, 2)[1] {
		m.tips = append(m.tips, tip)
		var sources []*chain.Block
		for range 6 {
			sources = append(sources, m.next(tip).Block)
		}
		m.sources = append(m.sources, append(sources, m.next(tip.Parent).Block))
	}
	m.readReal()
	return m
}

func (m *mutation) openOn(fs vfs.FS) (*chain.Chain, *store.Store) {
	m.t.Helper()
	st, err := store.Open(store.Options{Dir: "d", Network: m.params.ID(), FS: fs})
	if err != nil {
		m.t.Fatal(err)
	}
	c, err := chain.Open(st, m.params, chain.Options{SignatureCache: 1000})
	if err != nil {
		m.t.Fatal(err)
	}
	return c, st
}

// readReal reads the real blocks, and has a chain of those before the first that is
// mutated.
func (m *mutation) readReal() {
	m.t.Helper()
	const before = 500
	var first [][]byte
	vectortest.Each(m.t, "blockfiles", func(t *testing.T, f vectortest.File) int {
		n := 0
		for raw := f.Data; len(raw) >= 8; n++ {
			size := 8 + int(binary.LittleEndian.Uint32(raw[4:]))
			if n < before {
				first = append(first, raw[8:size])
			} else {
				m.addReal(t, raw[8:size])
			}
			raw = raw[size:]
		}
		return n
	})
	vectortest.Each(m.t, "blocks", func(t *testing.T, f vectortest.File) int {
		m.addReal(t, f.Data)
		return 1
	})
	st, err := store.Open(store.Options{Dir: "d", Network: chain.Bitcoin().ID(), FS: vfs.NewMem()})
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { st.Close() })
	if m.bitcoin, err = chain.Open(st, chain.Bitcoin(), chain.Options{}); err != nil {
		m.t.Fatal(err)
	}
	blocks := func(yield func([]byte, error) bool) {
		for _, b := range first {
			if !yield(b, nil) {
				return
			}
		}
	}
	if _, err := m.bitcoin.Import(m.t.Context(), blocks, farFuture(), nil); err != nil {
		m.t.Fatal(err)
	}
}

func (m *mutation) addReal(t *testing.T, raw []byte) {
	t.Helper()
	b, err := chain.DecodeBlock(raw)
	if err != nil {
		t.Fatal(err)
	}
	if len(b.Transactions) > 1 || len(m.real) == 0 { // a coinbase alone has little to change
		m.real = append(m.real, b)
	}
}

// roundMutants is how many mutants a chain is offered before it is replaced.
const roundMutants = 2000

// duel is the two chains of a round: one is offered mutants, the other is told of
// those that were accepted, in another way.
type duel struct {
	*mutation
	mutator
	offered, told *chain.Chain
	stage         int
	tip           hashing.Hash // of both
	known         bool         // what was accepted last was known before
}

// round offers mutants to a new chain.
func (m *mutation) round(round uint64, more func() bool) (err error) {
	d := &duel{mutation: m, mutator: newMutator(13, round), tip: m.tips[0].Hash()}
	disk := m.seed.CrashClone(vfs.CrashCloneCfg{})
	var offered, told *store.Store
	d.offered, offered = m.openOn(disk)
	d.told, told = m.openOn(m.seed.CrashClone(vfs.CrashCloneCfg{}))
	defer told.Close()
	for n := 0; n < roundMutants && d.stage < stages-1 && more() && err == nil; n++ {
		raw, genuine := d.mutant()
		m.made++
		if err = d.survive(raw, genuine); err != nil {
			err = fmt.Errorf("round %d, mutant %d, %.4096x: %w", round, n, raw, err)
		}
	}
	if err == nil {
		err = d.checkState(d.offered, "the chain that was offered mutants")
	}
	if err == nil {
		err = d.checkState(d.told, "the chain that was told of the accepted ones")
	}
	if closed := offered.Close(); err != nil || closed != nil {
		return errors.Join(err, closed)
	}
	again, st := m.openOn(disk) // which finds any damage
	defer st.Close()
	return d.checkState(again, "the chain opened again")
}

// mutant returns bytes that differ from those of a block, and whether that was a
// real one, whose place and work they may have still.
func (d *duel) mutant() (raw []byte, genuine bool) {
	for {
		d.donors = d.sources[d.stage]
		b, other := d.donor(), d.donor()
		if genuine = d.IntN(4) == 0; genuine {
			b = d.real[d.IntN(len(d.real))]
		}
		changed, spoil := newDraft(b), false
		for range 1 + d.IntN(4) {
			if d.IntN(12) == 0 {
				spoil = true
				continue
			}
			change := d.kinds[d.IntN(len(d.kinds))]
			change(&d.mutator, changed)
		}
		raw = changed.encode()
		repaired := d.IntN(2) == 0
		if repaired {
			raw = d.repair(raw, genuine)
		}
		if spoil {
			raw = d.spoil(raw, other.Encode())
		}
		if !bytes.Equal(raw, b.Encode()) {
			return raw, genuine && !repaired
		}
	}
}

// repair makes a block of what can be read, so that it gets past the rules that a
// change breaks by itself: commitment, merkle root, proof of work. A real block is
// put on the tip.
func (d *duel) repair(raw []byte, genuine bool) []byte {
	b, err := chain.DecodeBlock(raw)
	if err != nil || len(b.Transactions) == 0 {
		return raw
	}
	if genuine {
		d.transplant(b)
	}
	if len(b.Transactions[0].TxIn) > 0 && d.IntN(4) != 0 {
		chaintest.Commit(b)
	}
	if b.Header.Bits() != d.params.PowLimit && d.IntN(4) != 0 {
		b.Header.SetBits(d.params.PowLimit)
	}
	if b.Header.Bits()>>24 != d.params.PowLimit>>24 || b.Header.Bits() > d.params.PowLimit {
		return b.Encode() // hard, or no target at all
	}
	d.Seal(b)
	return b.Encode()
}

// transplant gives a real block a place on the regression test network.
func (d *duel) transplant(b *chain.Block) {
	next := d.donor().Header
	b.Header.SetPrev(next.Prev())
	b.Header.SetBits(next.Bits())
	b.Header.SetVersion(next.Version())
	b.Header.SetTime(next.Time())
	if first := b.Transactions[0]; len(first.TxIn) > 0 && d.IntN(4) != 0 {
		height := chain.HeightScript(d.tips[d.stage].Height + 1)
		first.TxIn[0].SignatureScript = append(height, first.TxIn[0].SignatureScript...)
	}
}

// survive is offer, of which a panic is an error.
func (d *duel) survive(raw []byte, genuine bool) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return d.offer(raw, genuine)
}

// offer decodes a mutant and has a chain judge it.
func (d *duel) offer(raw []byte, genuine bool) error {
	b, err := decodeMeasured(raw)
	if errors.As(err, new(*chain.RuleError)) {
		d.garbled++
		d.count(err)
		return nil
	}
	if err != nil {
		return err
	}
	params := d.params
	if genuine {
		params = d.bitcoin.Params()
	}
	if err := checkAdmission(params, raw, b); err != nil {
		return err
	}
	if genuine {
		return d.offerReal(b)
	}
	waits, err := d.judge(b, raw)
	switch {
	case err != nil:
		d.refused++
		return d.checkRefusal(err)
	case waits:
		d.orphaned++
		return d.checkTip()
	default:
		d.accepted++
		return d.tell(b)
	}
}

// judge has the chain take the block in, one time in four as an import. waits says
// that its parent is not known.
func (d *duel) judge(b *chain.Block, raw []byte) (waits bool, err error) {
	if d.IntN(4) != 0 {
		a, err := d.offered.Accept(b, farFuture())
		d.known = a.Status == chain.Known
		return a.Status == chain.Orphan, err
	}
	d.known = false
	_, err = d.offered.Import(context.Background(), one(raw), farFuture(), nil)
	if errors.As(err, new(*chain.OrphanError)) {
		return true, nil
	}
	return false, err
}

func one(raw []byte) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) { yield(raw, nil) }
}

// count counts the rule that an error names.
func (m *mutation) count(err error) {
	var broken *chain.RuleError
	if errors.As(err, &broken) {
		m.rules[broken.Rule]++
	}
}

// offerReal offers a real block that was changed, and has no work of its own, to a
// chain of real blocks. It can wait for a parent at most.
func (d *duel) offerReal(b *chain.Block) error {
	before := d.bitcoin.Tip()
	a, err := d.bitcoin.Accept(b, farFuture())
	switch {
	case err == nil && a.Status != chain.Orphan:
		return fmt.Errorf("a real block that was changed: %v", a.Status)
	case err == nil:
		d.orphaned++
	case !errors.As(err, new(*chain.RuleError)):
		return err
	default:
		d.refused++
		d.count(err)
	}
	if got := d.bitcoin.Tip(); got != before {
		return fmt.Errorf("tip %+v of the real chain, want %+v", got, before)
	}
	return nil
}

// checkRefusal wants the chain unchanged. The unspent outputs are read where the
// block got as far as them, and now and then.
func (d *duel) checkRefusal(err error) error {
	var broken *chain.RuleError
	if !errors.As(err, &broken) {
		return err
	}
	d.count(err)
	if err := d.checkTip(); err != nil {
		return fmt.Errorf("%w, after %v", err, broken)
	}
	if broken.Rule < chain.RuleCoinbaseValue && d.refused%256 != 0 {
		return nil
	}
	return d.checkState(d.offered, "after "+broken.Error())
}

func (d *duel) checkTip() error {
	for _, c := range []*chain.Chain{d.offered, d.told} {
		if got := c.Tip().Hash; got != d.tip {
			return fmt.Errorf("tip %s, want %s", got, d.tip)
		}
	}
	return nil
}

// checkState compares the unspent outputs with a replay of the blocks up to the tip.
func (d *duel) checkState(c *chain.Chain, when string) error {
	got, err := c.UTXOStats(context.Background())
	if err != nil {
		return fmt.Errorf("%s: %w", when, err)
	}
	if got.Tip.Hash != d.tip {
		return fmt.Errorf("%s: tip %s, want %s", when, got.Tip.Hash, d.tip)
	}
	if want := d.at(d.tip); got.Outputs != want.outputs || got.Hash != want.hash {
		return fmt.Errorf("%s: %d outputs with hash %s, a replay has %d with hash %s", when, got.Outputs, got.Hash, want.outputs, want.hash)
	}
	return nil
}

// tell tells the other chain of a block that was accepted. Where the tip moved, both
// go on to the next stage, which takes the mutant off the main chain.
func (d *duel) tell(b *chain.Block) error {
	var broken *chain.RuleError
	switch _, err := d.told.Import(context.Background(), one(b.Encode()), farFuture(), nil); {
	case d.known && errors.As(err, &broken) && broken.Rule == chain.RuleWitness: // not the known block's
		return d.checkTip()
	case err != nil:
		return fmt.Errorf("accepted, and the other chain says: %w", err)
	}
	if _, known := d.byHash[b.Hash()]; !known {
		parent := d.byHash[b.Header.Prev()]
		if parent == nil {
			return errors.New("accepted on a parent that nobody made")
		}
		defer delete(d.byHash, b.Hash())
		defer delete(d.states, b.Hash())
		d.byHash[b.Hash()] = &chaintest.Block{Block: b, Parent: parent, Height: parent.Height + 1}
	}
	if d.offered.Tip().Hash == d.tip {
		return d.checkTip()
	}
	d.moved++
	d.tip = b.Hash()
	for _, c := range []*chain.Chain{d.offered, d.told} {
		if err := d.checkState(c, "after a mutant moved the tip"); err != nil {
			return err
		}
	}
	return d.advance()
}

// advance has both chains go to the tip of the next stage.
func (d *duel) advance() error {
	d.stage++
	tip := d.tips[d.stage]
	for _, b := range []*chaintest.Block{tip.Parent, tip} {
		if _, err := d.offered.Accept(b.Block, farFuture()); err != nil {
			return fmt.Errorf("block %s: %w", b, err)
		}
	}
	if _, err := d.told.Import(context.Background(), encoded([]*chaintest.Block{tip.Parent, tip}), farFuture(), nil); err != nil {
		return fmt.Errorf("blocks up to %s: %w", tip, err)
	}
	d.tip = tip.Hash()
	return d.checkTip()
}
