package coordinator

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/jbcnet/jbc/coordinator/access"
	"github.com/jbcnet/jbc/coordinator/protocol"
)

// Access is what a coordinator needs to let machines join.
type Access struct {
	Keeper *access.Keeper
	Certs  *access.Certs
	// Broker is the server that they connect to.
	Broker *Broker
	// Addresses says where: HOST:PORT, the likeliest first, at most 8; none while this
	// machine has no address.
	Addresses func() []string
	// Hosts are the names and addresses of the certificate.
	Hosts func() []string
}

// maxAdmit is how many bytes a message about credentials may have.
const maxAdmit = 1 << 10

// admitSize is how many of them may wait.
const admitSize = 256

// ErrNoAccess says that a coordinator knows no credentials of its own.
var ErrNoAccess = errors.New("this coordinator issues no tokens: it listens on loopback only, or on a NATS server with credentials of its own (see jbc nats-config)")

// ErrNoAddress says that no other machine could reach the server.
var ErrNoAddress = errors.New("this machine has no address that others could reach; --advertise HOST names one")

// NewToken issues a token and returns its text, which is told only once. A refusal
// wraps a [protocol.Code].
func (c *Coordinator) NewToken(now time.Time, role protocol.Role, ttl time.Duration) (string, error) {
	a := c.cfg.Access
	if a == nil {
		return "", fmt.Errorf("%w: %w", protocol.Unavailable, ErrNoAccess)
	}
	addresses := a.Addresses()
	if len(addresses) == 0 {
		return "", fmt.Errorf("%w: %w", protocol.Unavailable, ErrNoAddress)
	}
	t := protocol.Token{
		Network: c.cfg.Params.ID(), Coordinator: c.cfg.Name, Key: c.publicKey,
		Addresses: addresses, CA: a.Certs.Fingerprint(), Role: protocol.RoleWorker, Expires: now,
	}
	var err error
	if t.Seed, _, err = access.NewKey(); err != nil {
		return "", err
	}
	if _, err := t.Text(); err != nil { // the addresses are too long: better said before there is a token
		return "", fmt.Errorf("%w: %w", protocol.Unavailable, err)
	}
	issued, err := a.Keeper.Issue(now, role, ttl)
	if err != nil {
		return "", err
	}
	t.Role, t.Expires, t.Seed = role, issued.Expires, issued.Seed
	return t.Text()
}

// answerEnrol answers somebody who holds a token.
func (c *Coordinator) answerEnrol(msg *nats.Msg) error {
	var enrol protocol.Enrol
	a, err := c.readAdmit(msg, &enrol)
	if err != nil {
		return c.refuseAdmit(msg, err)
	}
	now, id := time.Now(), access.TokenID(enrol.Token)
	proven := a.Keeper.Proves(&enrol)
	if !c.heedsEnrol(now, enrol.Token, proven) {
		return nil
	}
	who, err := a.Keeper.Enrol(now, &enrol)
	if err != nil {
		if c.tells(now, id, proven) {
			c.log.Info("a token was refused", "token", id, "name", enrol.Name, "err", err)
		}
		return c.refuseAdmit(msg, err)
	}
	c.log.Info("machine joined", "machine", who.Name, "role", who.Role, "token", id)
	reply := &protocol.EnrolReply{
		Reply: accepted(&enrol.Ask), Name: who.Name, Role: who.Role, CA: a.Certs.CA(), Addresses: a.Addresses(),
	}
	if who.Role == protocol.RoleCoordinator && c.node != nil {
		reply.Mesh, reply.Routes = c.meshKey(), c.routesToTell()
	}
	c.respond(msg, reply)
	c.tellBook()
	return nil
}

// answerAdmin answers the owner.
func (c *Coordinator) answerAdmin(msg *nats.Msg) error {
	var ask protocol.TokenAsk
	a, err := c.readAdmit(msg, &ask)
	if err != nil {
		return c.refuseAdmit(msg, err)
	}
	now := time.Now()
	reply := protocol.TokenReply{Reply: accepted(&ask.Ask), Entries: []protocol.AccessStatus{}}
	switch ask.Kind {
	case protocol.KindTokenNew:
		ttl := time.Duration(ask.TTLMS) * time.Millisecond
		if reply.Token, err = c.NewToken(now, ask.Role, ttl); err == nil {
			c.log.Info("token issued", "role", ask.Role, "for", ttl)
		}
	case protocol.KindTokenList:
		reply.Entries, reply.After = a.Keeper.List(now, ask.After)
		for i, e := range reply.Entries {
			reply.Entries[i].Online = a.Broker.Online(e.Key)
		}
	case protocol.KindTokenRevoke:
		if reply.Entries, err = a.Keeper.Revoke(now, ask.What); err == nil {
			for _, e := range reply.Entries {
				c.cutOff(e.Key, e.Role)
				if e.ID != "" {
					c.log.Info("token revoked", "token", e.ID, "role", e.Role)
				} else {
					c.log.Info("machine revoked", "machine", e.Name, "role", e.Role)
				}
			}
			c.tellBook()
			if err := c.machinesChanged(now); err != nil {
				return err
			}
		}
	}
	if err != nil {
		return c.refuseAdmit(msg, err)
	}
	c.respond(msg, &reply)
	return nil
}

// readAdmit decodes a request about credentials, for whoever keeps these.
func (c *Coordinator) readAdmit(msg *nats.Msg, m protocol.Message) (*Access, error) {
	if err := protocol.Decode(msg.Data, m); err != nil {
		return nil, err
	}
	if c.cfg.Access == nil {
		return nil, fmt.Errorf("%w: %w", protocol.Unavailable, ErrNoAccess)
	}
	return c.cfg.Access, nil
}

// refuseAdmit answers with an error's code. One that has none is the machine's, and
// returned.
func (c *Coordinator) refuseAdmit(msg *nats.Msg, err error) error {
	if !errors.As(err, new(protocol.Code)) {
		return err
	}
	ask := protocol.AskOf(msg.Data)
	c.mu.Lock()
	reply := c.farm.refusal(&ask, err)
	c.mu.Unlock()
	reply.Detail = truncate(err.Error())
	c.respond(msg, &reply)
	return nil
}

// tendTime is how often certificates are looked at.
const tendTime = time.Hour

// tendCerts replaces the server's certificate well before it ends. One that can't
// be written is tried again: there are weeks for it.
func (c *Coordinator) tendCerts(ctx context.Context) error {
	if c.cfg.Access == nil {
		return nil
	}
	ticker := time.NewTicker(tendTime)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		switch renewed, err := c.cfg.Access.Certs.Renew(time.Now(), c.cfg.Access.Hosts()); {
		case err != nil:
			c.log.Error("the server's certificate could not be renewed, trying on", "err", err)
		case renewed:
			c.log.Info("the server has a new certificate")
		}
	}
}
