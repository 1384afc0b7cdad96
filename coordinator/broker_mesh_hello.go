package coordinator

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/jbcnet/jbc/coordinator/protocol"
)

// hello is what two servers say to each other, in a line of JSON, before they are
// joined: first the one that listens, then the one that dialled, unless they are met
// already, then the first again, with what it refuses, if anything. Each tells whom it
// has met once it has noted the other: of two that come at the same time, the later one
// hears of the earlier.
type hello struct {
	Network string `json:"network"`
	Server  string `json:"server"` // NATS's id of it, another at each start
	Name    string `json:"name"`   // of the coordinator
	Port    int    `json:"port"`   // where it listens for nodes
	// Nodes are where others are that it has met, HOST:PORT.
	Nodes   []string `json:"nodes,omitempty"`
	Refused string   `json:"refused,omitempty"` // why it hangs up: a word of refusals
}

// Why two servers do not meet, besides [access.ErrStranger] and faults of the
// connection.
var (
	errSelf      = errors.New("is this server itself")
	errNetwork   = errors.New("is of another network")
	errSameName  = errors.New("is of another coordinator of the same name")
	errNotItsOwn = errors.New("has a name that is not its machine's")
	errMet       = errors.New("is met already")
	errFull      = errors.New("has met as many as it can")
	// errDistrusted is what the side that dialled sees of access.ErrStranger: an alert.
	errDistrusted = errors.New("does not trust this coordinator's key")
)

// refusals are the words for them on the wire, which are never changed.
var refusals = map[string]error{"self": errSelf, "network": errNetwork, "name": errSameName, "owner": errNotItsOwn, "met": errMet, "full": errFull}

// hello says who this server is.
func (m *mesh) hello() *hello {
	return &hello{Network: m.cfg.Network, Server: m.id, Name: m.name, Port: m.port}
}

// tell also says whom it has met, or is about to meet, for p to dial them too.
func (m *mesh) tell(p *peer) *hello {
	h := m.hello()
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, other := range m.met {
		if other != p && len(h.Nodes) < maxTold {
			h.Nodes = append(h.Nodes, other.reach)
		}
	}
	return h
}

// check says why the other is not to be met, and fills in who it is.
func (m *mesh) check(p *peer, h *hello) error {
	switch {
	case h.Network != m.cfg.Network:
		return fmt.Errorf("%w: %.60q", errNetwork, h.Network)
	case h.Server == m.id:
		return errSelf
	case h.Name == m.name:
		m.warnOfName(p.raw.RemoteAddr())
		return errSameName
	}
	if err := protocol.CheckName(h.Name); err != nil {
		return err
	}
	if m.tls != nil && m.cfg.Name != nil {
		if machine := m.cfg.Name(p.key); machine == "" || !protocol.OwnsName(machine, h.Name) {
			return fmt.Errorf("%w: %q of machine %q", errNotItsOwn, h.Name, machine)
		}
	}
	if h.Server == "" || len(h.Server) > 64 || h.Port < 1 || h.Port > 65535 || len(h.Nodes) > maxTold {
		return fmt.Errorf("server %.70q, port %d, %d nodes", h.Server, h.Port, len(h.Nodes))
	}
	p.id, p.name = h.Server, h.Name
	return nil
}

func (p *peer) send(h *hello) error {
	line, err := json.Marshal(h)
	if err == nil {
		_, err = p.conn.Write(append(line, '\n'))
	}
	return err
}

// refuse tells the other side why it is not met, where there is a word for it.
func (p *peer) refuse(err error) {
	for word, refusal := range refusals {
		if errors.Is(err, refusal) {
			_ = p.send(&hello{Refused: word}) // who does not hear it finds the connection closed
		}
	}
}

// receive returns what the other side says, or its refusal as an error.
func (p *peer) receive() (*hello, error) {
	line, err := p.in.ReadSlice('\n') // up to maxHello
	if err != nil {
		return nil, fmt.Errorf("hello: %w", err)
	}
	h := &hello{}
	if err := json.Unmarshal(line, h); err != nil {
		return nil, fmt.Errorf("hello: %w", err)
	}
	if known := refusals[h.Refused]; known != nil {
		return nil, fmt.Errorf("refused: this server %w", known)
	}
	if h.Refused != "" {
		return nil, fmt.Errorf("refused: %.20q", h.Refused)
	}
	return h, nil
}
