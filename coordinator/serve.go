package coordinator

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/jbcnet/jbc/coordinator/protocol"
)

// inboxSize is how many messages of a subject may wait to be handled. What comes
// on top is dropped by the client library: workers ask again. A fleet of 10,000
// that reports at once fits.
const inboxSize = 1 << 14

// How many bytes the messages that a coordinator listens for can have at the most;
// longer ones are refused unread. A report names up to 64 leases.
const (
	maxAsk    = 8 << 10
	maxSolved = 1 << 10
	maxGet    = 512
)

// inboxes are the subjects that a coordinator listens on.
type inboxes struct {
	asks, gets, solved chan *nats.Msg
	syncs              chan *nats.Msg
	enrols, admins     chan *nats.Msg
	blocks             chan *nats.Msg // announcements of others
	subs               []*nats.Subscription
}

func (c *Coordinator) subscribe() (*inboxes, error) {
	in := &inboxes{
		asks: make(chan *nats.Msg, inboxSize), gets: make(chan *nats.Msg, inboxSize), solved: make(chan *nats.Msg, inboxSize),
		enrols: make(chan *nats.Msg, admitSize), admins: make(chan *nats.Msg, admitSize),
		blocks: make(chan *nats.Msg, admitSize),
		syncs:  make(chan *nats.Msg, syncSize),
	}
	for _, s := range []struct {
		subject string
		inbox   chan *nats.Msg
	}{
		{c.subjects.AskAny(c.cfg.Name), in.asks},
		{c.subjects.Get(c.cfg.Name), in.gets},
		{c.subjects.Sync(c.cfg.Name), in.syncs},
		{c.subjects.SolvedAny(), in.solved},
		{c.subjects.Enrol(c.cfg.Name), in.enrols},
		{c.subjects.Admin(c.cfg.Name), in.admins},
		{c.subjects.Block("*"), in.blocks},
	} {
		sub, err := c.cfg.Conn.ChanSubscribe(s.subject, s.inbox)
		if err != nil {
			in.close()
			return nil, fmt.Errorf("subscribe %s: %w", s.subject, err)
		}
		in.subs = append(in.subs, sub)
	}
	return in, nil
}

// close ends the subscriptions; a connection that is closed already has none.
func (in *inboxes) close() {
	for _, sub := range in.subs {
		_ = sub.Unsubscribe()
	}
}

// serve hands messages of at most limit bytes to handle, one at a time, until ctx
// ends. An error of the handler is the machine's and ends the coordinator; a bad
// message is none.
func (c *Coordinator) serve(ctx context.Context, inbox <-chan *nats.Msg, limit int, handle func(*nats.Msg) error) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case msg := <-inbox:
			if len(msg.Data) > limit {
				c.refuseOversized(msg, limit)
				continue
			}
			if err := handle(msg); err != nil {
				return err
			}
		}
	}
}

func (c *Coordinator) refuseOversized(msg *nats.Msg, limit int) {
	c.refuseAs(protocol.Ask{}, msg, fmt.Errorf("%w: %d bytes, at most %d", protocol.Oversized, len(msg.Data), limit))
}

// answerAsk answers a worker.
func (c *Coordinator) answerAsk(msg *nats.Msg) error {
	now, from := c.cfg.Clock(), senderOf(msg)
	kind, err := protocol.KindOf(msg.Data)
	if err != nil {
		c.refuse(msg, err)
		return nil
	}
	if !c.heedsKind(now, from.worker, kind) {
		return nil
	}
	switch kind {
	case protocol.KindJoin:
		c.answerJoin(now, from.worker, msg)
	case protocol.KindCurrent:
		answer(c, msg, func(ask *protocol.Current) answered {
			reply := c.farm.Current(now, from, ask)
			return &reply
		})
	case protocol.KindProgress, protocol.KindLease, protocol.KindLeave:
		answer(c, msg, func(p *protocol.Progress) answered {
			reply := c.farm.Progress(now, from, p)
			return &reply
		})
	case protocol.KindShare:
		answer(c, msg, func(claim *protocol.Claim) answered {
			hash, err := c.farm.Share(now, from, claim)
			return &protocol.ClaimReply{Reply: c.verdict(&claim.Ask, err), Hash: hash}
		})
	case protocol.KindSolution:
		return c.answerSolution(now, from, msg)
	case protocol.KindNodes:
		c.answerNodes(msg)
	default:
		c.refuse(msg, fmt.Errorf("%w: %q", protocol.UnknownKind, kind))
	}
	return nil
}

// senderOf returns who sent a request.
func senderOf(msg *nats.Msg) sender {
	return sender{
		worker: protocol.LastToken(msg.Subject),
		sealed: func(secret []byte) bool {
			return protocol.Sealed(secret, msg.Header.Get(protocol.MACHeader), msg.Data)
		},
	}
}

// agree makes the secret of a slot with a worker's public value. Each time it is
// another, even for the same value.
func agree(worker protocol.Bytes) (agreed, error) {
	own, err := protocol.NewExchange()
	if err != nil {
		return agreed{}, err
	}
	secret, err := own.CoordinatorSecret(worker)
	return agreed{secret: secret, exchange: own.Public()}, err
}

// asker is a message that a worker or observer asks with.
type asker[T any] interface {
	*T
	protocol.Message
}

// answer decodes a request, has decide make the reply under the lock, and sends
// it.
func answer[T any, P asker[T]](c *Coordinator, msg *nats.Msg, decide func(P) answered) {
	request := P(new(T))
	if err := protocol.Decode(msg.Data, request); err != nil {
		c.refuse(msg, err)
		return
	}
	c.mu.Lock()
	reply := decide(request)
	c.mu.Unlock()
	c.conclude(msg, reply)
}

// refuse counts a message that could not be read and answers with its code, and
// with its kind and number as far as these could.
func (c *Coordinator) refuse(msg *nats.Msg, err error) {
	c.refuseAs(protocol.AskOf(msg.Data), msg, err)
}

func (c *Coordinator) refuseAs(ask protocol.Ask, msg *nats.Msg, err error) {
	c.mu.Lock()
	reply := c.farm.refusal(&ask, err)
	c.mu.Unlock()
	reply.Detail = truncate(err.Error())
	c.conclude(msg, &reply)
}

// verdict is the reply to a claim that err refuses, or nil accepts.
func (c *Coordinator) verdict(ask *protocol.Ask, err error) protocol.Reply {
	if err != nil {
		return c.farm.refusal(ask, err)
	}
	return accepted(ask)
}

// answerJoin gives a worker a slot whose secret the two agree on.
func (c *Coordinator) answerJoin(now time.Time, worker string, msg *nats.Msg) {
	var join protocol.Join
	if err := protocol.Decode(msg.Data, &join); err != nil {
		c.refuse(msg, err)
		return
	}
	if join.Name != worker {
		c.refuse(msg, fmt.Errorf("%w: name %q on the subject of %q", protocol.Malformed, join.Name, truncate(worker)))
		return
	}
	agreed, err := agree(join.Exchange) // the dearest part, before the lock
	if err != nil {
		c.refuse(msg, err)
		return
	}
	c.mu.Lock()
	reply := c.farm.Join(now, join, agreed)
	c.mu.Unlock()
	if reply.Code == protocol.OK {
		c.log.Info("worker joined", "worker", join.Name, "slot", reply.Slot,
			"kernel", join.Kernel, "threads", join.Threads, "mhs", fmt.Sprintf("%.1f", join.DeclaredHS/1e6))
	}
	c.respond(msg, &reply)
}

// answerSolution takes a solution that a worker keeps until it is answered.
func (c *Coordinator) answerSolution(now time.Time, from sender, msg *nats.Msg) error {
	var claim protocol.Claim
	if err := protocol.Decode(msg.Data, &claim); err != nil {
		c.refuse(msg, err)
		return nil
	}
	c.mu.Lock()
	s, err := c.solve(now, claim.Place, from.worker)
	if s != nil {
		c.farm.CreditSolution(now, from, &claim)
	}
	var refusal protocol.Reply
	if err != nil && !isFault(err) {
		refusal = c.verdict(&claim.Ask, err)
		refusal.Detail = truncate(err.Error())
	}
	c.mu.Unlock()
	switch {
	case isFault(err):
		return err
	case err != nil:
		c.conclude(msg, &protocol.ClaimReply{Reply: refusal})
		return nil
	}
	c.waiting.Go(func() {
		if s.stored() != nil {
			return // Run ends because of it; the worker keeps its solution
		}
		reply := accepted(&claim.Ask)
		if s.known {
			reply.Code = protocol.Known
		}
		c.respond(msg, &protocol.ClaimReply{Reply: reply, Hash: s.hash, Height: s.height})
	})
	return nil
}

// hearSolved hears what anybody publishes as a solution. One of an own job is
// taken at once: its finder may not live to send it. One that names an own job
// falsely, and yet stopped workers, is rejected aloud.
func (c *Coordinator) hearSolved(msg *nats.Msg) error {
	now := c.cfg.Clock()
	var solved protocol.Solved
	if err := protocol.Decode(msg.Data, &solved); err != nil {
		c.refuse(msg, err)
		return nil
	}
	if solved.Coordinator != c.cfg.Name {
		c.hearOther(time.Now(), solved.Header)
		return nil // its own coordinator says what it is worth
	}
	c.mu.Lock()
	_, header, err := c.farm.Solution(solved.Place)
	if err == nil && header != solved.Header {
		err = protocol.Malformed
	}
	if err != nil {
		c.farm.refusal(&protocol.Ask{}, err)
		if c.farm.Cancels(solved.Header) {
			c.reject(solved.Header, err)
		}
		c.mu.Unlock()
		c.blame(now, protocol.LastToken(msg.Subject), protocol.CodeOf(err), true)
		return nil
	}
	s, err := c.solve(now, solved.Place, protocol.LastToken(msg.Subject))
	c.mu.Unlock()
	if err == nil {
		c.waiting.Go(func() { _ = s.stored() })
	}
	if isFault(err) {
		return err
	}
	return nil
}

// errFault marks an error of the machine, after which a coordinator ends.
type errFault struct{ error }

func (e errFault) Unwrap() error { return e.error }

func isFault(err error) bool {
	var fault errFault
	return errors.As(err, &fault)
}

// truncate keeps a detail within what a reply may carry.
func truncate(s string) string { return s[:min(len(s), 400)] }
