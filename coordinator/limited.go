package coordinator

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/jbcnet/jbc/coordinator/protocol"
)

// tooLate is how long a request may have waited to be worth an answer: workers
// give up after 2 s and ask again. Without it a coordinator that falls behind, when
// ten thousand come back at once, would answer nobody but those who have given up.
const tooLate = 1500 * time.Millisecond

// arrival is a message and when it came.
type arrival struct {
	msg *nats.Msg
	at  time.Time
}

// serveWorkers is serve for a subject that ends in a worker's name: first comes
// whether it is listened to at all, and only then how long the message is. What
// has waited for [tooLate] to be answered is counted as Busy and answered nothing.
func (c *Coordinator) serveWorkers(ctx context.Context, inbox <-chan *nats.Msg, limit int, handle func(*nats.Msg) error) error {
	arrivals := make(chan arrival, inboxSize)
	var noting sync.WaitGroup
	defer noting.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	noting.Go(func() { noteArrivals(ctx, inbox, arrivals) })
	for {
		select {
		case <-ctx.Done():
			return nil
		case a := <-arrivals:
			now := time.Now()
			switch {
			case !c.heeds(now, protocol.LastToken(a.msg.Subject)):
			case a.msg.Reply != "" && now.Sub(a.at) > tooLate:
				c.countLate()
			case len(a.msg.Data) > limit:
				c.refuseOversized(a.msg, limit)
			default:
				if err := handle(a.msg); err != nil {
					return err
				}
			}
		}
	}
}

// noteArrivals notes when messages come, until ctx ends.
func noteArrivals(ctx context.Context, from <-chan *nats.Msg, to chan<- arrival) {
	for {
		select {
		case <-ctx.Done():
			return
		case msg := <-from:
			select {
			case to <- arrival{msg, time.Now()}:
			case <-ctx.Done():
				return
			}
		}
	}
}

func (c *Coordinator) countLate() {
	c.mu.Lock()
	c.farm.refused[protocol.Busy]++
	c.mu.Unlock()
}

// owner returns whom limits and drops go by: where the server ties names to machines
// the machine, which may call its processes what it likes, else the worker itself.
func (c *Coordinator) owner(worker string) string {
	if !c.cfg.Machines {
		return worker
	}
	return protocol.MachineOf(worker)
}

// heeds says whether a worker's message is to be read. One that is not is counted.
func (c *Coordinator) heeds(now time.Time, worker string) bool {
	if c.cfg.Unlimited {
		return true
	}
	c.mu.Lock()
	code := c.limits.Admit(now, c.owner(worker))
	if code != protocol.OK {
		c.farm.refused[code]++
	}
	c.mu.Unlock()
	if code == protocol.Limited {
		c.blame(now, worker, code, false)
	}
	return code == protocol.OK
}

// heedsKind says whether a message that was read is to be answered. One that is
// not is counted; that a worker's shares come too easily is no fault of its own.
func (c *Coordinator) heedsKind(now time.Time, worker, kind string) bool {
	if c.cfg.Unlimited {
		return true
	}
	c.mu.Lock()
	ok := c.limits.AdmitKind(now, c.owner(worker), kind)
	if !ok {
		c.farm.refused[protocol.Limited]++
	}
	c.mu.Unlock()
	if !ok && kind != protocol.KindShare {
		c.blame(now, worker, protocol.Limited, false)
	}
	return ok
}

// answered is a reply of any kind.
type answered interface {
	protocol.Message
	Answer() *protocol.Reply
}

// conclude sends a reply, or, when it refuses a worker once too often, the news
// that nothing more will be answered for a while.
func (c *Coordinator) conclude(msg *nats.Msg, m answered) {
	reply := m.Answer()
	if worker, ok := c.workerOf(msg.Subject); ok && reply.Code != protocol.OK {
		if c.blame(time.Now(), worker, reply.Code, reply.Kind == protocol.KindSolution || c.isSolved(msg.Subject)) {
			m = &protocol.Reply{Kind: reply.Kind, ID: reply.ID, Code: protocol.Dropped, Detail: protocol.Dropped.String()}
		}
	}
	c.respond(msg, m)
}

// isSolved says whether everybody heard a message.
func (c *Coordinator) isSolved(subject string) bool {
	return strings.HasPrefix(subject, c.subjects.Solved(""))
}

// workerOf returns who sent a message on a subject that ends in a worker's name.
func (c *Coordinator) workerOf(subject string) (worker string, ok bool) {
	if worker, ok = strings.CutPrefix(subject, c.subjects.Ask(c.cfg.Name, "")); !ok {
		worker, ok = strings.CutPrefix(subject, c.subjects.Solved(""))
	}
	return worker, ok
}

// blame notes that a worker's message was refused, and returns whether it is not
// listened to any more because of it.
func (c *Coordinator) blame(now time.Time, worker string, code protocol.Code, solution bool) bool {
	if c.cfg.Unlimited {
		return false
	}
	who := c.owner(worker)
	c.mu.Lock()
	var dropped *drop
	if solution {
		dropped = c.limits.FalseSolution(now, who, code)
	} else {
		dropped = c.limits.Refused(now, who, code)
	}
	if dropped != nil {
		c.farm.Drop(worker)
	}
	c.mu.Unlock()
	if dropped == nil {
		return false
	}
	c.log.Warn("worker dropped, too many bad messages", "worker", worker, "with", who,
		"until", dropped.until.UTC().Format(time.RFC3339), "times", dropped.times, "reasons", reasonsText(dropped.reasons))
	if c.cfg.Refuse != nil {
		c.cfg.Refuse(who, dropped.until)
	}
	return true
}

// reasonsText lists reasons for people: "103 wrong MAC: 40, ...".
func reasonsText(reasons map[protocol.Code]uint64) string {
	var parts []string
	for _, code := range slices.Sorted(maps.Keys(reasons)) {
		parts = append(parts, fmt.Sprintf("%d %v: %d", uint16(code), code, reasons[code]))
	}
	return strings.Join(parts, ", ")
}
