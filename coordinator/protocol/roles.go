package protocol

import (
	"fmt"
	"strings"
)

// Role says what a machine may do on a NATS server with credentials.
type Role string

// The roles. A token is issued for one of the first three.
const (
	RoleWorker      Role = "worker"
	RoleCoordinator Role = "coordinator"
	RoleObserver    Role = "observer"
	// RoleOwner is whoever can read the coordinator's data directory: worker,
	// observer, and keeper of the tokens.
	RoleOwner Role = "owner"
	// RoleJoiner holds a token that was not traded yet, and can do only that.
	RoleJoiner Role = "joiner"
)

// CheckRole says what is wrong with the role that a token is asked for.
func CheckRole(r Role) error {
	switch r {
	case RoleWorker, RoleCoordinator, RoleObserver:
		return nil
	}
	return fmt.Errorf("no role %.40q, want worker, coordinator or observer", string(r))
}

// Permissions are the subjects that may be published to and subscribed to. What
// they do not list is refused.
type Permissions struct {
	Publish, Subscribe []string
}

// Permissions returns what role may do under a name: that of a worker process for
// RoleWorker and RoleOwner, of the coordinator for RoleCoordinator. Only the
// bearer of the name receives what comes to its inbox, see [InboxPrefix].
// RoleJoiner may ask the coordinator that issued its token, which is given as
// home; other roles ignore home but for RoleOwner, who manages that one.
func (s Subjects) Permissions(role Role, name, home string) Permissions {
	inbox := InboxPrefix(name) + ".>"
	worker := Permissions{
		Publish:   []string{s.Ask("*", name), s.Solved(name), PingSubject},
		Subscribe: []string{s.Job("*"), s.SolvedAny(), inbox},
	}
	observer := Permissions{
		Publish:   []string{s.Get("*"), PingSubject},
		Subscribe: []string{s.SolvedAny(), s.Block("*"), s.Tx("*"), inbox},
	}
	switch role {
	case RoleWorker:
		return worker
	case RoleObserver:
		return observer
	case RoleOwner:
		return Permissions{
			Publish:   append(append(worker.Publish, observer.Publish...), s.Admin(home)),
			Subscribe: append(worker.Subscribe, observer.Subscribe...),
		}
	case RoleCoordinator:
		return Permissions{
			Publish: []string{
				s.Job(name), s.Block(name), s.Tx(name), s.Get("*"), s.Sync("*"),
				PingSubject, "_INBOX.>", // replies go to everybody's inbox
			},
			Subscribe: []string{
				s.AskAny(name), s.Get(name), s.Sync(name), s.Enrol(name), s.Admin(name),
				s.SolvedAny(), s.Block("*"), s.Tx("*"), "$SRV.>", inbox,
			},
		}
	case RoleJoiner:
		return Permissions{Publish: []string{s.Enrol(home)}, Subscribe: []string{inbox}}
	}
	return Permissions{}
}

// InboxPrefix is the prefix of the inboxes that the bearer of a name has replies
// sent to; nobody else may listen there. It goes to nats.CustomInboxPrefix.
func InboxPrefix(name string) string { return "_INBOX." + name }

// JoinerName is the name of whoever holds the token with that public key until it
// is traded. It is the token's id in lists too: the first characters of the key
// that differ from those of others.
func JoinerName(publicKey string) string {
	return publicKey[min(1, len(publicKey)):min(9, len(publicKey))]
}

// MaxMachineName is the longest name of a machine, in bytes. It leaves room for
// what tells apart the processes of one machine.
const MaxMachineName = 24

// CheckMachineName says what is wrong with a machine's name, under which it
// enrols: 1 to 24 letters, digits and '-'. The names of its processes are that
// name, or that name, '_' and more, see [OwnsName].
func CheckMachineName(name string) error {
	if err := CheckName(name); err != nil {
		return err
	}
	if len(name) > MaxMachineName || strings.Contains(name, "_") {
		return fmt.Errorf("machine name %q: want 1 to %d letters, digits and '-'", name, MaxMachineName)
	}
	return nil
}

// MakeMachineName turns any text, such as a host name, into a valid machine name.
func MakeMachineName(text string) string {
	name := strings.ReplaceAll(MakeName(text), "_", "-")
	return name[:min(len(name), MaxMachineName)]
}

// MachineOf returns the machine that a process of that name belongs to.
func MachineOf(name string) string {
	machine, _, _ := strings.Cut(name, "_")
	return machine
}

// OwnsName says whether a machine may call one of its processes name.
func OwnsName(machine, name string) bool {
	rest, ok := strings.CutPrefix(name, machine)
	return ok && (rest == "" || rest[0] == '_') && CheckName(name) == nil
}
