package protocol

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
)

// TestWhatKeepsAConnectionAway is said in words that somebody can act upon, and what
// passes by itself is no obstacle.
func TestWhatKeepsAConnectionAway(t *testing.T) {
	handshake := func(err error) error { return fmt.Errorf("%w: %w", nats.ErrTLS, err) } // as nats.go wraps it
	verify := func(err error) error { return handshake(&tls.CertificateVerificationError{Err: err}) }
	const refused, distrusted = "the NATS server refuses the credentials", "the NATS server can't be trusted"
	for _, tt := range []struct {
		err                  error
		obstacle, text, hint string
	}{
		{nats.ErrNoServers, "", nats.ErrNoServers.Error(), ""},
		{errors.New("EOF"), "", "EOF", ""},
		{nats.ErrAuthorization, refused, nats.ErrAuthorization.Error(), "a machine that was revoked has to join again"},
		{verify(x509.UnknownAuthorityError{}), distrusted, "not from the CA that is trusted here: the coordinator's keys changed, or something else answers", "join again with a new token"},
		{handshake(x509.UnknownAuthorityError{}), distrusted, "not from the CA", "new token"},
		{verify(x509.CertificateInvalidError{Reason: x509.Expired, Detail: "current time A is after B"}), distrusted, "by this machine's clock: current time A is after B", "set the clock"},
		{verify(x509.HostnameError{Certificate: &x509.Certificate{}, Host: "h"}), distrusted, "for another name", "jbc join"},
		{handshake(tls.RecordHeaderError{Msg: "first record does not look like a TLS handshake"}), distrusted, "does not speak TLS", "nats://"},
		{verify(x509.CertificateInvalidError{Reason: x509.NotAuthorizedToSign}), "", "not authorized to sign", ""},
	} {
		if got := Obstacle(tt.err); got != tt.obstacle {
			t.Errorf("Obstacle(%v) = %q, want %q", tt.err, got, tt.obstacle)
		}
		text, hint := Explain(tt.err)
		if !strings.Contains(text, tt.text) || !strings.Contains(hint, tt.hint) || (hint == "") != (tt.hint == "") {
			t.Errorf("Explain(%v) = %q, %q, want %q, %q", tt.err, text, hint, tt.text, tt.hint)
		}
		if said := fmt.Sprint(Why(tt.err)...); !strings.Contains(said, tt.text) || slices.Contains(Why(tt.err), any("hint")) != (tt.hint != "") {
			t.Errorf("Why(%v) = %q, want %q", tt.err, said, tt.text)
		}
	}
	if said := Why(nil); said != nil {
		t.Errorf("Why(nil) = %v", said)
	}
	if got := Obstacle(nil); got != "" {
		t.Errorf("Obstacle(nil) = %q", got)
	}
}
