package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/jbcnet/jbc/coordinator"
	"github.com/jbcnet/jbc/coordinator/access"
	"github.com/jbcnet/jbc/coordinator/lan"
)

const (
	// lanLook is how often a worker looks whether it is cut off, and how long it
	// listens to the local network then.
	lanLook   = time.Second
	lanListen = 10 * time.Second
	// lanList is how long everybody on the local network has to answer.
	lanList = 3 * time.Second
)

// followOnLAN has conn try the addresses at which the local network knows the
// coordinator that m joined, beside those that m knows, whenever it is cut off.
func (s *shell) followOnLAN(ctx context.Context, conn *nats.Conn, m *access.Membership, servers *pool) {
	tick := time.NewTicker(lanLook)
	defer tick.Stop()
	complained := false
	for {
		if !conn.IsConnected() {
			if err := s.askLAN(ctx, conn, m, servers); err != nil && !complained {
				complained = true
				s.log.Warn("the local network can't be asked for the coordinator", "err", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// askLAN listens for the coordinator until conn has found it, or for a while.
func (s *shell) askLAN(ctx context.Context, conn *nats.Conn, m *access.Membership, servers *pool) error {
	ctx, cancel := context.WithTimeout(ctx, lanListen)
	defer cancel()
	back := conn.StatusChanged(nats.CONNECTED)
	defer conn.RemoveStatusListener(back)
	listening := make(chan error, 1)
	go func() {
		listening <- lan.Browse(ctx, func(f lan.Found) {
			if f.Key != m.Key || f.Network != m.Network {
				return
			}
			address := (&url.URL{Scheme: "tls", Host: f.Address}).String()
			if servers.takeLAN(address) {
				s.log.Info("the local network knows the coordinator at another address", "address", f.Address)
			}
		})
	}()
	select {
	case <-back:
		cancel()
		return <-listening
	case err := <-listening:
		return err
	}
}

// tellLAN tells the local network of this coordinator until ctx ends.
func (f *coordinatorFlags) tellLAN(ctx context.Context, s *shell, c *coordinator.Coordinator, b *coordinator.Broker) {
	host, _, err := net.SplitHostPort(f.listen)
	if err == nil {
		err = lan.Advertise(ctx, lan.Advertised{
			Coordinator: lan.Coordinator{Network: c.Network(), Name: f.name, Key: c.PublicKey(), Secure: true},
			Listen:      net.JoinHostPort(host, strconv.Itoa(b.Port())),
		}, s.log)
	}
	if err != nil {
		s.log.Warn("not advertised on the local network", "err", err)
	}
}

// checkLAN refuses to advertise what no other machine can reach.
func (f *coordinatorFlags) checkLAN() error {
	switch host, _, err := net.SplitHostPort(f.listen); {
	case !f.lan:
		return nil
	case f.place.member != nil:
		return usageError(errors.New("--lan tells of the embedded NATS server, and --join goes to another coordinator's"), "leave one of them out")
	case f.nats.url != "":
		return usageError(errors.New("--lan tells of the embedded NATS server, and --nats names another"), "leave one of them out")
	case err == nil && coordinator.IsLoopback(host):
		return usageError(fmt.Errorf("--lan is given, and %s can be reached from this machine alone", f.listen), "give --listen 0.0.0.0:4222 too")
	}
	return nil
}

// listLAN says which coordinators the local network knows to somebody who has not
// joined any.
func (s *shell) listLAN(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, lanList)
	defer cancel()
	s.log.Info("listening to the local network", "for", lanList)
	var found []string
	err := lan.Browse(ctx, func(f lan.Found) {
		found = append(found, fmt.Sprintf("%s of %s at %s", f.Name, f.Network, f.Address))
	})
	if err != nil {
		return fmt.Errorf("the local network: %w", err)
	}
	if len(found) == 0 {
		return withHint(errors.New("no coordinator advertises itself on the local network"), "jbc coordinator --listen 0.0.0.0:4222 --lan does; a token of its lets this machine join")
	}
	slices.Sort(found)
	return withHint(fmt.Errorf("this machine joined no coordinator; the local network knows: %s", strings.Join(slices.Compact(found), ", ")),
		"get a token there (jbc token new) and paste it here (jbc join)")
}
