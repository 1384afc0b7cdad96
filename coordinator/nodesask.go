package coordinator

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/coordinator/peers"
	"github.com/jbcnet/jbc/coordinator/protocol"
)

const (
	// maxNodePages and maxMachinePages bound what one node tells at once: more than
	// the largest mesh has.
	maxNodePages    = maxNodes
	maxMachinePages = 1000
	// tendNodeTime is how often it is looked at what is to be said again or forgotten.
	tendNodeTime = time.Minute
)

// errStrange says that a node's answers do not count: no record that counts names the
// key which signs them.
var errStrange = errors.New("no node of the mesh signs with that key")

// tellBook tells the others that this node knows something new. They ask at once
// instead of when they next look around.
func (c *Coordinator) tellBook() {
	if c.node == nil {
		return
	}
	if err := c.cfg.Conn.Publish(protocol.PingSubject, []byte(c.cfg.Name+" "+c.bookText())); err != nil {
		c.log.Debug("others not told of new machines or nodes", "err", err)
	}
}

// hearBook notes what another coordinator, which is in the table of others, says of
// its book, or what a ping says of that.
func (c *Coordinator) hearBook(name, key, book string, pinged bool) {
	if c.node == nil || book == "" || len(book) > maxBook {
		return
	}
	c.node.mu.Lock()
	news := c.node.plan.Heard(name, key, strings.Clone(book), pinged)
	c.node.mu.Unlock()
	if news {
		poke(c.node.wake)
	}
}

// maxBook is how many bytes the state of a book has.
const maxBook = 64

// exchange asks other nodes for what they know as soon as that changes, until ctx
// ends.
func (c *Coordinator) exchange(ctx context.Context) error {
	if c.node == nil {
		return nil
	}
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	var asking sync.WaitGroup
	defer asking.Wait()
	tend := time.NewTicker(tendNodeTime)
	defer tend.Stop()
	again := time.NewTimer(0)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return failure(ctx)
		case <-c.node.wake:
		case <-again.C:
		case <-tend.C:
			before := c.bookText()
			if err := c.tendNode(time.Now()); err != nil {
				return err
			}
			if c.bookText() != before {
				c.tellBook()
			}
		}
		due, next := c.toAsk(time.Now())
		for _, a := range due {
			asking.Go(func() {
				if err := c.askNode(ctx, a); err != nil {
					fail(err)
				}
			})
		}
		again.Stop()
		if !next.IsZero() {
			again.Reset(time.Until(next))
		}
	}
}

// failure returns why ctx was cancelled, nil where the one above it ended.
func failure(ctx context.Context) error {
	if err := context.Cause(ctx); !errors.Is(err, ctx.Err()) {
		return err
	}
	return nil
}

// toAsk returns whom to ask now, and when somebody else may be.
func (c *Coordinator) toAsk(now time.Time) (due []asking, next time.Time) {
	var serving []peers.Peer
	known := map[string]bool{}
	c.others.with(func(t *peers.Table) {
		serving = t.Serving(now, chain.Work{})
		for _, p := range t.All(now) {
			known[p.Name] = true
		}
	})
	c.node.mu.Lock()
	defer c.node.mu.Unlock()
	c.node.plan.Keep(func(name string) bool { return known[name] })
	return c.node.plan.Due(now, serving), c.node.plan.Next(now)
}

// askNode asks another node for what it knows. What it does wrong is held against it;
// an error is the machine's.
func (c *Coordinator) askNode(ctx context.Context, a asking) error {
	before := c.bookText()
	from, err := c.learn(ctx, a)
	now := time.Now()
	var wrong *faultError
	isWrong, strange := errors.As(err, &wrong), errors.Is(err, errStrange)
	c.node.mu.Lock()
	c.node.plan.Done(now, a, from, err == nil, strange)
	c.node.mu.Unlock()
	poke(c.node.wake)
	if c.bookText() != before {
		c.tellBook()
	}
	switch {
	case err == nil:
		c.others.with(func(t *peers.Table) { t.Worked(now, a.peer.Name) })
	case isWrong:
		c.log.Info("another coordinator tells nothing of the mesh", "coordinator", a.peer.Name, "err", err)
		c.others.with(func(t *peers.Table) { t.Failed(now, a.peer.Name, wrong.fault) })
	case strange, errors.Is(err, errLink), ctx.Err() != nil:
		c.log.Debug("another coordinator is not listened to", "coordinator", a.peer.Name, "err", err)
	default:
		return err
	}
	return nil
}

// learn asks for nodes, then for machines of one whose word counts, and again for the
// nodes that count because of those. It returns from where the next question for
// machines goes on.
func (c *Coordinator) learn(ctx context.Context, a asking) (machinesFrom, error) {
	from := a.from
	left, err := c.askNodes(ctx, a.peer)
	if err != nil || !c.node.cfg.Secure {
		return from, err
	}
	c.node.mu.Lock()
	bound := c.node.book.IsBound(a.peer.Name, a.peer.Key)
	c.node.mu.Unlock()
	if !bound {
		return from, fmt.Errorf("coordinator %s, key %s: %w", a.peer.Name, a.peer.Key, errStrange)
	}
	from, news, err := c.askMachines(ctx, a.peer, from)
	if err != nil || news == 0 {
		return from, err
	}
	c.node.mu.Lock()
	c.node.plan.Trusted()
	c.node.mu.Unlock()
	if left {
		_, err = c.askNodes(ctx, a.peer)
	}
	return from, err
}

// askNodes asks for all nodes. It returns whether some of them do not count.
func (c *Coordinator) askNodes(ctx context.Context, to peers.Peer) (left bool, err error) {
	after := ""
	for range maxNodePages {
		var reply protocol.NodesReply
		question := &protocol.AskNodes{Ask: protocol.Ask{Kind: protocol.KindNodes, ID: protocol.Point(rand.Uint64())}, After: after}
		if err := c.askJSON(ctx, to, question, &reply); err != nil {
			return left, err
		}
		more, err := c.takeNodes(time.Now(), to.Name, reply.Nodes)
		if left = left || more; err != nil || reply.After == "" {
			return left, err
		}
		if reply.After <= after {
			return left, fault(peers.Rubbish, "coordinator %s: nodes after %s go on after %s", to.Name, after, reply.After)
		}
		after = reply.After
	}
	return left, fault(peers.Endless, "coordinator %s: more than %d pages of nodes", to.Name, maxNodePages)
}

// askMachines asks for the machines that changed, and returns where to go on and how
// many were news.
func (c *Coordinator) askMachines(ctx context.Context, to peers.Peer, from machinesFrom) (machinesFrom, int, error) {
	total := 0
	for range maxMachinePages {
		var reply protocol.MachinesReply
		question := &protocol.AskMachines{Ask: protocol.Ask{Kind: protocol.KindMachines, ID: protocol.Point(rand.Uint64())}, Epoch: from.epoch, After: from.after}
		if err := c.askJSON(ctx, to, question, &reply); err != nil {
			return from, total, err
		}
		if reply.More && reply.Epoch == from.epoch && reply.After <= from.after {
			return from, total, fault(peers.Rubbish, "coordinator %s: machines after %d go on after %d", to.Name, uint64(from.after), uint64(reply.After))
		}
		news, err := c.takeMachines(time.Now(), to.Name, reply.Machines)
		total += news
		from = machinesFrom{reply.Epoch, reply.After}
		switch {
		case errors.Is(err, protocol.Full): // all over again when that one's book changes
			c.log.Warn("too many machines in the mesh", "coordinator", to.Name, "err", err)
			return machinesFrom{}, total, nil
		case err != nil, !reply.More:
			return from, total, err
		}
	}
	return machinesFrom{}, total, fault(peers.Endless, "coordinator %s: more than %d pages of machines", to.Name, maxMachinePages)
}

// askJSON asks another coordinator what it answers in JSON. An error is a faultError,
// errLink or ctx's.
func (c *Coordinator) askJSON(ctx context.Context, to peers.Peer, question protocol.Message, into answered) error {
	request, reply, err := c.requestOther(ctx, to, question)
	if err != nil {
		return err
	}
	err = protocol.Open(to.Key, protocol.ReplyTo(request), reply.Header.Get(protocol.SignatureHeader), reply.Data, into)
	return unopened(to, err)
}

// errRubbish is what somebody told whom it should not have passed.
func errRubbish(from string, err error) error {
	return fault(peers.Rubbish, "coordinator %s: %w", from, err)
}

// unopened returns what another coordinator did wrong where its reply can't be read.
func unopened(to peers.Peer, err error) error {
	var code protocol.Code
	switch {
	case err == nil:
		return nil
	case errors.As(err, &code) && code != protocol.Malformed && code != protocol.Oversized:
		return fault(peers.Refused, "coordinator %s refuses: %w", to.Name, err)
	}
	return errRubbish(to.Name, err)
}
