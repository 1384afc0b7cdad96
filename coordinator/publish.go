package coordinator

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/jbcnet/jbc/coordinator/access"
	"github.com/jbcnet/jbc/coordinator/protocol"
)

// publish signs and sends a message. While the server is away it is lost: on
// reconnecting the job of the moment is published anew.
func (c *Coordinator) publish(subject string, class protocol.Class, m protocol.Message) {
	msg := &nats.Msg{Subject: subject, Data: protocol.Encode(m), Header: nats.Header{}}
	if err := c.send(class, msg); err != nil {
		c.log.Debug("not published", "subject", subject, "err", err)
	}
}

// respond signs and sends a reply, to an inbox and nowhere else: a server lets
// everybody ask for replies on any subject, such as that of the jobs.
func (c *Coordinator) respond(request *nats.Msg, m protocol.Message) {
	if !strings.HasPrefix(request.Reply, nats.InboxPrefix) {
		return
	}
	msg := &nats.Msg{Subject: request.Reply, Data: protocol.Encode(m), Header: nats.Header{}}
	if err := c.send(protocol.ReplyTo(request), msg); err != nil {
		c.log.Debug("not answered", "subject", request.Subject, "err", err)
	}
}

// send signs and sends. That a message is too long for everybody who could read it
// is a mistake of this program, and no secret.
func (c *Coordinator) send(class protocol.Class, msg *nats.Msg) error {
	if len(msg.Data) > protocol.MaxMessage {
		c.log.Error("a message of this coordinator is too long to be sent", "subject", msg.Subject, "bytes", len(msg.Data), "most", protocol.MaxMessage)
		return protocol.Oversized
	}
	msg.Header.Set(protocol.SignatureHeader, c.signer.Sign(class, msg.Data))
	err := c.cfg.Conn.PublishMsg(msg)
	if errors.Is(err, nats.ErrMaxPayload) {
		c.log.Error("the NATS server takes only shorter messages than this coordinator's", "subject", msg.Subject, "bytes", msg.Size(),
			"most", c.cfg.Conn.MaxPayload(), "hint", fmt.Sprintf("set its max_payload to %d or more", access.MaxPayload))
	}
	return err
}

// watchConnection says once when the server is lost and once when it is back,
// and then publishes the work of the moment for whoever missed it.
func (c *Coordinator) watchConnection() {
	c.cfg.Conn.SetDisconnectErrHandler(func(_ *nats.Conn, err error) {
		if err != nil {
			c.log.Warn("lost the NATS server, trying on", "err", err)
		}
	})
	c.cfg.Conn.SetReconnectHandler(func(conn *nats.Conn) {
		c.log.Info("connected to the NATS server", "url", conn.ConnectedUrlRedacted())
		c.mu.Lock()
		defer c.mu.Unlock()
		c.republish()
	})
}

// ErrConnectionClosed says that the connection to NATS is closed for good, which
// only its owner does.
var ErrConnectionClosed = errors.New("the connection to NATS was closed")

// watchLink ends the coordinator when its connection is closed, since nobody could
// reach it any more. It also says once when a server refuses the credentials: no
// handler hears of that.
func (c *Coordinator) watchLink(ctx context.Context) error {
	conn := c.cfg.Conn
	closed := conn.StatusChanged(nats.CLOSED)
	defer conn.RemoveStatusListener(closed)
	look := time.NewTicker(tickTime)
	defer look.Stop()
	refused := false
	for !conn.IsClosed() {
		select {
		case <-ctx.Done():
			return nil
		case <-closed:
		case <-look.C:
			if conn.IsConnected() {
				refused = false
			} else if obstacle := protocol.Obstacle(conn.LastError()); !refused && obstacle != "" {
				refused = true
				c.log.Warn(obstacle+", trying on", protocol.Why(conn.LastError())...)
			}
		}
	}
	if ctx.Err() != nil {
		return nil
	}
	return errors.Join(ErrConnectionClosed, conn.LastError())
}

// republish sends the work of the moment again. The caller holds c.mu.
func (c *Coordinator) republish() {
	subject := c.subjects.Job(c.cfg.Name)
	switch current := c.farm.jobs.Current(); {
	case c.farm.hold != nil:
		c.publish(subject, protocol.ToWorkers, c.farm.hold)
	case current != nil:
		c.publish(subject, protocol.ToWorkers, &current.Job)
	}
}

// waitConnected returns when there is a server, or the context's error.
func (c *Coordinator) waitConnected(ctx context.Context) error {
	connected := c.cfg.Conn.StatusChanged(nats.CONNECTED)
	defer c.cfg.Conn.RemoveStatusListener(connected)
	if c.cfg.Conn.IsConnected() {
		return nil
	}
	about := []any{"servers", c.cfg.Conn.Servers()}
	if err := c.cfg.Conn.LastError(); protocol.Obstacle(err) == "" { // which watchLink says
		about = append(about, protocol.Why(err)...)
	}
	c.log.Warn("the NATS server is away, trying on", about...)
	select {
	case <-connected: // for the first time, of which no handler hears
		c.log.Info("connected to the NATS server", "url", c.cfg.Conn.ConnectedUrlRedacted())
		c.mu.Lock()
		defer c.mu.Unlock()
		c.republish()
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
