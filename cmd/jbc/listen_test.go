package main

import (
	"net"
	"strings"
	"testing"
)

func nicOf(name string, ips ...string) nic {
	n := nic{name: name}
	for _, ip := range ips {
		n.ips = append(n.ips, net.ParseIP(ip))
	}
	return n
}

// TestReach puts into a token what other machines can reach, the likeliest first.
func TestReach(t *testing.T) {
	nics := []nic{
		nicOf("lo", "127.0.0.1", "::1"),
		nicOf("docker0", "172.17.0.1"),
		nicOf("eth0", "fe80::1", "2001:db8::7", "192.0.2.7"),
		nicOf("br-4f2a", "172.18.0.1", "fd00::1"),
		nicOf("wlan0", "198.51.100.7", "169.254.3.4"),
	}
	var many []nic
	for i := range byte(12) {
		many = append(many, nicOf("eth", net.IPv4(192, 0, 2, i+1).String()))
	}
	for _, tt := range []struct {
		name, host string
		advertise  []string
		nics       []nic
		want       string // or what is said to be wrong
	}{
		{"one address", "192.0.2.9", nil, nics, "192.0.2.9:4222"},
		{"a name", "rig.example", nil, nics, "rig.example:4222"},
		{"loopback", "127.0.0.1", nil, nics, "127.0.0.1:4222"},
		{"anywhere", "0.0.0.0", nil, nics, "192.0.2.7:4222 198.51.100.7:4222 172.17.0.1:4222 172.18.0.1:4222"},
		{"nothing said", "", nil, nics, "192.0.2.7:4222 198.51.100.7:4222 172.17.0.1:4222 172.18.0.1:4222"},
		{"anywhere, IPv6 too", "::", nil, nics, "192.0.2.7:4222 198.51.100.7:4222 [2001:db8::7]:4222 172.17.0.1:4222 172.18.0.1:4222 [fd00::1]:4222"},
		{"advertised", "192.0.2.9", []string{"farm.example", "farm.example:443"}, nics, "farm.example:4222 farm.example:443 192.0.2.9:4222"},
		{"advertised IPv6", "192.0.2.9", []string{"2001:db8::1", "[2001:db8::2]", "[2001:db8::3]:1"}, nics, "[2001:db8::1]:4222 [2001:db8::2]:4222 [2001:db8::3]:1 192.0.2.9:4222"},
		{"advertised and there", "192.0.2.9", []string{"192.0.2.9"}, nics, "192.0.2.9:4222"},
		{"more than a token holds", "0.0.0.0", []string{"farm.example"}, many, "farm.example:4222 192.0.2.1:4222 192.0.2.2:4222 192.0.2.3:4222 192.0.2.4:4222 192.0.2.5:4222 192.0.2.6:4222 192.0.2.7:4222"},
		{"no address", "0.0.0.0", nil, nics[:1], ""},
		{"a port that is none", "192.0.2.9", []string{"farm.example:http"}, nics, `address "farm.example:http": port "http", want 1 to 65535`},
		{"port 0", "192.0.2.9", []string{"farm.example:0"}, nics, `address "farm.example:0": port "0", want 1 to 65535`},
		{"a URL", "192.0.2.9", []string{"tls://farm.example"}, nics, `port "//farm.example"`},
		{"two in one", "192.0.2.9", []string{"a,b"}, nics, `address "a,b": want a host name or an IP address`},
		{"nothing advertised", "192.0.2.9", []string{""}, nics, `address "": want a host name or an IP address`},
	} {
		got, err := reach(tt.host, "4222", tt.advertise, tt.nics)
		said := strings.Join(got, " ")
		if err != nil {
			said = err.Error()
		}
		if said != tt.want && (err == nil || !strings.Contains(said, tt.want)) {
			t.Errorf("%s: %s\nwant %s", tt.name, said, tt.want)
		}
	}
}

// TestListensToOthers asks for credentials wherever somebody else could connect.
func TestListensToOthers(t *testing.T) {
	for listen, want := range map[string]bool{
		"127.0.0.1:4222": false, "localhost:4222": false, "[::1]:4222": false, "127.3.2.1:0": false,
		"0.0.0.0:4222": true, ":4222": true, "[::]:4222": true, "192.0.2.7:4222": true, "rig:4222": true, "127.0.0.1.example:1": true,
	} {
		if got := (&coordinatorFlags{listen: listen}).listensToOthers(); got != want {
			t.Errorf("--listen %s: %v, want %v", listen, got, want)
		}
		if !(&coordinatorFlags{listen: listen, secure: true}).listensToOthers() {
			t.Errorf("--listen %s --secure: no credentials", listen)
		}
	}
}
