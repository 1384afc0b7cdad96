package main

import (
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"

	"github.com/jbcnet/jbc/coordinator/access"
	"github.com/jbcnet/jbc/coordinator/protocol"
)

// placeFlags are about a coordinator whose machine joined another one as a
// coordinator: it works on that one's NATS server as a guest, or has its own in that
// one's mesh.
type placeFlags struct {
	join   string
	own    bool               // a server of its own
	member *access.Membership // nil without --join
}

// isGuest says whether the coordinator works on another one's server.
func (p *placeFlags) isGuest() bool { return p.join != "" && !p.own }

// take reads the join and gives the coordinator the name of the place.
func (p *placeFlags) take(s *shell, f *coordinatorFlags) (err error) {
	if p.join == "" {
		return nil
	}
	if given := f.nats.given(s); f.nats.url != "" || given != "" {
		return usageError(errors.New("--join and a NATS server of your own are both given"), "leave one of them out")
	}
	if p.isGuest() && len(f.advertise) > 0 {
		return usageError(errors.New("--advertise is for the embedded NATS server, and --join goes to another coordinator's"), "give --listen HOST:PORT too, for a server of its own, or leave one of them out")
	}
	if p.isGuest() && f.mine {
		return usageError(errors.New("--mine is given, and this machine joined as a coordinator, which may not mine on another's server"), "give --listen HOST:PORT too, for a server of its own, or join as a worker too and start jbc worker")
	}
	if p.member, err = loadJoined(p.join, wanted{roles: []protocol.Role{protocol.RoleCoordinator}}); err != nil {
		return err
	}
	m := p.member
	if !(protocol.Found{Network: m.Network}).On(f.network) {
		return usageError(fmt.Errorf("this machine joined network %q, not %q (%s)", m.Network, f.network, p.join), "choose that network with --network")
	}
	if f.name == "" {
		f.name = m.Name
	}
	if !protocol.OwnsName(m.Name, f.name) {
		return usageError(fmt.Errorf("name %q is given, and this machine joined as %q", f.name, m.Name), fmt.Sprintf("--name takes %s or %s_SOMETHING", m.Name, m.Name))
	}
	return nil
}

// connect goes to the server of the coordinator that this machine joined.
func (p *placeFlags) connect(s *shell) *farmConn {
	return &farmConn{url: p.member.URL(), dial: func(_ protocol.Role, name string) (*nats.Conn, error) {
		opts, err := p.member.Options(name)
		if err != nil {
			return nil, err
		}
		return dial(p.member.URL(), name, s.log, append(opts, patient()...))
	}}
}
