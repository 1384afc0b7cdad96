package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/coordinator/protocol"
)

const (
	// followEvery is how often a follower asks for the tip where nobody announces a
	// block.
	followEvery = 2 * time.Second
	// followPace is the least time between two questions: a coordinator answers an
	// observer a hundred times a second.
	followPace = 12 * time.Millisecond
)

// followJSON keeps the folder at what a running coordinator has, until ctx ends.
func (f *chainExportFlags) followJSON(ctx context.Context, s *shell) error {
	observed := observerFlags{coordinator: f.coordinator, route: f.route}
	if !f.anyNetwork {
		observed.network = f.dir.network
	}
	o, err := observed.open(ctx, s)
	if err != nil {
		return err
	}
	defer o.close()
	folder, err := openFolder(f.json, o.found.Network)
	if err != nil {
		return err
	}
	announced := make(chan *nats.Msg, 1)
	_, err = o.conn.Subscribe(protocol.NewSubjects(o.found.Network).Block(o.found.Name), func(m *nats.Msg) {
		select {
		case announced <- m: // whatever it says: the coordinator is asked
		default:
		}
	})
	if err != nil {
		return err
	}
	pace := time.NewTicker(followPace)
	defer pace.Stop()
	fw := &follower{folder: folder, from: f.from, source: &pacedObserver{o, pace.C}}
	for reached, silent := false, false; ; {
		before := fw.last
		err := fw.catchUp(ctx)
		if fw.last != before {
			s.log.Info("exported", "height", fw.last.Height, "block", fw.last.Hash, "folder", f.json)
		}
		switch away := (*askError)(nil); {
		case ctx.Err() != nil:
			return nil
		case errors.As(err, &away) && reached:
			if !silent {
				s.log.Warn("following no more until the coordinator answers", "err", err)
			}
			silent = true
		case err != nil:
			return err
		default:
			reached, silent = true, false
		}
		select {
		case <-ctx.Done():
			return nil
		case <-announced:
		case <-time.After(followEvery):
		}
	}
}

// blockSource tells of a main chain that grows and is reorganised.
type blockSource interface {
	tip(ctx context.Context) (chain.Ref, error)
	// block returns the block at a height, nil where there is none.
	block(ctx context.Context, height uint32) (*protocol.BlockInfo, error)
}

// askError says that a source gave no answer. It may the next time.
type askError struct{ err error }

func (e *askError) Error() string { return e.err.Error() }
func (e *askError) Unwrap() error { return e.err }

// pacedObserver asks a coordinator, not too often.
type pacedObserver struct {
	*observer
	pace <-chan time.Time
}

func (o *pacedObserver) ask(ctx context.Context, get *protocol.Get, answer reply) error {
	select {
	case <-o.pace:
	case <-ctx.Done():
		return ctx.Err()
	}
	return o.observer.ask(ctx, get, answer)
}

func (o *pacedObserver) tip(ctx context.Context) (chain.Ref, error) {
	var got protocol.StatusReply
	if err := o.ask(ctx, &protocol.Get{Ask: protocol.Ask{Kind: protocol.KindStatus}}, &got); err != nil {
		return chain.Ref{}, &askError{err}
	}
	return chain.Ref{Hash: got.Status.Tip, Height: got.Status.Height}, nil
}

func (o *pacedObserver) block(ctx context.Context, height uint32) (*protocol.BlockInfo, error) {
	get := protocol.Get{Ask: protocol.Ask{Kind: protocol.KindBlock}, At: strconv.FormatUint(uint64(height), 10)}
	var got protocol.BlockReply
	switch err := o.ask(ctx, &get, &got); {
	case errors.Is(err, protocol.NotFound):
		return nil, nil
	case err != nil:
		return nil, &askError{err}
	case got.Block.Height != height || got.Block.Header.Hash() != got.Block.Hash:
		return nil, &askError{fmt.Errorf("coordinator %s: block %s is none at height %d", o.found.Name, got.Block.Hash, height)}
	}
	return got.Block, nil
}

// follower keeps a folder at what a source has.
type follower struct {
	folder *blockFolder
	from   uint32
	source blockSource
	// last is a block that the folder has, and all from from on up to it; the zero
	// value where it has none that is known.
	last chain.Ref
}

// catchUp brings the folder to the source's tip. Where that moves away meanwhile the
// next call goes on.
func (f *follower) catchUp(ctx context.Context) error {
	tip, err := f.source.tip(ctx)
	if err != nil || tip.Height < f.from || tip == f.last {
		return err
	}
	next, err := f.agree(ctx, tip.Height)
	if err != nil {
		return err
	}
	for height := next; height <= tip.Height; height++ {
		b, err := f.source.block(ctx, height)
		if err != nil {
			return err
		}
		if b == nil || height > f.from && b.Prev != f.last.Hash {
			return nil // reorganised under our hands
		}
		out := summaryJSON(f.folder.network, b)
		if _, err := f.folder.put(&out); err != nil {
			return err
		}
		f.last = chain.Ref{Hash: b.Hash, Height: height}
	}
	return f.folder.cut(tip.Height)
}

// agree goes back to the last block that folder and source share, at most as far up
// as the tip, and returns the height after it.
func (f *follower) agree(ctx context.Context, tip uint32) (next uint32, err error) {
	if f.last == (chain.Ref{}) || f.last.Height > tip {
		if f.last, err = f.folder.linked(f.from, tip); err != nil {
			return 0, err
		}
	}
	for f.last != (chain.Ref{}) {
		b, err := f.source.block(ctx, f.last.Height)
		if err != nil {
			return 0, err
		}
		if b != nil && b.Hash == f.last.Hash {
			return f.last.Height + 1, nil
		}
		height := f.last.Height
		if f.last = (chain.Ref{}); height == f.from {
			break
		}
		have, _, ok, err := f.folder.read(height - 1)
		if err != nil {
			return 0, err
		}
		if ok {
			f.last = chain.Ref{Hash: have.Hash, Height: height - 1}
		}
	}
	return f.from, nil
}

// linked returns the last block of those from a height on that the folder has, each
// on the one before; the zero value where it has none.
func (f *blockFolder) linked(from, to uint32) (last chain.Ref, err error) {
	for height := from; height <= to; height++ {
		b, _, ok, err := f.read(height)
		if err != nil {
			return chain.Ref{}, err
		}
		if !ok || height > from && b.Prev != last.Hash {
			break
		}
		last = chain.Ref{Hash: b.Hash, Height: height}
	}
	return last, nil
}
