package lan

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/pion/mdns/v2"
)

// Advertised is what a coordinator tells the local network.
type Advertised struct {
	Coordinator
	// Listen is HOST:PORT of its NATS server. An unspecified host stands for all
	// addresses of each interface.
	Listen string
}

// lookEvery is how often a machine's addresses are compared with what was told.
const lookEvery = 5 * time.Second

// Advertise tells the local network of a coordinator until ctx ends. What is in
// the way is logged once, and tried again: a network may come up later.
func Advertise(ctx context.Context, a Advertised, log *slog.Logger) error {
	opts, err := a.options()
	if err != nil {
		return fmt.Errorf("mdns: %w", err)
	}
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	complained := false
	for ctx.Err() == nil {
		here := addresses()
		conn, err := open(opts...)
		switch {
		case err == nil:
			complained = false
			log.Debug("advertised on the local network", "addresses", here)
		case !complained:
			complained = true
			log.Warn("not advertised on the local network, trying on", "err", err)
		}
		for stay := true; stay; {
			select {
			case <-ctx.Done():
				stay = false
			case <-tick.C:
				stay = err == nil && slices.Equal(here, addresses())
			}
		}
		if err == nil {
			if err := conn.Close(); err != nil {
				log.Debug("mdns", "err", err)
			}
		}
	}
	return nil
}

// options returns the records.
func (a *Advertised) options() ([]mdns.ServerOption, error) {
	if err := a.check(); err != nil {
		return nil, err
	}
	host, portText, err := net.SplitHostPort(a.Listen)
	if err != nil {
		return nil, err
	}
	port, err := net.LookupPort("tcp", portText)
	if err != nil {
		return nil, err
	}
	// The key makes the names this coordinator's alone: nothing has to be probed for.
	id := strings.ToLower(a.Key[:min(len(a.Key), 12)])
	opts := []mdns.ServerOption{
		mdns.WithLocalNames("jbc-" + id + ".local"),
		mdns.WithService(mdns.ServiceInstance{
			Instance: a.Name + " " + id, Service: serviceType, Domain: "local", Port: uint16(port), Text: a.text(),
		}),
	}
	if ip := net.ParseIP(host); ip != nil && !ip.IsUnspecified() {
		opts = append(opts, mdns.WithLocalAddress(ip))
	}
	return opts, nil
}

// addresses returns this machine's, sorted.
func addresses() []string {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	var texts []string
	for _, a := range all {
		texts = append(texts, a.String())
	}
	slices.Sort(texts)
	return texts
}
