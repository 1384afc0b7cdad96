package chain_test

import (
	"bytes"
	"math/rand/v2"
	"slices"

	"github.com/btcsuite/btcd/wire/v2"
	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/hashing"
)

// mutator changes drafts of blocks.
type mutator struct {
	*rand.Rand
	kinds  []func(*mutator, *draft)
	donors []*chain.Block // what parts of others are taken from
}

func newMutator(seed, round uint64) mutator {
	return mutator{Rand: rand.New(rand.NewPCG(seed, round)), kinds: kinds()}
}

// kinds are the changes that know what they change. A change that a draft has
// nothing for does nothing.
func kinds() []func(*mutator, *draft) {
	return []func(*mutator, *draft){
		(*mutator).headerField, (*mutator).headerBit,
		(*mutator).lieOfTransactions, (*mutator).dropTransaction, (*mutator).repeatTransaction, (*mutator).repeatTail,
		(*mutator).swapTransactions, (*mutator).foreignTransaction,
		(*mutator).version, (*mutator).lockTime, (*mutator).marker,
		(*mutator).lieOfInputs, (*mutator).dropInput, (*mutator).repeatInput, (*mutator).swapInputs,
		(*mutator).outpoint, (*mutator).sequence, (*mutator).inputScript,
		(*mutator).lieOfOutputs, (*mutator).dropOutput, (*mutator).repeatOutput, (*mutator).swapOutputs,
		(*mutator).manyOutputs, (*mutator).value, (*mutator).outputScript,
		(*mutator).lieOfWitness, (*mutator).dropWitness, (*mutator).swapWitness, (*mutator).addWitness, (*mutator).witnessItem,
	}
}

// any returns a number below n, which is not negative; false where there is none.
func (m *mutator) any(n int) (int, bool) {
	if n == 0 {
		return 0, false
	}
	return m.IntN(n), true
}

// edge returns a number at which something ends for somebody.
func (m *mutator) edge() uint64 {
	edges := [...]uint64{0, 1, 2, 16, 17, 127, 128, 252, 253, 499_999_999, 500_000_000, 1<<16 - 1, 1 << 16, 1<<31 - 1, 1 << 31, 1<<32 - 1, 1 << 32, 1<<32 + 1, 1<<63 - 1, 1 << 63, 1<<64 - 1}
	return edges[m.IntN(len(edges))]
}

// lie makes a count of n untrue, or true and too wide.
func (m *mutator) lie(n int) count {
	widths := [...]int{0, 0, 0, 3, 5, 9}
	c := count{lie: true, width: widths[m.IntN(len(widths))]}
	switch m.IntN(4) {
	case 0:
		c.n = uint64(n)
		c.width = widths[3+m.IntN(3)]
	case 1:
		c.n = uint64(n) + 1
	case 2:
		c.n = uint64(max(1, n)) - 1
	default:
		c.n = m.edge()
	}
	return c
}

// content returns bytes for a script or an item of a witness.
func (m *mutator) content(old []byte) []byte {
	switch m.IntN(8) {
	case 0:
		return nil
	case 1:
		return old[:m.IntN(len(old)+1)]
	case 2:
		lengths := [...]int{1, 2, 32, 33, 64, 75, 76, 80, 100, 101, 255, 256, 520, 521, 1650, 9999, 10_000, 10_001}
		return bytes.Repeat([]byte{byte(m.Uint32())}, lengths[m.IntN(len(lengths))])
	case 3:
		return append(slices.Clone(old), byte(m.Uint32()))
	case 4: // an output's script that means something
		scripts := [...]string{
			"\x51", "\x00", "\x6a", "\x6a\x24\xaa\x21\xa9\xed", "\x00\x14", "\x51\x20", "\x52\x02ab", "\xac", "\x51\x51\xae",
			"\x4e\xff\xff\xff\xff", "\x4d\xff", "\x63", "\xb1", "\xb2", "\x00\x13abcdefghijklmnopqrs", "\x60\x28abcdefghijklmnopqrstuvwxyzabcdefghijklmn",
		}
		return []byte(scripts[m.IntN(len(scripts))])
	case 5:
		random := make([]byte, m.IntN(80))
		for i := range random {
			random[i] = byte(m.Uint32())
		}
		return random
	default:
		if len(old) == 0 {
			return []byte{0x51}
		}
		changed := slices.Clone(old)
		changed[m.IntN(len(changed))] ^= 1 << m.IntN(8)
		return changed
	}
}

func (m *mutator) bytes(b *draftBytes) {
	if m.IntN(6) == 0 {
		b.length = m.lie(len(b.data))
		return
	}
	b.data = m.content(b.data)
}

func drop[T any](m *mutator, list *[]T) {
	if i, ok := m.any(len(*list)); ok {
		*list = slices.Delete(slices.Clone(*list), i, i+1)
	}
}

func repeat[T any](m *mutator, list *[]T) {
	if i, ok := m.any(len(*list)); ok {
		*list = slices.Insert(slices.Clone(*list), m.IntN(len(*list)+1), (*list)[i])
	}
}

func swap[T any](m *mutator, list []T) {
	if i, ok := m.any(len(list)); ok {
		j := m.IntN(len(list))
		list[i], list[j] = list[j], list[i]
	}
}

// tx returns a transaction to change; one that is in the block twice changes in
// one place only.
func (m *mutator) tx(d *draft) *draftTx {
	i, ok := m.any(len(d.txs))
	if !ok {
		return &draftTx{}
	}
	d.txs[i] = d.txs[i].clone()
	return d.txs[i]
}

func (m *mutator) in(d *draft) *draftIn {
	tx := m.tx(d)
	if i, ok := m.any(len(tx.ins)); ok {
		return &tx.ins[i]
	}
	return &draftIn{}
}

func (m *mutator) out(d *draft) *draftOut {
	tx := m.tx(d)
	if i, ok := m.any(len(tx.outs)); ok {
		return &tx.outs[i]
	}
	return &draftOut{}
}

func (m *mutator) headerField(d *draft) {
	switch m.IntN(6) {
	case 0:
		d.header.SetVersion(uint32(m.edge()))
	case 1:
		d.header.SetTime(d.header.Time() + uint32(m.IntN(20_000)) - 10_000)
	case 2:
		d.header.SetTime(uint32(m.edge()))
	case 3:
		all := [...]hashing.Bits{0, 0x1d00ffff, 0x207ffffe, 0x207fffff, 0x20ffffff, 0x21000001, 0xff7fffff, 0x01010000, 0x04923456}
		d.header.SetBits(all[m.IntN(len(all))])
	case 4:
		d.header.SetPrev(m.donor().Header.Prev())
	default:
		d.header.SetNonce(m.Uint32())
	}
}

func (m *mutator) headerBit(d *draft)         { d.header[m.IntN(len(d.header))] ^= 1 << m.IntN(8) }
func (m *mutator) lieOfTransactions(d *draft) { d.count = m.lie(len(d.txs)) }
func (m *mutator) dropTransaction(d *draft)   { drop(m, &d.txs) }
func (m *mutator) repeatTransaction(d *draft) { repeat(m, &d.txs) }
func (m *mutator) swapTransactions(d *draft)  { swap(m, d.txs) }

// repeatTail repeats as many of the last transactions as may leave the merkle root
// what it was (CVE-2012-2459).
func (m *mutator) repeatTail(d *draft) {
	n := 1 << m.IntN(3)
	if n <= len(d.txs) {
		d.txs = append(slices.Clone(d.txs), d.txs[len(d.txs)-n:]...)
	}
}

func (m *mutator) donor() *chain.Block { return m.donors[m.IntN(len(m.donors))] }

func (m *mutator) foreignTransaction(d *draft) {
	from := m.donor().Transactions
	d.txs = slices.Insert(slices.Clone(d.txs), m.IntN(len(d.txs)+1), newDraftTx(from[m.IntN(len(from))]))
}

func (m *mutator) version(d *draft)  { m.tx(d).version = uint32(m.edge()) }
func (m *mutator) lockTime(d *draft) { m.tx(d).lockTime = uint32(m.edge()) }

func (m *mutator) marker(d *draft) {
	tx := m.tx(d)
	if m.IntN(3) == 0 {
		tx.flag = byte(m.Uint32())
		return
	}
	tx.mark = mark(m.IntN(3))
}

func (m *mutator) lieOfInputs(d *draft)  { tx := m.tx(d); tx.inCount = m.lie(len(tx.ins)) }
func (m *mutator) dropInput(d *draft)    { drop(m, &m.tx(d).ins) }
func (m *mutator) repeatInput(d *draft)  { repeat(m, &m.tx(d).ins) }
func (m *mutator) swapInputs(d *draft)   { swap(m, m.tx(d).ins) }
func (m *mutator) lieOfOutputs(d *draft) { tx := m.tx(d); tx.outCount = m.lie(len(tx.outs)) }
func (m *mutator) dropOutput(d *draft)   { drop(m, &m.tx(d).outs) }
func (m *mutator) repeatOutput(d *draft) { repeat(m, &m.tx(d).outs) }
func (m *mutator) swapOutputs(d *draft)  { swap(m, m.tx(d).outs) }

// manyOutputs adds outputs that are as small as they come.
func (m *mutator) manyOutputs(d *draft) {
	tx := m.tx(d)
	tx.outs = slices.Concat(tx.outs, make([]draftOut, m.IntN(300)))
}

func (m *mutator) outpoint(d *draft) {
	in := m.in(d)
	switch m.IntN(5) {
	case 0:
		in.at.Hash[m.IntN(32)] ^= 1 << m.IntN(8)
	case 1:
		in.at.Index = uint32(m.edge())
	case 2:
		in.at = wire.OutPoint{Index: wire.MaxPrevOutIndex}
	case 3: // what another input spends
		in.at = m.in(d).at
	default: // an output of a block that is nearby
		from := m.donor().Transactions
		in.at = wire.OutPoint{Hash: from[m.IntN(len(from))].TxHash(), Index: uint32(m.IntN(3))}
	}
}

func (m *mutator) sequence(d *draft) {
	in := m.in(d)
	switch m.IntN(3) {
	case 0:
		in.sequence = uint32(m.IntN(5)) // blocks
	case 1:
		in.sequence = 1<<22 | uint32(m.IntN(4)) // times of 512 s
	default:
		in.sequence = uint32(m.edge())
	}
}

func (m *mutator) inputScript(d *draft)  { m.bytes(&m.in(d).script) }
func (m *mutator) outputScript(d *draft) { m.bytes(&m.out(d).script) }

func (m *mutator) value(d *draft) {
	out := m.out(d)
	switch m.IntN(4) {
	case 0:
		out.value++
	case 1:
		out.value--
	case 2:
		const most = 21_000_000 * chain.Coin
		all := [...]int64{0, 1, most, most + 1, -1, -1 << 63, 1<<63 - 1}
		out.value = all[m.IntN(len(all))]
	default:
		out.value /= 2
	}
}

func (m *mutator) lieOfWitness(d *draft) { in := m.in(d); in.count = m.lie(len(in.items)) }
func (m *mutator) dropWitness(d *draft) {
	in := m.in(d)
	if m.IntN(2) == 0 {
		in.items = nil
		return
	}
	drop(m, &in.items)
}
func (m *mutator) swapWitness(d *draft) { swap(m, m.in(d).items) }
func (m *mutator) addWitness(d *draft) {
	in := m.in(d)
	for range 1 + m.IntN(3)*m.IntN(600) {
		in.items = append(in.items, draftBytes{})
	}
	m.bytes(&in.items[len(in.items)-1])
}

func (m *mutator) witnessItem(d *draft) {
	in := m.in(d)
	if i, ok := m.any(len(in.items)); ok {
		m.bytes(&in.items[i])
	}
}

// spoil changes bytes that know nothing of what they stand for.
func (m *mutator) spoil(raw, other []byte) []byte {
	at, end := m.IntN(len(raw)), m.IntN(len(raw)+1)
	at, end = min(at, end), max(at, end)
	switch m.IntN(6) {
	case 0:
		return raw[:end]
	case 1:
		return append(slices.Clone(raw), other[:m.IntN(40)]...)
	case 2:
		return slices.Concat(raw[:at], raw[end:])
	case 3:
		return slices.Concat(raw[:end], raw[at:])
	case 4: // two blocks in one
		return slices.Concat(raw[:at], other[m.IntN(len(other)):])
	default:
		changed := slices.Clone(raw)
		changed[m.IntN(len(changed))] ^= 1 << m.IntN(8)
		return changed
	}
}
