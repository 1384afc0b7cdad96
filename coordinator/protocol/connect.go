package protocol

import (
	"errors"
	"math/rand/v2"
	"time"

	"github.com/nats-io/nats.go"
)

// ConnectOptions are what every connection of a coordinator or a worker needs on
// top of its address and credentials. NATS's defaults notice a dead link after
// four minutes and deliver, on reconnecting, what was published before: shares of
// long gone jobs; and they give up for good when credentials are refused twice.
// Here a dead link is noticed in 2.5 s, nothing is buffered, and reconnecting goes
// on for ever, twice a second or more: a server that refuses today may be told
// tomorrow to accept.
func ConnectOptions(name string) []nats.Option {
	return []nats.Option{
		nats.Name("jbc " + name),
		nats.PingInterval(time.Second),
		nats.MaxPingsOutstanding(2),
		nats.ReconnectBufSize(-1),
		nats.MaxReconnects(-1),
		nats.IgnoreAuthErrorAbort(),
		nats.RetryOnFailedConnect(true),
		nats.Timeout(2 * time.Second),
		nats.CustomReconnectDelay(func(int) time.Duration {
			return 200*time.Millisecond + rand.N(300*time.Millisecond)
		}),
	}
}

// CredentialsHint is what to try when [IsRefused].
const CredentialsHint = "check NATS_CREDS, NATS_NKEY or NATS_USER and NATS_PASSWORD"

// IsRefused says whether err is a NATS server's refusal of who connects to it.
func IsRefused(err error) bool {
	for _, refusal := range []error{
		nats.ErrAuthorization, nats.ErrAuthExpired, nats.ErrAuthRevoked, nats.ErrAccountAuthExpired,
	} {
		if errors.Is(err, refusal) {
			return true
		}
	}
	return false
}

// Why returns what a log line should say of the error that keeps a connection
// away: key and value, with what to try where that is known, or nothing.
func Why(err error) []any {
	switch {
	case err == nil:
		return nil
	case IsRefused(err):
		return []any{"err", err, "hint", CredentialsHint}
	}
	return []any{"err", err}
}
