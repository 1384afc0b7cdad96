package peers

import (
	"bytes"
	"slices"
	"time"

	"github.com/jbcnet/jbc/coordinator/protocol"
	"github.com/jbcnet/jbc/hashing"
)

const (
	// maxStride is the most bytes of a block that a reply has.
	maxStride = maxReply - protocol.SyncHead - protocol.PieceHead
	// firstStride is how many that is taken to be before a peer sent a full one: a
	// coordinator leaves 32 bytes free.
	firstStride = maxStride - 32
	// maxPartLost is how many requests for a part are lost in a row before somebody
	// else is asked for the whole block.
	maxPartLost = 3
	// partRate is what a part has to come in at, bytes a second, lest another peer be
	// asked for the block too.
	partRate = 256 << 10
)

// part is what one peer gave of a block so far.
type part struct {
	block   int
	source  *source
	size    uint32   // of the block; 0: not known
	chunks  []chunk  // by offset, none over another
	bytes   int      // of all chunks
	asked   []uint32 // offsets in flight
	lost    int      // requests in a row
	begun   time.Time
	came    time.Time // the last chunk, or begun
	checked bool      // the header was looked at
	gone    bool      // thrown away, or the block is whole
}

type chunk struct {
	offset uint32
	data   []byte
}

func (c chunk) end() uint32 { return c.offset + uint32(len(c.data)) }

// landed notes that an offset is not in flight any more.
func (p *part) landed(offset uint32) {
	if k := slices.Index(p.asked, offset); k >= 0 {
		p.asked = slices.Delete(p.asked, k, k+1)
	}
}

// add takes data in, as far as it is new, and returns how much that is.
func (p *part) add(now time.Time, offset uint32, data []byte) int {
	at := 0
	for ; at < len(p.chunks) && p.chunks[at].offset <= offset; at++ {
	}
	if at > 0 {
		if end := p.chunks[at-1].end(); end > offset {
			data = data[min(len(data), int(end-offset)):]
			offset = end
		}
	}
	if at < len(p.chunks) {
		data = data[:min(len(data), int(p.chunks[at].offset-offset))]
	}
	if len(data) == 0 {
		return 0
	}
	p.chunks = slices.Insert(p.chunks, at, chunk{offset, bytes.Clone(data)})
	p.bytes += len(data)
	p.came, p.lost = now, 0
	return len(data)
}

// gap returns the first offset that is neither there nor in flight.
func (p *part) gap() (offset uint32, ok bool) {
	for offset < p.size {
		next := offset
		for _, c := range p.chunks {
			if c.offset <= next && next < c.end() {
				next = c.end()
			}
		}
		if slices.Contains(p.asked, next) {
			next += p.source.stride
		}
		if next == offset {
			return offset, true
		}
		offset = next
	}
	return 0, false
}

// late says whether somebody else may be asked for the block as well.
func (p *part) late(now time.Time) bool {
	slow := time.Duration(p.size) * time.Second / partRate
	return now.Sub(p.came) >= patience || now.Sub(p.begun) >= patience+slow
}

// wrong says whether the header is there and not the one asked for.
func (p *part) wrong(hash hashing.Hash) bool {
	if p.checked || len(p.chunks) == 0 || p.chunks[0].offset != 0 {
		return false
	}
	header := make([]byte, 0, hashing.HeaderSize)
	for _, c := range p.chunks {
		if int(c.offset) != len(header) {
			break
		}
		header = append(header, c.data[:min(len(c.data), hashing.HeaderSize-len(header))]...)
		if len(header) == hashing.HeaderSize {
			p.checked = true
			return hashing.Sum256d(header) != hash
		}
	}
	return false
}

// whole returns the block if all of it is there.
func (p *part) whole() []byte {
	if p.size == 0 || p.bytes < int(p.size) {
		return nil
	}
	if len(p.chunks) == 1 {
		return p.chunks[0].data
	}
	block := make([]byte, 0, p.size)
	for _, c := range p.chunks {
		block = append(block, c.data...)
	}
	return block
}
