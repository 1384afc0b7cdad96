package coordinator

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/coordinator/peers"
	"github.com/jbcnet/jbc/coordinator/protocol"
)

// faultsOf is what a coordinator holds against another.
func (m *member) faultsOf(name string) (faults map[peers.Fault]uint64, ignored bool) {
	m.Coordinator.others.with(func(table *peers.Table) {
		for _, p := range table.All(time.Now()) {
			if p.Name == name {
				faults, ignored = p.Faults, !p.Ignored.IsZero()
			}
		}
	})
	return faults, ignored
}

// falseNode says that it is a node called liar, and answers as a test has it.
type falseNode struct {
	t              *testing.T
	conn           *nats.Conn
	key, mesh      nkeys.KeyPair // signs its answers; its record
	bound          string        // the key that its record names
	nodes          func(*protocol.AskNodes) *protocol.NodesReply
	machines       func(*protocol.AskMachines) *protocol.MachinesReply
	asked, counted atomic.Int64 // questions for nodes and for machines
}

// startFalseNode starts one whose answers are those of a small mesh, to be changed.
func startFalseNode(t *testing.T, url string, change func(*falseNode)) *falseNode {
	t.Helper()
	f := &falseNode{t: t, key: newKey(t), mesh: newKey(t)}
	f.bound = publicKey(t, f.key)
	f.nodes = func(*protocol.AskNodes) *protocol.NodesReply {
		return &protocol.NodesReply{Nodes: []protocol.Node{f.says("liar", f.mesh)}}
	}
	f.machines = func(*protocol.AskMachines) *protocol.MachinesReply {
		return &protocol.MachinesReply{Epoch: 1, After: 1, Machines: []protocol.Machine{{
			Key: publicKey(t, labelKey(t, "rig")), Name: "rig", Role: protocol.RoleWorker, Home: "liar", Joined: 10,
		}}}
	}
	if change != nil {
		change(f)
	}
	var err error
	if f.conn, err = nats.Connect(url); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.conn.Close)
	subjects := protocol.NewSubjects(chain.Regtest().ID())
	for subject, answer := range map[string]nats.MsgHandler{protocol.PingSubject: f.here, subjects.Sync("liar"): f.answer} {
		if _, err := f.conn.Subscribe(subject, answer); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.conn.Publish(protocol.PingSubject, []byte("liar")); err != nil { // so that it is looked for
		t.Fatal(err)
	}
	if err := f.conn.Flush(); err != nil {
		t.Fatal(err)
	}
	return f
}

// says returns a record of that name, signed with a key.
func (f *falseNode) says(name string, mesh nkeys.KeyPair) protocol.Node {
	n := protocol.Node{
		Network: chain.Regtest().ID(), Name: name, Key: f.bound, Mesh: publicKey(f.t, mesh),
		Addresses: []string{}, Routes: []string{"192.0.2.66:6222"}, Said: time.Now().UnixMilli(),
	}
	var err error
	if n.Proof, err = mesh.Sign(n.Proven()); err != nil {
		f.t.Error(err)
	}
	return n
}

func (f *falseNode) here(msg *nats.Msg) {
	answer, _ := json.Marshal(map[string]any{"metadata": map[string]string{
		protocol.MetaNetwork: chain.Regtest().ID(), protocol.MetaName: "liar", protocol.MetaKey: publicKey(f.t, f.key),
		protocol.MetaBook: "0000000000000001.0000000000000001", protocol.MetaWork: strings.Repeat("0", 64),
	}})
	_ = msg.Respond(answer)
}

func (f *falseNode) answer(msg *nats.Msg) {
	var reply answered
	switch kind, _ := protocol.KindOf(msg.Data); kind {
	case protocol.KindNodes:
		var ask protocol.AskNodes
		if err := protocol.Decode(msg.Data, &ask); err != nil {
			f.t.Error(err)
		}
		f.asked.Add(1)
		reply = f.nodes(&ask)
	case protocol.KindMachines:
		var ask protocol.AskMachines
		if err := protocol.Decode(msg.Data, &ask); err != nil {
			f.t.Error(err)
		}
		f.counted.Add(1)
		reply = f.machines(&ask)
	default:
		return
	}
	signer, err := protocol.NewSigner(f.key)
	if err != nil {
		f.t.Error(err)
		return
	}
	out := &nats.Msg{Subject: msg.Reply, Data: protocol.Encode(reply), Header: nats.Header{}}
	out.Header.Set(protocol.SignatureHeader, signer.Sign(protocol.ReplyTo(msg), out.Data))
	_ = f.conn.PublishMsg(out)
}

// TestFalseNodes has alpha meet one that lies: it takes nothing of that, and holds it
// against the liar.
func TestFalseNodes(t *testing.T) {
	fault := func(f peers.Fault) func(*member, *falseNode) bool {
		return func(m *member, _ *falseNode) bool { faults, _ := m.faultsOf("liar"); return faults[f] > 0 }
	}
	askedTwice := func(_ *member, f *falseNode) bool { return f.asked.Load() > 1 }
	for _, tt := range []struct {
		name   string
		known  bool // its mesh key is known as that of coordinator liar
		change func(*falseNode)
		until  func(*member, *falseNode) bool
		// What alpha knows then: machines of the liar, its record.
		machines, node bool
		faults         int
	}{
		{"an honest one", true, nil, func(m *member, _ *falseNode) bool {
			_, in := m.keeper.Who(publicKey(t, labelKey(t, "rig")))
			return in
		}, true, true, 0},
		{"a stranger", false, nil, askedTwice, false, false, 0},
		{"one whose answers another key signs than its record names", true, func(f *falseNode) {
			f.bound = publicKey(t, newKey(t))
		}, askedTwice, false, true, 0},
		{"one with the name of another", true, func(f *falseNode) {
			f.nodes = func(*protocol.AskNodes) *protocol.NodesReply {
				return &protocol.NodesReply{Nodes: []protocol.Node{f.says("alpha", f.mesh), f.says("beta", f.mesh)}}
			}
		}, askedTwice, false, false, 0},
		{"one with a forged record", true, func(f *falseNode) {
			f.nodes = func(*protocol.AskNodes) *protocol.NodesReply {
				n := f.says("liar", f.mesh)
				n.Routes[0] = "192.0.2.67:6222"
				return &protocol.NodesReply{Nodes: []protocol.Node{n}}
			}
		}, fault(peers.Rubbish), false, false, 1},
		{"one of another network", true, func(f *falseNode) {
			f.nodes = func(*protocol.AskNodes) *protocol.NodesReply {
				n := f.says("liar", f.mesh)
				n.Network = "dev-1a2b3c4d"
				n.Proof, _ = f.mesh.Sign(n.Proven())
				return &protocol.NodesReply{Nodes: []protocol.Node{n}}
			}
		}, fault(peers.Rubbish), false, false, 1},
		{"one whose nodes never end", true, func(f *falseNode) {
			f.nodes = func(ask *protocol.AskNodes) *protocol.NodesReply {
				return &protocol.NodesReply{After: fmt.Sprintf("n%09d", f.asked.Load())}
			}
		}, fault(peers.Endless), false, false, 1},
		{"one whose nodes go in circles", true, func(f *falseNode) {
			f.nodes = func(ask *protocol.AskNodes) *protocol.NodesReply { return &protocol.NodesReply{After: "n"} }
		}, fault(peers.Rubbish), false, false, 1},
		{"one whose machines never end", true, func(f *falseNode) {
			f.machines = func(ask *protocol.AskMachines) *protocol.MachinesReply {
				return &protocol.MachinesReply{Epoch: 1, After: ask.After + 1, More: true}
			}
		}, fault(peers.Endless), false, true, 1},
		{"one whose machines never end, in ever new epochs", true, func(f *falseNode) {
			f.machines = func(ask *protocol.AskMachines) *protocol.MachinesReply {
				return &protocol.MachinesReply{Epoch: ask.Epoch + 1, More: true}
			}
		}, fault(peers.Endless), false, true, 1},
		{"one whose machines go in circles", true, func(f *falseNode) {
			f.machines = func(ask *protocol.AskMachines) *protocol.MachinesReply {
				return &protocol.MachinesReply{Epoch: 1, After: 1, More: true}
			}
		}, fault(peers.Rubbish), false, true, 1},
		{"one with too many machines at once", true, func(f *falseNode) {
			one := f.machines(nil).Machines[0]
			f.machines = func(*protocol.AskMachines) *protocol.MachinesReply {
				reply := &protocol.MachinesReply{Epoch: 1, After: 1}
				for range protocol.MaxMachines + 1 {
					reply.Machines = append(reply.Machines, one)
				}
				return reply
			}
		}, fault(peers.Rubbish), false, true, 1},
		{"one with a machine that is none", true, func(f *falseNode) {
			one := f.machines(nil).Machines[0]
			one.Role = protocol.RoleOwner
			f.machines = func(*protocol.AskMachines) *protocol.MachinesReply {
				return &protocol.MachinesReply{Epoch: 1, After: 1, Machines: []protocol.Machine{one}}
			}
		}, fault(peers.Rubbish), false, true, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			broker := startBroker(t)
			alpha := startMember(t, memberConfig{broker: broker, name: "alpha"})
			liar := startFalseNode(t, broker.URL(), func(f *falseNode) {
				if tt.known {
					told := protocol.Machine{Key: publicKey(t, f.mesh), Name: "liar", Role: protocol.RoleCoordinator, Home: "zero", Joined: 10}
					if _, err := alpha.keeper.Merge(time.Now(), "zero", []protocol.Machine{told}); err != nil {
						t.Fatal(err)
					}
				}
				if tt.change != nil {
					tt.change(f)
				}
			})
			until(t, "alpha has seen what it is", func() bool { return tt.until(alpha, liar) })
			_, machines := alpha.keeper.Who(publicKey(t, labelKey(t, "rig")))
			if got := alpha.others(); machines != tt.machines || (got == "liar") != tt.node || !tt.node && got != "" {
				t.Errorf("alpha knows nodes %q and the machine %v, want the liar %v, %v", got, machines, tt.node, tt.machines)
			}
			if tt.faults == 0 && !tt.machines && liar.counted.Load() != 0 {
				t.Errorf("%d questions for machines to one whose answers do not count", liar.counted.Load())
			}
			faults, _ := alpha.faultsOf("liar")
			if len(faults) != tt.faults {
				t.Errorf("faults %v, want %d", faults, tt.faults)
			}
			if nodes := alpha.Nodes(); nodes[0].Key != alpha.PublicKey() {
				t.Error("alpha's own record is another's")
			}
		})
	}
}
