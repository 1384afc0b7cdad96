package coordinator

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

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
	class := protocol.InReply
	if strings.HasPrefix(request.Subject, c.subjects.Ask(c.cfg.Name, "")) {
		class = protocol.ReplyTo(request)
	}
	if err := c.send(class, msg); err != nil {
		c.log.Debug("not answered", "subject", request.Subject, "err", err)
	}
}

func (c *Coordinator) send(class protocol.Class, msg *nats.Msg) error {
	msg.Header.Set(protocol.SignatureHeader, c.signer.Sign(class, msg.Data))
	return c.cfg.Conn.PublishMsg(msg)
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

// pingTime is how long the answers to a discovery ping are waited for.
const pingTime = 300 * time.Millisecond

// advertise answers discovery with who this coordinator is, as long as ctx
// lasts. It returns an error when another coordinator of the network has its
// name.
func (c *Coordinator) advertise(ctx context.Context) error {
	for {
		if err := c.waitConnected(ctx); err != nil {
			return nil
		}
		if err := c.checkName(ctx); err != nil {
			return err
		}
		service, err := c.addService()
		if err == nil {
			<-ctx.Done()
			if err := service.Stop(); err != nil {
				c.log.Debug("advertise", "err", err)
			}
			return nil
		}
		switch conn := c.cfg.Conn; {
		case ctx.Err() != nil || conn.IsClosed(): // which watchLink reports
			return nil
		case conn.IsConnected():
			return fmt.Errorf("advertise: %w", err)
		}
	}
}

// checkName returns an error when another coordinator of the network has this one's
// name. Where credentials of its own keep that name for it nobody is asked: whoever
// joined as a coordinator could keep it from starting by what it answers.
func (c *Coordinator) checkName(ctx context.Context) error {
	if c.cfg.Access != nil {
		return nil
	}
	found, err := protocol.Discover(ctx, c.cfg.Conn, pingTime)
	if err != nil && ctx.Err() == nil {
		c.log.Debug("discovery", "err", err)
	}
	for _, other := range found {
		if other.Network == c.cfg.Params.ID() && other.Name == c.cfg.Name && other.Key != c.publicKey {
			return fmt.Errorf("%w: %q on %s", ErrNameTaken, c.cfg.Name, c.cfg.Conn.ConnectedUrlRedacted())
		}
	}
	return nil
}

func (c *Coordinator) addService() (micro.Service, error) {
	return micro.AddService(c.cfg.Conn, micro.Config{
		Name:        protocol.ServiceName,
		Version:     protocol.ServiceVersion,
		Description: "JBC coordinator " + c.cfg.Name,
		Metadata: map[string]string{
			protocol.MetaNetwork: c.cfg.Params.ID(),
			protocol.MetaName:    c.cfg.Name,
			protocol.MetaKey:     c.publicKey,
		},
	})
}

// ErrNameTaken says that another coordinator of the network has this one's name.
var ErrNameTaken = fmt.Errorf("another coordinator has this name")

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
