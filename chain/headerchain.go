package chain

import (
	"time"

	"github.com/jbcnet/jbc/hashing"
)

// HeaderChain is the headers of one chain, judged without their blocks: proof of
// work, the link to the one before, bits, time and version. It takes 190 bytes a
// header or fewer. It belongs to one goroutine.
type HeaderChain struct {
	params *Params
	nodes  nodeTable
	tip    *node
}

// NewHeaderChain returns a chain of the network's genesis alone.
func (p *Params) NewHeaderChain() *HeaderChain {
	h := &HeaderChain{params: p, nodes: newNodeTable()}
	h.tip = p.newNode(p.Genesis.Hash(), &p.Genesis.Header, nil, 0)
	h.nodes.put(h.tip)
	return h
}

// Add appends headers, each on the one before, the first on the tip, at this time
// of the clock. The error is a [RuleError] of the first that is none: those before
// it were added.
func (h *HeaderChain) Add(headers []hashing.Header, now time.Time) error {
	hashes := make([]hashing.Hash, len(headers))
	hashing.HashHeaders(hashes, headers)
	latest := now.Add(h.params.MaxFuture()).Unix()
	for i := range headers {
		if err := h.add(&headers[i], hashes[i], latest); err != nil {
			return err
		}
	}
	return nil
}

func (h *HeaderChain) add(header *hashing.Header, hash hashing.Hash, latest int64) error {
	if err := h.params.checkNext(header, hash, h.tip, latest); err != nil {
		return err
	}
	h.tip = h.params.newNode(hash, header, h.tip, 0)
	h.tip.link()
	h.nodes.put(h.tip)
	return nil
}

// checkNext judges a header of a chain of headers, of which tip is the last.
func (p *Params) checkNext(header *hashing.Header, hash hashing.Hash, tip *node, latest int64) error {
	height := tip.height + 1
	if header.Prev() != tip.hash {
		return broken(RuleOrphan, height, "it is on %s, not on %s", header.Prev(), tip.hash)
	}
	if err := CheckProofOfWork(hash, header.Bits(), p.PowLimit); err != nil {
		return err
	}
	if err := p.checkHeader(header, hash, tip); err != nil {
		return err
	}
	if t := int64(header.Time()); t > latest {
		return broken(RuleTimeTooNew, height, "%d, latest allowed %d", t, latest)
	}
	return nil
}

// Tip returns the last header.
func (h *HeaderChain) Tip() Tip { return h.tip.snapshot() }

// Lookup returns the height and header of a block, false where it is not in here.
func (h *HeaderChain) Lookup(hash hashing.Hash) (height uint32, header hashing.Header, ok bool) {
	n := h.nodes.get(hash)
	if n == nil {
		return 0, header, false
	}
	return n.height, n.header(), true
}
