package main

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/jbcnet/jbc/coordinator/protocol"
)

// dial connects to NATS, now or as soon as there is a server.
func dial(server, name string, opts []nats.Option) (*nats.Conn, error) {
	conn, err := nats.Connect(server, append(protocol.ConnectOptions(name), opts...)...)
	if err != nil {
		return nil, withHint(fmt.Errorf("NATS server %s: %w", redact(server), withoutURL(err)), "an address looks like nats://HOST:4222; credentials come from NATS_CREDS, NATS_NKEY or NATS_USER and NATS_PASSWORD")
	}
	return conn, nil
}

// withoutURL takes the address out of an error about it: a password may be in it.
func withoutURL(err error) error {
	var parse *url.Error
	if errors.As(err, &parse) {
		return parse.Err
	}
	return err
}

// serverURL returns where clients connect: what is given, or the default of a
// coordinator on this machine.
func (f *natsFlags) serverURL() string {
	if f.url != "" {
		return f.url
	}
	return "nats://" + defaultListen
}

// redact takes user and password out of NATS addresses, for messages.
func redact(urls string) string {
	parts := strings.Split(urls, ",")
	for i, part := range parts {
		scheme, rest, found := strings.Cut(part, "://")
		if !found {
			scheme, rest = "nats", part
		}
		if at := strings.LastIndexByte(rest, '@'); at >= 0 {
			rest = rest[at+1:]
		}
		parts[i] = scheme + "://" + rest
	}
	return strings.Join(parts, ",")
}
