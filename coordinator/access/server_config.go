package access

import (
	"fmt"
	"strings"
	"time"

	"github.com/jbcnet/jbc/coordinator/protocol"
)

// How a NATS server of a farm treats its clients, the embedded one and any other.
const (
	// MaxPending bounds what the server holds for a client that does not read. At
	// NATS's default of 64 MiB twenty stalled workers cost over a gigabyte.
	MaxPending = 1 << 20
	// MaxPayload is the longest message, headers included. It has to stay far below
	// MaxPending: what one worker sends to all is held for each of them, and a few
	// such messages at once must cut off nobody.
	MaxPayload = protocol.MaxMessage + 1<<10
	// PingInterval and MaxPings notice a dead client in 10 to 15 s. Nothing hangs on
	// it: leases run out long before. Less would cut off the living, the coordinator
	// first, while ten thousand come back at once.
	PingInterval = 5 * time.Second
	MaxPings     = 2
)

// ServerUser is who may connect to a NATS server that somebody else runs.
type ServerUser struct {
	Role protocol.Role
	// Name is the one that its permissions are for: a coordinator's or worker
	// process's, and for all the name of the inbox, see [protocol.InboxPrefix].
	Name      string
	PublicKey string
	Home      string // the coordinator that it manages, for [protocol.RoleOwner]
}

// ServerConfig returns the part of a nats-server's configuration that gives users
// the same permissions as the embedded server does. Everybody else is refused.
func ServerConfig(s protocol.Subjects, users []ServerUser) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# A client that does not read is cut off, a dead one noticed.\nmax_pending: %d\nmax_payload: %d\nping_interval: %q\nping_max: %d\n\nauthorization {\n  users = [\n",
		MaxPending, MaxPayload, PingInterval, MaxPings)
	for _, u := range users {
		p := s.Permissions(u.Role, u.Name, u.Home)
		fmt.Fprintf(&b, "    { # %s %s\n      nkey: %s\n      permissions: {\n", u.Role, u.Name, u.PublicKey)
		allow(&b, "publish", p.Publish)
		allow(&b, "subscribe", p.Subscribe)
		b.WriteString("      }\n    }\n")
	}
	b.WriteString("  ]\n}\n")
	return b.String()
}

func allow(b *strings.Builder, what string, subjects []string) {
	fmt.Fprintf(b, "        %s: { allow: [\n", what)
	for _, subject := range subjects {
		fmt.Fprintf(b, "          %q\n", subject)
	}
	b.WriteString("        ] }\n")
}
