package access

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/jbcnet/jbc/coordinator/protocol"
)

// ServerName is the name in every coordinator's certificate. Clients check it
// instead of a host name: the CA signs for one coordinator alone, wherever that
// moves to.
const ServerName = protocol.ServiceName

// Membership is what a machine keeps of having joined, a secret file.
type Membership struct {
	Network     string        `json:"network"`         // chain.Params.ID
	Coordinator string        `json:"coordinator"`     // its name
	Key         string        `json:"coordinator_key"` // its public nkey, pinned
	Role        protocol.Role `json:"role"`
	Name        string        `json:"name"`      // the machine's, see protocol.OwnsName
	Addresses   []string      `json:"addresses"` // HOST:PORT, the likeliest first
	CA          string        `json:"ca"`        // PEM of the only CA to trust
	Seed        string        `json:"seed"`      // of the machine's own nkey
	Joined      time.Time     `json:"joined"`
}

// LoadMembership reads the file at path. It returns an error that wraps
// [fs.ErrNotExist] where there is none, and refuses one that others can read.
func LoadMembership(path string) (*Membership, error) {
	data, err := readSecret(path)
	if err != nil {
		return nil, err
	}
	m := new(Membership)
	if err := json.Unmarshal(data, m); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if err := m.check(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return m, nil
}

// Save writes the file whole or not at all, its directory too where that is
// missing, for the owner's eyes only.
func (m *Membership) Save(path string) error {
	if err := m.check(); err != nil {
		return err
	}
	data, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return WriteSecret(path, append(data, '\n'))
}

func (m *Membership) check() error {
	if err := protocol.CheckMachineName(m.Name); err != nil {
		return err
	}
	if err := protocol.CheckName(m.Coordinator); err != nil {
		return err
	}
	if !protocol.IsNetworkID(m.Network) || !nkeys.IsValidPublicKey(m.Key) || len(m.Addresses) == 0 {
		return errors.New("network, coordinator key or addresses missing or wrong")
	}
	_, err := m.tls()
	return err
}

// URLs returns the addresses for NATS.
func (m *Membership) URLs() []string {
	urls := make([]string, len(m.Addresses))
	for i, a := range m.Addresses {
		urls[i] = "tls://" + a
	}
	return urls
}

// URL returns the addresses for nats.Connect.
func (m *Membership) URL() string { return strings.Join(m.URLs(), ",") }

// Options returns how a process of that name (see [protocol.OwnsName]) connects,
// on top of protocol.ConnectOptions(process).
func (m *Membership) Options(process string) ([]nats.Option, error) {
	if !protocol.OwnsName(m.Name, process) {
		return nil, fmt.Errorf("name %q: this machine joined as %q, its processes are %s or %s_SOMETHING", process, m.Name, m.Name, m.Name)
	}
	config, err := m.tls()
	if err != nil {
		return nil, err
	}
	key, err := nkeys.FromSeed([]byte(m.Seed))
	if err != nil {
		return nil, fmt.Errorf("seed: %w", err)
	}
	public, err := key.PublicKey()
	if err != nil {
		return nil, fmt.Errorf("seed: %w", err)
	}
	return []nats.Option{
		nats.Secure(config),
		nats.TLSHandshakeFirst(),
		nats.Nkey(public, key.Sign),
		nats.CustomInboxPrefix(protocol.InboxPrefix(process)),
	}, nil
}

func (m *Membership) tls() (*tls.Config, error) {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(m.CA)) {
		return nil, errors.New("no CA certificate")
	}
	return &tls.Config{RootCAs: pool, ServerName: ServerName, MinVersion: tls.VersionTLS13}, nil
}

// IsMissing says whether err is that there is no such file.
func IsMissing(err error) bool { return errors.Is(err, fs.ErrNotExist) }
