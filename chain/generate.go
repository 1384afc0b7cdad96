package chain

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"math"
	"time"

	"github.com/jbcnet/jbc/hashing"
)

// ErrGenerate says that blocks can't be had at will on a network: its difficulty
// follows them.
var ErrGenerate = errors.New("blocks are generated only where the difficulty is fixed")

// GenerateOptions say what blocks [Chain.Generate] makes.
type GenerateOptions struct {
	// Template is that of the first block. The tag of each further one, as a
	// big-endian number, is one more.
	Template TemplateOptions
	// Start is the first block's time, one spacing after its parent's where zero.
	Start time.Time
	// Spacing is the time from each block to the next.
	Spacing time.Duration
}

// Generate makes n blocks on top of each other, the first on any block that is known
// and valid, and accepts none of them. Where a time is not after the median time past,
// that block takes the next second after it, and where it is further ahead of now than
// others allow, it is the last error: a [RuleError] with [RuleTimeTooNew]. An error,
// which may be [ErrGenerate], those of [Chain.TemplateOn] and ctx's too, ends the
// blocks. They are the same whenever all arguments are.
func (c *Chain) Generate(ctx context.Context, parent hashing.Hash, n int, now time.Time, opts GenerateOptions) iter.Seq2[*Block, error] {
	return func(yield func(*Block, error) bool) {
		if c.params.Schedule != ScheduleNone {
			yield(nil, ErrGenerate)
			return
		}
		on, err := c.validParent(parent)
		if err != nil {
			yield(nil, fmt.Errorf("generate: %w", err))
			return
		}
		g := generator{params: c.params, kernel: hashing.BestKernel(), now: now, opts: opts.Template}
		at := opts.Start
		if at.IsZero() {
			at = time.Unix(int64(on.time), 0).Add(opts.Spacing)
		}
		for range n {
			b, err := g.next(ctx, on, at)
			if err != nil {
				yield(nil, fmt.Errorf("generate: %w", err))
				return
			}
			if !yield(b, nil) {
				return
			}
			on = c.params.newNode(b.Hash(), &b.Header, on, 0) // that no index knows
			at = at.Add(opts.Spacing)
			tag := binary.BigEndian.Uint64(g.opts.Tag[:])
			binary.BigEndian.PutUint64(g.opts.Tag[:], tag+1)
		}
	}
}

// generator makes one block after the other.
type generator struct {
	params *Params
	kernel hashing.Kernel
	now    time.Time
	opts   TemplateOptions
	hits   [64]hashing.Hit
}

func (g *generator) next(ctx context.Context, parent *node, at time.Time) (*Block, error) {
	if earliest := time.Unix(int64(parent.median)+1, 0); at.Before(earliest) {
		at = earliest
	}
	if latest := g.now.Add(g.params.MaxFuture()); at.After(latest) {
		return nil, broken(RuleTimeTooNew, parent.height+1, "%d, latest allowed %d", at.Unix(), latest.Unix())
	}
	t, err := g.params.templateOn(parent, at, g.opts)
	if err != nil {
		return nil, err
	}
	for extranonce := range uint32(math.MaxUint32) {
		h := t.Header(extranonce, t.Time)
		if found, err := g.solve(ctx, &h, t.Target()); found || err != nil {
			return t.Block(h, extranonce), err
		}
	}
	return nil, fmt.Errorf("no nonce for bits %s", t.Bits)
}

// generateNonces is how many nonces are tried between two looks at ctx.
const generateNonces = 1 << 12

// solve finds a nonce, on one core: where the difficulty is fixed it is mostly low.
func (g *generator) solve(ctx context.Context, h *hashing.Header, target hashing.Target) (found bool, err error) {
	s := hashing.NewSearch(*h, []uint32{h.Version()}, target)
	for first := uint64(0); first < 1<<32; first += generateNonces {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		_, hits := g.kernel.Scan(&s, uint32(first), generateNonces, g.hits[:])
		if hits == 0 {
			continue
		}
		least := g.hits[0].Nonce
		for _, hit := range g.hits[:hits] {
			least = min(least, hit.Nonce)
		}
		h.SetNonce(least)
		return true, nil
	}
	return false, nil
}
