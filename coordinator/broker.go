package coordinator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/jbcnet/jbc/coordinator/access"
	"github.com/jbcnet/jbc/coordinator/protocol"
)

// BrokerConfig says where the embedded NATS server listens.
type BrokerConfig struct {
	// Listen is HOST:PORT, on loopback unless Secure is given; port 0 takes a free
	// one.
	Listen string
	Name   string
	// Secure keeps strangers out. Without it whoever can connect may do anything.
	Secure *Secure
	// Mesh has the server meet those of other coordinators; nil for none.
	Mesh *Mesh
	Log  *slog.Logger
}

const (
	brokerReady = 5 * time.Second
	// loginTime is how long somebody may take to say who they are, once for the TLS
	// handshake and once more for the rest: connections of strangers cost something
	// as long as they stand.
	loginTime = 2 * time.Second
	// plainTime is how long the server waits for a client that begins with TLS
	// before it speaks first, as other clients expect. One on a machine whose cores
	// are all busy may need a while.
	plainTime = 500 * time.Millisecond
	// maxSubs is far more than any client of ours subscribes to.
	maxSubs = 64
	// maxConns bounds connections of all kinds, strangers included, well over a fleet
	// of 10,000. It is less where the process may open fewer files, of which the
	// chain needs some: see maxConnections.
	maxConns   = 1 << 16
	spareFiles = 512
)

// Broker is the NATS server inside a coordinator.
type Broker struct {
	server *server.Server
	secure bool
	gate   *gate
	mesh   *mesh // nil for none
}

// ListenError says why the embedded server can't listen where it was told to.
type ListenError struct {
	Listen string
	Err    error
}

func (e *ListenError) Error() string { return fmt.Sprintf("listen on %s: %v", e.Listen, e.Err) }

func (e *ListenError) Unwrap() error { return e.Err }

// ErrNotLoopback refuses to listen where strangers are without credentials to keep
// them out.
var ErrNotLoopback = errors.New("not a loopback address, and no credentials keep strangers out")

// StartBroker starts a NATS server. The error is a [*ListenError] when the address
// is taken, or not loopback while there are no credentials.
func StartBroker(cfg BrokerConfig) (broker *Broker, err error) {
	host, port, err := splitListen(cfg.Listen)
	if err == nil && cfg.Secure == nil && !IsLoopback(host) {
		err = ErrNotLoopback
	}
	if err == nil {
		err = probe(cfg.Listen)
	}
	if err != nil {
		return nil, &ListenError{cfg.Listen, err}
	}
	if port == 0 {
		port = server.RANDOM_PORT
	}
	gate := newGate(cfg.Secure, cfg.Log)
	opts := &server.Options{
		ServerName: serverName(cfg.Name),
		Host:       host, Port: port,
		MaxPending: access.MaxPending, MaxPayload: access.MaxPayload, MaxConn: maxConnections(),
		PingInterval: access.PingInterval, MaxPingsOut: access.MaxPings,
		WriteDeadline: 2 * time.Second,
		NoSigs:        true,

		CustomClientAuthentication: gate,
		AuthTimeout:                loginTime.Seconds(),
	}
	if cfg.Secure != nil {
		opts.TLS, opts.TLSConfig, opts.TLSTimeout = true, cfg.Secure.TLS, loginTime.Seconds()
		opts.TLSHandshakeFirst, opts.TLSHandshakeFirstFallback = true, plainTime
		opts.AlwaysEnableNonce = true
		opts.MaxSubs = maxSubs
		opts.NoSystemAccount = true
		opts.Cluster.NoAdvertise = true // machines know where to come back to; a bridge's address only costs them time
	}
	var joint *mesh
	if cfg.Mesh != nil {
		if joint, err = openMesh(*cfg.Mesh, cfg.Name, cfg.Secure != nil, cfg.Log); err != nil {
			return nil, err
		}
		defer func() {
			if err != nil {
				joint.end()
			}
		}()
		joint.options(opts)
	}
	s, err := server.NewServer(opts)
	if err != nil {
		return nil, fmt.Errorf("embedded nats-server: %w", err)
	}
	gate.server = s
	s.SetLoggerV2(brokerLog{cfg.Log}, cfg.Log.Enabled(context.Background(), levelTrace), false, false)
	s.Start()
	if !s.ReadyForConnections(brokerReady) {
		s.Shutdown()
		return nil, &ListenError{cfg.Listen, fmt.Errorf("not ready after %v", brokerReady)}
	}
	if joint != nil {
		joint.run(s)
	}
	return &Broker{server: s, secure: cfg.Secure != nil, gate: gate, mesh: joint}, nil
}

func splitListen(listen string) (host string, port int, err error) {
	host, portText, err := net.SplitHostPort(listen)
	if err != nil {
		return "", 0, err
	}
	port, err = strconv.Atoi(portText)
	if err != nil || port < 0 || port > 65535 {
		return "", 0, fmt.Errorf("port %q, want 0 to 65535", portText)
	}
	return host, port, nil
}

// IsLoopback says whether only this machine can connect to a host.
func IsLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// probe makes sure that an address can be listened on: the server itself would
// only log why it can't.
func probe(listen string) error {
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	return l.Close()
}

// URL is where workers on this machine connect.
func (b *Broker) URL() string { return b.server.ClientURL() }

// Port is the one that the server listens on.
func (b *Broker) Port() int { return b.server.Addr().(*net.TCPAddr).Port }

// Options connect a client of the same process, without a socket, to any nats://
// address. It may do what its role may under that name, and on a server with
// credentials nothing else; the key that proves it stays in memory.
func (b *Broker) Options(role protocol.Role, name string) ([]nats.Option, error) {
	opts := []nats.Option{nats.InProcessServer(roomyServer{b.server}), nats.PingInterval(ownPing)}
	b.gate.spare(name)
	if !b.secure {
		return opts, nil
	}
	key, err := nkeys.CreateUser()
	if err != nil {
		return nil, err
	}
	public, err := key.PublicKey()
	if err != nil {
		return nil, err
	}
	b.gate.admit(public, access.Identity{Role: role, Name: name})
	return append(opts, nats.Nkey(public, key.Sign), nats.CustomInboxPrefix(protocol.InboxPrefix(name))), nil
}

// DisconnectKey cuts all connections that were made with a key.
func (b *Broker) DisconnectKey(key string) {
	b.gate.cut(func(c login) bool { return c.key == key })
}

// Refuse cuts all connections of a machine and lets it in under no name until then.
// Without credentials there are no machines: the name is that of a process, which a
// client says of itself.
func (b *Broker) Refuse(name string, until time.Time) { b.gate.refuse(name, until) }

// Online counts the connections that were made with a key, routes included.
func (b *Broker) Online(key string) int {
	online := b.gate.online(key)
	for _, r := range b.Routes() {
		if r.Key == key {
			online++
		}
	}
	return online
}

// Stop closes every connection and waits for the server's end.
func (b *Broker) Stop() {
	if b.mesh != nil {
		b.mesh.end()
	}
	b.server.Shutdown()
	b.server.WaitForShutdown()
}

// levelTrace is below debug. The server's own trace stays off even there: it holds
// every message, tokens among them.
const levelTrace = slog.LevelDebug - 4

// brokerLog passes what the server logs on: only what needs attention, since it
// tells of every start and stop too.
type brokerLog struct{ log *slog.Logger }

func (l brokerLog) Noticef(format string, v ...any) { l.log.Debug(fmt.Sprintf("nats: "+format, v...)) }
func (l brokerLog) Warnf(format string, v ...any)   { l.log.Debug(fmt.Sprintf("nats: "+format, v...)) }
func (l brokerLog) Fatalf(format string, v ...any)  { l.log.Error(fmt.Sprintf("nats: "+format, v...)) }
func (l brokerLog) Errorf(format string, v ...any) {
	if text := fmt.Sprintf("nats: "+format, v...); !strings.Contains(text, server.ErrAuthentication.Error()) { // which the gate says, and why
		l.log.Debug(text)
	}
}
func (l brokerLog) Debugf(format string, v ...any) {
	l.log.Log(context.Background(), levelTrace, fmt.Sprintf("nats: "+format, v...))
}
func (l brokerLog) Tracef(string, ...any) {}
