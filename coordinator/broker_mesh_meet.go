package coordinator

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/jbcnet/jbc/coordinator/access"
)

const (
	// meetTime is how long it may take until two servers have met, TLS handshake
	// included.
	meetTime = 2 * time.Second
	// maxHello bounds a line, and maxTold the nodes that it tells of.
	maxHello = 16 << 10
	maxTold  = 64
	// maxMet bounds the routes of one server.
	maxMet = 256
)

// peer is a server that is met, or about to be.
type peer struct {
	id, name string
	key      string // its public mesh key, empty without credentials
	reach    string // HOST:PORT where it is dialled
	dialled  bool   // by this side
	raw      net.Conn
	conn     net.Conn // raw, or TLS on it
	in       *bufio.Reader
	done     chan struct{} // closed when it is gone

	since time.Time // zero until the route stands; under mesh.mu
}

func (p *peer) standing() bool { return !p.since.IsZero() }

func (p *peer) hangUp() { _ = p.raw.Close() }

// dial meets whoever listens at an address. What it returns without an error is a
// peer whose route was begun, or that was met before.
func (m *mesh) dial(ctx context.Context, address string) (*peer, error) {
	raw, err := (&net.Dialer{Timeout: meetTime}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	if !m.hold(raw) {
		return nil, net.ErrClosed
	}
	p := &peer{raw: raw, conn: raw, dialled: true, reach: address, done: make(chan struct{})}
	known, err := m.call(p, address)
	if err == nil && known == nil && m.start(func() { m.join(p) }) {
		return p, nil
	}
	m.part(p)
	return known, err
}

// call is the side that dialled. It returns another peer than p where the server is
// met already.
func (m *mesh) call(p *peer, address string) (known *peer, err error) {
	if err := m.prove(p, tls.Client); err != nil {
		return nil, err
	}
	theirs, err := p.receive()
	switch alert := (*net.OpError)(nil); {
	case err == nil:
		err = m.check(p, theirs)
		p.refuse(err)
	case errors.As(err, &alert) && alert.Op == "remote error": // as crypto/tls has it
		err = fmt.Errorf("%w: %w", errDistrusted, err)
	}
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	m.found[address] = p.id
	if known = m.met[p.id]; known != nil {
		m.mu.Unlock()
		return known, nil
	}
	m.met[p.id] = p
	m.mu.Unlock()
	if err := m.recheck(p); err != nil {
		return nil, err
	}
	if err := p.send(m.tell(p)); err != nil {
		return nil, err
	}
	if theirs, err = p.receive(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	m.hear(time.Now(), theirs.Nodes[:min(len(theirs.Nodes), maxTold)]...)
	m.mu.Unlock()
	return nil, nil
}

// welcome is the side that listens. The error is nil when the other is to be joined.
func (m *mesh) welcome(p *peer) error {
	if err := m.prove(p, tls.Server); err != nil {
		return err
	}
	if err := p.send(m.hello()); err != nil {
		return err
	}
	theirs, err := p.receive()
	if err != nil {
		if errors.Is(err, errSameName) {
			m.warnOfName(p.raw.RemoteAddr())
		}
		return err
	}
	before, err := m.settle(p, theirs)
	if err != nil {
		p.refuse(err)
		return err
	}
	if before != nil {
		before.hangUp()
		select {
		case <-before.done: // the server would take two routes to one for a mistake
		case <-time.After(meetTime):
		}
	}
	if err := p.send(m.tell(p)); err != nil {
		return err
	}
	m.mu.Lock()
	m.hear(time.Now(), append(theirs.Nodes, p.reach)...)
	m.mu.Unlock()
	return nil
}

// settle decides whether the one that dialled is met, and returns whose place it
// takes, if anybody's.
func (m *mesh) settle(p *peer, theirs *hello) (before *peer, err error) {
	host, _, err := net.SplitHostPort(p.raw.RemoteAddr().String())
	if err != nil {
		return nil, err
	}
	p.reach = net.JoinHostPort(host, strconv.Itoa(theirs.Port))
	if err := m.check(p, theirs); err != nil {
		return nil, err
	}
	if before, err = m.take(time.Now(), p); err != nil {
		return nil, err
	}
	if err := m.recheck(p); err != nil {
		if before != nil {
			before.hangUp() // nobody else finds it any more
		}
		return nil, err
	}
	return before, nil
}

// take has p, which dialled, be the one that is met under its id, and returns the one
// that it takes the place of: who dials has lost what was there before. Where both
// dial at once, the connection of the smaller id stays.
func (m *mesh) take(now time.Time, p *peer) (before *peer, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	before = m.met[p.id]
	switch {
	case before == nil && len(m.met) >= maxMet:
		return nil, errFull
	case before == nil:
	case before.standing() && now.Sub(before.since) < meetTime: // what it said is older than that
		return nil, errMet
	case !before.standing() && before.dialled && m.id < p.id:
		return nil, errMet
	}
	m.met[p.id] = p
	return before, nil
}

// recheck asks once more whether the other is trusted, now that it can be cut: it may
// have been revoked since the handshake.
func (m *mesh) recheck(p *peer) error {
	if m.tls == nil || m.cfg.Trusted(p.key) {
		return nil
	}
	return access.ErrStranger
}

// prove makes the connection a TLS one, where there are credentials, and learns the
// key of the other side. From then on the whole meeting has to end in time.
func (m *mesh) prove(p *peer, side func(net.Conn, *tls.Config) *tls.Conn) error {
	if err := p.raw.SetDeadline(time.Now().Add(meetTime)); err != nil {
		return err
	}
	if m.tls != nil {
		secure := side(p.raw, m.tls)
		if err := secure.Handshake(); err != nil {
			return err
		}
		var err error
		if p.key, err = access.MeshKey(secure.ConnectionState()); err != nil {
			return err
		}
		p.conn = secure
	}
	p.in = bufio.NewReaderSize(p.conn, maxHello)
	return nil
}
