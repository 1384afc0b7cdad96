package chain

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/jbcnet/jbc/chain/store"
	"github.com/jbcnet/jbc/hashing"
)

// IndexSet says which indexes a chain keeps besides what it needs itself. Each can
// be switched on and off with every [Open], and built at any time: see
// [Chain.BuildIndexes]. There is none of blocks by height or hash, for those are in
// memory anyway: [Chain.HashAtHeight], [Chain.Lookup].
type IndexSet uint8

const (
	// IndexTransactions finds transactions by id: [Chain.Transaction].
	IndexTransactions IndexSet = 1 << iota
	// IndexAddresses finds what paid an output script, and what was spent from it:
	// [Chain.AddressHistory], [Chain.AddressUnspent], [Chain.AddressBalance].
	IndexAddresses
)

// indexKind is what differs between indexes.
type indexKind struct {
	set      IndexSet
	name     string
	prefixes []byte // of its records
	// connect and disconnect put into b what a block changes.
	connect, disconnect func(b *store.Batch, x *indexedBlock) error
}

// indexedBlock is a block with what it spent.
type indexedBlock struct {
	*sane
	height uint32
	spent  undo
	// overwritten is what was in the places of the outputs it made, of BIP30's exceptions.
	overwritten undo
}

func indexKinds() []indexKind {
	return []indexKind{
		{IndexTransactions, "tx", []byte{prefixTx}, connectTransactions, disconnectTransactions},
		{IndexAddresses, "address", []byte{prefixHistory, prefixUnspent}, connectAddresses, disconnectAddresses},
	}
}

// ParseIndexSet reads the names of indexes, with commas between them: "tx,address".
// An empty text is none.
func ParseIndexSet(text string) (set IndexSet, err error) {
	if text == "" {
		return 0, nil
	}
	var names []string
	for _, k := range indexKinds() {
		names = append(names, k.name)
	}
	for name := range strings.SplitSeq(text, ",") {
		i := slices.Index(names, strings.TrimSpace(name))
		if i < 0 {
			return 0, fmt.Errorf("no index %q; there are %s", name, strings.Join(names, ", "))
		}
		set |= indexKinds()[i].set
	}
	return set, nil
}

// String writes the set as [ParseIndexSet] reads it.
func (s IndexSet) String() string {
	var names []string
	for _, k := range indexKinds() {
		if s&k.set != 0 {
			names = append(names, k.name)
		}
	}
	return strings.Join(names, ",")
}

// indexes are those that are switched on.
type indexes struct {
	building sync.Mutex // held by who builds those that lag
	on       indexGroup
	batch    int // bytes, indexBytes where zero: tests make it small
}

// lookupIndex is one that is switched on.
type lookupIndex struct {
	indexKind
	// at is the block that it is at, nil for none at all: it has what the chain up
	// to there has. The main chain may have left that block. It changes with Chain.mu
	// and Chain.writing held.
	at *node
}

// indexGroup is some indexes, all at one block.
type indexGroup []*lookupIndex

func (g indexGroup) moveTo(n *node) {
	for _, x := range g {
		x.at = n
	}
}

// ErrNoIndex says that a question needs an index that is switched off.
var ErrNoIndex = errors.New("the index is off")

// An IndexBehindError says that an index is not at the tip yet: ask again when
// [Chain.BuildIndexes] has got there.
type IndexBehindError struct {
	Name   string
	Height uint32 // of the block that it is at, zero where it has nothing
	Tip    uint32 // height of the tip
}

func (e *IndexBehindError) Error() string {
	return fmt.Sprintf("index %s is at height %d, the tip at %d", e.Name, e.Height, e.Tip)
}

// IndexState says how far an index is, on or off.
type IndexState struct {
	Index IndexSet // one
	On    bool
	Any   bool // it has something; else it was never built, or dropped
	At    Ref  // the block that it is at, where it has something
	Main  bool // that block is on the main chain
}

// Indexes returns the state of every index that there is.
func (c *Chain) Indexes() ([]IndexState, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	var states []IndexState
	for _, k := range indexKinds() {
		at, err := c.readIndexState(k)
		if err != nil {
			return nil, err
		}
		s := IndexState{Index: k.set}
		s.On = slices.ContainsFunc(c.indexes.on, func(x *lookupIndex) bool { return x.set == k.set })
		if at != nil {
			s.Any, s.At, s.Main = true, Ref{at.hash, at.height}, c.onMain(at)
		}
		states = append(states, s)
	}
	return states, nil
}

// openIndexes switches indexes on. On a chain that has nothing but genesis they are
// built at once: they need never lag.
func (c *Chain) openIndexes(set IndexSet) error {
	for _, k := range indexKinds() {
		if set&k.set == 0 {
			continue
		}
		set &^= k.set
		at, err := c.readIndexState(k)
		if err != nil {
			return err
		}
		c.indexes.on = append(c.indexes.on, &lookupIndex{indexKind: k, at: at})
	}
	if set != 0 {
		return fmt.Errorf("chain: no index has bits %#x", uint8(set))
	}
	if len(c.main) > 1 {
		return nil
	}
	return c.BuildIndexes(context.Background(), nil)
}

// DropIndex takes away all that an index has. It must be switched off.
func (c *Chain) DropIndex(set IndexSet) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	if c.broken != nil {
		return c.broken
	}
	for _, x := range c.indexes.on {
		if set&x.set != 0 {
			return fmt.Errorf("chain: index %s is on", x.name)
		}
	}
	b := c.store.NewBatch()
	for _, k := range indexKinds() {
		if set&k.set != 0 {
			for _, prefix := range k.prefixes {
				b.DeletePrefix(store.Chain, []byte{prefix})
			}
			b.Delete(store.Chain, k.stateKey())
		}
	}
	if err := c.apply(b); err != nil {
		return err
	}
	return c.last.Wait()
}

func (k indexKind) stateKey() []byte { return append([]byte{prefixIndexState}, k.name...) }

// setState writes which block an index is at.
func (k indexKind) setState(b *store.Batch, at *node) {
	b.Set(store.Chain, k.stateKey(), at.hash[:])
}

// readIndexState reads which block an index is at, nil for none.
func (c *Chain) readIndexState(k indexKind) (*node, error) {
	raw, err := c.store.Get(store.Chain, k.stateKey())
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if len(raw) != len(hashing.Hash{}) {
		return nil, c.damaged("state of index "+k.name, "%d bytes", len(raw))
	}
	n := c.nodes.get(hashing.Hash(raw))
	if n == nil {
		return nil, c.damaged("state of index "+k.name, "block %s is not in the index of blocks", hashing.Hash(raw))
	}
	return n, nil
}

// indexView is the store at a tip that an index is at.
type indexView struct {
	*store.Snapshot
	tip *node
}

// viewIndex looks at an index. The error is [ErrNoIndex], an [IndexBehindError] or
// the machine's.
func (c *Chain) viewIndex(set IndexSet) (*indexView, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	i := slices.IndexFunc(c.indexes.on, func(x *lookupIndex) bool { return x.set == set })
	if i < 0 {
		return nil, fmt.Errorf("%s: %w", set, ErrNoIndex)
	}
	x, tip := c.indexes.on[i], c.tip()
	if x.at != tip {
		behind := &IndexBehindError{Name: x.name, Tip: tip.height}
		if x.at != nil {
			behind.Height = x.at.height
		}
		return nil, behind
	}
	snapshot, err := c.store.Snapshot()
	if err != nil {
		return nil, err
	}
	return &indexView{Snapshot: snapshot, tip: tip}, nil
}
