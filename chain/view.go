package chain

import (
	"github.com/btcsuite/btcd/wire/v2"
	"github.com/jbcnet/jbc/chain/store"
)

// view is the unspent outputs as they are after some blocks that the store does
// not have yet: the changes, over what the store has. Every change can be taken
// back.
type view struct {
	base    *utxoCache
	changed map[wire.OutPoint]change
	journal []journalled
	bytes   int64 // about what changed and the journal take
	count   int64 // outputs made less outputs spent
}

// change is what became of an output.
type change struct {
	now   packed // empty: spent
	fresh bool   // the store does not have it: there is nothing to delete
}

// journalled is what a change was before the next one.
type journalled struct {
	at     wire.OutPoint
	before change
	was    bool // there was a change before
}

// journalledOverhead is about what a change takes besides its text.
const journalledOverhead = 160

func newView(base *utxoCache) *view {
	return &view{base: base, changed: map[wire.OutPoint]change{}}
}

// get returns an unspent output, empty where there is none.
func (v *view) get(at *wire.OutPoint) (packed, error) {
	if c, ok := v.changed[*at]; ok {
		return c.now, nil
	}
	return v.base.get(at)
}

// add makes an output that the store does not have, unless this view spent it.
func (v *view) add(at *wire.OutPoint, p packed) {
	c, was := v.changed[*at]
	v.note(at, c, was)
	v.changed[*at] = change{now: p, fresh: c.fresh || !was}
	v.count++
}

// overwrite makes an output that may be there (BIP30), and returns what was.
func (v *view) overwrite(at *wire.OutPoint, p packed) (before packed, err error) {
	before, err = v.get(at)
	if err != nil || before == "" {
		if err == nil {
			v.add(at, p)
		}
		return before, err
	}
	c, was := v.changed[*at]
	v.note(at, c, was)
	v.changed[*at] = change{now: p, fresh: c.fresh}
	return before, nil
}

// spend takes an output out that get returned.
func (v *view) spend(at *wire.OutPoint) {
	c, was := v.changed[*at]
	v.note(at, c, was)
	if c.fresh {
		delete(v.changed, *at) // made and spent between two batches: the store never hears of it
	} else {
		v.changed[*at] = change{}
	}
	v.count--
}

func (v *view) note(at *wire.OutPoint, before change, was bool) {
	v.journal = append(v.journal, journalled{at: *at, before: before, was: was})
	v.bytes += journalledOverhead + int64(len(before.now))
}

// mark is a moment to come back to.
type mark struct {
	journal int
	count   int64
}

func (v *view) mark() mark { return mark{len(v.journal), v.count} }

// rollback takes back every change since m.
func (v *view) rollback(m mark) {
	for i := len(v.journal) - 1; i >= m.journal; i-- {
		switch j := &v.journal[i]; {
		case j.was:
			v.changed[j.at] = j.before
		default:
			delete(v.changed, j.at)
		}
	}
	v.journal, v.count = v.journal[:m.journal], m.count
}

// write adds the changes to a batch.
func (v *view) write(b *store.Batch) {
	for at, c := range v.changed {
		switch {
		case c.now != "":
			b.Set(store.Chain, utxoKey(&at), []byte(c.now))
		case !c.fresh:
			b.Delete(store.Chain, utxoKey(&at))
		}
	}
}

// settle hands the changes, which are in the store now, to the cache, and begins anew.
func (v *view) settle() {
	for at, c := range v.changed {
		v.base.forget(&at)
		if c.now != "" {
			v.base.put(&at, c.now)
		}
	}
	clear(v.changed)
	v.journal, v.bytes, v.count = v.journal[:0], 0, 0
}
