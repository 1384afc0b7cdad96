package coordinator

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"

	"github.com/jbcnet/jbc/coordinator/access"
)

// Mesh says where and how an embedded server meets those of the other coordinators
// of its network. Two servers that have met are joined by a NATS route: what is
// published at one is heard at the other.
type Mesh struct {
	// Listen is HOST:PORT, on loopback unless the server is secure; port 0 takes a free
	// one.
	Listen string
	// Fallback takes a free port where that of Listen is taken.
	Fallback bool
	Network  string // chain.Params.ID
	// Nodes are HOST:PORT of others to dial, see [Broker.SetNodes].
	Nodes []string
	// Key is the mesh key and Trusted says of a public one whether it is met. Both are
	// nil on a server without credentials, which is met by whoever is on this machine.
	Key     nkeys.KeyPair
	Trusted func(publicKey string) bool
	// Name returns the machine that a trusted key is of: the other is not met under a
	// name that is not that machine's. Nil to take every name.
	Name func(publicKey string) string
}

// Route is another server that is met.
type Route struct {
	Name    string // of its coordinator, as it says, see [Mesh.Name]
	Key     string // its public mesh key, empty without credentials
	Address string // HOST:PORT of the other end of the connection
	Since   time.Time
}

const (
	// routePing and routePings notice a dead route in 2 to 3 s.
	routePing  = time.Second
	routePings = 2
)

// mesh joins the embedded server to others. It owns the connections: NATS itself can
// neither be told of new nodes nor cut a route without a reload, which asks the gate
// again for every client and drops all that logged in with an nkey.
type mesh struct {
	cfg      Mesh
	name     string
	port     int         // of listener
	tls      *tls.Config // nil on a server without credentials
	log      *slog.Logger
	listener net.Listener
	id       string        // NATS's of the server
	inner    string        // where the server takes routes of this process
	over     chan struct{} // closed by end
	running  sync.WaitGroup
	reports  reports
	doors    doors

	mu       sync.Mutex
	ended    bool
	sameName bool               // which was told
	conns    map[net.Conn]bool  // all that stand, met or not
	met      map[string]*peer   // by the server's id, also those on the point of being met
	ours     map[string]bool    // local addresses of our connections to the server
	targets  map[string]*target // by address
	found    map[string]string  // the id of the server that was last found at an address
}

// openMesh listens for others. Nobody is met before run.
func openMesh(cfg Mesh, name string, secure bool, log *slog.Logger) (*mesh, error) {
	host, _, err := splitListen(cfg.Listen)
	if err == nil && !secure && !IsLoopback(host) {
		err = ErrNotLoopback
	}
	if err != nil {
		return nil, &ListenError{cfg.Listen, err}
	}
	m := &mesh{
		cfg: cfg, name: name, log: log, over: make(chan struct{}), doors: doors{open: map[string]int{}}, reports: reports{last: map[string]time.Time{}},
		conns: map[net.Conn]bool{}, met: map[string]*peer{}, ours: map[string]bool{}, targets: map[string]*target{}, found: map[string]string{},
	}
	if secure {
		if m.tls, err = access.MeshTLS(cfg.Key, cfg.Trusted); err != nil {
			return nil, err
		}
	}
	if _, err = m.checkNodes(cfg.Nodes); err != nil {
		return nil, err
	}
	m.listener, err = net.Listen("tcp", cfg.Listen)
	if cfg.Fallback && errors.Is(err, syscall.EADDRINUSE) {
		m.listener, err = net.Listen("tcp", net.JoinHostPort(host, "0"))
	}
	if err != nil {
		return nil, &ListenError{cfg.Listen, err}
	}
	m.port = m.listener.Addr().(*net.TCPAddr).Port
	return m, nil
}

// cluster is what NATS calls the mesh of a network: a server of another is refused.
func (m *mesh) cluster() string { return "jbc-" + m.cfg.Network }

// options have the server take routes from this process alone, and let pass only
// what belongs to the network.
func (m *mesh) options(opts *server.Options) {
	pass := newCrossing(m.cfg.Network).permission()
	opts.Cluster = server.ClusterOpts{
		Name: m.cluster(), Host: "127.0.0.1", Port: server.RANDOM_PORT,
		Username:     "route", // whoever connects has to say who it is: see Check
		AuthTimeout:  loginTime.Seconds(),
		NoAdvertise:  true, // machines know where to come back to; a bridge's address only costs them time
		PoolSize:     -1,
		Compression:  server.CompressionOpts{Mode: server.CompressionOff},
		PingInterval: routePing, MaxPingsOut: routePings,
		Permissions: &server.RoutePermissions{Import: pass, Export: pass},
	}
	opts.CustomRouterAuthentication = m
}

// Check implements [server.Authentication] for routes: those of this process are
// known by their address.
func (m *mesh) Check(c server.ClientAuthentication) bool {
	from := c.RemoteAddress()
	if from == nil { // it is closed already
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.ours[from.String()]
}

// run meets others until end.
func (m *mesh) run(s *server.Server) {
	m.id, m.inner = s.ID(), s.ClusterAddr().String()
	m.start(m.accept)
	_ = m.setNodes(m.cfg.Nodes) // which were checked
}

// start runs f in the background, unless the mesh has ended.
func (m *mesh) start(f func()) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.startLocked(f)
}

func (m *mesh) startLocked(f func()) bool {
	if !m.ended {
		m.running.Go(f)
	}
	return !m.ended
}

// end leaves everybody and returns when nothing runs any more.
func (m *mesh) end() {
	m.mu.Lock()
	if !m.ended {
		close(m.over)
	}
	m.ended = true
	for conn := range m.conns {
		_ = conn.Close()
	}
	for _, t := range m.targets {
		t.drop()
	}
	m.mu.Unlock()
	_ = m.listener.Close()
	m.running.Wait()
}

// ErrNoMesh says that a server meets no others.
var ErrNoMesh = errors.New("the embedded server is in no mesh")

// MeshPort is where other servers connect, 0 where there is no mesh.
func (b *Broker) MeshPort() int {
	if b.mesh == nil {
		return 0
	}
	return b.mesh.port
}

// SetNodes has these addresses, HOST:PORT, be dialled from now on, for ever: whoever
// is lost is dialled again. Nodes that others tell of are dialled besides, for ten
// minutes after they were last met. An address that is not named any more is
// treated like those while a route to it stands, and dropped otherwise: SetNodes
// itself cuts nobody. It is safe for concurrent use.
func (b *Broker) SetNodes(addresses []string) error {
	if b.mesh == nil {
		return ErrNoMesh
	}
	return b.mesh.setNodes(addresses)
}

// CutNode cuts the route of a node whose key is not trusted any more, whichever side
// dialled. Trusted must say so before: then it is not let in again either.
func (b *Broker) CutNode(publicKey string) {
	if b.mesh == nil || publicKey == "" {
		return
	}
	b.mesh.mu.Lock()
	defer b.mesh.mu.Unlock()
	for _, p := range b.mesh.met {
		if p.key == publicKey {
			p.hangUp()
		}
	}
}

// Routes returns who is met now, by name.
func (b *Broker) Routes() (routes []Route) {
	if b.mesh == nil {
		return nil
	}
	b.mesh.mu.Lock()
	defer b.mesh.mu.Unlock()
	for _, p := range b.mesh.met {
		if p.standing() {
			routes = append(routes, Route{Name: p.name, Key: p.key, Address: p.raw.RemoteAddr().String(), Since: p.since})
		}
	}
	slices.SortFunc(routes, func(a, b Route) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Address, b.Address))
	})
	return routes
}

// checkNodes returns the addresses without duplicates. Without credentials only this
// machine is met.
func (m *mesh) checkNodes(addresses []string) (map[string]bool, error) {
	nodes := map[string]bool{}
	for _, address := range addresses {
		host, port, err := splitListen(address)
		switch {
		case err != nil:
			return nil, fmt.Errorf("node %q: %w", address, err)
		case host == "" || port == 0:
			return nil, fmt.Errorf("node %q: want HOST:PORT", address)
		case m.tls == nil && !IsLoopback(host):
			return nil, fmt.Errorf("node %q: %w", address, ErrNotLoopback)
		}
		nodes[address] = true
	}
	return nodes, nil
}
