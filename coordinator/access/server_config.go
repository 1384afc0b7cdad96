package access

import (
	"fmt"
	"strings"

	"github.com/jbcnet/jbc/coordinator/protocol"
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
	b.WriteString("# A client that does not read is cut off, a dead one noticed.\nmax_pending: 1MB\nmax_payload: 128KB\nping_interval: \"1s\"\nping_max: 2\n\nauthorization {\n  users = [\n")
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
