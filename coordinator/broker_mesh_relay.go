package coordinator

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

const (
	// relayWrite is how long a write to either side may take, as NATS bounds its own.
	relayWrite = 2 * time.Second
	// relayEnd is how long the server may take to close its end of a route.
	relayEnd    = time.Second
	relayBuffer = 32 << 10
)

// join joins the server of a peer with this one until either side ends it.
func (m *mesh) join(p *peer) {
	defer m.part(p)
	inner, err := net.DialTimeout("tcp", m.inner, meetTime)
	if err != nil {
		m.report("no route to the own server", m.inner, err)
		return
	}
	own := inner.(*net.TCPConn)
	defer own.Close()
	if !m.hold(own) {
		return
	}
	m.admitOwn(own, true)
	defer m.admitOwn(own, false)

	fromOwn := bufio.NewReaderSize(own, relayBuffer)
	if err := m.introduce(p, own, fromOwn); err != nil {
		m.report("refused a route", p.reach, err)
		return
	}
	m.mu.Lock()
	p.since = time.Now()
	m.mu.Unlock()
	m.log.Debug("met a node", "name", p.name, "key", p.key, "at", p.raw.RemoteAddr(), "dialled", p.dialled)

	var pumps sync.WaitGroup
	end := sync.OnceFunc(func() {
		p.hangUp()
		_ = own.SetReadDeadline(time.Now().Add(relayEnd))
		_ = own.CloseWrite()
	})
	var gone, ended error
	border := newBorder(newCrossing(m.cfg.Network), own, p.in)
	pumps.Go(func() { gone = border.pass(); end() })
	pumps.Go(func() { ended = pump(p.conn, fromOwn); end() })
	pumps.Wait()
	_, _ = io.Copy(io.Discard, fromOwn) // until the server has taken notice
	m.log.Debug("lost a node", "name", p.name, "at", p.raw.RemoteAddr(), "from", gone, "to", ended, "dropped", border.dropped)
}

// admitOwn says whether a connection to the server is one of ours.
func (m *mesh) admitOwn(own net.Conn, in bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if address := own.LocalAddr().String(); in {
		m.ours[address] = true
	} else {
		delete(m.ours, address)
		delete(m.conns, own)
	}
}

// pump copies what the own server says until reading or writing fails.
func pump(to net.Conn, from io.Reader) error {
	buffer := make([]byte, relayBuffer)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			if _, err := (timedWriter{to}).Write(buffer[:n]); err != nil {
				return err
			}
		}
		if err != nil {
			return err
		}
	}
}

// introduce passes on what each server says of itself first. Both take the other for
// the one that dialled, so each is told by its own side what a dialling one would
// say.
func (m *mesh) introduce(p *peer, own net.Conn, fromOwn *bufio.Reader) error {
	if err := own.SetDeadline(time.Now().Add(meetTime)); err != nil {
		return err
	}
	if err := p.raw.SetDeadline(time.Now().Add(meetTime)); err != nil {
		return err
	}
	line, err := fromOwn.ReadSlice('\n')
	if err != nil {
		return fmt.Errorf("the own server: %w", err)
	}
	if _, err := p.conn.Write(line); err != nil {
		return err
	}
	if line, err = p.in.ReadSlice('\n'); err != nil {
		return err
	}
	opening, err := m.opening(p, line)
	if err != nil {
		return err
	}
	if _, err := own.Write(opening); err != nil {
		return fmt.Errorf("the own server: %w", err)
	}
	return errors.Join(own.SetDeadline(time.Time{}), p.raw.SetDeadline(time.Time{}))
}

// opening turns what a peer's server says of itself into the first two lines of a
// server that dialled, which alone tells others whom it meets: here the mesh does.
// So its own address is left out, and NATS dials nobody.
func (m *mesh) opening(p *peer, line []byte) ([]byte, error) {
	text, ok := bytes.CutPrefix(line, []byte("INFO "))
	if !ok {
		return nil, fmt.Errorf("begins with %.20q, want INFO", line)
	}
	var said server.Info
	if err := json.Unmarshal(text, &said); err != nil {
		return nil, fmt.Errorf("INFO: %w", err)
	}
	if said.ID != p.id || said.Name != serverName(p.name) || said.Cluster != m.cluster() {
		return nil, fmt.Errorf("INFO of server %.70q %.50q of %.60q, want %q %q of %q", said.ID, said.Name, said.Cluster, p.id, serverName(p.name), m.cluster())
	}
	const tellNobody = 1 // NATS's gossipDisabled
	info, err := json.Marshal(server.Info{
		ID: said.ID, Name: said.Name, Version: said.Version, Proto: said.Proto, GoVersion: said.GoVersion,
		Host: "127.0.0.1", Headers: said.Headers, MaxPayload: said.MaxPayload, Cluster: said.Cluster,
		Compression: said.Compression, Import: said.Import, Export: said.Export,
		LNOC: said.LNOC, LNOCU: said.LNOCU, LN: said.LN, GossipMode: tellNobody,
	})
	if err != nil {
		return nil, err
	}
	connect, err := json.Marshal(map[string]any{
		"echo": true, "verbose": false, "pedantic": false, "tls_required": false,
		"name": said.ID, "cluster": said.Cluster, "headers": said.Headers, "lnoc": said.LNOC, "ln": said.LN,
	})
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, "CONNECT %s\r\nINFO %s\r\n", connect, info), nil
}

// serverName is what the server of a coordinator is called.
func serverName(coordinator string) string { return "jbc-" + coordinator }
