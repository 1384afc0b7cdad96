package protocol

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
)

// labelled returns the key that goes by a label, always the same one.
func labelled(label string) nkeys.KeyPair {
	raw := sha256.Sum256([]byte(label))
	key, err := nkeys.FromRawSeed(nkeys.PrefixByteUser, raw[:])
	if err != nil {
		panic(err)
	}
	return key
}

func publicOf(key nkeys.KeyPair) string {
	public, err := key.PublicKey()
	if err != nil {
		panic(err)
	}
	return public
}

// testCA is a certificate that has the same bytes whenever it is made.
func testCA() []byte {
	seed := sha256.Sum256([]byte("ca"))
	key := ed25519.NewKeyFromSeed(seed[:])
	template := &x509.Certificate{
		SerialNumber: big.NewInt(7), NotBefore: time.Unix(1_700_000_000, 0), NotAfter: time.Unix(1_800_000_000, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(nil, template, template, key.Public(), key)
	if err != nil {
		panic(err)
	}
	return der
}

// proved signs what n says with the key that goes by a label.
func proved(n *Node, mesh string) *Node {
	var err error
	if n.Proof, err = labelled(mesh).Sign(n.Proven()); err != nil {
		panic(err)
	}
	return n
}

// testNode has something in every field.
func testNode() *Node {
	return proved(&Node{
		Network: "dev-1a2b3c4d", Name: "alpha", Key: pingKey, Mesh: publicOf(labelled("mesh")), CA: testCA(),
		Addresses: []string{"192.0.2.7:4222", "[2001:db8::7]:4222"}, Routes: []string{"192.0.2.7:6222"}, Said: 1_700_000_000_123,
	}, "mesh")
}

// bareNode is reached nowhere.
func bareNode() *Node {
	public := publicOf(labelled("bare"))
	return proved(&Node{
		Network: "dev-1a2b3c4d", Name: "beta_1", Key: public, Mesh: public, Addresses: []string{}, Routes: []string{},
	}, "bare")
}

// largestNode says as much as a node can.
func largestNode(t *testing.T) *Node {
	t.Helper()
	address := strings.Repeat("a", MaxNodeText/(2*MaxAddresses)-5) + ":4222"
	n := &Node{
		Network: strings.Repeat("n", 32) + "-1a2b3c4d", Name: strings.Repeat("n", maxName), Key: pingKey, Mesh: pingKey,
		CA: make(Bytes, maxCA), Said: MaxSaid, Proof: make(Bytes, ed25519.SignatureSize),
	}
	for range MaxAddresses {
		n.Addresses, n.Routes = append(n.Addresses, address), append(n.Routes, address)
	}
	if err := n.checkAddresses(); err != nil {
		t.Fatal(err)
	}
	if n.Routes[0] += "2"; n.checkAddresses() == nil {
		t.Error("a byte more of addresses is let pass")
	}
	n.Routes[0] = address
	return n
}

// TestNodeProven pins what is signed.
func TestNodeProven(t *testing.T) {
	n := &Node{Network: "n", Name: "a", Key: "K", Mesh: "M", CA: Bytes{0xca}, Addresses: []string{"h:1"}, Routes: []string{"r:2", ""}, Said: 0x0102}
	want := "6a62632e76310a" + "6e6f64650a" + // "jbc.v1\nnode\n"
		"000000016e" + "0000000161" + "000000014b" + "000000014d" + "00000001ca" +
		"00000001" + "00000003683a31" + "00000002" + "00000003723a32" + "00000000" + "0000000000000102"
	if got := hex.EncodeToString(n.Proven()); got != want {
		t.Errorf("Proven = %s\nwant     %s", got, want)
	}
}

// TestNodeCheck changes one thing at a time of what a node says, signed anew by its
// owner or not.
func TestNodeCheck(t *testing.T) {
	for _, n := range []*Node{testNode(), bareNode()} {
		if err := n.Check(); err != nil {
			t.Errorf("node %s: %v", n.Name, err)
		}
	}
	for _, tt := range []struct {
		name   string
		change func(*Node)
		want   string // of its owner's own lie; empty where that is none
	}{
		{"another name", func(n *Node) { n.Name = "gamma" }, ""},
		{"another network", func(n *Node) { n.Network = "dev-1a2b3c4e" }, ""},
		{"another signing key", func(n *Node) { n.Key = n.Mesh }, ""},
		{"said later", func(n *Node) { n.Said++ }, ""},
		{"no CA", func(n *Node) { n.CA = nil }, ""},
		{"an address less", func(n *Node) { n.Addresses = n.Addresses[:1] }, ""},
		{"another route", func(n *Node) { n.Routes = []string{"192.0.2.8:6222"} }, ""},
		{"an address that becomes a route", func(n *Node) {
			n.Addresses, n.Routes = n.Addresses[:1], []string{n.Addresses[1], n.Routes[0]}
		}, ""},
		{"no network", func(n *Node) { n.Network = "" }, `network ""`},
		{"no name", func(n *Node) { n.Name = "" }, `name ""`},
		{"a name with a dot", func(n *Node) { n.Name = "a.b" }, `name "a.b"`},
		{"no key", func(n *Node) { n.Key = "" }, `key ""`},
		{"a key of a server", func(n *Node) { n.Key = "N" + n.Key[1:] }, "key"},
		{"a CA that is none", func(n *Node) { n.CA = Bytes{0x30, 0} }, "ca: x509"},
		{"a CA with a byte behind", func(n *Node) { n.CA = append(n.CA, 0) }, "ca: x509"},
		{"a huge CA", func(n *Node) { n.CA = make(Bytes, maxCA+1) }, "ca of 1025 bytes"},
		{"said before all time", func(n *Node) { n.Said = -1 }, "said at -1"},
		{"said after all time", func(n *Node) { n.Said = MaxSaid + 1 }, "said at 1099511627776001"},
		{"nine addresses", func(n *Node) { n.Addresses = make([]string, 9) }, "9 addresses, at most 8"},
		{"nine routes", func(n *Node) { n.Routes = make([]string, 9) }, "9 addresses, at most 8"},
		{"an address with a comma", func(n *Node) { n.Addresses[0] = "a,b:1" }, `address "a,b:1"`},
		{"a route without a port", func(n *Node) { n.Routes[0] = "192.0.2.7" }, `address "192.0.2.7"`},
	} {
		n := testNode()
		if tt.change(n); tt.want == "" {
			if err := n.Check(); !errors.Is(err, ErrProof) {
				t.Errorf("%s, not signed: %v, want %v", tt.name, err, ErrProof)
			}
		}
		if err := proved(n, "mesh").Check(); tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s, signed: %v, want %q in it", tt.name, err, tt.want)
		}
	}
	short := testNode()
	if short.Proof = short.Proof[:63]; short.Check() == nil {
		t.Error("a proof of 63 bytes is let pass")
	}
	if n := proved(testNode(), "another"); !errors.Is(n.Check(), ErrProof) {
		t.Errorf("signed by another key: %v, want %v", n.Check(), ErrProof)
	}
}

// TestMachineCheck changes one field at a time.
func TestMachineCheck(t *testing.T) {
	good := Machine{Key: pingKey, Name: "rig-1", Role: RoleWorker, Home: "alpha_1", Joined: 5}
	for _, tt := range []struct {
		name   string
		change func(*Machine)
		want   string
	}{
		{"as it is", func(*Machine) {}, ""},
		{"revoked", func(m *Machine) { m.Revoked = 6 }, ""},
		{"a coordinator under its own name", func(m *Machine) { m.Role, m.Name = RoleCoordinator, "alpha_1" }, ""},
		{"a worker under the name of a process", func(m *Machine) { m.Name = "rig_1" }, "machine name"},
		{"no key", func(m *Machine) { m.Key = "" }, "key"},
		{"a key of an account", func(m *Machine) { m.Key = "A" + m.Key[1:] }, "key"},
		{"an owner", func(m *Machine) { m.Role = RoleOwner }, "no role"},
		{"a joiner", func(m *Machine) { m.Role = RoleJoiner }, "no role"},
		{"no home", func(m *Machine) { m.Home = "" }, "home"},
		{"a home with a wildcard", func(m *Machine) { m.Home = "*" }, "home"},
		{"joined before all time", func(m *Machine) { m.Joined = -1 }, "joined at -1"},
		{"joined after all time", func(m *Machine) { m.Joined = meshSeconds + 1 }, "joined at"},
		{"revoked before all time", func(m *Machine) { m.Revoked = -1 }, "revoked at -1"},
	} {
		m := good
		tt.change(&m)
		if err := m.Check(); tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: %v, want %q in it", tt.name, err, tt.want)
		}
	}
}

// TestMeshReplies refuses pages that are too long or do not go on by name.
func TestMeshReplies(t *testing.T) {
	for _, tt := range []struct {
		name string
		m    Message
		ok   bool
	}{
		{"a full page of nodes", &NodesReply{Nodes: make([]Node, MaxNodes), After: "alpha"}, true},
		{"a node too many", &NodesReply{Nodes: make([]Node, MaxNodes+1)}, false},
		{"nodes after no name", &NodesReply{After: "a.b"}, false},
		{"a refusal", &NodesReply{Reply: Reply{Code: Busy}, After: "a.b"}, true},
		{"nodes asked for after no name", &AskNodes{Ask: Ask{Kind: KindNodes}, After: ">"}, false},
		{"machines asked for as nodes", &AskNodes{Ask: Ask{Kind: KindMachines}}, false},
		{"nodes asked for as machines", &AskMachines{Ask: Ask{Kind: KindNodes}}, false},
		{"a machine too many", &MachinesReply{Machines: make([]Machine, MaxMachines+1)}, false},
		{"a machine that is none", &MachinesReply{Machines: make([]Machine, 1)}, false},
	} {
		if err := tt.m.Validate(); (err == nil) != tt.ok {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// TestOpen reads replies to other coordinators: signed for that very question, or not.
func TestOpen(t *testing.T) {
	signer, err := NewSigner(labelled("alpha"))
	if err != nil {
		t.Fatal(err)
	}
	question := &nats.Msg{Data: Encode(&AskNodes{Ask: Ask{KindNodes, 1}})}
	other := &nats.Msg{Data: Encode(&AskNodes{Ask: Ask{KindNodes, 2}})}
	open := func(data []byte, signedFor *nats.Msg, key string) (*NodesReply, error) {
		reply := new(NodesReply)
		return reply, Open(key, ReplyTo(question), signer.Sign(ReplyTo(signedFor), data), data, reply)
	}
	data, alpha := Encode(&NodesReply{Reply: Reply{Kind: KindNodes, ID: 1}, Nodes: []Node{*testNode()}}), publicOf(labelled("alpha"))
	if reply, err := open(data, question, alpha); err != nil || len(reply.Nodes) != 1 || reply.Nodes[0].Check() != nil {
		t.Errorf("Open = %+v, %v", reply, err)
	}
	if _, err := open(data, other, alpha); !errors.Is(err, ErrSignature) {
		t.Errorf("to another question: %v, want %v", err, ErrSignature)
	}
	if _, err := open(data, question, publicOf(labelled("beta"))); !errors.Is(err, ErrSignature) {
		t.Errorf("of another coordinator: %v, want %v", err, ErrSignature)
	}
	for _, refusal := range []*Reply{{Code: Busy}, {Code: Busy, Detail: "later"}} {
		if _, err := open(Encode(refusal), question, alpha); !errors.Is(err, Busy) {
			t.Errorf("a refusal: %v, want %v", err, Busy)
		}
	}
	if _, err := open(bytes.Repeat([]byte{'['}, 9), question, alpha); !errors.Is(err, Malformed) {
		t.Errorf("rubbish: %v, want %v", err, Malformed)
	}
}
