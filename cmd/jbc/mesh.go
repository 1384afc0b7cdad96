package main

import (
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/nats-io/nkeys"
	"github.com/spf13/cobra"

	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/coordinator"
	"github.com/jbcnet/jbc/coordinator/access"
	"github.com/jbcnet/jbc/coordinator/protocol"
)

// meshFlags say how a coordinator's server meets those of other coordinators.
type meshFlags struct {
	listen string
	nodes  []string
}

const (
	// meshOff is what --mesh takes to meet nobody.
	meshOff = "off"
	// meshAbove is how far above the port of --listen that of --mesh is, as 6222 is
	// above 4222 where NATS servers are concerned.
	meshAbove = 2000
)

func (m *meshFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&m.listen, "mesh", "", "`host:port` where the servers of other coordinators connect, off for none (default 2000 above --listen)")
	flags.StringArrayVar(&m.nodes, "node", nil, "`host:port` of the --mesh of another coordinator on this machine (may be repeated)")
}

// check refuses what makes no sense without an embedded server, and nodes that
// nobody could trust.
func (f *coordinatorFlags) checkMesh() error {
	m := &f.mesh
	given := m.listen != "" && m.listen != meshOff || len(m.nodes) > 0
	switch {
	case !given:
		return nil
	case f.nats.url != "":
		return usageError(errors.New("--mesh and --node are for the embedded NATS server, and --nats names another"), "leave one of them out")
	case f.place.isGuest():
		return usageError(errors.New("--mesh or --node is given, and --join without --listen works on another coordinator's server"), "give --listen HOST:PORT too, for a server of its own in the mesh")
	case m.listen == meshOff && len(m.nodes) > 0:
		return usageError(errors.New("--node is given, and --mesh off meets nobody"), "leave one of them out")
	case f.listensToOthers() && len(m.nodes) > 0:
		return usageError(errors.New("--node names others without credentials, and this coordinator has some"), "on the other's machine: jbc token new --role coordinator; here: jbc join, then --join FILE")
	}
	if m.listen != "" && m.listen != meshOff {
		if err := f.checkMeshAddress("--mesh", m.listen, 0); err != nil {
			return err
		}
	}
	for _, node := range m.nodes {
		if err := f.checkMeshAddress("--node", node, 1); err != nil {
			return err
		}
	}
	return nil
}

// checkMeshAddress checks what a flag says, whose port is at least that.
func (f *coordinatorFlags) checkMeshAddress(flag, address string, least int) error {
	host, port, err := net.SplitHostPort(address)
	n, notNumber := strconv.Atoi(port)
	switch {
	case err != nil || notNumber != nil || n < least || n > 65535:
		return usageError(fmt.Errorf("%s %q: want HOST:PORT", flag, address), "for example "+flag+" 127.0.0.1:6222")
	case !f.listensToOthers() && !coordinator.IsLoopback(host):
		return usageError(fmt.Errorf("%s %q: %w", flag, address, coordinator.ErrNotLoopback), "other machines are met with credentials: jbc token new --role coordinator on one, jbc join on the other, then --join FILE --listen HOST:PORT")
	}
	return nil
}

// mesh returns how the embedded server meets others, nil for not at all. key and
// keeper are nil without credentials.
func (f *coordinatorFlags) meshOf(params *chain.Params, key nkeys.KeyPair, keeper *access.Keeper) (*coordinator.Mesh, error) {
	m := &coordinator.Mesh{Listen: f.mesh.listen, Network: params.ID(), Nodes: f.mesh.nodes}
	switch f.mesh.listen {
	case meshOff:
		return nil, nil
	case "":
		host, port, err := net.SplitHostPort(f.listen)
		if err != nil {
			return nil, explainListen(&coordinator.ListenError{Listen: f.listen, Err: err})
		}
		m.Listen, m.Fallback = net.JoinHostPort(host, meshPort(port)), true
	}
	if keeper != nil {
		m.Key, m.Trusted = key, keeper.IsCoordinator
		m.Name = func(publicKey string) string { name, _ := keeper.Coordinator(publicKey); return name }
		if f.place.member != nil {
			m.Nodes = f.place.member.Routes
		}
	}
	return m, nil
}

// meshPort returns the port of a mesh whose server listens on that one.
func meshPort(port string) string {
	n, err := strconv.Atoi(port)
	if err != nil || n == 0 || n+meshAbove > 65535 {
		return "0"
	}
	return strconv.Itoa(n + meshAbove)
}

// meshKey returns the key that routes know this coordinator by: that of its join, or
// the one that signs jobs.
func (f *coordinatorFlags) meshKey(dir *dataDir) (nkeys.KeyPair, error) {
	if f.place.member != nil {
		return nkeys.FromSeed([]byte(f.place.member.Seed))
	}
	return coordinator.SigningKey(dir.path)
}

// found puts this coordinator, and the one that it joined, into the book of machines.
func (f *coordinatorFlags) found(keeper *access.Keeper, key nkeys.KeyPair, now time.Time) error {
	public, err := key.PublicKey()
	if err != nil {
		return err
	}
	self := protocol.Machine{Key: public, Name: f.name, Role: protocol.RoleCoordinator, Home: f.name, Joined: now.Unix()}
	var others []protocol.Machine
	if m := f.place.member; m != nil {
		self.Name, self.Home, self.Joined = m.Name, m.Coordinator, m.Joined.Unix()
		if m.Mesh != "" {
			others = append(others, protocol.Machine{
				Key: m.Mesh, Name: m.Coordinator, Role: protocol.RoleCoordinator, Home: m.Coordinator, Joined: m.Joined.Unix(),
			})
		}
	}
	err = keeper.Found(now, self, others...)
	switch {
	case errors.Is(err, access.ErrRevoked):
		return withHint(fmt.Errorf("this coordinator's place in the mesh: %w", err), "join again with a new token (jbc token new --role coordinator there), or move "+tlsDir+" and the join away to found a mesh of its own")
	case errors.Is(err, access.ErrOtherName):
		return withHint(err, "start it with the --name that it had, or with another --data-dir")
	}
	return err
}

// node returns what the coordinator says of itself to others, nil where its server
// meets nobody.
func (f *coordinatorFlags) node(farm *farmConn, mesh nkeys.KeyPair) (*coordinator.NodeConfig, error) {
	b := farm.broker
	if b == nil || b.MeshPort() == 0 {
		return nil, nil
	}
	n := &coordinator.NodeConfig{Mesh: mesh, NodesChanged: f.dialNodes(b), Revoked: b.CutNode}
	host := f.mesh.listen
	if host == "" {
		host = f.listen
	}
	host, _, err := net.SplitHostPort(host)
	if err != nil {
		return nil, err
	}
	port := strconv.Itoa(b.MeshPort())
	if farm.access == nil {
		address, route := net.JoinHostPort("127.0.0.1", strconv.Itoa(b.Port())), net.JoinHostPort("127.0.0.1", port)
		n.Where = func() ([]string, []string) { return []string{address}, []string{route} }
		return n, nil
	}
	n.Secure = true
	n.Where = func() ([]string, []string) {
		routes, _ := reach(host, port, f.advertisedHosts(), interfaces()) // the hosts were tried at the start
		return farm.access.Addresses(), routes
	}
	block, _ := pem.Decode([]byte(farm.access.Certs.CA()))
	n.CA = block.Bytes
	return n, nil
}

// advertisedHosts returns the hosts of --advertise: they are reached at other ports
// too.
func (f *coordinatorFlags) advertisedHosts() (hosts []string) {
	for _, a := range f.advertise {
		if address, err := advertised(a, "1"); err == nil {
			host, _, _ := net.SplitHostPort(address)
			hosts = append(hosts, host)
		}
	}
	return hosts
}

// dialNodes has the server dial the nodes that are known, beside those that were
// named.
func (f *coordinatorFlags) dialNodes(b *coordinator.Broker) func([]protocol.Node) {
	named := f.mesh.nodes
	if f.place.member != nil {
		named = f.place.member.Routes
	}
	return func(nodes []protocol.Node) {
		addresses := append([]string(nil), named...)
		for _, n := range nodes {
			addresses = append(addresses, n.Routes...)
		}
		_ = b.SetNodes(addresses) // which were checked
	}
}

// join makes the coordinator a node of a mesh, where its server meets others.
func (f *coordinatorFlags) join(farm *farmConn, dir *dataDir) error {
	var (
		mesh nkeys.KeyPair
		err  error
	)
	if farm.access != nil {
		if mesh, err = f.meshKey(dir); err != nil {
			return fmt.Errorf("key for the mesh: %w", err)
		}
	}
	farm.node, err = f.node(farm, mesh)
	return err
}
