package coordinator

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jbcnet/jbc/chain/store"
	"github.com/jbcnet/jbc/coordinator/protocol"
)

// nodeKeys begin the keys of what nodes said, before their names.
const nodeKeys = "node/"

// beginNode brings back the nodes that were known, and says of this one what is new.
func (c *Coordinator) beginNode(now time.Time) error {
	if c.node == nil {
		return nil
	}
	c.node.changing.Lock()
	defer c.node.changing.Unlock()
	b := c.node.book
	var last protocol.Node
	var gone []string // what is of no use
	err := c.cfg.Store.Iterate(store.Coordinator, []byte(nodeKeys), func(key, value []byte) error {
		var k knownNode
		if err := json.Unmarshal(value, &k); err != nil {
			return fmt.Errorf("record %s: %w", key, err)
		}
		switch name := string(key[len(nodeKeys):]); {
		case k.Node.Mesh == b.own.Mesh:
			if k.Node.Said > last.Said {
				last = k.Node
			}
			if name != b.own.Name {
				gone = append(gone, name)
			}
		case name != k.Node.Name || name == b.own.Name || k.Node.Network != b.own.Network || k.Node.Check() != nil:
			gone = append(gone, name)
		default:
			c.node.mu.Lock()
			defer c.node.mu.Unlock()
			if !b.Restore(k) {
				gone = append(gone, name)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := c.restate(now, last, last.Said-1, gone...); err != nil {
		return err
	}
	if !c.counts(&b.own) {
		c.log.Error("other nodes will not listen to this one: the mesh does not know its key", "key", b.own.Mesh)
		c.node.untold = true
	}
	c.node.mu.Lock()
	b.Forget(now, c.counts)
	c.node.mu.Unlock()
	return c.keepNodes(nil)
}

// restate says anew what this node says of itself, where that is due. The caller
// holds c.node.changing.
func (c *Coordinator) restate(now time.Time, last protocol.Node, atLeast int64, gone ...string) error {
	own, news, err := c.node.restated(now, c.node.ownNow(last), last, atLeast)
	if err != nil {
		return err
	}
	if news {
		if err := c.writeNodes([]knownNode{{Node: own, Heard: own.Said}}, gone); err != nil {
			return err
		}
	} else if err := c.writeNodes(nil, gone); err != nil {
		return err
	}
	c.node.mu.Lock()
	defer c.node.mu.Unlock()
	if news || c.node.book.own.Said == 0 {
		c.node.book.State(own)
	}
	return nil
}

// tendNode says again what this node said, once a day or where it is somewhere else
// now, and forgets who is gone.
func (c *Coordinator) tendNode(now time.Time) error {
	c.node.changing.Lock()
	defer c.node.changing.Unlock()
	own := c.Nodes()[0]
	if err := c.restate(now, own, own.Said-1); err != nil {
		return err
	}
	return c.forgetNodes(now)
}

// takeNodes takes what others say of nodes. It returns whether some of it does not
// count, or not yet. An error is a faultError, or the store's.
func (c *Coordinator) takeNodes(now time.Time, from string, told []protocol.Node) (left bool, err error) {
	c.node.changing.Lock()
	defer c.node.changing.Unlock()
	var news []knownNode
	later := int64(-1)
	for i := range told {
		n := &told[i]
		c.node.mu.Lock()
		did, bad := c.node.book.Take(now, n, c.counts)
		if did == isNews {
			news = append(news, c.node.book.known[n.Name])
		}
		c.node.mu.Unlock()
		if bad != nil {
			err = errRubbish(from, bad)
			break
		}
		left = left || did == noMatter
		if did == newerSelf {
			later = max(later, n.Said)
		}
	}
	if later >= 0 {
		if err := c.restate(now, c.Nodes()[0], later); err != nil {
			return left, err
		}
	}
	if len(news) == 0 {
		return left, err
	}
	for _, k := range news {
		c.log.Info("node of the mesh", "node", k.Node.Name, "routes", k.Node.Routes, "heard from", from)
	}
	return left, errors.Join(err, c.keepNodes(news))
}

// forgetNodes forgets who does not count any more. The caller holds c.node.changing.
func (c *Coordinator) forgetNodes(now time.Time) error {
	c.node.mu.Lock()
	before := c.node.book.count
	c.node.book.Forget(now, c.counts)
	same := c.node.book.count == before
	c.node.mu.Unlock()
	if same {
		return nil
	}
	return c.keepNodes(nil)
}

// keepNodes writes what is new and takes off the disk who was forgotten, and tells of
// the other nodes. The caller holds c.node.changing.
func (c *Coordinator) keepNodes(news []knownNode) error {
	c.node.mu.Lock()
	gone := c.node.book.Gone()
	news = slices.DeleteFunc(news, func(k knownNode) bool { return slices.Contains(gone, k.Node.Name) })
	c.node.mu.Unlock()
	if len(gone) > 0 {
		c.log.Info("nodes forgotten", "nodes", gone)
	}
	if err := c.writeNodes(news, gone); err != nil {
		return err
	}
	if told := c.node.cfg.NodesChanged; told != nil {
		told(c.Nodes()[1:])
	}
	return nil
}

// writeNodes puts records on the disk and takes others off it. The caller holds
// c.node.changing.
func (c *Coordinator) writeNodes(news []knownNode, gone []string) error {
	if len(news)+len(gone) == 0 {
		return nil
	}
	batch := c.cfg.Store.NewBatch()
	for _, name := range gone {
		batch.Delete(store.Coordinator, []byte(nodeKeys+name))
	}
	for _, k := range news {
		data, err := json.Marshal(k)
		if err != nil {
			return err
		}
		batch.Set(store.Coordinator, []byte(nodeKeys+k.Node.Name), data)
	}
	pending, err := batch.Apply()
	if err != nil {
		return err
	}
	return pending.Wait()
}
