package chain

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/btcsuite/btcd/wire/v2"
	"github.com/jbcnet/jbc/chain/store"
	"github.com/jbcnet/jbc/hashing"
)

// templateVersion is the version of the blocks we make: no soft fork signalled
// (BIP9), which leaves the bits of BIP320 to miners.
const templateVersion = 0x20000000

// maxPayScript is the longest script that can ever be spent.
const maxPayScript = 10_000

// TemplateOptions say what goes into the coinbase of a new block.
type TemplateOptions struct {
	PayScript []byte  // who is paid, 1 to 10,000 bytes: see [ParseAddress]
	Miner     string  // at most 32 bytes of printable UTF-8
	Data      string  // likewise
	Tag       [8]byte // random: no two templates anywhere may share it
}

// Template is an unsolved block. It is read by everybody and changed
// by nobody. A miner may choose the extranonce, the time from MinTime to MaxTime,
// the version bits of BIP320 where the network lets him, and the nonce.
type Template struct {
	Height  uint32
	Prev    hashing.Hash
	Version uint32
	Bits    hashing.Bits
	Time    uint32 // when it was made, or the earliest time where that is later
	MinTime uint32 // one second after the median time past
	MaxTime uint32 // the latest that others accept at the moment it was made

	transactions []*wire.MsgTx // the coinbase first, its extranonce zero
}

// Template returns an unsolved block on the tip, for this time of the clock. The
// error is a [*Hold] while no block may be made, or says what is wrong with the
// options.
func (c *Chain) Template(now time.Time, opts TemplateOptions) (Template, error) {
	c.mu.RLock()
	tip := c.tip()
	c.mu.RUnlock()
	return c.params.templateOn(tip, now, opts)
}

// TemplateOn is [Chain.Template] on any block that is known and valid, on the main
// chain or beside it. The error may also be [store.ErrNotFound], or a [RuleError]
// with [RuleInvalidAncestor].
func (c *Chain) TemplateOn(parent hashing.Hash, now time.Time, opts TemplateOptions) (Template, error) {
	n, err := c.validParent(parent)
	if err != nil {
		return Template{}, fmt.Errorf("template: %w", err)
	}
	return c.params.templateOn(n, now, opts)
}

// validParent returns the node that a block may be on. But for its invalid, which the
// lock guards, a node and those before it never change.
func (c *Chain) validParent(hash hashing.Hash) (*node, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	n := c.nodes.get(hash)
	if n == nil {
		return nil, fmt.Errorf("parent %s: %w", hash, store.ErrNotFound)
	}
	if n.invalid {
		return nil, broken(RuleInvalidAncestor, n.height+1, "parent %s", hash)
	}
	return n, nil
}

// templateOn returns an unsolved block on parent.
func (p *Params) templateOn(parent *node, now time.Time, opts TemplateOptions) (Template, error) {
	if n := len(opts.PayScript); n == 0 || n > maxPayScript {
		return Template{}, fmt.Errorf("template: pay script of %d bytes: want 1 to %d", n, maxPayScript)
	}
	if parent.work.Cmp(p.MinimumWork) < 0 {
		return Template{}, &Hold{Until: now.Add(p.Spacing), Median: parent.median, MissingWork: true}
	}
	height := parent.height + 1
	script, err := coinbaseScript(height, opts.Miner, opts.Data, opts.Tag)
	if err != nil {
		return Template{}, fmt.Errorf("template: %w", err)
	}
	at, err := TemplateTime(now, parent.median, p.MaxFuture())
	if err != nil {
		return Template{}, err
	}
	bits, _ := p.required(parent)
	coinbase := coinbaseTx(script, slices.Clone(opts.PayScript), p.Subsidy(height))
	return Template{
		Height:       height,
		Prev:         parent.hash,
		Version:      templateVersion,
		Bits:         bits,
		Time:         at,
		MinTime:      parent.median + 1,
		MaxTime:      uint32(min(now.Add(p.MaxFuture()).Unix(), math.MaxUint32)),
		transactions: []*wire.MsgTx{coinbase},
	}, nil
}

// Target returns the number that the block's hash may not exceed.
func (t Template) Target() hashing.Target {
	target, _, _ := t.Bits.Decode() // required bits always stand for one
	return target
}

// CoinbaseHalves returns the bytes of the coinbase before and after the four of
// the extranonce. The SHA-256d of all three is the coinbase's id: a witness is no
// part of it.
func (t Template) CoinbaseHalves() (first, second []byte) {
	raw := stripped(t.transactions[0])
	cut := extranonceOffset(t.transactions[0])
	return raw[:cut:cut], raw[cut+extranonceSize:]
}

// extranonceOffset returns where the extranonce starts in the bytes of the id:
// after the version, the count of inputs, the outpoint, the script's length (one
// byte, as it is at most 100) and the script up to its last four bytes.
func extranonceOffset(coinbase *wire.MsgTx) int {
	const scriptStart = 4 + 1 + 36 + 1
	return scriptStart + len(coinbase.TxIn[0].SignatureScript) - extranonceSize
}

// Branch returns the hashes that fold the coinbase's id into the merkle root,
// lowest level first.
func (t Template) Branch() []hashing.Hash {
	return hashing.MerkleBranch((&Block{Transactions: t.transactions}).ids())
}

// Header returns the header for an extranonce and a time, with the nonce zero.
func (t Template) Header(extranonce, at uint32) hashing.Header {
	coinbase := hashing.Hash(t.coinbase(extranonce).TxHash())
	var h hashing.Header
	h.SetVersion(t.Version)
	h.SetPrev(t.Prev)
	h.SetMerkleRoot(hashing.FoldBranch(coinbase, t.Branch()))
	h.SetTime(at)
	h.SetBits(t.Bits)
	return h
}

// Block returns the solved block: the header a miner found, and the transactions
// with his extranonce. Whether they belong together is for [Chain.Accept] to say.
func (t Template) Block(header hashing.Header, extranonce uint32) *Block {
	transactions := slices.Clone(t.transactions)
	transactions[0] = t.coinbase(extranonce)
	return &Block{Header: header, Transactions: transactions}
}

// coinbase returns a coinbase with this extranonce.
func (t Template) coinbase(extranonce uint32) *wire.MsgTx {
	tx := *t.transactions[0]
	in := *tx.TxIn[0]
	in.SignatureScript = slices.Clone(in.SignatureScript)
	binary.BigEndian.PutUint32(in.SignatureScript[len(in.SignatureScript)-extranonceSize:], extranonce)
	tx.TxIn = []*wire.TxIn{&in}
	return &tx
}

// templateFormat is the first byte of an encoded template.
const templateFormat = 1

// templatePrefix is the length of what precedes the block: format, height,
// earliest and latest time.
const templatePrefix = 1 + 3*4

// Encode returns the template as bytes for the store, so that a solution can be
// put together after a restart: a format byte, height, earliest and latest time
// (4 bytes each, big-endian), and the block with extranonce and nonce zero.
func (t Template) Encode() []byte {
	out := []byte{templateFormat}
	for _, n := range []uint32{t.Height, t.MinTime, t.MaxTime} {
		out = binary.BigEndian.AppendUint32(out, n)
	}
	return append(out, t.Block(t.Header(0, t.Time), 0).Encode()...)
}

// DecodeTemplate reads what [Template.Encode] returned, and nothing else.
func DecodeTemplate(data []byte) (Template, error) {
	if len(data) < templatePrefix || data[0] != templateFormat {
		return Template{}, errors.New("template: unknown format")
	}
	b, err := DecodeBlock(data[templatePrefix:])
	if err != nil {
		return Template{}, fmt.Errorf("template: %w", err)
	}
	t := Template{
		Height:       binary.BigEndian.Uint32(data[1:]),
		MinTime:      binary.BigEndian.Uint32(data[5:]),
		MaxTime:      binary.BigEndian.Uint32(data[9:]),
		Prev:         b.Header.Prev(),
		Version:      b.Header.Version(),
		Bits:         b.Header.Bits(),
		Time:         b.Header.Time(),
		transactions: b.Transactions,
	}
	if err := t.check(); err != nil {
		return Template{}, fmt.Errorf("template: %w", err)
	}
	if !bytes.Equal(t.Encode(), data) {
		return Template{}, errors.New("template: header and transactions do not belong together")
	}
	return t, nil
}

// check says what in a decoded template no Encode can have written.
func (t Template) check() error {
	if len(t.transactions) == 0 || !isCoinbase(t.transactions[0]) {
		return errors.New("no coinbase")
	}
	script := t.transactions[0].TxIn[0].SignatureScript
	if len(script) > maxCoinbaseScript || !hasHeight(script, t.Height) || len(script) < len(HeightScript(t.Height))+extranonceSize {
		return fmt.Errorf("coinbase script %x at height %d", script, t.Height)
	}
	if _, err := t.Bits.Target(); err != nil {
		return err
	}
	if t.Time < t.MinTime || t.Time > t.MaxTime {
		return fmt.Errorf("time %d outside %d to %d", t.Time, t.MinTime, t.MaxTime)
	}
	return nil
}
