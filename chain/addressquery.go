package chain

import (
	"context"
	"encoding/binary"

	"github.com/btcsuite/btcd/wire/v2"
	"github.com/jbcnet/jbc/chain/store"
)

// MaxAddressPage is the most that one answer about an output script has.
const MaxAddressPage = 1000

// AddressPlace is where on the main chain an output script was paid or spent from.
// It is also what to go on from: the next page begins behind the last one's last.
type AddressPlace struct {
	Height      uint32
	Transaction uint32 // number in the block
	Spent       bool   // by an input; else an output paid
	Number      uint32 // of the input or output
}

// AddressEvent is one payment to an output script, or the spending of one.
type AddressEvent struct {
	AddressPlace
	Value int64 // units
}

// AddressHistory is a part of what happened to an output script.
type AddressHistory struct {
	Tip    Ref // when asked
	Events []AddressEvent
	More   bool // behind the last
}

// AddressHistory returns what happened to an output script on the main chain, in
// the order of the chain, a transaction's inputs before its outputs, or the other
// way round with newestFirst: at most limit events, of which [MaxAddressPage] are
// the most and what zero asks for, behind the place after, or from the start where
// that is nil. Genesis pays nobody, and no script that can't be satisfied is paid.
// The error is [ErrNoIndex], an [IndexBehindError], or the machine's.
func (c *Chain) AddressHistory(script []byte, after *AddressPlace, limit int, newestFirst bool) (AddressHistory, error) {
	view, err := c.viewIndex(IndexAddresses)
	if err != nil {
		return AddressHistory{}, err
	}
	defer view.Close()
	limit = pageLimit(limit)
	h := AddressHistory{Tip: Ref{view.tip.hash, view.tip.height}}
	var damage error
	visit := func(key, raw []byte) bool {
		place, ok := decodeHistoryKey(key)
		value, n := binary.Uvarint(raw)
		if !ok || n != len(raw) || n == 0 || value > maxMoney {
			damage = c.damaged("index address", "key %x, value of %d bytes", key, len(raw))
			return false
		}
		if h.More = len(h.Events) == limit; h.More {
			return false
		}
		h.Events = append(h.Events, AddressEvent{AddressPlace: place, Value: int64(value)})
		return true
	}
	walk, from := view.Ascend, []byte(nil)
	if after != nil {
		from = hashScript(script).historyKey(*after)
	}
	if newestFirst {
		walk = view.Descend
	} else if after != nil {
		from = append(from, 0) // the next key that there can be
	}
	if err := walk(store.Chain, hashScript(script).key(prefixHistory), from, visit); err != nil {
		return AddressHistory{}, err
	}
	return h, damage
}

func pageLimit(limit int) int {
	if limit <= 0 {
		return MaxAddressPage
	}
	return min(limit, MaxAddressPage)
}

// AddressOutput is an unspent output of the script that was asked for.
type AddressOutput struct {
	At       wire.OutPoint
	Value    int64  // units
	Height   uint32 // of the block that made it
	Coinbase bool   // made by a coinbase
}

// AddressUnspent is a part of what is unspent of an output script.
type AddressUnspent struct {
	Tip     Ref // when asked
	Outputs []AddressOutput
	More    bool // behind the last
}

// AddressUnspent returns outputs that are unspent at the tip and pay to a script, by
// transaction id and number: at most limit as in [Chain.AddressHistory], behind the
// output after, or from the first where that is nil. The error is that of
// [Chain.AddressHistory].
func (c *Chain) AddressUnspent(script []byte, after *wire.OutPoint, limit int) (AddressUnspent, error) {
	var from []byte
	if after != nil {
		from = append(hashScript(script).unspentKey(after), 0)
	}
	limit = pageLimit(limit)
	var u AddressUnspent
	tip, err := c.eachUnspent(script, from, func(_ *node, out AddressOutput) bool {
		if u.More = len(u.Outputs) == limit; !u.More {
			u.Outputs = append(u.Outputs, out)
		}
		return !u.More
	})
	u.Tip = tip
	return u, err
}

// AddressBalance sums up what is unspent of an output script.
type AddressBalance struct {
	Tip      Ref // when asked
	Outputs  uint64
	Value    int64 // units
	Immature int64 // of them, paid by coinbases that the next block can't spend yet
}

// AddressBalance reads every unspent output that pays to a script: about a million
// a second. The error is ctx's, or that of [Chain.AddressHistory].
func (c *Chain) AddressBalance(ctx context.Context, script []byte) (AddressBalance, error) {
	var b AddressBalance
	tip, err := c.eachUnspent(script, nil, func(tip *node, out AddressOutput) bool {
		b.Value += out.Value
		if out.Coinbase && tip.height+1-out.Height < c.params.Maturity {
			b.Immature += out.Value
		}
		b.Outputs++
		return b.Outputs%1024 != 0 || ctx.Err() == nil
	})
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return AddressBalance{}, err
	}
	b.Tip = tip
	return b, nil
}

// eachUnspent calls visit for each unspent output of a script whose key is not below
// from, until it returns false, and returns the tip when this was.
func (c *Chain) eachUnspent(script, from []byte, visit func(tip *node, out AddressOutput) bool) (Ref, error) {
	view, err := c.viewIndex(IndexAddresses)
	if err != nil {
		return Ref{}, err
	}
	defer view.Close()
	var damage error
	err = view.Ascend(store.Chain, hashScript(script).key(prefixUnspent), from, func(key, raw []byte) bool {
		at, ok := decodeUnspentKey(key)
		u, err := packed(raw).unpack()
		if !ok || err != nil || len(u.PkScript) > 0 {
			damage = c.damaged("index address", "key %x, value of %d bytes", key, len(raw))
			return false
		}
		return visit(view.tip, AddressOutput{At: at, Value: u.Value, Height: u.Height, Coinbase: u.Coinbase})
	})
	if err == nil {
		err = damage
	}
	return Ref{view.tip.hash, view.tip.height}, err
}
