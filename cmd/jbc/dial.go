package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/jbcnet/jbc/coordinator/access"
	"github.com/jbcnet/jbc/coordinator/protocol"
)

// dial connects to NATS, now or as soon as there is a server, as the process of
// that name. Its inbox goes by the name: a server may let it listen to no other.
func dial(server, name string, log *slog.Logger, opts []nats.Option) (*nats.Conn, error) {
	inbox := nats.CustomInboxPrefix(protocol.InboxPrefix(name))
	conn, err := nats.Connect(server, append(append(protocol.ConnectOptions(name), logErrors(log), inbox), opts...)...)
	if err != nil {
		return nil, withHint(fmt.Errorf("NATS server %s: %w", redact(server), withoutURL(err)), "an address looks like nats://HOST:4222; credentials come from NATS_CREDS, NATS_NKEY or NATS_USER and NATS_PASSWORD")
	}
	return conn, nil
}

// patient are the options of a coordinator's own connection: a server that thousands
// come back to at once may take seconds to answer, and the coordinator must not hang
// up on it for that.
func patient() []nats.Option {
	return []nats.Option{nats.PingInterval(access.PingInterval), nats.MaxPingsOutstanding(access.MaxPings + 1)}
}

// logErrors takes a connection's own errors into log; NATS would write them to
// standard error. What the server does not allow is a warning, once as long as it
// stays the same, and so is a subscription that lost messages. Whatever else comes
// here comes with every attempt to connect, and whoever uses the connection says
// once that it is away.
func logErrors(log *slog.Logger) nats.Option {
	var last string // calls of one connection come one after the other
	return nats.ErrorHandler(func(_ *nats.Conn, sub *nats.Subscription, err error) {
		level := slog.LevelDebug
		if text := err.Error(); text != last && (sub != nil || errors.Is(err, nats.ErrPermissionViolation)) {
			last, level = text, slog.LevelWarn
		}
		attrs := []any{"err", err}
		if sub != nil {
			attrs = append(attrs, "subject", sub.Subject)
		}
		log.Log(context.Background(), level, "trouble with NATS", attrs...)
	})
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
