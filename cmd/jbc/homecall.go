package main

import (
	"context"
	"math/rand/v2"
	"net"
	"slices"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/jbcnet/jbc/coordinator/access"
	"github.com/jbcnet/jbc/coordinator/protocol"
	"github.com/jbcnet/jbc/worker"
)

const (
	// firstCall is how long after the start home is called first, and callEvery how far
	// apart calls are from then on, give or take a quarter.
	firstCall = 10 * time.Second
	callEvery = 30 * time.Second
	// callTime is how long one address is tried, and callWait how long the coordinator
	// has to answer there.
	callTime = 2 * time.Second
	callWait = time.Second
)

// callHome has the connection go back to the server of the coordinator that the machine
// joined, until ctx ends. NATS stays with a server as long as that stands; but a
// coordinator that is cut off from the others, or was shut out by them, is met at its
// own server alone.
func (p *pool) callHome(ctx context.Context, process string, stats func() worker.Stats) {
	timer := time.NewTimer(firstCall)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		p.call(ctx, process, stats)
		timer.Reset(callEvery*3/4 + rand.N(callEvery/2))
	}
}

// call calls home once, where that is of any use.
func (p *pool) call(ctx context.Context, process string, stats func() worker.Stats) {
	if !p.astray() || served(stats()) {
		return
	}
	if url, ok := p.findHome(ctx, process); ok && !served(stats()) {
		p.goHome(url)
	}
}

// served says whether a worker mines for the coordinator that it prefers, by whichever
// server.
func served(st worker.Stats) bool {
	return (st.State == worker.Mining || st.State == worker.Stopped) && st.Coordinator == st.Preferred
}

// astray says whether the connection is to another server than the own coordinator's.
func (p *pool) astray() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.isAstray()
}

// isAstray is astray for who holds p.mu.
func (p *pool) isAstray() bool {
	if p.member == nil || p.conn == nil {
		return false
	}
	current := p.conn.ConnectedUrl()
	return current != "" && !slices.Contains(p.homes(), current)
}

// homes returns where the own coordinator's server may be. The caller holds p.mu.
func (p *pool) homes() []string {
	own := access.Membership{Addresses: p.member.Addresses}
	return access.InTurns(own.URLs(), p.lan)
}

// findHome returns the first address at which the own coordinator is met.
func (p *pool) findHome(ctx context.Context, process string) (string, bool) {
	p.mu.Lock()
	member, urls := *p.member, p.homes()
	p.mu.Unlock()
	member.Others = nil // its CA alone is trusted
	opts, err := member.Options(process)
	if err != nil {
		p.log.Debug("home not called", "err", err)
		return "", false
	}
	opts = slices.Concat(protocol.ConnectOptions(process), opts, []nats.Option{
		logErrors(p.log), nats.RetryOnFailedConnect(false), nats.NoReconnect(), nats.Timeout(callTime),
	})
	for _, url := range urls {
		if ctx.Err() == nil && p.isHome(ctx, url, &member, opts) {
			return url, true
		}
	}
	return "", false
}

// isHome says whether the coordinator that member joined answers at a server. What
// proves that it is its own is its CA.
func (p *pool) isHome(ctx context.Context, url string, member *access.Membership, opts []nats.Option) bool {
	ctx, cancel := context.WithTimeout(ctx, callTime+callWait)
	defer cancel()
	conn, err := nats.Connect(url, append(slices.Clone(opts), nats.SetCustomDialer(dialUntil(ctx)))...)
	if err != nil {
		p.log.Debug("not at home", "server", url, "err", err)
		return false
	}
	defer conn.Close()
	found, err := protocol.Discover(ctx, conn, callWait)
	if err != nil {
		p.log.Debug("not at home", "server", url, "err", err)
	}
	home := protocol.Found{Network: member.Network, Name: member.Coordinator, Key: member.Key}
	return slices.ContainsFunc(found, func(f protocol.Found) bool { return f.Identity() == home })
}

// goHome has the connection turn to the server that was found.
func (p *pool) goHome(url string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.isAstray() {
		return // it found back by itself
	}
	p.log.Info("the coordinator that this machine joined is at its own server: going there", "server", url)
	p.tell(slices.Concat([]string{url}, p.homes(), p.named))
	if err := p.conn.ForceReconnect(); err != nil {
		p.log.Debug("not reconnected", "err", err)
	}
}

// dialer is a function that dials for NATS.
type dialer func(network, address string) (net.Conn, error)

// Dial implements [nats.CustomDialer].
func (d dialer) Dial(network, address string) (net.Conn, error) { return d(network, address) }

// dialUntil returns a dialer whose connections end with ctx, whatever they wait for.
func dialUntil(ctx context.Context) dialer {
	return func(network, address string) (net.Conn, error) {
		d := net.Dialer{Timeout: callTime}
		conn, err := d.DialContext(ctx, network, address)
		if err == nil {
			context.AfterFunc(ctx, func() { _ = conn.Close() }) // twice where NATS closed it
		}
		return conn, err
	}
}
