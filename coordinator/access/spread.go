package access

import (
	"time"

	"github.com/jbcnet/jbc/coordinator/protocol"
)

// What a keeper has to do with those of other coordinators.

// Found puts the coordinator itself into the book, as a coordinator under the key that
// routes know it by, and the others that it knows from having joined: whom it trusts
// on routes at first. It is to be called at every start, before routes are opened;
// what is there already stays. The error is [ErrRevoked], [ErrOtherName] or wraps
// [protocol.Unavailable].
func (k *Keeper) Found(now time.Time, self protocol.Machine, others ...protocol.Machine) error {
	if err := self.Check(); err != nil {
		return err
	}
	for i := range others {
		if err := others[i].Check(); err != nil {
			return err
		}
	}
	if err := k.change(now, func(b *book) (change, error) { return b.found(now, self) }); err != nil {
		return err
	}
	k.mu.Lock()
	k.book.self = self.Key
	k.book.settle(k.book.machines[self.Key])
	k.mu.Unlock()
	_, err := k.Merge(now, "", others)
	return err
}

// Merge takes what the coordinator of that name tells of machines, which were checked,
// and returns those of which it was news, as they are from now on. Whatever it tells,
// the coordinator itself and the machines that joined here keep their names, and none
// has joined here because of it: of one name two coordinators may keep two machines,
// each its own. The error wraps [protocol.Full] where there is no room for all, or
// [protocol.Unavailable] where nothing could be written.
func (k *Keeper) Merge(now time.Time, from string, told []protocol.Machine) (news []protocol.Machine, err error) {
	var full error
	err = k.change(now, func(b *book) (c change, err error) {
		c, full = b.merge(now, from, told)
		for _, m := range c.machines {
			news = append(news, b.tell(m))
		}
		return c, nil
	})
	if err != nil {
		return nil, err
	}
	return news, full
}

// Changes returns the machines that changed after a number of changes in that epoch,
// [protocol.MaxMachines] at most, and from where to go on. Of another epoch, as of the
// last run of this coordinator, all are told again.
func (k *Keeper) Changes(epoch, after uint64) (machines []protocol.Machine, current, next uint64, more bool) {
	if epoch != k.epoch {
		after = 0
	}
	k.mu.RLock()
	defer k.mu.RUnlock()
	keys, next, more := k.book.changes.after(after, protocol.MaxMachines)
	for _, key := range keys {
		machines = append(machines, k.book.tell(k.book.machines[key]))
	}
	return machines, k.epoch, next, more
}

// Count returns how often machines changed in this epoch.
func (k *Keeper) Count() (epoch, count uint64) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.epoch, k.book.changes.count
}

// Coordinator returns the name of the coordinator that routes know by a key, and
// whether it is trusted there.
func (k *Keeper) Coordinator(meshKey string) (name string, trusted bool) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	m, ok := k.book.machines[meshKey]
	return m.Name, ok && m.Role == protocol.RoleCoordinator && k.book.has(m)
}

// IsCoordinator says whether a key is to be trusted on routes.
func (k *Keeper) IsCoordinator(meshKey string) bool {
	_, trusted := k.Coordinator(meshKey)
	return trusted
}

// Barred returns the machines that are not let in because another one, which joined
// here or joined another coordinator earlier, has their name.
func (k *Keeper) Barred() []protocol.Machine {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.book.barred()
}
