package access

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jbcnet/jbc/coordinator/protocol"
)

const (
	// maxTold is how many machines are kept that other coordinators tell of and that
	// were not revoked.
	maxTold = 20_000
	// maxTeller is how many are kept that one coordinator was the first to tell of.
	maxTeller = 10_000
)

var (
	// ErrRevoked says that the mesh does not know a coordinator any more.
	ErrRevoked = errors.New("this coordinator was revoked in its mesh")
	// ErrOtherName says that the mesh knows a coordinator by another name.
	ErrOtherName = errors.New("this coordinator has another name in its mesh")
)

// first says whether a comes before b where both want one name: the coordinator itself
// does before those that joined here, and they before those that others tell of.
func (b *book) first(a, other machine) bool {
	return cmp.Or(cmp.Compare(b.rank(a), b.rank(other)), cmp.Compare(a.Joined, other.Joined), cmp.Compare(a.Key, other.Key)) < 0
}

func (b *book) rank(m machine) int {
	switch {
	case m.Key == b.self:
		return 0
	case b.isOwn(m):
		return 1
	}
	return 2
}

// settle says whose the name is of a machine that is new or changed: of those that
// were not revoked, that of the first.
func (b *book) settle(m machine) {
	name := protocol.MachineOf(m.Name)
	holder, held := b.machines[b.names[name]]
	switch {
	case m.Revoked == 0:
		if !held || b.first(m, holder) {
			b.names[name] = m.Key
		}
	case held && holder.Key == m.Key:
		delete(b.names, name)
		for _, other := range b.machines {
			if other.Revoked == 0 && protocol.MachineOf(other.Name) == name {
				b.settle(other)
			}
		}
	}
}

// has says whether a machine was not revoked and its name is its own.
func (b *book) has(m machine) bool {
	return m.Revoked == 0 && b.names[protocol.MachineOf(m.Name)] == m.Key
}

// home returns the coordinator's name, empty where it was not told.
func (b *book) home() string {
	if len(b.reserved) == 0 {
		return ""
	}
	return b.reserved[0]
}

// isOwn says whether a machine joined here, by the records that were made here.
func (b *book) isOwn(m machine) bool { return m.Home == "" }

// isSelf says whether a machine is the coordinator itself.
func (b *book) isSelf(m machine) bool {
	return m.Role == protocol.RoleCoordinator && protocol.OwnsName(m.Name, b.home())
}

// over returns when a machine was revoked, or when that was heard of.
func (m *machine) over() int64 { return max(m.Revoked, m.Noted) }

// tell returns a record as other coordinators are told of it.
func (b *book) tell(m machine) protocol.Machine {
	return protocol.Machine{
		Key: m.Key, Name: m.Name, Role: m.Role, Home: cmp.Or(m.Home, b.home()), Joined: m.Joined, Revoked: m.Revoked,
	}
}

// merge takes what the coordinator from tells of machines, which were checked. Of what
// is no news nothing changes. The error wraps [protocol.Full] where there is no room
// for all; the change is to be made none the less.
//
// Nobody else can tell who joined here: a key that is said to have and is not known
// is passed over, also where it did and the record of it was lost. And nobody takes a
// name from the coordinator itself or from a machine that joined here, however early
// the other is said to have joined. So books become the same up to that: of two
// machines that joined two coordinators under one name each of the two keeps its own
// and bars the other's, and all others have the one that joined first, until one of
// them is revoked.
func (b *book) merge(now time.Time, from string, told []protocol.Machine) (c change, err error) {
	news := map[string]machine{}
	from = protocol.MachineOf(from) // whatever its processes are called
	room, left := maxTold-b.elses, maxTeller-b.told[from]
	for _, t := range told {
		m, known := news[t.Key]
		if !known {
			m, known = b.machines[t.Key]
		}
		switch {
		case known:
			merged, changed := b.with(now, m, t)
			if !changed {
				continue
			}
			m = merged
		case t.Home == b.home(), b.tokens[t.Key].Key != "":
			continue // nobody lets a machine join here, or makes one of a token, that way
		case t.Revoked != 0 && t.Revoked < now.Add(-keepRevoked).Unix():
			continue // whoever tells of it is about to forget it too
		case left <= 0:
			err = fmt.Errorf("%w: %d machines that coordinator %s was the first to tell of", protocol.Full, maxTeller, from)
			continue
		case t.Revoked == 0 && room <= 0:
			err = fmt.Errorf("%w: %d machines that other coordinators tell of", protocol.Full, maxTold)
			continue
		default:
			left--
			m = machine{Key: t.Key, Name: t.Name, Role: t.Role, Joined: t.Joined, Revoked: t.Revoked, Home: t.Home, Told: from}
			if m.Revoked != 0 {
				m.Noted = now.Unix()
			} else {
				room--
			}
		}
		news[t.Key] = m
	}
	for _, m := range news {
		c.machines = append(c.machines, m)
	}
	slices.SortFunc(c.machines, func(a, b machine) int { return cmp.Compare(a.Key, b.Key) })
	return c, err
}

// with returns a record together with what is told of the same key, and whether that
// is any news. The outcome is the same in whatever order things are told: the
// earliest revocation counts, whatever else is told, and the earliest joining, and of
// two that are as early the home that comes first. A name and a role are for good. Of
// what joined here only a revocation is news, and nothing did because others say so.
func (b *book) with(now time.Time, m machine, t protocol.Machine) (machine, bool) {
	was := m
	if !b.isOwn(m) && t.Home != b.home() && t.Name == m.Name && t.Role == m.Role &&
		cmp.Or(cmp.Compare(t.Joined, m.Joined), cmp.Compare(t.Home, m.Home)) < 0 {
		m.Joined, m.Home = t.Joined, t.Home
	}
	if t.Revoked != 0 && (m.Revoked == 0 || t.Revoked < m.Revoked) {
		m.Revoked = t.Revoked
		if was.Revoked == 0 {
			m.Noted = now.Unix()
		}
	}
	return m, m != was
}

// found puts the coordinator itself into the book, under the key that routes know it
// by, and revokes the one that it was before under another key.
func (b *book) found(now time.Time, self protocol.Machine) (c change, err error) {
	m, known := b.machines[self.Key]
	alone := true
	for _, other := range b.machines {
		switch {
		case other.Key == self.Key || other.Role != protocol.RoleCoordinator || other.Revoked != 0:
		case other.Home == "" && b.isSelf(other):
			other.Revoked = max(now.Unix(), other.Joined)
			c.machines = append(c.machines, other)
		default:
			alone = false
		}
	}
	switch {
	case !known:
		m = machine{Key: self.Key, Name: self.Name, Role: protocol.RoleCoordinator, Joined: self.Joined}
	case m.Revoked != 0:
		return change{}, fmt.Errorf("%w %s", ErrRevoked, ago(now, m.Revoked))
	case m.Role != protocol.RoleCoordinator || m.Name != self.Name && !alone:
		return change{}, fmt.Errorf("%w: %s %s, not coordinator %s", ErrOtherName, m.Role, m.Name, self.Name)
	case m.Name == self.Name && b.isOwn(m):
		return c, nil
	}
	m.Name, m.Home, m.Told = self.Name, "", "" // nobody else knows another name that it had
	c.machines = append(c.machines, m)
	return c, nil
}

// barred returns the machines that are not let in because another has their name.
func (b *book) barred() (out []protocol.Machine) {
	for _, m := range b.machines {
		if m.Revoked == 0 && !b.has(m) {
			out = append(out, b.tell(m))
		}
	}
	slices.SortFunc(out, func(a, b protocol.Machine) int { return cmp.Compare(a.Key, b.Key) })
	return out
}
