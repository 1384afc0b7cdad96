package coordinator

import (
	"errors"
	"net"
	"sync"
	"time"
)

const (
	// maxMeeting bounds those who have connected and are not met yet, and
	// maxMeetingOfHost those of them from one address: strangers cost little and keep
	// no node out.
	maxMeeting       = 64
	maxMeetingOfHost = 16
	// reportEvery is how often the same is said of the same host, and maxReports how
	// much of that is remembered.
	reportEvery = time.Minute
	maxReports  = 256
)

// accept lets others in.
func (m *mesh) accept() {
	for {
		raw, err := m.listener.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil: // of one connection, or there are no files left
			m.report("no route comes in", m.cfg.Listen, err)
			select {
			case <-time.After(redialFirst):
			case <-m.over:
				return
			}
			continue
		}
		host, _, _ := net.SplitHostPort(raw.RemoteAddr().String())
		if !m.doors.enter(host) {
			_ = raw.Close()
			m.report("met nobody", host, errCrowd)
			continue
		}
		if !m.hold(raw) || !m.start(func() { m.admit(host, raw) }) {
			_ = raw.Close()
			return
		}
	}
}

var errCrowd = errors.New("too many connect at once")

// admit meets whoever connected.
func (m *mesh) admit(host string, raw net.Conn) {
	p := &peer{raw: raw, conn: raw, done: make(chan struct{})}
	err := m.welcome(p)
	m.doors.leave(host)
	if err != nil {
		m.part(p)
		m.report("refused a route", host, err)
		return
	}
	m.join(p)
}

// hold has a connection be closed at the end at the latest, and closes it if that
// has come.
func (m *mesh) hold(raw net.Conn) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ended {
		_ = raw.Close()
		return false
	}
	m.conns[raw] = true
	return true
}

// part ends what there was with a peer.
func (m *mesh) part(p *peer) {
	p.hangUp()
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.conns, p.raw)
	if m.met[p.id] == p {
		delete(m.met, p.id)
	}
	close(p.done)
}

// doors counts those who have connected and are not met yet.
type doors struct {
	mu   sync.Mutex
	open map[string]int // by host
	all  int
}

func (d *doors) enter(host string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.all >= maxMeeting || d.open[host] >= maxMeetingOfHost {
		return false
	}
	d.all++
	d.open[host]++
	return true
}

func (d *doors) leave(host string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.all--
	if d.open[host]--; d.open[host] == 0 {
		delete(d.open, host)
	}
}

// reports remembers what was said lately.
type reports struct {
	mu   sync.Mutex
	last map[string]time.Time
}

// due says whether something is to be said again, at now.
func (r *reports) due(now time.Time, what string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if at, said := r.last[what]; said && now.Sub(at) < reportEvery {
		return false
	}
	for other, at := range r.last {
		if now.Sub(at) >= reportEvery {
			delete(r.last, other)
		}
	}
	if len(r.last) >= maxReports {
		return false
	}
	r.last[what] = now
	return true
}

// report tells of an attempt that came to nothing, once in a while.
func (m *mesh) report(what, where string, err error) {
	select {
	case <-m.over: // which is why
	default:
		if m.reports.due(time.Now(), what+" "+where) {
			m.log.Debug(what, "at", where, "err", err)
		}
	}
}

// warnOfName tells once of a coordinator that has the name of this one.
func (m *mesh) warnOfName(from net.Addr) {
	m.mu.Lock()
	again := m.sameName
	m.sameName = true
	m.mu.Unlock()
	if !again {
		m.log.Warn("another coordinator has this one's name and is not met: choose another --name for one of them",
			"name", m.name, "at", from)
	}
}
