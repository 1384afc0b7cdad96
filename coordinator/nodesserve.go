package coordinator

import (
	"fmt"

	"github.com/nats-io/nats.go"

	"github.com/jbcnet/jbc/coordinator/protocol"
)

// nodesReply answers who asks for nodes: another coordinator or a worker. Where there
// is no mesh there is none.
func (c *Coordinator) nodesReply(ask *protocol.AskNodes) *protocol.NodesReply {
	reply := &protocol.NodesReply{Reply: accepted(&ask.Ask), Nodes: []protocol.Node{}}
	if c.node == nil {
		return reply
	}
	c.node.mu.Lock()
	defer c.node.mu.Unlock()
	reply.Nodes, reply.After = c.node.book.Page(ask.After)
	if reply.Nodes == nil {
		reply.Nodes = []protocol.Node{}
	}
	return reply
}

// machinesReply answers another coordinator that asks for machines. The error wraps
// the code of a refusal.
func (c *Coordinator) machinesReply(ask *protocol.AskMachines) (*protocol.MachinesReply, error) {
	if c.node == nil || c.cfg.Access == nil {
		return nil, fmt.Errorf("%w: %w", protocol.Unavailable, ErrNoAccess)
	}
	machines, epoch, after, more := c.cfg.Access.Keeper.Changes(uint64(ask.Epoch), uint64(ask.After))
	if machines == nil {
		machines = []protocol.Machine{}
	}
	return &protocol.MachinesReply{
		Reply: accepted(&ask.Ask), Epoch: protocol.Point(epoch), After: protocol.Point(after), More: more, Machines: machines,
	}, nil
}

// answerNodes answers a worker that asks for nodes.
func (c *Coordinator) answerNodes(msg *nats.Msg) {
	var ask protocol.AskNodes
	if err := protocol.Decode(msg.Data, &ask); err != nil {
		c.refuse(msg, err)
		return
	}
	c.respond(msg, c.nodesReply(&ask))
}

// routesToTell are those that a coordinator which joins is told: this node's own
// first.
func (c *Coordinator) routesToTell() (routes []string) {
	seen := map[string]bool{}
	for _, n := range c.Nodes() {
		for _, r := range n.Routes {
			if !seen[r] && len(routes) < protocol.MaxRoutes {
				seen[r] = true
				routes = append(routes, r)
			}
		}
	}
	return routes
}

// meshKey is what routes know this node by, empty where it is in no mesh.
func (c *Coordinator) meshKey() string {
	if c.node == nil {
		return ""
	}
	return c.Nodes()[0].Mesh
}
