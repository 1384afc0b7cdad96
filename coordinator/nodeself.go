package coordinator

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nkeys"

	"github.com/jbcnet/jbc/coordinator/protocol"
)

// NodeConfig is what a coordinator needs to be a node of a mesh.
type NodeConfig struct {
	// Where says where clients connect, and where other nodes do: HOST:PORT, the
	// likeliest first. What is too much for a record is left out. It is asked at the
	// start and every minute: a machine may have no address for a while.
	Where func() (addresses, routes []string)
	// CA is the DER of the certificate that the server's chain ends in, empty without
	// TLS.
	CA []byte
	// Mesh is the key that routes know this node by; nil is the one that signs jobs.
	Mesh nkeys.KeyPair
	// Secure has the word of other nodes count only where the keeper of Access knows
	// their keys, which has to know this one's too: see [access.Keeper.Found].
	Secure bool
	// NodesChanged, if not nil, is told of all other nodes at the start and whenever
	// they change, one call at a time.
	NodesChanged func([]protocol.Node)
	// Revoked, if not nil, is told of each coordinator that is not trusted on routes
	// any more, by its key there.
	Revoked func(meshKey string)
}

// meshSelf is what a node of a mesh knows and keeps doing.
type meshSelf struct {
	cfg  *NodeConfig
	mesh nkeys.KeyPair
	// alone is the epoch where there is no book of machines.
	alone uint64
	wake  chan struct{} // somebody is to be asked, or may be by now

	changing sync.Mutex      // the nodes change, are written and told of one at a time
	untold   bool            // that this node is not trusted itself was logged
	barred   map[string]bool // by public key: machines whose name is another's, as was logged

	mu   sync.Mutex // guards what follows
	book *nodeBook
	plan *askPlan
}

// newMeshSelf checks cfg and makes what a node knows at first: itself.
func newMeshSelf(cfg *Config, publicKey string) (*meshSelf, error) {
	if cfg.Node.Secure && cfg.Access == nil {
		return nil, errors.New("node: nobody knows whom to trust: access missing")
	}
	s := &meshSelf{
		cfg: cfg.Node, mesh: cfg.Node.Mesh, alone: rand.Uint64(), wake: make(chan struct{}, 1),
		barred: map[string]bool{}, plan: newAskPlan(),
	}
	if s.mesh == nil {
		s.mesh = cfg.Key
	}
	mesh, err := s.mesh.PublicKey()
	if err != nil {
		return nil, fmt.Errorf("node: mesh key: %w", err)
	}
	own := protocol.Node{Network: cfg.Params.ID(), Name: cfg.Name, Key: publicKey, Mesh: mesh, CA: cfg.Node.CA}
	own.Addresses, own.Routes = fit(cfg.Node.Where())
	if own, err = s.signed(own); err != nil {
		return nil, err
	}
	s.book = newNodeBook(own)
	return s, nil
}

// fit leaves out what is too much for a record: the least likely of the longer list.
func fit(addresses, routes []string) ([]string, []string) {
	a := append([]string{}, addresses[:min(len(addresses), protocol.MaxAddresses)]...)
	r := append([]string{}, routes[:min(len(routes), protocol.MaxAddresses)]...)
	size := func(l []string) (n int) {
		for _, s := range l {
			n += len(s)
		}
		return n
	}
	for size(a)+size(r) > protocol.MaxNodeText {
		if size(a) > size(r) {
			a = a[:len(a)-1]
		} else {
			r = r[:len(r)-1]
		}
	}
	return a, r
}

// signed returns a record with its proof.
func (s *meshSelf) signed(own protocol.Node) (protocol.Node, error) {
	proof, err := s.mesh.Sign(own.Proven())
	if err != nil {
		return own, fmt.Errorf("node: mesh key: %w", err)
	}
	own.Proof = proof
	return own, own.Check()
}

// ownNow returns what this node has to say of itself. While it has no address, since
// its network is away, it stays where it was.
func (s *meshSelf) ownNow(last protocol.Node) protocol.Node {
	own := s.book.own
	if addresses, routes := s.cfg.Where(); len(addresses)+len(routes) > 0 {
		own.Addresses, own.Routes = fit(addresses, routes)
	} else if last.Said > 0 {
		own.Addresses, own.Routes = last.Addresses, last.Routes
	}
	return own
}

// restated returns the node's own record as it is to be said now, and whether it has
// to be said anew: it says something else than last did, that is a day ago, or
// somebody heard this node say something later than it remembers, at atLeast.
func (s *meshSelf) restated(now time.Time, own, last protocol.Node, atLeast int64) (protocol.Node, bool, error) {
	same := last.Said > 0 && last.Key == own.Key && slices.Equal(last.CA, own.CA) &&
		slices.Equal(last.Addresses, own.Addresses) && slices.Equal(last.Routes, own.Routes)
	if same && atLeast < last.Said && now.Sub(time.UnixMilli(last.Said)) < restateTime {
		return last, false, nil
	}
	if own.Said = max(now.UnixMilli(), last.Said+1, atLeast+1); own.Said > protocol.MaxSaid {
		return last, false, nil // only its own key can have said so
	}
	own, err := s.signed(own)
	return own, true, err
}

// counts says whether what a node says of itself counts.
func (c *Coordinator) counts(n *protocol.Node) bool {
	if !c.node.cfg.Secure {
		return true
	}
	name, trusted := c.cfg.Access.Keeper.Coordinator(n.Mesh)
	return trusted && protocol.OwnsName(name, n.Name)
}

// Nodes returns the nodes of the mesh that are known, this coordinator first and then
// by name; none where it is in no mesh.
func (c *Coordinator) Nodes() []protocol.Node {
	if c.node == nil {
		return nil
	}
	c.node.mu.Lock()
	defer c.node.mu.Unlock()
	return append([]protocol.Node{c.node.book.own}, c.node.book.Others()...)
}

// bookText returns what discovery tells of what this node knows, empty where it is in
// no mesh.
func (c *Coordinator) bookText() string {
	if c.node == nil {
		return ""
	}
	c.node.mu.Lock()
	epoch, count := c.node.alone, c.node.book.count
	c.node.mu.Unlock()
	if c.cfg.Access != nil {
		of, machines := c.cfg.Access.Keeper.Count()
		epoch, count = of, count+machines
	}
	return fmt.Sprintf("%016x.%016x", epoch, count)
}
