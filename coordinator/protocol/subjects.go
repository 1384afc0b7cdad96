package protocol

import (
	"fmt"
	"regexp"
	"strings"
)

// ServiceName is the name under which a coordinator answers micro discovery
// ($SRV.PING, $SRV.INFO).
const ServiceName = "jbc-coordinator"

// Keys of the metadata that a coordinator answers discovery with.
const (
	MetaNetwork = "network" // chain.Params.ID: name and 8 hex digits of the genesis
	MetaName    = "name"    // the coordinator's name, as in its subjects
	MetaKey     = "key"     // its public nkey

	// And of the moment, which an older coordinator does not tell.
	MetaVersion = "version" // of the program, for people
	MetaHeight  = "height"  // of the main chain, decimal
	MetaTip     = "tip"     // its last block's hash
	MetaWork    = "work"    // its chainwork, 64 hex digits
	MetaWorkers = "workers" // how many have a slot, decimal
	// MetaBook changes whenever what the coordinator knows of nodes and machines does:
	// epoch and count, 16 hex digits each, with a dot between.
	MetaBook = "book"
)

// Subjects builds the subjects of one network.
//
//	job.<coordinator>            that coordinator to its workers: job, refresh, hold, rejected
//	ask.<coordinator>.<worker>   that worker to that coordinator: request and reply
//	solved.<worker>              that worker to all
//	block.<coordinator>          a block is in that coordinator's chain, durably
//	get.<coordinator>            observers to that coordinator: request and reply
//	sync.<coordinator>           coordinators to that coordinator: request and reply
//	enrol.<coordinator>          whoever holds a token to that coordinator: request and reply
//	admin.<coordinator>          that coordinator's owner to it: request and reply
//
// Who may publish and subscribe where is [Subjects.Permissions].
type Subjects struct {
	root string
}

// NewSubjects returns the subjects of the network with the given id, for example
// "dev-1a2b3c4d".
func NewSubjects(network string) Subjects { return Subjects{root: "jbc.v1." + network + "."} }

// Job is where coordinator publishes jobs, holds and rejections.
func (s Subjects) Job(coordinator string) string { return s.root + "job." + coordinator }

// Ask is where worker sends its requests to coordinator.
func (s Subjects) Ask(coordinator, worker string) string {
	return s.root + "ask." + coordinator + "." + worker
}

// AskAny matches the requests of every worker to coordinator.
func (s Subjects) AskAny(coordinator string) string { return s.Ask(coordinator, "*") }

// Solved is where worker announces that it solved a job.
func (s Subjects) Solved(worker string) string { return s.root + "solved." + worker }

// SolvedAny matches the solutions of every worker.
func (s Subjects) SolvedAny() string { return s.Solved("*") }

// Block is where coordinator announces the blocks that are safely in its chain.
func (s Subjects) Block(coordinator string) string { return s.root + "block." + coordinator }

// Get is where observers ask coordinator for its state and its blocks.
func (s Subjects) Get(coordinator string) string { return s.root + "get." + coordinator }

// Sync is where other coordinators ask coordinator for headers and blocks.
func (s Subjects) Sync(coordinator string) string { return s.root + "sync." + coordinator }

// Tx is where coordinator announces the transactions that it took up.
func (s Subjects) Tx(coordinator string) string { return s.root + "tx." + coordinator }

// Enrol is where a machine trades a token for a place of its own.
func (s Subjects) Enrol(coordinator string) string { return s.root + "enrol." + coordinator }

// Admin is where coordinator's owner issues and revokes tokens.
func (s Subjects) Admin(coordinator string) string { return s.root + "admin." + coordinator }

// LastToken returns what follows the last dot of a subject: the worker of an ask,
// the publisher of a solution.
func LastToken(subject string) string { return subject[strings.LastIndexByte(subject, '.')+1:] }

// maxName bounds the names of coordinators and workers; a coordinator's name is
// pushed into every coinbase it makes.
const maxName = 32

// CheckName says what is wrong with a coordinator's or worker's name, which has
// to be one token of a subject: 1 to 32 letters, digits, '-' and '_'.
func CheckName(name string) error {
	if name == "" || len(name) > maxName {
		return fmt.Errorf("name %q has %d characters, want 1 to %d", name, len(name), maxName)
	}
	for _, r := range name {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_':
		default:
			return fmt.Errorf("name %q has the character %q, want letters, digits, '-' and '_'", name, r)
		}
	}
	return nil
}

// networkID is the form of chain.Params.ID.
var networkID = regexp.MustCompile(`^[a-z0-9-]{1,32}-[0-9a-f]{8}$`)

// IsNetworkID says whether s has the form of a network's id: its name, a dash and
// 8 hex digits.
func IsNetworkID(s string) bool { return networkID.MatchString(s) }

// MakeName turns any text, such as a host name, into a valid name.
func MakeName(text string) string {
	name := strings.Map(func(r rune) rune {
		if CheckName(string(r)) == nil {
			return r
		}
		return '-'
	}, text)
	if len(name) > maxName {
		name = name[:maxName]
	}
	if name == "" {
		return "jbc"
	}
	return name
}
