package coordinator

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/jbcnet/jbc/coordinator/protocol"
)

// BrokerConfig says where the embedded NATS server listens.
type BrokerConfig struct {
	// Listen is HOST:PORT on loopback; port 0 takes a free one.
	Listen string
	Name   string
	Log    *slog.Logger
}

const (
	// maxPending bounds what the server holds for a client that does not read. At
	// NATS's default of 64 MiB twenty stalled workers cost over a gigabyte.
	maxPending = 1 << 20
	// maxPayload has to stay well below maxPending: a message that is as large cuts
	// off everybody who listens, and so the whole farm. NATS's default is as large.
	maxPayload = 2 * protocol.MaxMessage
	// brokerPing and brokerPings notice a dead client in about 2.5 s.
	brokerPing  = time.Second
	brokerPings = 2
	brokerReady = 5 * time.Second
)

// Broker is the NATS server inside a coordinator.
type Broker struct {
	server *server.Server
}

// ListenError says why the embedded server can't listen where it was told to.
type ListenError struct {
	Listen string
	Err    error
}

func (e *ListenError) Error() string { return fmt.Sprintf("listen on %s: %v", e.Listen, e.Err) }

func (e *ListenError) Unwrap() error { return e.Err }

// ErrNotLoopback refuses to listen where strangers are: there are no credentials
// yet.
var ErrNotLoopback = errors.New("not a loopback address, and the embedded server has no credentials to keep strangers out")

// StartBroker starts a NATS server on loopback. The error is a [*ListenError]
// when the address is taken or not loopback.
func StartBroker(cfg BrokerConfig) (*Broker, error) {
	host, port, err := loopback(cfg.Listen)
	if err != nil {
		return nil, &ListenError{cfg.Listen, err}
	}
	opts := &server.Options{
		ServerName: "jbc-" + cfg.Name,
		Host:       host, Port: port,
		MaxPending: maxPending, MaxPayload: maxPayload,
		PingInterval: brokerPing, MaxPingsOut: brokerPings,
		WriteDeadline: 2 * time.Second,
		NoSigs:        true,
	}
	s, err := server.NewServer(opts)
	if err != nil {
		return nil, fmt.Errorf("embedded nats-server: %w", err)
	}
	s.SetLoggerV2(brokerLog{cfg.Log}, false, false, false)
	s.Start()
	if !s.ReadyForConnections(brokerReady) {
		s.Shutdown()
		return nil, &ListenError{cfg.Listen, fmt.Errorf("not ready after %v", brokerReady)}
	}
	return &Broker{server: s}, nil
}

// loopback splits an address and makes sure that it can be listened on: the
// server itself would only log why it can't.
func loopback(listen string) (host string, port int, err error) {
	host, portText, err := net.SplitHostPort(listen)
	if err != nil {
		return "", 0, err
	}
	port, err = strconv.Atoi(portText)
	if err != nil || port < 0 || port > 65535 {
		return "", 0, fmt.Errorf("port %q, want 0 to 65535", portText)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return "", 0, ErrNotLoopback
	}
	probe, err := net.Listen("tcp", listen)
	if err != nil {
		return "", 0, err
	}
	if err := probe.Close(); err != nil {
		return "", 0, err
	}
	if port == 0 {
		port = server.RANDOM_PORT
	}
	return host, port, nil
}

// URL is where workers on this machine connect.
func (b *Broker) URL() string { return b.server.ClientURL() }

// Option connects a client of the same process without a socket.
func (b *Broker) Option() nats.Option { return nats.InProcessServer(b.server) }

// Stop closes every connection and waits for the server's end.
func (b *Broker) Stop() {
	b.server.Shutdown()
	b.server.WaitForShutdown()
}

// brokerLog passes what the server logs on: only what needs attention, since it
// tells of every start and stop too.
type brokerLog struct{ log *slog.Logger }

func (l brokerLog) Noticef(format string, v ...any) { l.log.Debug(fmt.Sprintf("nats: "+format, v...)) }
func (l brokerLog) Warnf(format string, v ...any)   { l.log.Debug(fmt.Sprintf("nats: "+format, v...)) }
func (l brokerLog) Fatalf(format string, v ...any)  { l.log.Error(fmt.Sprintf("nats: "+format, v...)) }
func (l brokerLog) Errorf(format string, v ...any)  { l.log.Debug(fmt.Sprintf("nats: "+format, v...)) }
func (l brokerLog) Debugf(string, ...any)           {}
func (l brokerLog) Tracef(string, ...any)           {}
