package protocol

import (
	"crypto/tls"
	"crypto/x509"
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
const CredentialsHint = "check NATS_CREDS, NATS_NKEY or NATS_USER and NATS_PASSWORD; a machine that was revoked has to join again"

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

// Obstacle names what keeps a connection away when it is something that somebody
// has to look into, and is empty for what passes by itself.
func Obstacle(err error) string {
	if IsRefused(err) {
		return "the NATS server refuses the credentials"
	}
	if problem, _ := certificateTrouble(err); problem != "" {
		return "the NATS server can't be trusted"
	}
	return ""
}

// certificateTrouble says in plain words why a server was not believed to be the one
// that it should be, and what to try; nothing where err is about something else.
func certificateTrouble(err error) (problem, hint string) {
	var (
		unknown x509.UnknownAuthorityError
		other   x509.HostnameError
		invalid x509.CertificateInvalidError
		noTLS   tls.RecordHeaderError
	)
	switch {
	case errors.As(err, &unknown):
		return "the server's certificate is not from the CA that is trusted here: the coordinator's keys changed, or something else answers",
			"where the coordinator is known to have new keys, join again with a new token (jbc token new there); for a NATS server of your own check NATS_CA"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "the server's certificate is not valid by this machine's clock: " + invalid.Detail,
			"set the clock of this machine; where that is right, restart the coordinator: it renews its certificate"
	case errors.As(err, &other):
		return "the server's certificate is for another name: something else answers, or the address is wrong",
			"connect to a coordinator where this machine joined (jbc join), without an address"
	case errors.As(err, &noTLS):
		return "the server does not speak TLS: something else answers",
			"check the address; to a server without TLS it begins with nats://"
	}
	return "", ""
}

// Explain returns what people should read of an error that keeps a connection
// away, and what to try where that is known.
func Explain(err error) (text, hint string) {
	if problem, hint := certificateTrouble(err); problem != "" {
		return problem, hint
	}
	if IsRefused(err) {
		return err.Error(), CredentialsHint
	}
	return err.Error(), ""
}

// Why returns what a log line should say of the error that keeps a connection
// away: key and value, with what to try where that is known, or nothing.
func Why(err error) []any {
	if err == nil {
		return nil
	}
	text, hint := Explain(err)
	if hint == "" {
		return []any{"err", err}
	}
	return []any{"err", text, "hint", hint}
}
