package access

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
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
	CA          string        `json:"ca"`        // PEM of the CA to trust, beside those of Others
	Seed        string        `json:"seed"`      // of the machine's own nkey
	Joined      time.Time     `json:"joined"`
	// Mesh and Routes are a coordinator's: the public nkey that routes know the one
	// that it joined by, and where that one and the nodes that it knew are met.
	Mesh   string   `json:"mesh,omitempty"`
	Routes []string `json:"routes,omitempty"`
	// Others are the nodes that the coordinator vouched for, the likeliest first.
	Others []Other `json:"others,omitempty"`
}

// Other is another coordinator of the network that a machine may turn to.
type Other struct {
	Name      string   `json:"name"`
	Key       string   `json:"key"`       // its public nkey, which signs jobs
	CA        string   `json:"ca"`        // PEM
	Addresses []string `json:"addresses"` // HOST:PORT, the likeliest first
}

const (
	// maxOthers bounds the nodes that a membership names.
	maxOthers = 64
	// maxPEM bounds the text of a certificate.
	maxPEM = 4096
)

// OtherOf returns what a membership keeps of a node that was checked, and false where
// no machine can connect to it.
func OtherOf(n *protocol.Node) (Other, bool) {
	if len(n.CA) == 0 || len(n.Addresses) == 0 {
		return Other{}, false
	}
	ca := pem.EncodeToMemory(&pem.Block{Type: certType, Bytes: n.CA})
	return Other{Name: n.Name, Key: n.Key, CA: string(ca), Addresses: slices.Clone(n.Addresses)}, true
}

func (o *Other) check() error {
	if err := protocol.CheckName(o.Name); err != nil {
		return err
	}
	if !nkeys.IsValidPublicUserKey(o.Key) {
		return fmt.Errorf("%s: key %.60q", o.Name, o.Key)
	}
	if len(o.Addresses) == 0 || len(o.Addresses) > protocol.MaxAddresses {
		return fmt.Errorf("%s: %d addresses, want 1 to %d", o.Name, len(o.Addresses), protocol.MaxAddresses)
	}
	if err := checkAddresses(o.Addresses); err != nil {
		return fmt.Errorf("%s: %w", o.Name, err)
	}
	if len(o.CA) > maxPEM || !x509.NewCertPool().AppendCertsFromPEM([]byte(o.CA)) {
		return fmt.Errorf("%s: no CA certificate in %d bytes", o.Name, len(o.CA))
	}
	return nil
}

func checkAddresses(addresses []string) error {
	for _, a := range addresses {
		if err := protocol.CheckAddress(a); err != nil {
			return err
		}
	}
	return nil
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
	if err := m.checkMesh(); err != nil {
		return err
	}
	_, err := m.tls()
	return err
}

// checkMesh checks what the earliest version of the file did not have.
func (m *Membership) checkMesh() error {
	if m.Mesh != "" && !nkeys.IsValidPublicUserKey(m.Mesh) {
		return fmt.Errorf("mesh key %.60q", m.Mesh)
	}
	if len(m.Routes) > protocol.MaxRoutes || len(m.Others) > maxOthers {
		return fmt.Errorf("%d routes, at most %d, and %d other coordinators, at most %d", len(m.Routes), protocol.MaxRoutes, len(m.Others), maxOthers)
	}
	if err := checkAddresses(m.Routes); err != nil {
		return fmt.Errorf("route: %w", err)
	}
	for i := range m.Others {
		if err := m.Others[i].check(); err != nil {
			return fmt.Errorf("other coordinator %w", err)
		}
	}
	return nil
}

// URLs returns the addresses for NATS: the first of the coordinator's, the first of
// each other's, then the second ones.
func (m *Membership) URLs() []string {
	lists := [][]string{m.Addresses}
	for i := range m.Others {
		lists = append(lists, m.Others[i].Addresses)
	}
	urls := InTurns(lists...)
	for i := range urls {
		urls[i] = "tls://" + urls[i]
	}
	return urls
}

// InTurns returns the first of each list, then the second of each, and so on, each once.
// NATS tries servers one after the other, for seconds where nothing answers: whoever is
// away should be tried once before the next is.
func InTurns(lists ...[]string) (all []string) {
	for i, more := 0, true; more; i++ {
		more = false
		for _, list := range lists {
			if i >= len(list) {
				continue
			}
			more = true
			if !slices.Contains(all, list[i]) {
				all = append(all, list[i])
			}
		}
	}
	return all
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
	pool, err := m.Roots()
	if err != nil {
		return nil, err
	}
	return &tls.Config{RootCAs: pool, ServerName: ServerName, MinVersion: tls.VersionTLS13}, nil
}

// Roots returns the CAs to trust: that of the coordinator and those of the others.
func (m *Membership) Roots() (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(m.CA)) {
		return nil, errors.New("no CA certificate")
	}
	for i := range m.Others {
		if !pool.AppendCertsFromPEM([]byte(m.Others[i].CA)) {
			return nil, fmt.Errorf("no CA certificate of coordinator %s", m.Others[i].Name)
		}
	}
	return pool, nil
}

// IsMissing says whether err is that there is no such file.
func IsMissing(err error) bool { return errors.Is(err, fs.ErrNotExist) }
