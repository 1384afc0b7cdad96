package worker

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/jbcnet/jbc/coordinator/protocol"
)

const (
	// tickEvery is how often what is due by the clock is looked after.
	tickEvery = 50 * time.Millisecond
	// leaveWithin bounds the goodbye.
	leaveWithin = 300 * time.Millisecond
)

// errClosed ends a run whose connection the caller closed.
var errClosed = errors.New("the connection was closed")

// session is a worker's dealings with coordinators. One goroutine owns all of
// it: every message, find and timer passes through its loop.
type session struct {
	cfg       *Config
	log       *slog.Logger
	conn      *nats.Conn
	worker    *Worker
	dispenser *dispenser
	finds     *finds

	control chan *nats.Msg // jobs and replies, in the order they arrived
	solves  chan *nats.Msg // apart, so that a flood of them can't push those out
	subs    []*nats.Subscription
	jobs    *nats.Subscription // to what the coordinator says to all its workers
	offline bool
	denied  bool // the server refuses the credentials or can't be trusted, which was said

	began  time.Time // what the monotonic clock is read from
	clocks clocks
	asks   asks   // requests not answered yet
	search search // for a coordinator
	choice chooser
	nodes  nodes      // that coordinators vouch for
	left   *departure // nil but while it moves to another coordinator
	seat   seat       // with it
	doubts doubts     // about who that is
	work   work       // what the miners are on
	claims claims     // what they found
	cancel canceller
	meter  meter
	hashed hashed
	fleet  fleet
	stats  Stats
}

func newSession(w *Worker, declared float64) (*session, error) {
	s := &session{
		cfg: &w.cfg, log: w.cfg.Log, conn: w.cfg.Conn, worker: w, dispenser: w.dispenser, finds: w.finds,
		control: make(chan *nats.Msg, 1024),
		solves:  make(chan *nats.Msg, 4096),
		began:   time.Now(),
		asks:    newAsks(w.cfg.Conn.NewInbox(), rand.Uint64()),
		choice:  newChooser(w.cfg.Name, w.cfg.Stay, w.cfg.Key == "", rand.N[time.Duration]),
		fleet:   newFleet(w.devices.all, declared),
		stats:   Stats{DeclaredHS: declared, Devices: make([]DeviceStats, len(w.devices.all))},
	}
	if err := s.subscribe(s.asks.inbox+".*", s.control); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *session) subscribe(subject string, ch chan *nats.Msg) error {
	sub, err := s.conn.ChanSubscribe(subject, ch)
	if err == nil {
		s.subs = append(s.subs, sub)
	}
	return err
}

// close ends the subscriptions; the connection is the caller's.
func (s *session) close() {
	for _, sub := range append(s.subs, s.jobs) {
		_ = sub.Unsubscribe() // fails where there is none, or the connection is closed, which ended it
	}
}

// run is the loop, until ctx is cancelled.
func (s *session) run(ctx context.Context) error {
	link := s.conn.StatusChanged(nats.CONNECTED, nats.RECONNECTING, nats.CLOSED)
	defer s.conn.RemoveStatusListener(link)
	if !s.conn.IsConnected() {
		s.lost()
	}
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()

	err := s.onTick(time.Now())
	for err == nil {
		s.publish()
		select {
		case <-ctx.Done():
			return nil
		case m := <-s.solves:
			s.onSolved(time.Now(), m)
		case m := <-s.control:
			err = s.onControl(time.Now(), m)
		case <-s.finds.ready:
			s.onFinds(time.Now())
		case <-s.dispenser.dry:
			s.stats.Dry++
			s.feed(time.Now())
		case status, open := <-link:
			if !open {
				return errClosed
			}
			err = s.onLink(time.Now(), status)
		case <-tick.C:
			err = s.onTick(time.Now())
		}
	}
	return err
}

// onTick does what is due.
func (s *session) onTick(now time.Time) error {
	if away := s.clocks.look(now.Sub(s.began), now.Round(0)); away > 0 {
		s.woke(now, away)
	}
	s.asks.expire(now)
	hashes := s.dispenser.account().hashes
	s.meter.count(now, hashes)
	s.hashed.look(now, hashes)
	s.lookAtDevices(now)
	if s.cancel.silence(now) {
		s.log.Debug("no word about the solution, going on")
		s.dispenser.resume()
	}
	if s.offline {
		s.lost()
		return nil
	}
	if !s.search.settled {
		return s.look(now)
	}
	if err := s.choose(now); err != nil {
		return err
	}
	s.doubt(now)
	if s.seat.wanted {
		s.join(now)
	}
	if s.seat.taken {
		s.listen(now)
		s.reportInTurn(now)
		s.feed(now)
		if s.seat.unsure {
			s.askCurrent(now)
		}
		s.askNodes(now)
	}
	s.resend(now)
	s.pump(now)
	return nil
}

// onControl sorts what comes from coordinators.
func (s *session) onControl(now time.Time, m *nats.Msg) error {
	switch id, isReply := s.asks.idOf(m.Subject); {
	case isReply && id == lookToken:
		return s.onAnswer(now, m)
	case isReply:
		s.onReply(now, id, m)
	default:
		s.onWord(now, m)
	}
	return nil
}

// onLink follows the connection, which reconnects by itself.
func (s *session) onLink(now time.Time, status nats.Status) error {
	switch status {
	case nats.CLOSED:
		return errors.Join(errClosed, s.conn.LastError())
	case nats.RECONNECTING:
		s.lost()
	case nats.CONNECTED:
		s.back(now)
		return s.onTick(now)
	}
	return nil
}

// lost says once that there is no connection, and once when the server turns out
// to be there and to refuse the credentials, or not to be the one that it should be.
func (s *session) lost() {
	err := s.conn.LastError()
	switch obstacle := protocol.Obstacle(err); {
	case !s.offline:
		s.offline, s.denied = true, obstacle != ""
		s.log.Warn("no connection to NATS, trying for as long as it takes", protocol.Why(err)...)
	case obstacle != "" && !s.denied:
		s.denied = true
		s.log.Warn(obstacle+", trying on", protocol.Why(err)...)
	}
}

// back takes up where the connection broke: what was asked is forgotten, solutions
// are sent first, and shares wait until the coordinator has said which job is on.
func (s *session) back(now time.Time) {
	if s.offline {
		s.log.Info("connected to NATS", "server", s.conn.ConnectedUrlRedacted())
	}
	s.offline, s.denied = false, false
	s.afresh(now)
	s.choice.back(now)
	s.resend(now)
}

// woke takes up after the worker was away. It can't tell what it missed, nor how long
// ago it was heard, so the miners stand until the coordinator has said which job is
// on, and whether the slot still is.
func (s *session) woke(now time.Time, away time.Duration) {
	s.log.Info("was away, or the clock was set: asking which job is on", "for", away.Round(time.Millisecond))
	s.wait()
	s.afresh(now)
}

// afresh has everything asked again: what was asked is forgotten, and solutions are
// sent first.
func (s *session) afresh(now time.Time) {
	s.seat.unsure = s.seat.taken
	s.search.due, s.seat.joinDue, s.seat.currentDue = now, now, now
	s.asks.forget(now)
	s.choice.vigil.afresh()
	for _, sol := range s.claims.kept {
		sol.due = now
	}
}

// leave gives the leases back with their last progress, and what was found last a
// chance to arrive. The miners have ended.
func (s *session) leave() {
	now := time.Now()
	s.onFinds(now)
	left := true
	if s.left != nil && !s.offline {
		s.goodbye(now)
	}
	if s.seat.taken && !s.offline {
		left = !s.progress(now, protocol.KindLeave, func() { left = true })
	}
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	for deadline := now.Add(leaveWithin); !s.offline && (!left || len(s.claims.kept) > 0) && now.Before(deadline); {
		select {
		case m := <-s.control:
			now = time.Now()
			if id, isReply := s.asks.idOf(m.Subject); isReply {
				s.onReply(now, id, m)
			}
		case now = <-tick.C:
			s.asks.expire(now)
			s.resend(now)
		}
	}
	for _, sol := range s.claims.kept {
		s.log.Error("left before the coordinator stored a block", "coordinator", sol.assignment.by.Name,
			"height", sol.assignment.job.Height, "hash", sol.hash)
	}
	s.publish()
}
