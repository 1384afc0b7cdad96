package protocol

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/nats-io/nkeys"
)

// A mesh is the embedded servers of the coordinators of one network, joined by
// NATS routes. Each coordinator in it is a node.

// Kinds of what is asked about a mesh.
const (
	KindNodes    = "nodes"    // on a coordinator's sync subject, and on a worker's ask subject
	KindMachines = "machines" // on a coordinator's sync subject
)

const (
	// MaxNodes is the most nodes of one reply: four of the largest fit in a message.
	MaxNodes = 4
	// MaxMachines is the most machines of one reply.
	MaxMachines = MaxListed
	// MaxNodeText is how many bytes all addresses and routes of a node may have
	// together.
	MaxNodeText = 1024
	// maxCA bounds a certificate.
	maxCA = 1024
	// meshSeconds bounds times on the wire, in unix seconds.
	meshSeconds = 1 << 40
	// MaxSaid bounds when a node can say something, in unix milliseconds.
	MaxSaid = 1000 * meshSeconds
)

// Node is what a coordinator of a mesh says of itself, to be passed on by
// anybody: it is signed with the key that the routes of the mesh know it by.
type Node struct {
	Network string `json:"network"` // chain.Params.ID
	Name    string `json:"name"`
	Key     string `json:"key"`  // its public nkey, which signs jobs
	Mesh    string `json:"mesh"` // its public nkey on routes: Key's owner's too, or that of the machine that joined
	// CA is the DER of the certificate that its server's chain ends in, empty where it
	// serves this machine alone and without TLS.
	CA Bytes `json:"ca,omitempty"`
	// Addresses are where clients connect, HOST:PORT, the likeliest first.
	Addresses list[string] `json:"addresses"`
	// Routes are where other nodes connect, HOST:PORT.
	Routes list[string] `json:"routes"`
	// Said is when this was said, in unix milliseconds by its own clock: what is said
	// later counts.
	Said  int64 `json:"said"`
	Proof Bytes `json:"proof"` // Mesh's signature over [Node.Proven]
}

// Proven returns what Proof signs: each text with its length before it, in order.
func (n *Node) Proven() []byte {
	b := []byte(signatureContext + "node\n")
	text := func(s string) {
		b = binary.BigEndian.AppendUint32(b, uint32(len(s)))
		b = append(b, s...)
	}
	for _, s := range []string{n.Network, n.Name, n.Key, n.Mesh, string(n.CA)} {
		text(s)
	}
	for _, l := range [][]string{n.Addresses, n.Routes} {
		b = binary.BigEndian.AppendUint32(b, uint32(len(l)))
		for _, s := range l {
			text(s)
		}
	}
	return binary.BigEndian.AppendUint64(b, uint64(n.Said))
}

// Check says what is wrong with what a node says of itself, its proof included.
// Whether the mesh knows its key is another question.
func (n *Node) Check() error {
	if !IsNetworkID(n.Network) || !nkeys.IsValidPublicUserKey(n.Key) || !nkeys.IsValidPublicUserKey(n.Mesh) {
		return fmt.Errorf("node: network %.60q, key %.60q, mesh %.60q", n.Network, n.Key, n.Mesh)
	}
	if err := CheckName(n.Name); err != nil {
		return fmt.Errorf("node: %w", err)
	}
	if len(n.CA) > maxCA || len(n.Proof) != ed25519.SignatureSize || n.Said < 0 || n.Said > MaxSaid {
		return fmt.Errorf("node %s: ca of %d bytes, proof of %d, said at %d", n.Name, len(n.CA), len(n.Proof), n.Said)
	}
	if err := n.checkAddresses(); err != nil {
		return fmt.Errorf("node %s: %w", n.Name, err)
	}
	key, err := nkeys.FromPublicKey(n.Mesh)
	if err != nil || key.Verify(n.Proven(), n.Proof) != nil {
		return fmt.Errorf("node %s: %w", n.Name, ErrProof)
	}
	if len(n.CA) > 0 { // last: only its owner can have said it
		if _, err := x509.ParseCertificate(n.CA); err != nil {
			return fmt.Errorf("node %s: ca: %w", n.Name, err)
		}
	}
	return nil
}

func (n *Node) checkAddresses() error {
	text := 0
	for _, l := range [][]string{n.Addresses, n.Routes} {
		if len(l) > MaxAddresses {
			return fmt.Errorf("%d addresses, at most %d", len(l), MaxAddresses)
		}
		for _, a := range l {
			if err := checkAddress(a); err != nil {
				return err
			}
			text += len(a)
		}
	}
	if text > MaxNodeText {
		return fmt.Errorf("addresses of %d bytes, at most %d", text, MaxNodeText)
	}
	return nil
}

// CheckAddress says what is wrong with where a server is reached, which has to be
// HOST:PORT, with a port from 1 to 65535, and nothing that a URL reads as more.
func CheckAddress(a string) error { return checkAddress(a) }

// ErrProof says that a node's record was not made by the owner of its key.
var ErrProof = errors.New("not signed by the key that it names")

// AskNodes asks for the nodes that a coordinator knows, its own record first, then
// by name.
type AskNodes struct {
	Ask
	// After is the name after which the list goes on, empty for its beginning.
	After string `json:"after,omitempty"`
}

// Validate implements [Message].
func (a *AskNodes) Validate() error {
	if a.After != "" {
		if err := CheckName(a.After); err != nil {
			return err
		}
	}
	return a.is(KindNodes)
}

// NodesReply answers [AskNodes].
type NodesReply struct {
	Reply
	Nodes list[Node] `json:"nodes"`
	// After is what the next question has, empty on the last page.
	After string `json:"after,omitempty"`
}

// Validate implements [Message]. Records are as they came: see [Node.Check].
func (r *NodesReply) Validate() error {
	if err := r.Reply.Validate(); err != nil || r.Code != OK {
		return err
	}
	if len(r.Nodes) > MaxNodes {
		return fmt.Errorf("%d nodes, at most %d", len(r.Nodes), MaxNodes)
	}
	if r.After != "" {
		return CheckName(r.After)
	}
	return nil
}

// Machine is one that joined a mesh, as its nodes tell each other.
type Machine struct {
	Key     string `json:"key"` // its public nkey
	Name    string `json:"name"`
	Role    Role   `json:"role"`
	Home    string `json:"home"`              // the coordinator that it joined
	Joined  int64  `json:"joined"`            // unix seconds
	Revoked int64  `json:"revoked,omitempty"` // unix seconds, 0 for never
}

// Check says what is wrong with a machine.
func (m *Machine) Check() error {
	if !nkeys.IsValidPublicUserKey(m.Key) {
		return fmt.Errorf("machine key %.60q", m.Key)
	}
	if err := CheckRole(m.Role); err != nil {
		return fmt.Errorf("machine: %w", err)
	}
	check := CheckMachineName
	if m.Role == RoleCoordinator { // the founder of a mesh is in its own list, under its own name
		check = CheckName
	}
	if err := check(m.Name); err != nil {
		return fmt.Errorf("machine: %w", err)
	}
	if err := CheckName(m.Home); err != nil {
		return fmt.Errorf("machine %s: home: %w", m.Name, err)
	}
	if m.Joined < 0 || m.Joined > meshSeconds || m.Revoked < 0 || m.Revoked > meshSeconds {
		return fmt.Errorf("machine %s: joined at %d, revoked at %d", m.Name, m.Joined, m.Revoked)
	}
	return nil
}

// AskMachines asks another coordinator for the machines that joined, all or those
// that changed since.
type AskMachines struct {
	Ask
	// Epoch and After are those of the last reply, zero at first. Of another epoch
	// everything is told again.
	Epoch Point `json:"epoch"`
	After Point `json:"after"`
}

// Validate implements [Message].
func (a *AskMachines) Validate() error { return a.is(KindMachines) }

// MachinesReply answers [AskMachines].
type MachinesReply struct {
	Reply
	Epoch    Point         `json:"epoch"` // of this run of the coordinator
	After    Point         `json:"after"` // what the next question has
	More     bool          `json:"more,omitempty"`
	Machines list[Machine] `json:"machines"`
}

// Validate implements [Message].
func (r *MachinesReply) Validate() error {
	if err := r.Reply.Validate(); err != nil || r.Code != OK {
		return err
	}
	if len(r.Machines) > MaxMachines {
		return fmt.Errorf("%d machines, at most %d", len(r.Machines), MaxMachines)
	}
	for i := range r.Machines {
		if err := r.Machines[i].Check(); err != nil {
			return err
		}
	}
	return nil
}

// Open reads the JSON reply to a request of another coordinator into m. The error is
// [ErrSignature] where the owner of publicKey did not sign it as the reply to that
// very request, or the [Code] of a refusal.
func Open(publicKey string, class Class, signature string, data []byte, m interface {
	Message
	Answer() *Reply
}) error {
	if err := Verify(publicKey, class, signature, data); err != nil {
		return err
	}
	if err := Decode(data, m); err != nil {
		return err
	}
	if a := m.Answer(); a.Code != OK {
		if a.Detail == "" {
			return a.Code
		}
		return fmt.Errorf("%w: %.200q", a.Code, a.Detail)
	}
	return nil
}
