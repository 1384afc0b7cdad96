package main

import (
	"crypto/x509"
	"log/slog"
	"net"
	"net/url"
	"slices"
	"sync"

	"github.com/nats-io/nats.go"

	"github.com/jbcnet/jbc/coordinator/access"
	"github.com/jbcnet/jbc/coordinator/protocol"
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
	lan    []string           // URLs that the local network told
	set    []string           // what conn has
}

// newPool makes the pool of the way that was chosen.
func newPool(log *slog.Logger, way *route) *pool {
	p := &pool{log: log, member: way.member, path: way.chosen}
	if p.member != nil {
		p.named = p.member.URLs()
	}
	return p
}

// options are for the connection: the CAs that it trusts may become more.
func (p *pool) options() []nats.Option {
	if p.member == nil {
		return nil
	}
	return []nats.Option{func(o *nats.Options) error {
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

// takeNodes takes the nodes that are vouched for. What they are is kept with the join,
// so that the next start knows of them whoever is away then.
func (p *pool) takeNodes(nodes []protocol.Node) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.nodes = nil
	var others []access.Other
	for i := range nodes {
		n := &nodes[i]
		if p.member == nil {
			p.nodes = append(p.nodes, openURLs(n)...)
			continue
		}
		if o, ok := access.OtherOf(n); ok && n.Name != p.member.Coordinator {
			others = append(others, o)
		}
	}
	if p.member != nil {
		p.keep(others)
	}
	p.refresh()
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

// keep writes what the join knows of others, unless the machine has joined anew
// meanwhile. The caller holds p.mu.
func (p *pool) keep(others []access.Other) {
	member := *p.member
	member.Others = others
	last, err := access.LoadMembership(p.path)
	if err == nil && last.Seed == member.Seed && last.Key == member.Key {
		last.Others = others
		err = last.Save(p.path)
	}
	if err != nil { // the disk is full, or the file somebody else's: this run needs none
		p.log.Warn("the other coordinators are not remembered", "file", p.path, "err", err)
	}
	p.member = &member
	p.named = member.URLs()
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
func (p *pool) refresh() {
	var all []string
	for _, u := range slices.Concat(p.named, p.nodes, p.lan) {
		if !slices.Contains(all, u) {
			all = append(all, u)
		}
	}
	if p.conn == nil || slices.Equal(all, p.set) {
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
