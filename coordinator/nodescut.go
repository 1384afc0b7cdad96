package coordinator

import (
	"time"

	"github.com/jbcnet/jbc/coordinator/protocol"
)

// takeMachines takes what another node tells of machines, cuts off those that are not
// let in any more, and returns how many were news. The error is that of
// [access.Keeper.Merge], or the store's.
func (c *Coordinator) takeMachines(now time.Time, from string, told []protocol.Machine) (news int, err error) {
	if len(told) == 0 {
		return 0, nil
	}
	known := map[string]bool{} // keys of coordinators
	for i := range told {
		name, _ := c.cfg.Access.Keeper.Coordinator(told[i].Key)
		known[told[i].Key] = name != ""
	}
	merged, err := c.cfg.Access.Keeper.Merge(now, from, told)
	for _, m := range merged {
		if m.Revoked == 0 {
			if m.Role == protocol.RoleCoordinator && !known[m.Key] {
				c.log.Info("coordinator learned of", "machine", m.Name, "home", m.Home, "key", m.Key, "heard from", from)
			}
			continue
		}
		c.log.Info("machine revoked", "machine", m.Name, "role", m.Role, "heard from", from)
		c.cutOff(m.Key, m.Role)
	}
	if len(merged) == 0 {
		return 0, err
	}
	if fatal := c.machinesChanged(now); fatal != nil {
		return len(merged), fatal
	}
	return len(merged), err
}

// cutOff ends the connections of a machine that is not let in any more.
func (c *Coordinator) cutOff(key string, role protocol.Role) {
	c.cfg.Access.Broker.DisconnectKey(key)
	if c.node != nil && c.node.cfg.Revoked != nil && role == protocol.RoleCoordinator && key != c.meshKey() {
		c.node.cfg.Revoked(key)
	}
}

// machinesChanged does what follows when machines joined or were revoked, here or
// elsewhere: nodes that do not count any more are forgotten, and whose name is
// another's now is cut off.
func (c *Coordinator) machinesChanged(now time.Time) error {
	if c.node == nil {
		return nil
	}
	c.node.changing.Lock()
	defer c.node.changing.Unlock()
	barred := map[string]bool{}
	for _, m := range c.cfg.Access.Keeper.Barred() {
		if barred[m.Key] = true; c.node.barred[m.Key] {
			continue
		}
		c.log.Warn("two machines have one name: the one that joined later, or elsewhere, is not let in", "machine", m.Name, "home", m.Home, "key", m.Key,
			"hint", "jbc token revoke "+m.Key+" and have it join again")
		c.cutOff(m.Key, m.Role)
	}
	c.node.barred = barred
	own := c.Nodes()[0]
	if untrusted := c.node.cfg.Secure && !c.counts(&own); untrusted != c.node.untold {
		if c.node.untold = untrusted; untrusted {
			c.log.Error("other nodes do not listen to this one any more: it was revoked in its mesh, or another has its name")
		}
	}
	return c.forgetNodes(now)
}
