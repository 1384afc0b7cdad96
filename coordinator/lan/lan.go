// Package lan tells coordinators to the local network, and finds them there, by
// multicast DNS and DNS-SD (RFC 6762, RFC 6763) under the type _jbc._tcp. Nothing
// proves what is heard: it leads to addresses, and credentials say who is there.
package lan

import (
	"errors"
	"fmt"
	"net"

	"github.com/nats-io/nkeys"
	"github.com/pion/logging"
	"github.com/pion/mdns/v2"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"

	"github.com/jbcnet/jbc/coordinator/protocol"
)

// serviceType is the DNS-SD type of a coordinator.
const serviceType = "_jbc._tcp"

// metaSecure is the key of the TXT entry that says whether credentials are needed;
// the others are those of discovery over NATS.
const metaSecure = "secure"

// Coordinator is one as the local network hears of it.
type Coordinator struct {
	Network string // chain.Params.ID
	Name    string
	Key     string // its public nkey
	Secure  bool   // a token is needed
}

// text returns the TXT record.
func (c *Coordinator) text() []mdns.TXTEntry {
	secure := "no"
	if c.Secure {
		secure = "yes"
	}
	return []mdns.TXTEntry{
		mdns.NewTXTString(protocol.MetaNetwork, c.Network),
		mdns.NewTXTString(protocol.MetaName, c.Name),
		mdns.NewTXTString(protocol.MetaKey, c.Key),
		mdns.NewTXTString(metaSecure, secure),
	}
}

// parseText reads a TXT record, and says whether it is a coordinator's.
func parseText(text []mdns.TXTEntry) (c Coordinator, ok bool) {
	for _, entry := range text {
		switch value := string(entry.Value); entry.Key {
		case protocol.MetaNetwork:
			c.Network = value
		case protocol.MetaName:
			c.Name = value
		case protocol.MetaKey:
			c.Key = value
		case metaSecure:
			c.Secure = value == "yes"
		}
	}
	return c, c.check() == nil
}

func (c *Coordinator) check() error {
	if err := protocol.CheckName(c.Name); err != nil {
		return err
	}
	if !protocol.IsNetworkID(c.Network) || !nkeys.IsValidPublicKey(c.Key) {
		return fmt.Errorf("network %.60q, key %.60q", c.Network, c.Key)
	}
	return nil
}

// open takes part in multicast DNS on every interface that can. Where another
// program of this machine does so too, they share the port.
func open(opts ...mdns.ServerOption) (*mdns.Conn, error) {
	// The unspecific multicast addresses make net share the port, and bind to all.
	v4, err4 := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(224, 0, 0, 0), Port: 5353})
	v6, err6 := net.ListenUDP("udp6", &net.UDPAddr{IP: net.ParseIP("ff02::"), Port: 5353})
	if err4 != nil && err6 != nil {
		return nil, errors.Join(err4, err6)
	}
	var (
		conn4 *ipv4.PacketConn
		conn6 *ipv6.PacketConn
	)
	if err4 == nil {
		conn4 = ipv4.NewPacketConn(v4)
	}
	if err6 == nil {
		conn6 = ipv6.NewPacketConn(v6)
	}
	quiet := &logging.DefaultLoggerFactory{DefaultLogLevel: logging.LogLevelDisabled}
	conn, err := mdns.NewServer(conn4, conn6, append(opts, mdns.WithLoggerFactory(quiet))...)
	if err != nil {
		for _, c := range []*net.UDPConn{v4, v6} {
			if c != nil {
				err = errors.Join(err, c.Close())
			}
		}
		return nil, err
	}
	return conn, nil
}
