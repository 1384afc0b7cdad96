package coordinator

import (
	"time"

	"github.com/jbcnet/jbc/coordinator/protocol"
)

// paceBlocks is how many of the last blocks are averaged over.
const paceBlocks = 100

// pace keeps what the last blocks cost the farm: from a solution's arrival until
// it was found valid, until the next job had left, and until it was on the disk.
type pace struct {
	blocks [paceBlocks]blockPace
	n      int // blocks so far
}

type blockPace struct{ validation, message, write time.Duration }

// Add notes a block and returns where its write is noted later.
func (p *pace) Add(validation, message time.Duration) *blockPace {
	b := &p.blocks[p.n%paceBlocks]
	*b = blockPace{validation: validation, message: message}
	p.n++
	return b
}

// Average returns milliseconds a block.
func (p *pace) Average() protocol.IdleMS {
	n := min(p.n, paceBlocks)
	if n == 0 {
		return protocol.IdleMS{}
	}
	var sum blockPace
	for _, b := range p.blocks[:n] {
		sum.validation += b.validation
		sum.message += b.message
		sum.write += b.write
	}
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 / float64(n) }
	return protocol.IdleMS{Validation: ms(sum.validation), Message: ms(sum.message), Write: ms(sum.write)}
}
