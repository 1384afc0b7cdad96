package chain

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/jbcnet/jbc/hashing"
)

// headerPart is how many headers of a file are judged at a time.
const headerPart = 2_000

// ErrHeadersCut says that a file of headers ends in the middle of one.
var ErrHeadersCut = errors.New("cut in the middle of a header")

// Read appends raw headers of 80 bytes each, one after the other, from the network's
// genesis or the one after it on, at this time of the clock. The error is a
// [RuleError] of the first header that is none, [ErrHeadersCut], the reader's, or
// ctx's, with the byte where that is. progress, which may be nil, is called now and
// then with the bytes that were read.
func (h *HeaderChain) Read(ctx context.Context, r io.Reader, now time.Time, progress func(bytes int64)) error {
	in := bufio.NewReaderSize(r, headerPart*hashing.HeaderSize)
	at := int64(0) // of the first of part
	part := make([]hashing.Header, 0, headerPart)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		var end error
		part = part[:0]
		for end == nil && len(part) < headerPart {
			var raw hashing.Header
			if _, end = io.ReadFull(in, raw[:]); end == nil {
				part = append(part, raw)
			}
		}
		read := at + int64(len(part)*hashing.HeaderSize)
		if at == 0 && len(part) > 0 && part[0].Hash() == h.params.Genesis.Hash() {
			part, at = part[1:], hashing.HeaderSize
		}
		before := h.tip.height
		if err := h.Add(part, now); err != nil {
			good := int64(h.tip.height-before) * hashing.HeaderSize
			return fmt.Errorf("byte %d: %w", at+good, err)
		}
		at = read
		if progress != nil {
			progress(at)
		}
		switch {
		case errors.Is(end, io.EOF):
			return nil
		case errors.Is(end, io.ErrUnexpectedEOF):
			return fmt.Errorf("byte %d: %w", at, ErrHeadersCut)
		case end != nil:
			return fmt.Errorf("byte %d: %w", at, end)
		}
	}
}
