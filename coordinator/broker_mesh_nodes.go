package coordinator

import (
	"context"
	"errors"
	"time"
)

const (
	// The pause between attempts to reach a node doubles up to redialMost.
	redialFirst = 250 * time.Millisecond
	redialMost  = 2 * time.Second
	// redialOther is the pause where somebody else was found than a node to meet.
	redialOther = 10 * time.Second
	// heardFor is how long a node that others told of is dialled after it was heard of
	// or last met: who named it may be gone, and it with them.
	heardFor = 10 * time.Minute
	// maxTargets bounds how many are dialled because others told of them.
	maxTargets = 256
)

// target is an address that is dialled whenever nobody is met there.
type target struct {
	named bool      // by setNodes: for ever
	until time.Time // otherwise
	drop  context.CancelFunc
}

// redial returns how long to wait before an address is tried again, after as many
// attempts in a row that ended with err.
func redial(attempts int, err error) time.Duration {
	for _, other := range []error{errSelf, errNetwork, errSameName, errNotItsOwn} {
		if errors.Is(err, other) {
			return redialOther
		}
	}
	return min(redialFirst<<min(max(attempts-1, 0), 8), redialMost)
}

// setNodes implements [Broker.SetNodes].
func (m *mesh) setNodes(addresses []string) error {
	nodes, err := m.checkNodes(addresses)
	if err != nil {
		return err
	}
	now := time.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	for address, t := range m.targets {
		if nodes[address] || !t.named {
			continue
		}
		if t.named, t.until = false, now.Add(heardFor); m.at(address) == nil {
			t.drop()
			m.forget(address)
		}
	}
	for address := range nodes {
		if t := m.aim(address); t != nil {
			t.named = true
		}
	}
	return nil
}

// hear has what another said of further nodes be dialled too. The caller holds m.mu.
func (m *mesh) hear(now time.Time, addresses ...string) {
	for _, address := range addresses {
		if _, err := m.checkNodes([]string{address}); err != nil || m.targets[address] == nil && len(m.targets) >= maxTargets {
			continue
		}
		if t := m.aim(address); t != nil {
			t.until = now.Add(heardFor)
		}
	}
}

// aim begins to dial an address, unless the mesh has ended. The caller holds m.mu.
func (m *mesh) aim(address string) *target {
	if t := m.targets[address]; t != nil {
		return t
	}
	ctx, drop := context.WithCancel(context.Background())
	t := &target{drop: drop}
	if !m.startLocked(func() { defer drop(); m.pursue(ctx, address, t) }) {
		drop()
		return nil
	}
	m.targets[address] = t
	return t
}

// pursue dials an address whenever nobody is met there.
func (m *mesh) pursue(ctx context.Context, address string, t *target) {
	warned := false
	for attempts := 0; ; {
		m.mu.Lock()
		p := m.at(address)
		m.mu.Unlock()
		var err error
		if p == nil {
			p, err = m.dial(ctx, address)
		}
		if p != nil {
			attempts, warned = 0, false
			select {
			case <-p.done:
			case <-ctx.Done():
				return
			}
		} else {
			attempts++
			m.report("met nobody", address, err)
			if errors.Is(err, errDistrusted) && !warned {
				warned = true
				m.log.Warn("a coordinator does not trust this one, which was revoked or never joined its farm: it can join with a new token", "at", address)
			}
		}
		if !m.keeps(time.Now(), address, t, p != nil, err) {
			return
		}
		select {
		case <-time.After(redial(attempts, err)):
		case <-ctx.Done():
			return
		}
	}
}

// keeps says whether an address is to be dialled again, after somebody was met there
// or not, and forgets it otherwise.
func (m *mesh) keeps(now time.Time, address string, t *target, met bool, err error) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if met {
		t.until = now.Add(heardFor)
	}
	if t.named || now.Before(t.until) && !errors.Is(err, errSelf) {
		return true
	}
	if m.targets[address] == t {
		m.forget(address)
	}
	return false
}

func (m *mesh) forget(address string) {
	delete(m.targets, address)
	delete(m.found, address)
}

// at returns who is met at an address, or about to be. The caller holds m.mu.
func (m *mesh) at(address string) *peer {
	if p := m.met[m.found[address]]; p != nil {
		return p
	}
	for _, p := range m.met {
		if p.reach == address {
			return p
		}
	}
	return nil
}
