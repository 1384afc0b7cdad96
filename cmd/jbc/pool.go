package main

import (
	"context"
	"crypto/x509"
	"log/slog"
	"net"
	"net/url"
	"slices"
	"sync"

	"github.com/nats-io/nats.go"

	"github.com/jbcnet/jbc/coordinator/access"
	"github.com/jbcnet/jbc/coordinator/protocol"
	"github.com/jbcnet/jbc/worker"
)

// pool is where a worker's connection may go, and whom it trusts there: the servers
// that it was told of, those of the nodes that its coordinator vouches for, and what
// the local network knows. It is safe for concurrent use.
type pool struct {
	log *slog.Logger

	mu     sync.Mutex
	conn   *nats.Conn
	member *access.Membership // nil where this machine joined nobody
	path   string             // of the member's file
	named  []string           // URLs, the first ones
	nodes  []string           // URLs of nodes
	lan    []string           // URLs that the local network told, of the coordinator that was joined
	set    []string           // what conn has

	news chan struct{} // member.Others are to be kept
}

// newPool makes the pool of the way that was chosen.
func newPool(log *slog.Logger, way *route) *pool {
	p := &pool{log: log, member: way.member, path: way.chosen, news: make(chan struct{}, 1)}
	if p.member != nil {
		p.named = p.member.URLs()
	}
	return p
}

// options are for the connection: the CAs that it trusts may become more, and it tries
// the coordinator's own server first.
func (p *pool) options() []nats.Option {
	if p.member == nil {
		return nil
	}
	return []nats.Option{nats.DontRandomize(), func(o *nats.Options) error {
		o.RootCAsCB = p.roots
		return nil
	}}
}

func (p *pool) roots() (*x509.CertPool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.member.Roots()
}

// serve is told of the connection, once it is made.
func (p *pool) serve(conn *nats.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conn = conn
	for _, s := range conn.ServerPool() {
		if p.member == nil {
			p.named = append(p.named, s.URL.String())
		}
		p.set = append(p.set, s.URL.String())
	}
}

// run keeps what the nodes are and calls home for the process of that name, whose state
// stats tells, until ctx ends.
func (p *pool) run(ctx context.Context, process string, stats func() worker.Stats) {
	var tasks sync.WaitGroup
	tasks.Go(func() { p.keep(ctx) })
	tasks.Go(func() { p.callHome(ctx, process, stats) })
	tasks.Wait()
}

// takeNodes takes the nodes that are vouched for. What they are is kept with the join,
// so that the next start knows of them whoever is away then. Servers of other nodes know
// no owner of this one's.
func (p *pool) takeNodes(nodes []protocol.Node) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.member == nil:
		var urls [][]string
		for i := range nodes {
			urls = append(urls, openURLs(&nodes[i]))
		}
		p.nodes = access.InTurns(urls...)
	case p.member.Role == protocol.RoleOwner:
		return
	default:
		p.takeOthers(nodes)
	}
	p.refresh()
}

// takeOthers has the member know the nodes, and [pool.keep] keep them. The caller holds
// p.mu.
func (p *pool) takeOthers(nodes []protocol.Node) {
	member := *p.member
	member.Others = nil
	for i := range nodes {
		if o, ok := access.OtherOf(&nodes[i]); ok && o.Name != member.Coordinator {
			member.Others = append(member.Others, o)
		}
	}
	p.member = &member
	p.named = member.URLs()
	select {
	case p.news <- struct{}{}:
	default: // the last news were not read yet
	}
}

// openURLs returns where a node without credentials is reached, which is on its own
// machine alone: this one, or it told a lie.
func openURLs(n *protocol.Node) (urls []string) {
	for _, a := range n.Addresses {
		if host, _, err := net.SplitHostPort(a); err == nil && len(n.CA) == 0 && net.ParseIP(host).IsLoopback() {
			urls = append(urls, (&url.URL{Scheme: "nats", Host: a}).String())
		}
	}
	return urls
}

// keep writes what the join knows of others until ctx ends, the last of it at the least:
// a disk may take its time.
func (p *pool) keep(ctx context.Context) {
	for ended := false; !ended; {
		select {
		case <-p.news:
		case <-ctx.Done():
			ended = true
			select {
			case <-p.news:
			default:
				return
			}
		}
		p.mu.Lock()
		member := p.member
		p.mu.Unlock()
		if err := keepOthers(p.path, member); err != nil { // the disk is full, or the file somebody else's: this run needs none
			p.log.Warn("the other coordinators are not remembered", "file", p.path, "err", err)
		}
	}
}

// keepOthers writes the others of member to its file, unless the machine has joined anew
// meanwhile.
func keepOthers(path string, member *access.Membership) error {
	unlock, err := lockJoined(path)
	if err != nil {
		return err
	}
	defer unlock()
	last, err := access.LoadMembership(path)
	if err != nil || last.Seed != member.Seed || last.Key != member.Key {
		return err
	}
	last.Others = member.Others
	return last.Save(path)
}

// takeLAN takes an address that the local network knows.
func (p *pool) takeLAN(address string) (news bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if slices.Contains(p.named, address) || slices.Contains(p.lan, address) || len(p.lan) >= protocol.MaxAddresses {
		return false
	}
	p.lan = append(p.lan, address)
	p.refresh()
	return true
}

// refresh tells the connection. The caller holds p.mu.
func (p *pool) refresh() { p.tell(slices.Concat(access.InTurns(p.named, p.lan), p.nodes)) }

// tell has the connection turn to these servers. The one that it has stays among them:
// without, NATS would take the first for the one that it has. The caller holds p.mu.
func (p *pool) tell(urls []string) {
	if p.conn == nil {
		return
	}
	if current := p.conn.ConnectedUrl(); current != "" {
		urls = append(urls, current)
	}
	all := access.InTurns(urls)
	if slices.Equal(all, p.set) {
		return
	}
	if err := p.conn.SetServerPool(all); err != nil {
		p.log.Warn("servers not taken up", "servers", redactAll(all), "err", err)
		return
	}
	p.set = all
	p.log.Debug("servers to turn to", "servers", redactAll(all))
}

func redactAll(urls []string) (out []string) {
	for _, u := range urls {
		out = append(out, redact(u))
	}
	return out
}

// known returns the nodes that were vouched for when a worker ran last.
func (p *pool) known() (nodes []protocol.Node) {
	if p.member == nil {
		return nil
	}
	for _, o := range p.member.Others {
		nodes = append(nodes, protocol.Node{Network: p.member.Network, Name: o.Name, Key: o.Key})
	}
	return nodes
}
