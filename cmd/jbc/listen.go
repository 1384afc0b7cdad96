package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/coordinator"
	"github.com/jbcnet/jbc/coordinator/access"
	"github.com/jbcnet/jbc/coordinator/protocol"
)

const (
	// tlsDir holds the certificates of a coordinator, below its data directory.
	tlsDir = "tls"
	// addressTime is how often it is looked for one where there is none.
	addressTime = 2 * time.Second
	// firstTokenTime is how long the token that is printed at the start can wait.
	firstTokenTime = 24 * time.Hour
)

// listensToOthers says whether other machines may come, who then need credentials.
func (f *coordinatorFlags) listensToOthers() bool {
	host, _, err := net.SplitHostPort(f.listen)
	return f.secure || f.place.member != nil || err == nil && !coordinator.IsLoopback(host)
}

// startOpen starts the embedded server for this machine alone.
func (f *coordinatorFlags) startOpen(s *shell, params *chain.Params, dir *dataDir) (*coordinator.Broker, error) {
	if len(f.advertise) > 0 {
		return nil, usageError(errors.New("--advertise is given, and only this machine can connect"), "give --listen HOST:PORT with an address that others can reach, for example --listen 0.0.0.0:4222")
	}
	if err := dir.disown(); err != nil {
		return nil, err
	}
	mesh, err := f.meshOf(params, nil, nil)
	if err != nil {
		return nil, err
	}
	broker, err := coordinator.StartBroker(coordinator.BrokerConfig{Listen: f.listen, Name: f.name, Log: s.log, Mesh: mesh})
	return broker, explainListen(err)
}

// disown removes the owner's file: without credentials there is no owner.
func (d *dataDir) disown() error {
	if err := os.Remove(filepath.Join(d.path, ownerFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// startSecure starts the embedded server for other machines too, with what lets them
// in and keeps strangers out. It leaves the owner's file for the other commands.
func (f *coordinatorFlags) startSecure(s *shell, params *chain.Params, dir *dataDir) (*coordinator.Broker, *coordinator.Access, error) {
	host, _, err := net.SplitHostPort(f.listen)
	if err != nil {
		return nil, nil, explainListen(&coordinator.ListenError{Listen: f.listen, Err: err})
	}
	a := &coordinator.Access{Hosts: func() []string { return certHosts(host, f.advertise) }}
	if a.Certs, err = access.OpenCerts(filepath.Join(dir.path, tlsDir), a.Hosts(), time.Now()); err != nil {
		return nil, nil, withHint(err, "without credentials a coordinator listens on loopback only, for example --listen "+defaultListen)
	}
	a.Keeper, err = access.OpenKeeper(dir.store, f.name, f.minerName(), coordinator.OwnerName)
	if err != nil {
		return nil, nil, err
	}
	for _, name := range a.Keeper.Shadowed() {
		s.log.Warn("a machine joined under a name that is this coordinator's now: it is not let in", "machine", name,
			"hint", "jbc token revoke "+name+" and have it join again, or choose another --name")
	}
	owner, ownerKey, err := dir.owner()
	if err != nil {
		return nil, nil, err
	}
	key, err := f.meshKey(dir)
	if err != nil {
		return nil, nil, fmt.Errorf("key for the mesh: %w", err)
	}
	if err := f.found(a.Keeper, key, time.Now()); err != nil {
		return nil, nil, err
	}
	mesh, err := f.meshOf(params, key, a.Keeper)
	if err != nil {
		return nil, nil, err
	}
	a.Broker, err = coordinator.StartBroker(coordinator.BrokerConfig{Listen: f.listen, Name: f.name, Log: s.log, Secure: &coordinator.Secure{
		TLS: a.Certs.Config(), Keeper: a.Keeper, Owner: ownerKey,
		Subjects: protocol.NewSubjects(params.ID()), Coordinator: f.name,
	}, Mesh: mesh})
	if err != nil {
		return nil, nil, explainListen(err)
	}
	if err := f.own(params, dir, a, host, owner); err != nil {
		a.Broker.Stop()
		return nil, nil, err
	}
	return a.Broker, a, nil
}

// own fills in where others reach the server, and writes the owner's file.
func (f *coordinatorFlags) own(params *chain.Params, dir *dataDir, a *coordinator.Access, host string, owner *access.Membership) (err error) {
	port := strconv.Itoa(a.Broker.Port())
	if _, err = reach(host, port, f.advertise, nil); err != nil {
		return err
	}
	a.Addresses = func() []string {
		addresses, _ := reach(host, port, f.advertise, interfaces()) // which was tried above
		return addresses
	}
	key, err := coordinator.SigningKey(dir.path)
	if err != nil {
		return fmt.Errorf("signing key: %w", err)
	}
	public, err := key.PublicKey()
	if err != nil {
		return fmt.Errorf("signing key: %w", err)
	}
	near := host
	if isAnywhere(host) {
		near = "127.0.0.1"
	}
	owner.Network, owner.Coordinator, owner.Key = params.ID(), f.name, public
	owner.Addresses, owner.CA = []string{net.JoinHostPort(near, port)}, a.Certs.CA()
	if err := owner.Save(filepath.Join(dir.path, ownerFile)); err != nil {
		return fmt.Errorf("owner's file: %w", err)
	}
	return nil
}

// owner returns the owner's membership, with the key of the last start where nobody
// else can have read it, and its public key.
func (d *dataDir) owner() (m *access.Membership, public string, err error) {
	m = &access.Membership{Role: protocol.RoleOwner, Name: coordinator.OwnerName, Joined: time.Now().UTC().Truncate(time.Second)}
	if last, err := access.LoadMembership(filepath.Join(d.path, ownerFile)); err == nil && last.Role == protocol.RoleOwner {
		if public, err := access.PublicKey(last.Seed); err == nil {
			m.Seed, m.Joined = last.Seed, last.Joined
			return m, public, nil
		}
	}
	m.Seed, public, err = access.NewKey()
	return m, public, err
}

// invite prints the line that lets a first machine join, as soon as somebody would
// answer it.
func invite(ctx context.Context, s *shell, c *coordinator.Coordinator, a *coordinator.Access) {
	select {
	case <-c.Ready():
	case <-ctx.Done():
		return
	}
	for complained := false; len(a.Addresses()) == 0; complained = true {
		if !complained {
			s.log.Warn("other machines can't join: "+coordinator.ErrNoAddress.Error(), "waiting", "for a network")
		}
		select {
		case <-time.After(addressTime):
		case <-ctx.Done():
			return
		}
	}
	s.log.Info("other machines can join", "addresses", strings.Join(a.Addresses(), ","))
	if !a.Keeper.Unused(time.Now(), protocol.RoleWorker) {
		s.log.Info("jbc token new makes another token, jbc token list shows who joined")
		return
	}
	token, err := c.NewToken(time.Now(), protocol.RoleWorker, firstTokenTime)
	if err != nil {
		s.log.Error("no token for a first machine", "err", err)
		return
	}
	s.log.Info("this line lets one machine join, within 24 hours: run it there")
	fmt.Fprintln(s.out, "jbc join "+token)
}

func isAnywhere(host string) bool {
	ip := net.ParseIP(host)
	return host == "" || ip != nil && ip.IsUnspecified()
}

// nic is a network interface and its addresses.
type nic struct {
	name string
	ips  []net.IP
}

// interfaces returns those that are up. What can't be read is left out.
func interfaces() (nics []nic) {
	all, err := net.Interfaces()
	if err != nil {
		return nil
	}
	for _, i := range all {
		addrs, err := i.Addrs()
		if err != nil || i.Flags&net.FlagUp == 0 {
			continue
		}
		n := nic{name: i.Name}
		for _, a := range addrs {
			if ipNet, ok := a.(*net.IPNet); ok {
				n.ips = append(n.ips, ipNet.IP)
			}
		}
		nics = append(nics, n)
	}
	return nics
}

// virtual are how interfaces begin that mostly lead to containers and virtual
// machines of the same machine.
var virtual = []string{"docker", "br-", "veth", "virbr", "vmnet", "vboxnet", "cni", "podman", "lxc", "lxd", "flannel", "cali", "cilium", "kube"}

// reach returns the addresses for a token: what is advertised, then where the
// server listens, which is every address of the machine that others can reach where
// it listens anywhere: IPv4 first, those of bridges to containers last.
func reach(host, port string, advertise []string, nics []nic) ([]string, error) {
	var addresses []string
	for _, a := range advertise {
		address, err := advertised(a, port)
		if err != nil {
			return nil, usageError(err, "--advertise takes HOST or HOST:PORT, as other machines reach this one")
		}
		addresses = append(addresses, address)
	}
	hosts := []string{host}
	if isAnywhere(host) {
		hosts = machineHosts(nics, host == "::")
	}
	for _, h := range hosts {
		if address := net.JoinHostPort(h, port); !slices.Contains(addresses, address) {
			addresses = append(addresses, address)
		}
	}
	return addresses[:min(len(addresses), protocol.MaxAddresses)], nil
}

func machineHosts(nics []nic, v6 bool) (hosts []string) {
	ranks := [4][]string{} // real and bridged IPv4, real and bridged IPv6
	for _, n := range nics {
		for _, ip := range n.ips {
			if !ip.IsGlobalUnicast() {
				continue
			}
			rank := 0
			if ip.To4() == nil {
				rank = 2
			}
			if slices.ContainsFunc(virtual, func(prefix string) bool { return strings.HasPrefix(n.name, prefix) }) {
				rank++
			}
			ranks[rank] = append(ranks[rank], ip.String())
		}
	}
	if !v6 {
		return append(ranks[0], ranks[1]...)
	}
	return slices.Concat(ranks[0], ranks[2], ranks[1], ranks[3])
}

// advertised reads one --advertise.
func advertised(text, port string) (string, error) {
	host := strings.Trim(text, "[]")
	if net.ParseIP(host) == nil {
		var err error
		if host = text; strings.Contains(text, ":") {
			if host, port, err = net.SplitHostPort(text); err != nil {
				return "", err
			}
		}
	}
	n, err := strconv.Atoi(port)
	if err != nil || n < 1 || n > 65535 {
		return "", fmt.Errorf("address %q: port %q, want 1 to 65535", text, port)
	}
	if !access.IsHost(host) {
		return "", fmt.Errorf("address %q: want a host name or an IP address", text)
	}
	return net.JoinHostPort(host, port), nil
}

// certHosts returns what the server's certificate is good for.
func certHosts(host string, advertise []string) []string {
	hosts := []string{"127.0.0.1", "::1"}
	if !isAnywhere(host) {
		hosts = append(hosts, host)
	}
	if name, err := os.Hostname(); err == nil {
		hosts = append(hosts, name)
	}
	for _, a := range advertise {
		if address, err := advertised(a, "1"); err == nil {
			h, _, _ := net.SplitHostPort(address)
			hosts = append(hosts, h)
		}
	}
	for _, n := range interfaces() {
		for _, ip := range n.ips {
			if ip.IsGlobalUnicast() {
				hosts = append(hosts, ip.String())
			}
		}
	}
	return hosts
}
