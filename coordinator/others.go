package coordinator

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/coordinator/peers"
	"github.com/jbcnet/jbc/coordinator/protocol"
)

// How often a coordinator looks around for others: soon after its start, when they
// are to be met and the best chain is to be taken, and now and then for those whose
// announcements were lost.
const (
	lookAroundTime = 5 * time.Second
	lookAroundWait = 300 * time.Millisecond
	lookAroundRest = 200 * time.Millisecond
	// maxAnnounced is how many bytes an announcement can have.
	maxAnnounced = 1 << 10
)

// others are the coordinators of the network that this one knows of.
type others struct {
	mu    sync.Mutex
	table *peers.Table
	news  chan struct{} // somebody may have a better chain
	look  chan struct{} // somebody is there who was not met
}

func newOthers(self string) *others {
	return &others{table: peers.NewTable(self), news: make(chan struct{}, 1), look: make(chan struct{}, 1)}
}

// poke wakes whoever waits for a channel that holds one.
func poke(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// with calls f with the table.
func (o *others) with(f func(*peers.Table)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	f(o.table)
}

// hearBlock notes what another coordinator says of its chain. Nothing is believed:
// its headers and blocks are judged when they come. When a block was heard of counts
// where its coordinator signed that, or work proves it: all else is free to make.
func (c *Coordinator) hearBlock(msg *nats.Msg) error {
	var said protocol.BlockAnnounced
	if protocol.Decode(msg.Data, &said) != nil || said.Coordinator != protocol.LastToken(msg.Subject) || said.Coordinator == c.cfg.Name {
		return nil
	}
	if _, known := c.cfg.Chain.Lookup(said.Hash); known {
		return nil // an echo, or an older block
	}
	tip := peers.Tip{Hash: said.Hash, Height: said.Height}
	if tip.Work.UnmarshalText([]byte(said.Chainwork)) != nil || said.Header.Hash() != said.Hash {
		return nil
	}
	now, proven := time.Now(), false
	c.others.with(func(t *peers.Table) {
		peer, met := t.Peer(said.Coordinator)
		switch {
		case !met:
			poke(c.others.look)
		case protocol.Verify(peer.Key, protocol.ToAll, msg.Header.Get(protocol.SignatureHeader), msg.Data) == nil:
			proven = true
			t.Heard(now, peer.Name, peer.Key, tip)
			poke(c.others.news)
		}
	})
	if proven || c.isNext(said.Header) {
		c.hear(now, said.Hash)
	}
	return nil
}

// meetAsker looks around where a coordinator asked that was not met: one that joins
// makes itself known so.
func (c *Coordinator) meetAsker(said []byte) {
	if len(said) == 0 || len(said) > maxAnnounced {
		return
	}
	name, book, _ := strings.Cut(string(said), " ") // what follows a name is its book, which changed
	if protocol.CheckName(name) != nil || name == c.cfg.Name {
		return
	}
	var peer peers.Peer
	var met bool
	c.others.with(func(t *peers.Table) { peer, met = t.Peer(name) })
	if !met {
		poke(c.others.look)
		return
	}
	c.hearBook(peer.Name, peer.Key, book, true)
}

// lookAround asks who is there: when this coordinator can be asked itself, when
// somebody new is heard of, and now and then.
func (c *Coordinator) lookAround(ctx context.Context) error {
	timer := time.NewTimer(lookAroundTime)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		case <-c.others.look:
		}
		if c.waitConnected(ctx) != nil {
			return nil
		}
		if found, err := protocol.DiscoverAs(ctx, c.cfg.Conn, lookAroundWait, c.cfg.Name); err == nil {
			c.meetOthers(time.Now(), found)
		}
		timer.Reset(lookAroundTime)
		select { // not more than twice a second, whoever says what
		case <-ctx.Done():
		case <-time.After(lookAroundRest):
		}
	}
}

func (c *Coordinator) meetOthers(now time.Time, found []protocol.Found) {
	c.others.with(func(t *peers.Table) {
		for _, f := range found {
			if f.Network != c.cfg.Params.ID() || f.Name == c.cfg.Name {
				continue
			}
			tip := peers.Tip{Hash: f.Tip, Height: f.Height}
			if tip.Work.UnmarshalText([]byte(f.Work)) != nil {
				tip.Work = chain.Work{} // an older version, which does not say
			}
			if t.Heard(now, f.Name, f.Key, tip) {
				c.hearBook(f.Name, f.Key, f.Book, false)
			}
		}
		t.Forget(now)
	})
	poke(c.others.news)
}
